/* mproc_lock: the owner lock of src/arena behind the checks of a public function. */
#include "sync/lock.h"

#include "util/atomic.h"
#include "util/failure.h"

_Static_assert(sizeof(struct lock) == sizeof(mproc_lock), "the public type has room for it");

int mproc_lock_init(mproc_lock *handle)
{
    struct lock *lock = (struct lock *)handle;
    int result = stamp_check_place(lock, _Alignof(struct lock));
    if (result)
        return outcome(__func__, result);
    store_relaxed(&lock->lock.word, 0);
    stamp_set_up(STAMP_LOCK, &lock->object);
    return 0;
}

int mproc_lock_acquire(mproc_lock *handle, mproc_time timeout)
{
    struct lock *lock = lock_from(handle);
    if (!lock)
        return refuse(__func__, "lock is NULL, or mproc_lock_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (__builtin_expect(owner_lock_try(&lock->lock), 1))
        return 0;
    return outcome(__func__, os_outcome(owner_lock_acquire_slow(&lock->lock, os_user_timeout(timeout)), timeout));
}

int mproc_lock_release(mproc_lock *handle)
{
    struct lock *lock = lock_from(handle);
    return outcome(__func__, lock ? owner_lock_release(&lock->lock)
                                  : failure(-EINVAL, "lock is NULL, or mproc_lock_init() has not set it up"));
}

bool mproc_lock_is_locked(const mproc_lock *handle)
{
    struct lock *lock = lock_from(handle);
    return lock && owner_lock_is_held(&lock->lock);
}
