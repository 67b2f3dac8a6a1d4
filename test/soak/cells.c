/* Allocators: they take blocks, fill them, look whether that is still in them, and free them, also those that were
 * taken by a life before. A cell names one block and what is being done with it, so that a death in between is known.
 *
 * Half of the blocks go by heap_alloc() and heap_free_from(), which publish a block's address in the cell: no death may
 * leak one of them. The others go by mproc_alloc() and mproc_free(), where a death between the call and the note of it
 * leaks the block. They have sizes of their own, so that at the end it can be told what a leaked block was. */
#include "arena/chunks.h"
#include "arena/heap.h"
#include "arena/member.h"
#include "soak.h"
#include <mproc/memory.h>
#include <stdio.h>
#include <stdlib.h>

#define CELLS 24 /* of each allocator */

enum cell_state {
    EMPTY,
    TAKING,  /* by mproc_alloc() */
    GIVING,  /* by mproc_free() */
    PLACING, /* by heap_alloc() */
    PULLING, /* by heap_free_from() */
    HELD
};

/* In the arena, for the sake of place. Written by the allocator, and by the keeper when it is dead. */
struct cell {
    heap_place place;
    _Atomic(unsigned) state;
    _Atomic(bool) published;
    _Atomic(uint64_t) tag;
    _Atomic(size_t) size;
};

/* What blocks really have; large ones whole pages, of which the published ones have an even number. */
#define PAGE          ((size_t)4096)
#define SIZES         8
#define LARGEST_SMALL ((size_t)8192)
static const size_t published_sizes[SIZES] = {32, 64, 192, 448, 1024, 2048, 4096, 8192};
static const size_t returned_sizes[SIZES] = {16, 48, 128, 320, 768, 1536, 3072, 6144};

static struct cell *cells;
static uint64_t small_in_doubt, large_in_doubt; /* the keeper's: what was being taken or given at a death */

uint64_t cells_in_doubt(void)
{
    return small_in_doubt + large_in_doubt;
}

static void open_cells(void)
{
    cells = mproc_calloc(ALLOCATORS * CELLS, sizeof *cells);
    if (!cells) {
        perror("mproc_calloc");
        exit(2);
    }
}

static struct cell *cells_of(const struct seat *seat)
{
    return cells + seat->number * CELLS;
}

/* ---- what is in a block ---- */

/* Words that are written and looked at: all of a small block, some of a large one, and always the ends. */
static size_t step_of(size_t words)
{
    return words < 256 ? 1 : words / 128;
}

static void fill(struct cell *cell)
{
    uint64_t *words = (uint64_t *)(void *)atomic_load(&cell->place);
    size_t count = atomic_load(&cell->size) / sizeof *words;
    uint64_t tag = atomic_load(&cell->tag);
    for (size_t i = 0; i < count; i += step_of(count))
        words[i] = tag ^ i;
    words[count - 1] = tag ^ (count - 1);
}

static void look(const struct cell *cell)
{
    const uint64_t *words = (const uint64_t *)(const void *)atomic_load(&cell->place);
    if (!words) {
        wrong("the place of a block of %zu bytes is empty", atomic_load(&cell->size));
        return;
    }
    size_t count = atomic_load(&cell->size) / sizeof *words;
    uint64_t tag = atomic_load(&cell->tag);
    bool same = words[count - 1] == (tag ^ (count - 1));
    for (size_t i = 0; i < count && same; i += step_of(count))
        same = words[i] == (tag ^ i);
    if (!same)
        wrong("a block of %zu bytes at %p was overwritten", count * sizeof *words, (const void *)words);
}

/* ---- allocators ---- */

static size_t some_size(bool published)
{
    if (one_in(32))
        return (6 + 2 * random_below(60) + !published) * PAGE - random_below(PAGE);
    return (published ? published_sizes : returned_sizes)[random_below(SIZES)] - random_below(8);
}

static void set_state(struct cell *cell, enum cell_state state)
{
    atomic_store(&cell->state, state);
}

static void take(struct cell *cell)
{
    void *block = NULL;
    int result = 0;
    atomic_store(&cell->tag, mix(random_below(UINT64_MAX)));
    bool published = one_in(2);
    atomic_store(&cell->published, published);
    atomic_store(&cell->size, some_size(published));
    if (!published) {
        set_state(cell, TAKING);
        block = mproc_alloc(atomic_load(&cell->size));
        atomic_store(&cell->place, (uintptr_t)block);
    } else {
        set_state(cell, PLACING);
        result = heap_alloc(atomic_load(&cell->size), &cell->place, &block);
    }
    if (!block) {
        wrong("there is no memory for a block: %d", result);
        set_state(cell, EMPTY);
        return;
    }
    fill(cell);
    set_state(cell, HELD);
}

static void give(struct cell *cell)
{
    int result;
    void *block = (void *)atomic_load(&cell->place);
    look(cell);
    if (!atomic_load(&cell->published)) {
        set_state(cell, GIVING);
        result = lies(LIE_LEAK) ? 0 : mproc_free(block);
        atomic_store(&cell->place, 0);
    } else {
        set_state(cell, PULLING);
        result = heap_free_from(&cell->place);
    }
    if (result)
        wrong("a block of %zu bytes could not be freed: %d", atomic_load(&cell->size), result);
    set_state(cell, EMPTY);
}

static void allocate(struct seat *seat)
{
    member_self(); /* not in the first call, as a part of it */
    while (!atomic_load(&world->ending)) {
        struct cell *cell = &cells_of(seat)[random_below(CELLS)];
        bool held = atomic_load(&cell->state) == HELD;
        if (held && lies(LIE_WRITE) && atomic_load(&cell->place))
            *(uint64_t *)(void *)atomic_load(&cell->place) ^= 1;
        begin(seat, SUBJECT_HEAP, held ? "frees" : "allocates");
        if (held)
            give(cell);
        else
            take(cell);
        progress(SUBJECT_HEAP);
    }
}

/* ---- after a death ---- */

static void settle_cell(struct cell *cell)
{
    unsigned state = atomic_load(&cell->state);
    bool unknown = state == GIVING || (state == TAKING && atomic_load(&cell->place) == 0);
    if (state == EMPTY || state == HELD)
        return;
    if (unknown && atomic_load(&cell->size) > LARGEST_SMALL)
        large_in_doubt++;
    else if (unknown)
        small_in_doubt++;
    else if (heap_free_from(&cell->place) && atomic_load(&cell->place))
        wrong("what a dead allocator had taken could not be freed");
    atomic_store(&cell->place, 0);
    set_state(cell, EMPTY);
}

static void settle_allocator(struct seat *seat)
{
    for (unsigned i = 0; i < CELLS; i++)
        settle_cell(&cells_of(seat)[i]);
}

static void close_cells(void)
{
    for (unsigned i = 0; i < ALLOCATORS * CELLS; i++) {
        if (atomic_load(&cells[i].state) != HELD)
            continue;
        look(&cells[i]);
        if (heap_free_from(&cells[i].place))
            wrong("a block could not be freed at the end");
    }
    mproc_free(cells);
}

/* Whether a block of this size can have been leaked between mproc_alloc() or mproc_free() and the note of it. */
static bool is_returned_size(size_t size)
{
    if (size > LARGEST_SMALL)
        return size / PAGE % 2 == 1;
    for (unsigned i = 0; i < SIZES; i++) {
        if (size == returned_sizes[i])
            return true;
    }
    return false;
}

/* Small blocks may leak wherever an allocator died in a call. Large ones are in custody while their pages are taken or
 * given back, which is nearly all of the call: one in ten is far more than can leak. */
struct leaks cells_audit_leaks(void)
{
    struct leaks leaks = {0};
    uint64_t large = 0;
    unsigned index;
    for (unsigned char *at = chunk_address(0); chunk_of(at, &index); at += 16) {
        size_t size = heap_usable_size(at);
        leaks.bytes += size;
        leaks.blocks += size > 0;
        large += size > LARGEST_SMALL;
        if (size && !is_returned_size(size))
            wrong("a block of %zu bytes leaked that was published, or was the library's own", size);
    }
    if (large > 2 + large_in_doubt / 10 || leaks.blocks - large > small_in_doubt)
        wrong("%llu blocks leaked, %llu of them large; %llu were in doubt, %llu of them large",
              (unsigned long long)leaks.blocks, (unsigned long long)large, (unsigned long long)cells_in_doubt(),
              (unsigned long long)large_in_doubt);
    return leaks;
}

const struct trade allocators = {"allocators", ALLOCATORS, open_cells, allocate, settle_allocator, close_cells};
