/* What a member notes about itself so that others can finish or undo it when it dies. One per slot, in the arena;
 * written by its member only (any thread), and by the sweep once the member is dead. All zero when the slot is free. */
#ifndef MPROC_ARENA_LEDGER_H
#define MPROC_ARENA_LEDGER_H

#include "arena/region.h"

#define LEDGER_CUSTODY_COUNT 32
#define LEDGER_SYNC_SIZE     (REGION_LEDGER_SIZE - LEDGER_CUSTODY_COUNT * 32)

/* A large block on its way to its owner. If the member dies, the block is freed unless *place holds its address. */
struct custody {
    _Atomic(uint32_t) claimed;           /* CAS by the thread that uses the cell */
    _Atomic(uintptr_t) block;            /* written under the chunk lock by the allocation, or 0 */
    _Atomic(_Atomic(uintptr_t) *) place; /* where the owner publishes it, or NULL; written before block */
    uint64_t reserved;
};

struct ledger {
    struct custody custody[LEDGER_CUSTODY_COUNT];      /* used by the heap */
    _Alignas(64) unsigned char sync[LEDGER_SYNC_SIZE]; /* used by src/sync, see there */
};

_Static_assert(sizeof(struct ledger) == REGION_LEDGER_SIZE, "a ledger fills its place");

static inline struct ledger *ledger_at(unsigned slot)
{
    return region_ledger(slot);
}

#endif
