/* References to functions and data. A reference names an object file by its build id, so that another build of it is
 * not taken for the same. */
#include "process/function.h"

#include "os/file.h"
#include "os/program.h"
#include <dlfcn.h>
#include <elf.h>
#include <errno.h>
#include <limits.h>
#include <link.h>
#include <mproc/base.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

/* What is looked for, and where it was found. */
struct search {
    const struct function_reference *reference;
    uintptr_t address;
    struct function_reference *found; /* a reference to be filled */
    bool is_first;                    /* the program itself is listed first */
    bool is_data;                     /* not code */
    uintptr_t target;                 /* what a reference leads to, or 0 */
};

static uint64_t extent_of(const struct dl_phdr_info *object)
{
    uint64_t extent = 0;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && part->p_vaddr + part->p_memsz > extent)
            extent = part->p_vaddr + part->p_memsz;
    }
    return extent;
}

static bool lies_in(const struct dl_phdr_info *object, uintptr_t address, bool is_data)
{
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_LOAD && (is_data || (part->p_flags & PF_X)) &&
            address - (object->dlpi_addr + part->p_vaddr) < part->p_memsz)
            return true;
    }
    return false;
}

static size_t padded(size_t size)
{
    return (size + 3) & ~(size_t)3;
}

/* Look for the build id among the notes of one segment. Returns its size, or 0. */
static uint8_t id_in_notes(const unsigned char *at, size_t left, uint8_t id[FUNCTION_ID_SIZE])
{
    ElfW(Nhdr) note;
    while (left >= sizeof note) {
        memcpy(&note, at, sizeof note);
        size_t name = padded(note.n_namesz);
        size_t size = sizeof note + name + padded(note.n_descsz);
        if (size > left)
            return 0;
        if (note.n_type == NT_GNU_BUILD_ID && note.n_namesz == sizeof ELF_NOTE_GNU &&
            memcmp(at + sizeof note, ELF_NOTE_GNU, sizeof ELF_NOTE_GNU) == 0 && note.n_descsz <= FUNCTION_ID_SIZE) {
            memcpy(id, at + sizeof note + name, note.n_descsz);
            return (uint8_t)note.n_descsz;
        }
        at += size;
        left -= size;
    }
    return 0;
}

static uint8_t build_id(const struct dl_phdr_info *object, uint8_t id[FUNCTION_ID_SIZE])
{
    uint8_t size = 0;
    for (int i = 0; i < object->dlpi_phnum && size == 0; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type == PT_NOTE)
            size = id_in_notes((const unsigned char *)(object->dlpi_addr + part->p_vaddr), part->p_memsz, id);
    }
    return size;
}

static const void *function_begin_of(const struct dl_phdr_info *object)
{
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_LOAD)
            return (const void *)(object->dlpi_addr + object->dlpi_phdr[i].p_vaddr);
    return NULL;
}

/* The path of an object's file; the program needs none. The loader has it as it was loaded: where that is no absolute
 * path it holds for the folder of that moment, so the kernel is asked instead. */
static void copy_path(char path[FUNCTION_PATH_SIZE], const struct dl_phdr_info *object, bool is_program)
{
    char whole[PATH_MAX];
    const char *name = object->dlpi_name;
    path[0] = '\0';
    if (is_program || !name)
        return;
    bool is_known = name[0] == '/' ? realpath(name, whole) != NULL
                                   : os_mapped_path(function_begin_of(object), whole, sizeof whole) == 0;
    if (is_known && strlen(whole) < FUNCTION_PATH_SIZE)
        strcpy(path, whole);
}

static int refer_in(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    bool is_program = search->is_first;
    (void)size;
    search->is_first = false;
    if (!lies_in(object, search->address, search->is_data))
        return 0;
    struct function_reference *found = search->found;
    found->offset = search->address - object->dlpi_addr;
    found->extent = extent_of(object);
    found->id_size = build_id(object, found->id);
    copy_path(found->path, object, is_program);
    return 1;
}

static int refer(struct function_reference *reference, uintptr_t address, bool is_data)
{
    memset(reference, 0, sizeof *reference);
    struct search search = {.address = address, .found = reference, .is_first = true, .is_data = is_data};
    return dl_iterate_phdr(refer_in, &search) ? 0 : MPROC_NO_FUNCTION;
}

int function_refer(struct function_reference *reference, function_address *function)
{
    return refer(reference, (uintptr_t)function, false);
}

static int is_gone_in(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    bool is_program = search->is_first;
    char path[PATH_MAX];
    (void)size;
    search->is_first = false;
    if (!lies_in(object, search->address, false))
        return 0;
    if (!is_program && os_mapped_path(function_begin_of(object), path, sizeof path) == -ENOENT &&
        os_is_there("/proc/self/maps"))
        search->target = 1;
    return 1;
}

bool function_is_gone(function_address *function)
{
    struct search search = {.address = (uintptr_t)function, .is_first = true};
    dl_iterate_phdr(is_gone_in, &search);
    return search.target != 0;
}

int data_refer(struct function_reference *reference, const void *data)
{
    return refer(reference, (uintptr_t)data, true);
}

static bool is_same_object(const struct dl_phdr_info *object, bool is_program, const struct function_reference *wanted)
{
    uint8_t id[FUNCTION_ID_SIZE];
    char path[FUNCTION_PATH_SIZE];
    if (extent_of(object) != wanted->extent)
        return false;
    uint8_t id_size = build_id(object, id);
    if (id_size || wanted->id_size)
        return id_size == wanted->id_size && memcmp(id, wanted->id, id_size) == 0;
    copy_path(path, object, is_program);
    return strcmp(path, wanted->path) == 0;
}

static int function_find_in(struct dl_phdr_info *object, size_t size, void *data)
{
    struct search *search = data;
    bool is_program = search->is_first;
    uintptr_t address = object->dlpi_addr + search->reference->offset;
    (void)size;
    search->is_first = false;
    if (!is_same_object(object, is_program, search->reference) || !lies_in(object, address, search->is_data))
        return 0;
    search->target = address;
    return 1;
}

static uintptr_t find_loaded(const struct function_reference *reference, bool is_data)
{
    struct search search = {.reference = reference, .is_first = true, .is_data = is_data};
    dl_iterate_phdr(function_find_in, &search);
    return search.target;
}

static uintptr_t function_find_address(const struct function_reference *reference, bool is_data)
{
    uintptr_t found = find_loaded(reference, is_data);
    if (!found && reference->path[0] && dlopen(reference->path, RTLD_NOW | RTLD_LOCAL))
        found = find_loaded(reference, is_data);
    return found;
}

function_address *function_find(const struct function_reference *reference)
{
    return (function_address *)function_find_address(reference, false);
}

const void *data_find(const struct function_reference *reference)
{
    return (const void *)function_find_address(reference, true);
}
