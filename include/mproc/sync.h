/* Synchronization between the processes of a family: lock, recursive lock, semaphore, event, condition, barrier.
 *
 * These are values to embed in a struct of your own that mproc_alloc() gave, and to set up once with their _init. They
 * need no destructor: free the memory when nobody uses it. They must not be copied or moved. An uncontended acquire and
 * release makes no system call.
 *
 *     struct counter { mproc_lock lock; long value; };
 *
 *     int result = mproc_lock_acquire(&counter->lock, MPROC_FOREVER);
 *     if (result == MPROC_OWNER_DIED)
 *         repair(counter);                    // the lock is ours; the last owner died inside
 *     counter->value++;
 *     mproc_lock_release(&counter->lock);
 *
 * Ownership is by process: any thread of the process that acquired may release. An rlock alone is owned by its thread.
 * A process that dies gives up all that it holds, within 100 ms at most and usually at once; a thread that ends, in
 * whatever way, gives up its rlocks.
 *
 * Every _init returns 0, -EINVAL for NULL, a bad argument or an address that is not aligned as the type says, or
 * MPROC_NOT_SHARED when the address is not in the arena.
 * Every other function returns -EINVAL for NULL, for an object that was never set up, and for a timeout below -1. */
#ifndef MPROC_SYNC_H
#define MPROC_SYNC_H

#include <mproc/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* ---- lock: one holder, not recursive; Python's Lock, with an owner ---- */

typedef struct mproc_lock {
    uint64_t opaque[2];
} mproc_lock;

MPROC_API int mproc_lock_init(mproc_lock *lock);

/* Take the lock, waiting up to timeout. 0, or MPROC_OWNER_DIED when it is taken and its last owner died holding it
 * (told once), or MPROC_TIMEOUT. A thread that acquires a lock which its process holds waits like any other. */
MPROC_API int mproc_lock_acquire(mproc_lock *lock, mproc_time timeout);

/* Give the lock up. -EPERM when this process does not hold it. */
MPROC_API int mproc_lock_release(mproc_lock *lock);

/* Whether a living process holds it at this moment. False for NULL. */
MPROC_API bool mproc_lock_is_locked(const mproc_lock *lock);

/* ---- rlock: one holder, which may acquire again; Python's RLock; owned by the thread ---- */

typedef struct mproc_rlock {
    uint64_t opaque[4];
} mproc_rlock;

MPROC_API int mproc_rlock_init(mproc_rlock *lock);

/* As mproc_lock_acquire(); the holding thread only counts up. -EOVERFLOW after 2^31 - 1 acquisitions. MPROC_OWNER_DIED
 * too when the thread that held it has ended, though its process lives. Of a process with more than 4000 threads that
 * use rlocks at a time, those above that number hold their rlocks until the process dies. */
MPROC_API int mproc_rlock_acquire(mproc_rlock *lock, mproc_time timeout);

/* Count down, and give up at 0. -EPERM when this thread does not hold it. */
MPROC_API int mproc_rlock_release(mproc_rlock *lock);
MPROC_API bool mproc_rlock_is_locked(const mproc_rlock *lock);

/* ---- semaphore ---- */

typedef struct mproc_semaphore {
    uint64_t opaque[4];
} __attribute__((aligned(16))) mproc_semaphore;

enum mproc_semaphore_flags {
    MPROC_SEMAPHORE_BOUNDED = 1, /* a release above the initial value is -EOVERFLOW */
    MPROC_SEMAPHORE_SIGNAL = 2   /* units are events, not possessions: what a dead process acquired is not given back */
};

/* Set up with a value of 0 to 2^31 - 1. Without MPROC_SEMAPHORE_SIGNAL the units that a process acquired and did not
 * release come back when it dies. A release by a process that acquired nothing adds a unit, as in Python. */
MPROC_API int mproc_semaphore_init(mproc_semaphore *semaphore, unsigned value, unsigned flags);

/* Take one unit, waiting up to timeout. 0 or MPROC_TIMEOUT. -ENOSPC when this process holds units of 256 other
 * semaphores already (not with MPROC_SEMAPHORE_SIGNAL); nothing was taken then. */
MPROC_API int mproc_semaphore_acquire(mproc_semaphore *semaphore, mproc_time timeout);

/* Give count units back, all or none. -EINVAL for a count of 0; -EOVERFLOW above 2^31 - 1, or above the initial value
 * of a bounded one. */
MPROC_API int mproc_semaphore_release(mproc_semaphore *semaphore, unsigned count);

/* The units that are free at this moment, or -EINVAL. */
MPROC_API int mproc_semaphore_value(const mproc_semaphore *semaphore);

/* ---- event: a flag to wait for ---- */

typedef struct mproc_event {
    uint64_t opaque[2];
} mproc_event;

MPROC_API int mproc_event_init(mproc_event *event);
MPROC_API int mproc_event_set(mproc_event *event);
MPROC_API int mproc_event_clear(mproc_event *event);
MPROC_API bool mproc_event_is_set(const mproc_event *event);

/* Wait until the event is set, also when it is cleared again directly after. 0 or MPROC_TIMEOUT. */
MPROC_API int mproc_event_wait(mproc_event *event, mproc_time timeout);

/* ---- condition: wait for a change of what a lock guards ----
 *
 *     mproc_lock_acquire(&shared->lock, MPROC_FOREVER);
 *     while (!shared->ready)
 *         mproc_condition_wait(&shared->changed, &shared->lock, MPROC_FOREVER);
 *     ...
 *     mproc_lock_release(&shared->lock);
 *
 * Waiters are woken first in, first out. A waiter that dies after it was signalled passes its signal on. */

typedef struct mproc_condition {
    uint64_t opaque[3];
} mproc_condition;

MPROC_API int mproc_condition_init(mproc_condition *condition);

/* Release the lock, wait to be notified, acquire the lock again. The lock is held again at every return other than
 * -EINVAL, -EPERM (this process does not hold the lock; nothing was done) and -ENOSPC (256 threads of this process wait
 * at conditions and barriers already; the lock is still held). 0, MPROC_TIMEOUT, or MPROC_OWNER_DIED when notified or
 * not, the lock came back from a dead owner. There may be spurious wake-ups. */
MPROC_API int mproc_condition_wait(mproc_condition *condition, mproc_lock *lock, mproc_time timeout);

/* Wait until predicate(arg) is true; it is called with the lock held. 0, MPROC_TIMEOUT when it is still false at the
 * end, or a failure as above. MPROC_OWNER_DIED is returned at once, whatever the predicate says. */
MPROC_API int mproc_condition_wait_for(mproc_condition *condition, mproc_lock *lock, bool (*predicate)(void *arg),
                                       void *arg, mproc_time timeout);

/* Wake up to count waiters. -EINVAL for a count of 0. The caller should hold the lock that the waiters use. */
MPROC_API int mproc_condition_notify(mproc_condition *condition, unsigned count);
MPROC_API int mproc_condition_notify_all(mproc_condition *condition);

/* ---- barrier: so many processes wait for each other ---- */

typedef struct mproc_barrier {
    uint64_t opaque[6];
} __attribute__((aligned(16))) mproc_barrier;

/* Set up for this many parties, 1 to 2^16. action, if any, is called with arg by one of them, each time before they are
 * let go; both must be valid in every party's process (so with spawn it must be NULL or in the same executable mapped
 * at the same address; prefer NULL there). -EINVAL for 0 parties. */
MPROC_API int mproc_barrier_init(mproc_barrier *barrier, unsigned parties, int (*action)(void *arg), void *arg);

/* Wait for the others. index, if not NULL, gets 0 to parties - 1, a different one in each party; 0 for the one that
 * came last. 0 when all came. MPROC_TIMEOUT in the one whose time was over: it breaks the barrier. MPROC_BROKEN in all
 * others that wait or come later, also when abort or reset was called, when an action returned other than 0, and when a
 * process that waits here died. -ENOSPC when 256 threads of this process wait at conditions and barriers already;
 * nothing was done then. */
MPROC_API int mproc_barrier_wait(mproc_barrier *barrier, unsigned *index, mproc_time timeout);

/* Break the barrier until the next reset. */
MPROC_API int mproc_barrier_abort(mproc_barrier *barrier);

/* Make it whole and empty again. Those that wait get MPROC_BROKEN. */
MPROC_API int mproc_barrier_reset(mproc_barrier *barrier);
MPROC_API bool mproc_barrier_is_broken(const mproc_barrier *barrier);

/* How many wait now, and how many it is for; or -EINVAL. */
MPROC_API int mproc_barrier_waiting(const mproc_barrier *barrier);
MPROC_API int mproc_barrier_parties(const mproc_barrier *barrier);

#ifdef __cplusplus
}
#endif

#endif
