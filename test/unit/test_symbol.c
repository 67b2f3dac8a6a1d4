/* The reader of symbol tables: what it finds in a file made for it and in this very program, and that it reads nothing
 * that is not there, whatever the file says. */
#include "harness.h"

#include "os/file.h"
#include "os/stack.h"
#include "util/symbol.h"
#include <elf.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- a file ---- */

enum {
    SECTIONS = 5,
    SYMBOLS = 7
};

struct file {
    Elf64_Ehdr header;
    Elf64_Sym symbols[SYMBOLS];
    Elf64_Sym dynamic[2];
    char names[64];
    Elf64_Shdr sections[SECTIONS];
};

static const char names[64] = "\0outer\0inner\0variable\0imported\0last\0exported";

static Elf64_Word name_of(const char *name)
{
    for (size_t i = 0; i < sizeof names; i += strlen(names + i) + 1)
        if (strcmp(names + i, name) == 0)
            return (Elf64_Word)i;
    fail_msg("there is no name %s", name);
    return 0;
}

static Elf64_Sym make_symbol(const char *name, unsigned char type, Elf64_Half section, uint64_t value, uint64_t size)
{
    return (Elf64_Sym){.st_name = name_of(name),
                       .st_info = ELF64_ST_INFO(STB_LOCAL, type),
                       .st_shndx = section,
                       .st_value = value,
                       .st_size = size};
}

static Elf64_Shdr make_section(Elf64_Word type, Elf64_Word link, size_t offset, size_t size)
{
    return (Elf64_Shdr){.sh_type = type, .sh_link = link, .sh_offset = offset, .sh_size = size};
}

static struct file make_file(void)
{
    struct file file;
    memset(&file, 0, sizeof file);
    memcpy(file.header.e_ident, ELFMAG, SELFMAG);
    file.header.e_ident[EI_CLASS] = ELFCLASS64;
    file.header.e_ident[EI_DATA] = ELFDATA2LSB;
    file.header.e_shoff = offsetof(struct file, sections);
    file.header.e_shentsize = sizeof *file.sections;
    file.header.e_shnum = SECTIONS;
    file.symbols[1] = make_symbol("inner", STT_FUNC, 1, 0x1040, 0x10);
    file.symbols[2] = make_symbol("outer", STT_FUNC, 1, 0x1000, 0x100);
    file.symbols[3] = make_symbol("variable", STT_OBJECT, 1, 0x1000, 0x1000);
    file.symbols[4] = make_symbol("imported", STT_FUNC, SHN_UNDEF, 0x1000, 0x1000);
    file.symbols[5] = make_symbol("last", STT_GNU_IFUNC, 1, 0x2000, 0x20);
    file.symbols[6] = make_symbol("", STT_FUNC, 1, 0x3000, 0x20);
    file.dynamic[1] = make_symbol("exported", STT_FUNC, 1, 0x1000, 0x100);
    memcpy(file.names, names, sizeof names);
    file.sections[1] = make_section(SHT_DYNSYM, 4, offsetof(struct file, dynamic), sizeof file.dynamic);
    file.sections[2] = make_section(SHT_SYMTAB, 4, offsetof(struct file, symbols), sizeof file.symbols);
    file.sections[3] = make_section(SHT_NOBITS, 0, 0, UINT64_MAX);
    file.sections[4] = make_section(SHT_STRTAB, 0, offsetof(struct file, names), sizeof file.names);
    return file;
}

static void assert_name(const struct file *file, uint64_t address, const char *name, uint64_t begin)
{
    struct symbol symbol = {.address = address};
    symbol_find((const unsigned char *)file, sizeof *file, &symbol, 1);
    if (!name) {
        assert_null(symbol.name);
        return;
    }
    assert_non_null(symbol.name);
    assert_int_equal(symbol.name_size, strlen(name));
    assert_memory_equal(symbol.name, name, symbol.name_size);
    assert_int_equal(symbol.begin, begin);
}

static void an_address_has_the_function_that_begins_last_before_it(void **state)
{
    struct file file = make_file();
    (void)state;
    assert_name(&file, 0x1000, "outer", 0x1000);
    assert_name(&file, 0x103f, "outer", 0x1000);
    assert_name(&file, 0x1040, "inner", 0x1040);
    assert_name(&file, 0x104f, "inner", 0x1040);
    assert_name(&file, 0x1050, "outer", 0x1000);
    assert_name(&file, 0x2000, "last", 0x2000);
}

static void an_address_in_no_function_has_no_name(void **state)
{
    struct file file = make_file();
    (void)state;
    assert_name(&file, 0, NULL, 0);
    assert_name(&file, 0xfff, NULL, 0);
    assert_name(&file, 0x1100, NULL, 0);
    assert_name(&file, 0x2020, NULL, 0);
    assert_name(&file, 0x3000, NULL, 0);
    assert_name(&file, UINT64_MAX, NULL, 0);
}

static void several_addresses_are_found_at_once(void **state)
{
    struct file file = make_file();
    struct symbol symbols[3] = {{.address = 0x2001}, {.address = 1}, {.address = 0x1001}};
    (void)state;
    symbol_find((const unsigned char *)&file, sizeof file, symbols, 3);
    assert_memory_equal(symbols[0].name, "last", 5);
    assert_null(symbols[1].name);
    assert_memory_equal(symbols[2].name, "outer", 6);
}

static void a_file_without_all_symbols_has_those_for_other_files(void **state)
{
    struct file file = make_file();
    (void)state;
    file.sections[2].sh_type = SHT_PROGBITS;
    assert_name(&file, 0x1041, "exported", 0x1000);
    file.sections[1].sh_type = SHT_PROGBITS;
    assert_name(&file, 0x1041, NULL, 0);
}

static void a_number_of_sections_that_is_too_large_for_its_place_is_elsewhere(void **state)
{
    struct file file = make_file();
    (void)state;
    file.header.e_shnum = 0;
    file.sections[0].sh_size = SECTIONS;
    assert_name(&file, 0x1041, "inner", 0x1040);
}

/* ---- files that are none ---- */

/* Bytes behind which nothing can be read. */
struct edge {
    unsigned char *page;
    size_t size;
};

static struct edge make_edge(void)
{
    struct edge edge = {.size = (size_t)sysconf(_SC_PAGESIZE)};
    assert_true(edge.size >= sizeof(struct file));
    edge.page = mmap(NULL, 2 * edge.size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal(edge.page, MAP_FAILED);
    assert_int_equal(mprotect(edge.page + edge.size, edge.size, PROT_NONE), 0);
    return edge;
}

/* Read what is there of the file, at the edge. */
static void read_at_edge(const struct edge *edge, const void *file, size_t size)
{
    struct symbol symbols[2] = {{.address = 0x1041}, {.address = 0x2001}};
    unsigned char *at = edge->page + edge->size - size;
    memcpy(at, file, size);
    symbol_find(at, size, symbols, 2);
    for (int i = 0; i < 2; i++)
        if (symbols[i].name)
            assert_true((const unsigned char *)symbols[i].name >= at && symbols[i].name_size <= size);
}

static void a_file_may_be_cut_off_anywhere(void **state)
{
    struct file file = make_file();
    struct edge edge = make_edge();
    (void)state;
    for (size_t size = 0; size <= sizeof file; size++)
        read_at_edge(&edge, &file, size);
    munmap(edge.page, 2 * edge.size);
}

static void any_byte_of_a_file_may_be_wrong(void **state)
{
    static const unsigned char wrong[] = {0, 1, 2, 0x7f, 0x80, 0xff};
    struct edge edge = make_edge();
    (void)state;
    for (size_t at = 0; at < sizeof(struct file); at++) {
        for (size_t i = 0; i < sizeof wrong; i++) {
            struct file file = make_file();
            ((unsigned char *)&file)[at] = wrong[i];
            read_at_edge(&edge, &file, sizeof file);
        }
    }
    munmap(edge.page, 2 * edge.size);
}

static void sizes_and_places_beyond_all_bounds_are_seen(void **state)
{
    static const uint64_t wrong[] = {UINT64_MAX, UINT64_MAX - 63, INT64_MAX, sizeof(struct file), UINT32_MAX};
    struct edge edge = make_edge();
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        for (int section = 0; section < SECTIONS; section++) {
            struct file file = make_file();
            file.sections[section].sh_offset = wrong[i];
            read_at_edge(&edge, &file, sizeof file);
            file.sections[section].sh_size = wrong[i];
            read_at_edge(&edge, &file, sizeof file);
            file.sections[section].sh_offset = 1;
            read_at_edge(&edge, &file, sizeof file);
        }
        struct file file = make_file();
        file.header.e_shnum = 0;
        file.sections[0].sh_size = wrong[i];
        read_at_edge(&edge, &file, sizeof file);
        file.header.e_shoff = wrong[i];
        read_at_edge(&edge, &file, sizeof file);
    }
    munmap(edge.page, 2 * edge.size);
}

/* ---- this program ---- */

static void a_static_function_of_this_program_is_named(void **state)
{
    const unsigned char *file;
    size_t size;
    struct os_object object;
    uintptr_t address = (uintptr_t)a_static_function_of_this_program_is_named;
    (void)state;
    assert_true(os_object_at(address, &object));
    assert_int_equal(os_map_file("/proc/self/exe", &file, &size), 0);
    struct symbol symbol = {.address = address - object.base};
    symbol_find(file, size, &symbol, 1);
    assert_non_null(symbol.name);
    assert_string_equal(symbol.name, __func__);
    assert_int_equal(symbol.begin, symbol.address);
    os_unmap_file(file, size);
}

static void only_files_with_bytes_are_mapped(void **state)
{
    const unsigned char *file;
    size_t size;
    (void)state;
    assert_true(os_map_file("/", &file, &size) < 0);
    assert_true(os_map_file("/dev/null", &file, &size) < 0);
    assert_true(os_map_file("/no/such/file", &file, &size) < 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_address_has_the_function_that_begins_last_before_it),
        unit(an_address_in_no_function_has_no_name),
        unit(several_addresses_are_found_at_once),
        unit(a_file_without_all_symbols_has_those_for_other_files),
        unit(a_number_of_sections_that_is_too_large_for_its_place_is_elsewhere),
        unit(a_file_may_be_cut_off_anywhere),
        unit(any_byte_of_a_file_may_be_wrong),
        unit(sizes_and_places_beyond_all_bounds_are_seen),
        unit(a_static_function_of_this_program_is_named),
        unit(only_files_with_bytes_are_mapped),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
