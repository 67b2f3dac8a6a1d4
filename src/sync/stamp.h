/* What all synchronization objects share: the stamp by which an object is known, and the checks of the public
 * functions. The containers have stamps too.
 *
 * A stamp is {kind xor address, nonce}. The upper half says that this very place was set up as this kind of object, so
 * memory that was never set up, a copy, and a pointer to something else are all recognized. The nonce is another one at
 * each set-up: what a ledger notes about an object carries it, so that a note which outlived its object does not touch
 * what was set up at the same address later. */
#ifndef MPROC_SYNC_STAMP_H
#define MPROC_SYNC_STAMP_H

#include "arena/member.h"
#include "os/clock.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/sync.h>

/* Odd, where an address shifted by two is even: so a stamp is never 0. */
enum stamp_kind {
    STAMP_LOCK = 0x6b636f6d,
    STAMP_RLOCK = 0x6b636f73,
    STAMP_SEMAPHORE = 0x616d6573,
    STAMP_EVENT = 0x746e6577,
    STAMP_CONDITION = 0x646e6f63,
    STAMP_BARRIER = 0x72726163,
    STAMP_CONTAINER = 0x746e6f63 /* with its type, shifted by one, in the lowest bits but one */
};

/* What each of them begins with. */
struct stamp {
    _Atomic(uint64_t) stamp; /* written last by _init */
};

static inline uint64_t stamp_mark(enum stamp_kind kind, const void *address)
{
    return (uint64_t)((uint32_t)kind ^ (uint32_t)((uintptr_t)address >> 2)) << 32;
}

static inline uint32_t stamp_nonce(const struct stamp *object)
{
    return (uint32_t)load_relaxed(&object->stamp);
}

/* Whether an object of this kind was set up here. */
static inline bool stamp_is(enum stamp_kind kind, const void *address)
{
    const struct stamp *object = address;
    return object && ((uintptr_t)object & 7) == 0 &&
           ((load_acquire(&object->stamp) ^ stamp_mark(kind, object)) >> 32) == 0;
}

/* Whether it is the same that a ledger noted, and not a later one in the same place. */
static inline bool stamp_is_same(enum stamp_kind kind, const void *address, uint32_t nonce)
{
    const struct stamp *object = address;
    return region_contains(object) && load_acquire(&object->stamp) == (stamp_mark(kind, object) | nonce);
}

/* Whether an object may stand here: 0, -EINVAL for NULL or a bad alignment, MPROC_NOT_SHARED. */
static inline int stamp_check_place(const void *address, size_t alignment)
{
    if (!address || (uintptr_t)address % alignment)
        return failure(-EINVAL, "the address is NULL, or not aligned to %zu bytes", alignment);
    return region_contains(address)
               ? 0
               : failure(MPROC_NOT_SHARED, "the address is not in shared memory; use mproc_alloc()");
}

/* Write the stamp: the object is set up. */
static inline void stamp_set_up(enum stamp_kind kind, struct stamp *object)
{
    uint32_t nonce = (uint32_t)((uint64_t)os_now() * UINT64_C(0x9e3779b97f4a7c15) >> 32);
    store_release(&object->stamp, stamp_mark(kind, object) | nonce);
}

#endif
