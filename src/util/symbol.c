/* The names of functions, as the symbol table of an ELF file has them. It reads 64-bit files of this machine's byte
 * order, and nothing beyond the size that it was given. */
#include "util/symbol.h"

#include <elf.h>
#include <stdbool.h>
#include <string.h>

struct file {
    const unsigned char *bytes;
    size_t size;
};

/* A part of the file. */
struct part {
    const unsigned char *bytes;
    size_t size;
    uint32_t link; /* of a section, as the next */
    uint32_t type;
};

static bool is_inside(const struct file *file, uint64_t offset, uint64_t size)
{
    return offset <= file->size && size <= file->size - offset;
}

/* The table of sections: where it begins, and how many there are. 0 when there is none. */
static uint64_t sections_of(const struct file *file, uint64_t *table)
{
    Elf64_Ehdr header;
    Elf64_Shdr first;
    if (!is_inside(file, 0, sizeof header))
        return 0;
    memcpy(&header, file->bytes, sizeof header);
    if (memcmp(header.e_ident, ELFMAG, SELFMAG) != 0 || header.e_ident[EI_CLASS] != ELFCLASS64 ||
        header.e_ident[EI_DATA] != ELFDATA2LSB || header.e_shentsize != sizeof first || header.e_shoff == 0 ||
        !is_inside(file, header.e_shoff, sizeof first))
        return 0;
    memcpy(&first, file->bytes + header.e_shoff, sizeof first);
    uint64_t count = header.e_shnum ? header.e_shnum : first.sh_size; /* so it is where there are too many */
    *table = header.e_shoff;
    return count <= (file->size - header.e_shoff) / sizeof first ? count : 0;
}

static bool section_at(const struct file *file, uint64_t table, uint64_t index, struct part *part)
{
    Elf64_Shdr section;
    memcpy(&section, file->bytes + table + index * sizeof section, sizeof section);
    if (section.sh_type == SHT_NOBITS || !is_inside(file, section.sh_offset, section.sh_size))
        return false;
    *part = (struct part){.bytes = file->bytes + section.sh_offset,
                          .size = section.sh_size,
                          .link = section.sh_link,
                          .type = section.sh_type};
    return true;
}

/* The table of all symbols, else of those that are for other files; and the names in it. */
static bool find_tables(const struct file *file, struct part *table, struct part *names)
{
    uint64_t sections;
    uint64_t count = sections_of(file, &sections);
    struct part part;
    *table = (struct part){.size = 0};
    for (uint64_t i = 0; i < count; i++) {
        if (!section_at(file, sections, i, &part) || (part.type != SHT_SYMTAB && part.type != SHT_DYNSYM))
            continue;
        if (table->size == 0 || part.type == SHT_SYMTAB)
            *table = part;
    }
    return table->size > 0 && table->link < count && section_at(file, sections, table->link, names) &&
           names->type == SHT_STRTAB;
}

static bool is_function(const Elf64_Sym *entry)
{
    unsigned type = ELF64_ST_TYPE(entry->st_info);
    return (type == STT_FUNC || type == STT_GNU_IFUNC) && entry->st_shndx != SHN_UNDEF && entry->st_size > 0;
}

/* Give an address that name if it is in the function, and in none that begins later. */
static void match(struct symbol *symbol, const Elf64_Sym *entry, const struct part *names)
{
    if (symbol->address - entry->st_value >= entry->st_size || entry->st_name >= names->size ||
        (symbol->name && symbol->begin > entry->st_value))
        return;
    const char *name = (const char *)names->bytes + entry->st_name;
    size_t size = strnlen(name, names->size - entry->st_name);
    if (size == 0)
        return;
    symbol->name = name;
    symbol->name_size = size;
    symbol->begin = entry->st_value;
}

void symbol_find(const unsigned char *file, size_t size, struct symbol *symbols, size_t count)
{
    struct part table, names = {.size = 0};
    uint64_t lowest = UINT64_MAX, highest = 0;
    for (size_t i = 0; i < count; i++) {
        symbols[i].name = NULL;
        symbols[i].begin = symbols[i].name_size = 0;
        lowest = symbols[i].address < lowest ? symbols[i].address : lowest;
        highest = symbols[i].address > highest ? symbols[i].address : highest;
    }
    if (!find_tables(&(struct file){file, size}, &table, &names))
        return;
    for (size_t at = 0; table.size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
        Elf64_Sym entry;
        memcpy(&entry, table.bytes + at, sizeof entry);
        if (entry.st_value > highest || entry.st_value + entry.st_size <= lowest || !is_function(&entry))
            continue;
        for (size_t i = 0; i < count; i++)
            match(&symbols[i], &entry, &names);
    }
}

static bool has_name(const Elf64_Sym *entry, const struct part *names, const char *name, size_t length)
{
    return entry->st_name < names->size && names->size - entry->st_name > length &&
           memcmp(names->bytes + entry->st_name, name, length + 1) == 0;
}

uint64_t symbol_named(const unsigned char *file, size_t size, const char *name)
{
    struct part table, names = {.size = 0};
    if (!find_tables(&(struct file){file, size}, &table, &names))
        return 0;
    for (size_t at = 0; table.size - at >= sizeof(Elf64_Sym); at += sizeof(Elf64_Sym)) {
        Elf64_Sym entry;
        memcpy(&entry, table.bytes + at, sizeof entry);
        if (is_function(&entry) && has_name(&entry, &names, name, strlen(name)))
            return entry.st_value;
    }
    return 0;
}
