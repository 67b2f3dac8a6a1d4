/* Counters of coverage: finds their writers, and calls them at the end of a child.
 *
 * Each object file that was built with --coverage has a writer of its own, __gcov_exit(), which no other object can
 * refer to. It is a function of the object's end, beside the one that each object has. So an object with one such
 * function has no counters, which is known at once; in another one the writer is looked up by its name. */
#include "process/coverage.h"

#include "os/file.h"
#include "os/fork.h"
#include "os/program.h"
#include "util/symbol.h"
#include <limits.h>
#include <link.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define WRITER       "__gcov_exit"
#define OBJECTS_MOST 64

/* Functions of the end that this library has itself: see arena/trace.c. */
#define OWN_FUNCTIONS 1

static enum state {
    UNKNOWN,
    NONE,
    PERHAPS
} counters;

/* Objects that may have counters. */
struct objects {
    size_t count;
    ElfW(Addr) bases[OBJECTS_MOST];
};

static const ElfW(Phdr) * part_of(const struct dl_phdr_info *object, ElfW(Word) type)
{
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == type)
            return &object->dlpi_phdr[i];
    return NULL;
}

static bool coverage_is_own(const struct dl_phdr_info *object)
{
    for (int i = 0; i < object->dlpi_phnum; i++)
        if (object->dlpi_phdr[i].p_type == PT_LOAD &&
            (uintptr_t)coverage_look - object->dlpi_addr - object->dlpi_phdr[i].p_vaddr < object->dlpi_phdr[i].p_memsz)
            return true;
    return false;
}

static bool has_functions_of_its_own(const struct dl_phdr_info *object)
{
    size_t usual = coverage_is_own(object) ? 1 + OWN_FUNCTIONS : 1;
    const ElfW(Phdr) *dynamic = part_of(object, PT_DYNAMIC);
    if (!dynamic)
        return !object->dlpi_name[0]; /* a static program does not tell */
    for (const ElfW(Dyn) *entry = (const ElfW(Dyn) *)(object->dlpi_addr + dynamic->p_vaddr); entry->d_tag != DT_NULL;
         entry++)
        if (entry->d_tag == DT_FINI_ARRAYSZ)
            return entry->d_un.d_val > usual * sizeof(void *);
    return false;
}

static int add_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct objects *objects = arg;
    (void)size;
    if (has_functions_of_its_own(object) && objects->count < OBJECTS_MOST)
        objects->bases[objects->count++] = object->dlpi_addr;
    return 0;
}

/* How often an object was loaded or unloaded so far. */
static int count_changes(struct dl_phdr_info *object, size_t size, void *arg)
{
    (void)size;
    *(unsigned long long *)arg = object->dlpi_adds + object->dlpi_subs;
    return 1;
}

/* Nothing is written where nothing has changed: a write costs a fault after a fork. */
void coverage_look(void)
{
    static unsigned long long changes_seen;
    unsigned long long changes = 0;
    dl_iterate_phdr(count_changes, &changes);
    if (counters != UNKNOWN && changes == changes_seen)
        return;
    struct objects objects = {.count = 0};
    dl_iterate_phdr(add_object, &objects);
    counters = objects.count ? PERHAPS : NONE;
    changes_seen = changes;
}

/* The object's first mapped byte, by which its file is found. */
static int find_begin(struct dl_phdr_info *object, size_t size, void *arg)
{
    ElfW(Addr) *base = arg;
    const ElfW(Phdr) *part = part_of(object, PT_LOAD);
    (void)size;
    if (object->dlpi_addr != *base || !part)
        return 0;
    *base += part->p_vaddr;
    return 1;
}

/* Only in the file that is mapped: in another one of the same path the function may be anywhere. */
static void save(ElfW(Addr) base)
{
    char path[PATH_MAX];
    const unsigned char *file;
    size_t size;
    ElfW(Addr) begin = base;
    if (!dl_iterate_phdr(find_begin, &begin) || os_mapped_path((const void *)begin, path, sizeof path) ||
        os_map_file(path, &file, &size))
        return;
    uint64_t writer = symbol_named(file, size, WRITER);
    os_unmap_file(file, size);
    if (writer)
        ((void (*)(void))(base + writer))();
}

OS_FORK_PATH void coverage_save(void)
{
    if (counters == UNKNOWN)
        coverage_look();
    if (counters == NONE)
        return;
    struct objects objects = {.count = 0};
    dl_iterate_phdr(add_object, &objects);
    for (size_t i = 0; i < objects.count; i++)
        save(objects.bases[i]);
}
