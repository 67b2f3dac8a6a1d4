/* Traces of blocks, and the report of those that nobody freed. */
#include "arena/trace.h"

#include "arena/chunks.h"
#include "arena/quarantine.h"
#include "arena/spans.h"
#include "os/allocate.h"
#include "os/file.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/program.h"
#include "os/say.h"
#include "util/symbol.h"
#include <dlfcn.h>
#include <execinfo.h>
#include <limits.h>
#include <link.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MARK        UINT64_C(0x7472616365206f66)
#define GROUPS_MOST 50 /* that are said */
#define WORD_SAID   80 /* bytes at most of a word that is not known */
#define OWN_FRAMES  1  /* trace_note() itself */

/* Words with commas between them. One that is not known is surely a slip, and would do nothing without a word. */
static bool asks_for_leaks(const char *debug)
{
    bool asks = false;
    for (const char *word = debug; word; word = strchr(word, ','), word = word ? word + 1 : NULL) {
        size_t size = strcspn(word, ",");
        if (size == strlen("leaks") && strncmp(word, "leaks", size) == 0)
            asks = true;
        else if (size)
            os_say("mproc: MPROC_DEBUG has the unknown word %.*s; the known words are: leaks\n",
                   (int)(size < WORD_SAID ? size : WORD_SAID), word);
    }
    return asks;
}

void trace_begin(void)
{
    arena_header()->creator = (int32_t)getpid();
    arena_header()->is_traced = asks_for_leaks(getenv("MPROC_DEBUG"));
}

/* ---- frames, which mean the same in every process of the family ---- */

struct place {
    uintptr_t address;
    uint32_t object; /* hash of its name */
    uintptr_t base;
    const char *name;
};

static uint32_t hash_of(const char *name)
{
    uint32_t hash = 2166136261u;
    for (; *name; name++)
        hash = (hash ^ (unsigned char)*name) * 16777619u;
    return hash;
}

static int find_address(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct place *place = arg;
    (void)size;
    for (int i = 0; i < object->dlpi_phnum; i++) {
        const ElfW(Phdr) *part = &object->dlpi_phdr[i];
        if (part->p_type != PT_LOAD || place->address - object->dlpi_addr - part->p_vaddr >= part->p_memsz)
            continue;
        place->object = hash_of(object->dlpi_name);
        place->base = object->dlpi_addr;
        return 1;
    }
    return 0;
}

static int find_object(struct dl_phdr_info *object, size_t size, void *arg)
{
    struct place *place = arg;
    (void)size;
    if (hash_of(object->dlpi_name) != place->object)
        return 0;
    place->base = object->dlpi_addr;
    place->name = object->dlpi_name;
    return 1;
}

void trace_note(void *block, size_t size)
{
    void *callers[OWN_FRAMES + TRACE_DEPTH + 10];
    struct trace *trace = (struct trace *)(void *)((unsigned char *)block + size - sizeof *trace);
    struct place own = {.address = (uintptr_t)trace_note};
    bool is_shared = dl_iterate_phdr(find_address, &own) && own.object != hash_of("");
    int count = backtrace(callers, sizeof callers / sizeof *callers);
    trace->mark = 0;
    trace->pid = (int32_t)getpid();
    trace->depth = 0;
    for (int i = OWN_FRAMES; i < count && trace->depth < TRACE_DEPTH; i++) {
        struct place place = {.address = (uintptr_t)callers[i] - 1}; /* the call, not what comes after it */
        if (!dl_iterate_phdr(find_address, &place))
            continue;
        /* Of the shared library's own frames the last counts: the function that the program called. */
        if (is_shared && place.base == own.base && trace->depth == 1)
            trace->depth = 0;
        trace->frames[trace->depth++] = (uint64_t)place.object << 32 | (uint32_t)(place.address - place.base);
    }
    trace->mark = MARK ^ (uintptr_t)block;
}

/* ---- the blocks that are in use ---- */

struct use {
    const void *block;
    size_t size;
    struct trace trace;
};

struct uses {
    struct use *all;
    size_t count, room;
};

static void add_use(void *arg, const void *block, size_t size)
{
    struct uses *uses = arg;
    if (uses->count == uses->room) {
        size_t room = uses->room ? 2 * uses->room : 256;
        struct use *all = os_realloc(uses->all, room * sizeof *all);
        if (!all)
            return;
        uses->all = all;
        uses->room = room;
    }
    struct use *use = &uses->all[uses->count++];
    *use = (struct use){.block = block, .size = size - sizeof use->trace};
    memcpy(&use->trace, (const unsigned char *)block + use->size, sizeof use->trace);
    if (use->trace.mark != (MARK ^ (uintptr_t)block) || use->trace.depth > TRACE_DEPTH)
        use->trace = (struct trace){.depth = 0};
}

static void add_run(void *arg, unsigned index, uint64_t word)
{
    if (chunk_state(word) == CHUNK_SPAN)
        spans_each_block(index, add_use, arg);
    else
        add_use(arg, chunk_address(index), chunk_at(index)->aux);
}

static int compare_stacks(const struct trace *a, const struct trace *b)
{
    if (a->depth != b->depth)
        return a->depth < b->depth ? -1 : 1;
    return memcmp(a->frames, b->frames, a->depth * sizeof *a->frames);
}

static int compare_uses(const void *a, const void *b)
{
    return compare_stacks(&((const struct use *)a)->trace, &((const struct use *)b)->trace);
}

/* ---- saying ---- */

/* The function at a place of an object file, as "name+0x12 (file)". Whether it is main(). */
static bool describe(char *text, size_t size, uint64_t frame)
{
    struct place place = {.object = (uint32_t)(frame >> 32)};
    struct symbol symbol = {.address = (uint32_t)frame};
    const unsigned char *file;
    char path[PATH_MAX] = "?";
    size_t file_size;
    if (!dl_iterate_phdr(find_object, &place))
        strcpy(path, "an object that is not loaded here");
    else if (place.name[0] ? strlen(place.name) < sizeof path : os_program_path(path, sizeof path) == 0)
        memcpy(path, place.name[0] ? place.name : path, strlen(place.name[0] ? place.name : path) + 1);
    const char *slash = strrchr(path, '/');
    const char *base = slash ? slash + 1 : path;
    if (os_map_file(path, &file, &file_size)) {
        snprintf(text, size, "0x%x (%s)", (unsigned)frame, base);
        return false;
    }
    symbol_find(file, file_size, &symbol, 1);
    if (symbol.name)
        snprintf(text, size, "%.*s+0x%x (%s)", (int)symbol.name_size, symbol.name,
                 (unsigned)(symbol.address - symbol.begin), base);
    else
        snprintf(text, size, "0x%x (%s)", (unsigned)frame, base);
    bool is_main = symbol.name && symbol.name_size == strlen("main") && memcmp(symbol.name, "main", 4) == 0;
    os_unmap_file(file, file_size);
    return is_main;
}

static void say_group(const struct use *uses, size_t count)
{
    char text[400];
    size_t bytes = 0;
    for (size_t i = 0; i < count; i++)
        bytes += uses[i].size;
    os_say("mproc: %zu block%s of %zu bytes in all, the first at %p, taken by process %d\n", count,
           count == 1 ? "" : "s", bytes, uses->block, (int)uses->trace.pid);
    bool is_main = false;
    for (unsigned i = 0; i < uses->trace.depth && !is_main; i++) {
        is_main = describe(text, sizeof text, uses->trace.frames[i]);
        os_say("mproc:     %s %s\n", i ? "in" : "by", text);
    }
}

static void say_all(struct uses *uses)
{
    size_t said = 0;
    size_t begin = 0;
    qsort(uses->all, uses->count, sizeof *uses->all, compare_uses);
    os_say("mproc: %zu blocks of shared memory were not freed\n", uses->count);
    for (size_t i = 1; i <= uses->count && said < GROUPS_MOST; i++) {
        if (i < uses->count && compare_uses(&uses->all[begin], &uses->all[i]) == 0)
            continue;
        say_group(&uses->all[begin], i - begin);
        begin = i;
        said++;
    }
    if (begin < uses->count)
        os_say("mproc: and %zu blocks more\n", uses->count - begin);
}

OS_FORK_PATH void trace_report(void)
{
    struct uses uses = {.all = NULL};
    if (!region.base || !trace_size() || arena_header()->creator != (int32_t)getpid() || member_need())
        return;
    member_sweep_all();
    chunks_walk(add_run, &uses);
    if (uses.count)
        say_all(&uses);
    free(uses.all);
}

/* After all exit handlers, in which a program may still free. */
__attribute__((destructor)) static void report_at_exit(void)
{
    os_leave(quarantine_empty);
    os_leave(trace_report);
}
