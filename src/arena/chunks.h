/* The lower layer of the heap: chunks of 64 KiB, handed out in runs. For heap.c and spans.c. */
#ifndef MPROC_ARENA_CHUNKS_H
#define MPROC_ARENA_CHUNKS_H

#include "arena/heap.h"
#include "arena/owner_lock.h"
#include "util/atomic.h"

enum chunk_state {
    CHUNK_INTERIOR = 0, /* not the first of a run */
    CHUNK_FREE = 1,
    CHUNK_USED = 2, /* one large block, or a span in the making */
    CHUNK_SPAN = 3, /* small blocks, see spans.c */
    CHUNK_TAIL = 4  /* the last of a free run of several; aux tells where it begins */
};

/* Whether the pages of a run are there. */
enum chunk_backing {
    CHUNK_HOLE = 0,   /* none, or untouched ones: it reads as zero */
    CHUNK_BACKED = 1, /* all */
    CHUNK_MIXED = 2   /* some, with anything in them */
};

/* An entry of the chunk table.
 *
 * Invariant: beginning at chunk 0, each run's first entry tells its length, and the runs so met fill the table up to
 * top exactly. A FREE word stands only at such a first entry (except the one that intent.clear names); so do USED and
 * SPAN. Commit of every change is the store of one run's first word: taking, freeing, splitting, merging. aux is of no
 * account but in a used run, where it is the block's size in bytes, written before the word. */
struct chunk {
    _Atomic(uint64_t) word; /* length << 32 | backing << 8 | state; under the chunk lock, but USED -> SPAN and a used
                               run's backing by the one that took it */
    _Atomic(uint64_t) aux;  /* FREE: next << 32 | previous of its list; TAIL: the run's first chunk; USED: size */
};

/* What the holder of a lock is about to do with one block, so that the next holder can finish or undo it when it dies.
 * TAKE: undo, unless *place holds the block. GIVE: finish: the block free, *place 0 if it still holds the block; it may
 * hold another one by now, or be another's memory. kind is written last and cleared first. All under the lock that the
 * intent belongs to. */
enum heap_intent_kind {
    HEAP_NOTHING = 0,
    HEAP_TAKE = 1,
    HEAP_GIVE = 2
};

struct heap_intent {
    _Atomic(uint32_t) kind;
    _Atomic(uint32_t) clear; /* chunk + 1 whose free word may stand inside a run, to be removed */
    _Atomic(heap_place *) place;
    _Atomic(uintptr_t) block;
};

static inline void heap_intend(struct heap_intent *intent, enum heap_intent_kind kind, heap_place *place,
                               uintptr_t block)
{
    store_relaxed(&intent->place, place);
    store_relaxed(&intent->block, block);
    store_release(&intent->kind, kind);
}

static inline void heap_intent_done(struct heap_intent *intent)
{
    store_release(&intent->kind, HEAP_NOTHING);
}

/* Whether a block that is to be freed from *place is still there; asked under the lock. Whoever took the lock over from
 * one that died while it did the same has finished that, and the block may be another's by now. */
static inline bool heap_is_placed(heap_place *place, const void *block)
{
    return !place || load_relaxed(place) == (uintptr_t)block;
}

static inline unsigned chunk_length(uint64_t word)
{
    return (unsigned)(word >> 32);
}

static inline enum chunk_state chunk_state(uint64_t word)
{
    return (enum chunk_state)(word & 0xff);
}

static inline enum chunk_backing chunk_backing(uint64_t word)
{
    return (enum chunk_backing)(word >> 8 & 0xff);
}

struct chunk *chunk_at(unsigned index);
unsigned char *chunk_address(unsigned index);

/* The chunk that an address lies in. False when it is outside of what was ever handed out. */
bool chunk_of(const void *address, unsigned *index);

static inline uint64_t chunk_word(unsigned index)
{
    return load_acquire(&chunk_at(index)->word);
}

/* Take a run that holds size bytes, and publish its address at *place (not NULL), as heap_alloc() does. It may have no
 * pages yet: *was tells; chunks_back() gives them. */
int chunks_take(size_t size, heap_place *place, unsigned *index, enum chunk_backing *was);

/* Give a taken run the pages of its size; whole: of all its chunks. */
int chunks_back(unsigned index, enum chunk_backing was, bool whole);

/* Free a run in this state (USED or SPAN) whose first chunk this is; then *place, unless NULL, is 0. Nothing when
 * *place does not hold its address. -EINVAL when it is none. */
int chunks_give(unsigned index, enum chunk_state state, heap_place *place);

/* Make a used run smaller; its size is less than it was. */
int chunks_shrink(unsigned index, size_t size);

/* Make a taken run of one chunk a span: from now on its words say so. Done by the one that took it. */
void chunks_make_span(unsigned index);

/* Call visit for each run that is not free, with the chunk lock held. False when the lock cannot be had. */
bool chunks_walk(void (*visit)(void *arg, unsigned index, uint64_t word), void *arg);

/* NULL, or what is wrong with the table. */
const char *chunks_audit(void);

#endif
