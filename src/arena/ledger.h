/* What a member notes about itself so that others can finish or undo it when it dies. One per slot, in the arena;
 * written by its member only (any thread), and by the sweep once the member is dead. All zero when the slot is free. */
#ifndef MPROC_ARENA_LEDGER_H
#define MPROC_ARENA_LEDGER_H

#include "arena/region.h"

#define LEDGER_CUSTODY_COUNT 32
#define LEDGER_MAKING_COUNT  8
#define LEDGER_SYNC_SIZE                                                                                               \
    (REGION_LEDGER_SIZE - LEDGER_CUSTODY_COUNT * sizeof(struct custody) -                                              \
     LEDGER_MAKING_COUNT * sizeof(struct making) - 64)

/* A large block on its way to the caller of mproc_alloc(), taken, but perhaps without its pages yet; or on its way back
 * from the caller of mproc_free(); or any block that heap_free_marked() frees. The block belongs to this cell until
 * block is 0 again; if the member dies before, the sweep frees it. While is_marked is set it does so only if the
 * block's first word says that this member frees it. */
struct custody {
    _Atomic(uintptr_t) block;    /* written by the allocation, under the chunk lock, and cleared by the member: the
                                    hand-over; or written by the member, and cleared under the chunk lock when it is
                                    free */
    _Atomic(uint32_t) claimed;   /* CAS by the thread that uses the cell */
    _Atomic(uint32_t) is_marked; /* set before block by the member, cleared when the block's first word was written */
};

/* An object that this member makes: see container/making.h. */
struct making {
    _Atomic(uintptr_t) object; /* 0: none; written by the allocation */
    _Atomic(uintptr_t) place;  /* in the arena, where its address is to stand; 0: elsewhere. Written before object */
    _Atomic(uint32_t) holds;   /* it may have blocks of its own */
    _Atomic(uint32_t) claimed; /* CAS by the thread that uses the cell */
};

struct ledger {
    struct custody custody[LEDGER_CUSTODY_COUNT]; /* used by the heap */
    struct making making[LEDGER_MAKING_COUNT];    /* used by src/container */
    _Alignas(64) _Atomic(uintptr_t) pools;        /* used by src/pool, see pool/shared/store.c; so is the next */
    _Atomic(uintptr_t) moving_pool;
    _Atomic(uintptr_t) quarantine; /* the addresses of blocks to be freed, see quarantine.c; written by the heap */
    _Atomic(uint32_t) quarantine_is_zeroed;            /* what is written there counts: set and cleared by the member */
    _Alignas(64) unsigned char sync[LEDGER_SYNC_SIZE]; /* used by src/sync, see there */
};

_Static_assert(sizeof(struct ledger) == REGION_LEDGER_SIZE, "a ledger fills its place");

static inline struct ledger *ledger_at(unsigned slot)
{
    return region_ledger(slot);
}

#endif
