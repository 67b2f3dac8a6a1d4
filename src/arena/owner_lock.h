/* The lock that knows its owner: the core of mproc_lock and of every lock inside the library.
 *
 * Invariant: word is 0 (free) or the owner word of the process that holds it, with OWNER_LOCK_WAITERS in its flags when
 * somebody may sleep. Commit: the compare-and-swap that puts the owner in, the store that takes it out. Recovery:
 * whoever finds the owner dead swaps itself in and is told so. Sleepers wake at least every 100 ms and look again, so
 * neither a lost wake-up nor the death of a process that was just woken can strand them. */
#ifndef MPROC_ARENA_OWNER_LOCK_H
#define MPROC_ARENA_OWNER_LOCK_H

#include "arena/member.h"
#include "os/clock.h"
#include "util/atomic.h"
#include <mproc/base.h>

#define OWNER_LOCK_WAITERS ((uint64_t)1)

struct owner_lock {
    _Atomic(uint64_t) word;
};

int owner_lock_acquire_slow(struct owner_lock *lock, nanoseconds timeout);

/* What one that waits does after each tick: look whether the holder is dead, and take the lock over then. word is what
 * it saw in the lock, mine what is to stand there. Where the holder lives it changes nothing. */
enum owner_lock_look {
    OWNER_LIVES,
    OWNER_REPLACED, /* the lock is the caller's */
    OWNER_CHANGED   /* it is another's, or free: look again */
};
typedef enum owner_lock_look owner_lock_heir(struct owner_lock *lock, uint64_t word, uint64_t mine, void *arg);

/* As owner_lock_acquire(), for a lock whose holder may be dead though its process lives. */
int owner_lock_acquire_by(struct owner_lock *lock, owner_lock_heir *heir, void *arg, nanoseconds timeout);
int owner_lock_release_slow(struct owner_lock *lock);

/* Take it where it is free and this process is a member. */
static inline bool owner_lock_try(struct owner_lock *lock)
{
    uint64_t nobody = 0;
    uint64_t me = member_current();
    return __builtin_expect(me != 0, 1) && compare_exchange_acquire(&lock->word, &nobody, me);
}

/* 0; MPROC_OWNER_DIED: taken over from a dead owner; MPROC_TIMEOUT; -errno when this process cannot become a member. */
static inline int owner_lock_acquire(struct owner_lock *lock, nanoseconds timeout)
{
    return __builtin_expect(owner_lock_try(lock), 1) ? 0 : owner_lock_acquire_slow(lock, timeout);
}

/* -EPERM when this process does not hold it. */
static inline int owner_lock_release(struct owner_lock *lock)
{
    uint64_t me = member_current();
    uint64_t held = me;
    if (__builtin_expect(compare_exchange_release(&lock->word, &held, 0) && me != 0, 1))
        return 0;
    return owner_lock_release_slow(lock);
}

/* Whether a living process holds it. */
bool owner_lock_is_held(struct owner_lock *lock);

#endif
