/* The inside of mproc_lock, for the condition that gives it up and takes it back. */
#ifndef MPROC_SYNC_LOCK_H
#define MPROC_SYNC_LOCK_H

#include "arena/owner_lock.h"
#include "sync/stamp.h"
#include "util/atomic.h"

/* Nothing beside the owner lock, which carries invariant, commit and recovery. */
struct lock {
    struct stamp object;
    struct owner_lock lock;
};

/* The lock behind a user's pointer; NULL when none was set up there. */
static inline struct lock *lock_from(const mproc_lock *handle)
{
    struct lock *lock = (struct lock *)(uintptr_t)handle;
    return stamp_is(STAMP_LOCK, lock) ? lock : NULL;
}

static inline bool lock_is_mine(struct lock *lock)
{
    member_owner me = member_current();
    return me && (load_relaxed(&lock->lock.word) & ~MEMBER_FLAGS) == me;
}

#endif
