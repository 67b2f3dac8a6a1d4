/* Allocators: they take blocks, fill them, look whether that is still in them, and free them, also those that were
 * taken by a life before. A cell names one block and what is being done with it, so that a death in between is known.
 *
 * Half of the blocks go by heap_alloc() and heap_free_from(), which publish a block's address in the cell: no death may
 * leak a byte of them. The others go by mproc_alloc() and mproc_free(): one that dies between such a call and its note
 * leaks the block, as the header says, and so many bytes may be missing at the end. */
#include "arena/heap.h"
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
    _Atomic(uint64_t) tag;
    _Atomic(size_t) size;
};

static struct cell *cells;
static uint64_t may_leak; /* the keeper's */

uint64_t cells_may_leak(void)
{
    return may_leak;
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
    size_t count = atomic_load(&cell->size) / sizeof *words;
    uint64_t tag = atomic_load(&cell->tag);
    bool same = words[count - 1] == (tag ^ (count - 1));
    for (size_t i = 0; i < count && same; i += step_of(count))
        same = words[i] == (tag ^ i);
    if (!same)
        wrong("a block of %zu bytes at %p was overwritten", count * sizeof *words, (const void *)words);
}

/* ---- allocators ---- */

static size_t some_size(void)
{
    uint64_t kind = random_below(100);
    size_t most = kind < 70 ? 500 : kind < 97 ? 8000 : 400000;
    return 16 + random_below(most);
}

static void set_state(struct cell *cell, enum cell_state state)
{
    atomic_store(&cell->state, state);
}

static void take(struct cell *cell)
{
    void *block;
    atomic_store(&cell->tag, mix(random_below(UINT64_MAX)));
    atomic_store(&cell->size, some_size());
    if (one_in(2)) {
        set_state(cell, TAKING);
        block = mproc_alloc(atomic_load(&cell->size));
        atomic_store(&cell->place, (uintptr_t)block);
    } else {
        set_state(cell, PLACING);
        heap_alloc(atomic_load(&cell->size), &cell->place, &block);
    }
    if (!block) {
        wrong("there is no memory for a block");
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
    if (one_in(2)) {
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
    while (!atomic_load(&world->ending)) {
        struct cell *cell = &cells_of(seat)[random_below(CELLS)];
        bool held = atomic_load(&cell->state) == HELD;
        if (held && lies(LIE_WRITE))
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

/* No block of the heap is larger than twice what was asked for, or less than 128 KiB more. */
static uint64_t most_bytes(size_t size)
{
    return size < 65536 ? 2 * size + 64 : size + 131072;
}

static void settle_cell(struct cell *cell)
{
    unsigned state = atomic_load(&cell->state);
    bool unknown = state == GIVING || (state == TAKING && atomic_load(&cell->place) == 0);
    if (state == EMPTY || state == HELD)
        return;
    if (unknown)
        may_leak += most_bytes(atomic_load(&cell->size));
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

const struct trade allocators = {"allocators", ALLOCATORS, open_cells, allocate, settle_allocator, close_cells};
