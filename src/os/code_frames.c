/* The description of a copied function, as code_frames.h says: its unwind data (the format of .eh_frame), and around
 * these a small object file in memory, by which gdb learns of them (its JIT interface). */
#include "os/code_frames.h"

#include "os/unwind.h"
#include <elf.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>

/* ---- the object file ---- */

enum {
    TEXT = 1,
    FRAMES,
    SYMBOLS,
    NAMES,
    SECTIONS
};

static const char names[] = "\0.text\0.eh_frame\0.symtab\0.strtab\0mproc_loop";

#define NAME_TEXT    1
#define NAME_FRAMES  7
#define NAME_SYMBOLS 17
#define NAME_NAMES   25
#define NAME_LOOP    33

#define FRAMES_MAX 256

struct object {
    Elf64_Ehdr head;
    Elf64_Shdr sections[SECTIONS];
    Elf64_Sym symbols[2];
    char names[sizeof names];
    _Alignas(8) unsigned char frames[FRAMES_MAX];
};

/* ---- the unwind data ---- */

/* From libgcc. */
extern void __register_frame(void *frames);

#define RELATIVE 0x1b /* four bytes, relative to where they stand */
#define ABSOLUTE 0x00

static uint32_t number_at(const unsigned char *at)
{
    uint32_t number;
    memcpy(&number, at, sizeof number);
    return number;
}

/* Where the byte stands that says how addresses are written, in what several functions have in common; or 0. A common
 * part is: length, 0, version 1, "zR", two alignments and a register of a byte each, 1, that byte, instructions. */
static size_t encoding_of(const unsigned char *common, size_t size)
{
    static const unsigned char begin[] = {0, 0, 0, 0, 1, 'z', 'R', 0};
    size_t at = 4 + sizeof begin + 3;
    if (size < at + 2 || memcmp(common + 4, begin, sizeof begin) != 0)
        return 0;
    for (size_t i = 0; i < 3; i++)
        if (common[4 + sizeof begin + i] & 0x80 && i != 1)
            return 0;
    return common[at] == 1 && common[at + 1] == RELATIVE ? at + 1 : 0;
}

/* Write the unwind data of the function again, for the copy. How many bytes; 0: they are not as expected. */
static size_t copy_frames(const void *function, const void *copy, uint64_t size, unsigned char *frames)
{
    struct unwind_bases bases;
    const unsigned char *own = _Unwind_Find_FDE((void *)(uintptr_t)function, &bases);
    if (!own || bases.function != function)
        return 0;
    const unsigned char *common = own + 4 - (int32_t)number_at(own + 4);
    size_t common_size = 4 + (size_t)number_at(common), own_size = 4 + (size_t)number_at(own);
    size_t encoding = encoding_of(common, common_size);
    if (!encoding || own_size < 17 || own[16] != 0) /* length, distance, begin, size, and nothing more */
        return 0;
    size_t instructions = own_size - 17;
    size_t made = (4 + 4 + 8 + 8 + 1 + instructions + 7) & ~(size_t)7;
    if (common_size + made + 4 > FRAMES_MAX)
        return 0;
    memset(frames, 0, FRAMES_MAX); /* ends with a length of 0 */
    memcpy(frames, common, common_size);
    frames[encoding] = ABSOLUTE;
    unsigned char *at = frames + common_size;
    const uint32_t length = (uint32_t)made - 4, distance = (uint32_t)common_size + 4;
    memcpy(at, &length, 4);
    memcpy(at + 4, &distance, 4);
    memcpy(at + 8, &copy, 8);
    memcpy(at + 16, &size, 8);
    memcpy(at + 25, own + 17, instructions);
    return common_size + made + 4;
}

static Elf64_Shdr section(uint32_t name, uint32_t type, uint64_t flags, const void *address, size_t offset, size_t size)
{
    return (Elf64_Shdr){.sh_name = name,
                        .sh_type = type,
                        .sh_flags = flags,
                        .sh_addr = (uintptr_t)address,
                        .sh_offset = offset,
                        .sh_size = size,
                        .sh_addralign = 1};
}

size_t os_code_describe(const void *function, const void *copy, size_t size, void *memory, size_t room)
{
    struct object *object = memory;
    if (room < sizeof *object)
        return 0;
    memset(object, 0, sizeof *object);
    size_t frames = copy_frames(function, copy, size, object->frames);
    if (!frames)
        return 0;
    memcpy(object->head.e_ident, ELFMAG, SELFMAG);
    object->head.e_ident[EI_CLASS] = ELFCLASS64;
    object->head.e_ident[EI_DATA] = ELFDATA2LSB;
    object->head.e_ident[EI_VERSION] = EV_CURRENT;
    object->head.e_type = ET_EXEC;
    object->head.e_machine = EM_X86_64;
    object->head.e_version = EV_CURRENT;
    object->head.e_shoff = offsetof(struct object, sections);
    object->head.e_ehsize = sizeof object->head;
    object->head.e_shentsize = sizeof object->sections[0];
    object->head.e_shnum = SECTIONS;
    object->head.e_shstrndx = NAMES;
    memcpy(object->names, names, sizeof names);
    object->sections[TEXT] = section(NAME_TEXT, SHT_NOBITS, SHF_ALLOC | SHF_EXECINSTR, copy, 0, size);
    object->sections[FRAMES] =
        section(NAME_FRAMES, SHT_PROGBITS, SHF_ALLOC, object->frames, offsetof(struct object, frames), frames);
    object->sections[SYMBOLS] =
        section(NAME_SYMBOLS, SHT_SYMTAB, 0, NULL, offsetof(struct object, symbols), sizeof object->symbols);
    object->sections[SYMBOLS].sh_entsize = sizeof object->symbols[0];
    object->sections[SYMBOLS].sh_link = NAMES;
    object->sections[SYMBOLS].sh_info = 1;
    object->sections[NAMES] = section(NAME_NAMES, SHT_STRTAB, 0, NULL, offsetof(struct object, names), sizeof names);
    object->symbols[1] = (Elf64_Sym){.st_name = NAME_LOOP,
                                     .st_info = ELF64_ST_INFO(STB_GLOBAL, STT_FUNC),
                                     .st_shndx = TEXT,
                                     .st_value = (uintptr_t)copy,
                                     .st_size = size};
    return sizeof *object;
}

/* ---- gdb ----
 *
 * It knows these names, follows the list from the descriptor, and has a breakpoint in the function. */

struct jit_code_entry {
    struct jit_code_entry *next, *previous;
    const void *object;
    uint64_t size;
};

struct jit_descriptor {
    uint32_t version;
    uint32_t action;
    struct jit_code_entry *relevant, *first;
};

__attribute__((visibility("hidden"), used)) struct jit_descriptor __jit_debug_descriptor = {.version = 1};

__attribute__((visibility("hidden"), noinline, used)) void __jit_debug_register_code(void);
void __jit_debug_register_code(void)
{
    __asm__ volatile("" ::: "memory");
}

void os_code_publish(const void *memory, size_t size)
{
    static struct jit_code_entry entry;
    struct unwind_bases bases;
    const struct object *object = memory;
    entry = (struct jit_code_entry){.object = object, .size = size};
    __jit_debug_descriptor.first = &entry;
    __jit_debug_descriptor.relevant = &entry;
    __jit_debug_descriptor.action = 1; /* added */
    __jit_debug_register_code();
    __register_frame((void *)(uintptr_t)object->frames);
    /* the unwinder takes memory when it looks for the first time, which a handler could not */
    (void)_Unwind_Find_FDE((void *)(uintptr_t)object->symbols[1].st_value, &bases);
}
