/* mproc_rlock: an owner lock for the process, and within it the thread that holds it and how often. */
#include "arena/owner_lock.h"
#include "sync/describe.h"
#include "sync/stamp.h"
#include "sync/thread_life.h"
#include "util/atomic.h"
#include "util/failure.h"

/* Invariant: thread is 0 where lock is free, and while its holder has just taken it or is about to release it.
 * Otherwise it is the name of the thread that holds the lock, or of one that is about to take it over from a dead
 * thread; once a dead thread's name stands there, nobody changes lock but the one that replaces that name by its own.
 * For the names of threads are unique in the family, and a thread that lives does not find itself in it unless it holds
 * the lock.
 *
 * Commit: of an acquire, the commit of the owner lock; of a release, the store of the lower count, or the release of
 * the owner lock. Of taking over from a thread that has ended, whether its process lives or not: the compare-and-swap
 * of thread from the dead one's name, after which lock is the taker's to change. Of taking over from a process that
 * died while thread was 0: the compare-and-swap of lock.
 *
 * Recovery: a taker that dies between its two steps has left its own name in thread, and the next one takes over from
 * it. Whoever takes the lock over writes thread and count anew. */
struct rlock {
    struct stamp object;
    struct owner_lock lock;
    _Atomic(thread_name) thread; /* written by the holder, and by a taker; read by any */
    _Atomic(uint32_t) count;     /* written and read by the holder */
    uint32_t reserved;
};

_Static_assert(sizeof(struct rlock) == sizeof(mproc_rlock), "the public type has room for it");

static struct rlock *rlock_from(const mproc_rlock *handle)
{
    struct rlock *lock = (struct rlock *)(uintptr_t)handle;
    return stamp_is(STAMP_RLOCK, lock) ? lock : NULL;
}

struct owner_lock *rlock_describe(const mproc_rlock *handle, uint32_t *count)
{
    struct rlock *lock = rlock_from(handle);
    if (lock)
        *count = load_relaxed(&lock->count);
    return lock ? &lock->lock : NULL;
}

int mproc_rlock_init(mproc_rlock *handle)
{
    struct rlock *lock = (struct rlock *)handle;
    int result = stamp_check_place(lock, _Alignof(struct rlock));
    if (result)
        return outcome(__func__, result);
    store_relaxed(&lock->lock.word, 0);
    store_relaxed(&lock->thread, 0);
    store_relaxed(&lock->count, 0);
    stamp_set_up(STAMP_RLOCK, &lock->object);
    return 0;
}

static bool swap_word(struct owner_lock *lock, uint64_t from, uint64_t to)
{
    return compare_exchange_acquire(&lock->word, &from, to);
}

/* No thread says that it holds the lock: the process that does may have died before it could, or after it ceased to.
 * thread is looked at again once nobody of that process can write it any more. */
static enum owner_lock_look replace_process(struct rlock *lock, uint64_t word, uint64_t mine)
{
    if (!member_is_dead(word))
        return OWNER_LIVES;
    if (load_acquire(&lock->thread) != 0)
        return OWNER_CHANGED;
    return swap_word(&lock->lock, word, mine) ? OWNER_REPLACED : OWNER_CHANGED;
}

static enum owner_lock_look rlock_replace_dead(struct owner_lock *owner_lock, uint64_t word, uint64_t mine, void *arg)
{
    struct rlock *lock = arg;
    thread_name holder = load_acquire(&lock->thread);
    if (holder == 0)
        return replace_process(lock, word, mine);
    if (!thread_is_dead(holder))
        return OWNER_LIVES;
    if (!compare_exchange_acq_rel(&lock->thread, &holder, thread_self()))
        return OWNER_CHANGED;
    while (!swap_word(owner_lock, word, mine | (word & OWNER_LOCK_WAITERS))) /* one more may be about to sleep */
        word = load_relaxed(&owner_lock->word);
    return OWNER_REPLACED;
}

int mproc_rlock_acquire(mproc_rlock *handle, mproc_time timeout)
{
    struct rlock *lock = rlock_from(handle);
    if (!lock)
        return refuse(__func__, "lock is NULL, or mproc_rlock_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result = member_need();
    if (result)
        return outcome(__func__, result);
    thread_name me = thread_self();
    if (load_relaxed(&lock->thread) == me) {
        uint32_t count = load_relaxed(&lock->count);
        if (count == INT32_MAX)
            return outcome(__func__, failure(-EOVERFLOW, "the lock was acquired 2^31 - 1 times"));
        store_relaxed(&lock->count, count + 1);
        return 0;
    }
    result = owner_lock_try(&lock->lock)
                 ? 0
                 : os_outcome(owner_lock_acquire_by(&lock->lock, rlock_replace_dead, lock, os_user_timeout(timeout)),
                              timeout);
    if (result == 0 || result == MPROC_OWNER_DIED) {
        store_relaxed(&lock->thread, me);
        store_relaxed(&lock->count, 1);
    }
    return outcome(__func__, result);
}

int mproc_rlock_release(mproc_rlock *handle)
{
    struct rlock *lock = rlock_from(handle);
    if (!lock)
        return refuse(__func__, "lock is NULL, or mproc_rlock_init() has not set it up");
    if (!member_current() || load_relaxed(&lock->thread) != thread_self())
        return outcome(__func__, failure(-EPERM, "this thread does not hold the lock"));
    uint32_t count = load_relaxed(&lock->count);
    if (count > 1) {
        store_relaxed(&lock->count, count - 1);
        return 0;
    }
    store_relaxed(&lock->thread, 0);
    return outcome(__func__, owner_lock_release(&lock->lock));
}

bool mproc_rlock_is_locked(const mproc_rlock *handle)
{
    struct rlock *lock = rlock_from(handle);
    if (!lock)
        return false;
    thread_name holder = load_relaxed(&lock->thread);
    return holder ? !thread_is_dead(holder) : owner_lock_is_held(&lock->lock);
}
