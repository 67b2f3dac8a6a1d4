/* mproc_rlock: an owner lock for the process, and within it the thread that holds it and how often. */
#include "arena/owner_lock.h"
#include "sync/object.h"

/* A thread of the family: slot in the upper 12 bits, 24 bits of generation, the number of the thread in its process. */
#define THREAD_NUMBER_BITS 28
#define GENERATION_BITS    24

/* Invariant: thread is 0 unless lock is held, or was taken over from a dead process a moment ago; then a thread that
 * lives does not find itself in it, for the names of threads are unique in the family. So who reads its own name there
 * holds the lock.
 *
 * Commit: of an acquire, the commit of the owner lock; of a release, the store of the lower count, or the release of
 * the owner lock. Recovery: whoever takes the lock over from a dead process writes thread and count anew. */
struct rlock {
    struct object object;
    struct owner_lock lock;
    _Atomic(uint64_t) thread; /* written by the holder; read by any */
    _Atomic(uint32_t) count;  /* written and read by the holder */
    uint32_t reserved;
};

_Static_assert(sizeof(struct rlock) == sizeof(mproc_rlock), "the public type has room for it");

static __thread uint64_t own_name __attribute__((tls_model("initial-exec")));
static _Atomic(uint64_t) last_number;

/* The name of this thread as a part of this process, which is a member: another one after a fork. */
static uint64_t self(void)
{
    member_owner me = member_current();
    uint64_t generation = me >> 32 & ((UINT64_C(1) << GENERATION_BITS) - 1);
    uint64_t process = (uint64_t)member_slot(me) << GENERATION_BITS | generation;
    if (__builtin_expect(own_name >> THREAD_NUMBER_BITS != process || own_name == 0, 0)) {
        uint64_t number = atomic_fetch_add_explicit(&last_number, 1, memory_order_relaxed) + 1;
        own_name = process << THREAD_NUMBER_BITS | (number & ((UINT64_C(1) << THREAD_NUMBER_BITS) - 1));
    }
    return own_name;
}

static struct rlock *rlock_from(const mproc_rlock *handle)
{
    struct rlock *lock = (struct rlock *)(uintptr_t)handle;
    return object_is(OBJECT_RLOCK, lock) ? lock : NULL;
}

int mproc_rlock_init(mproc_rlock *handle)
{
    struct rlock *lock = (struct rlock *)handle;
    int result = object_check_place(lock, _Alignof(struct rlock));
    if (result)
        return result;
    atomic_store_explicit(&lock->lock.word, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->thread, 0, memory_order_relaxed);
    atomic_store_explicit(&lock->count, 0, memory_order_relaxed);
    object_set_up(OBJECT_RLOCK, &lock->object);
    return 0;
}

int mproc_rlock_acquire(mproc_rlock *handle, mproc_time timeout)
{
    struct rlock *lock = rlock_from(handle);
    if (!lock || !os_timeout_is_valid(timeout))
        return -EINVAL;
    int result = member_need();
    if (result)
        return result;
    uint64_t me = self();
    if (atomic_load_explicit(&lock->thread, memory_order_relaxed) == me) {
        uint32_t count = atomic_load_explicit(&lock->count, memory_order_relaxed);
        if (count == INT32_MAX)
            return -EOVERFLOW;
        atomic_store_explicit(&lock->count, count + 1, memory_order_relaxed);
        return 0;
    }
    result = owner_lock_acquire(&lock->lock, timeout.nanoseconds);
    if (result == 0 || result == MPROC_OWNER_DIED) {
        atomic_store_explicit(&lock->thread, me, memory_order_relaxed);
        atomic_store_explicit(&lock->count, 1, memory_order_relaxed);
    }
    return result;
}

int mproc_rlock_release(mproc_rlock *handle)
{
    struct rlock *lock = rlock_from(handle);
    if (!lock)
        return -EINVAL;
    if (!member_current() || atomic_load_explicit(&lock->thread, memory_order_relaxed) != self())
        return -EPERM;
    uint32_t count = atomic_load_explicit(&lock->count, memory_order_relaxed);
    if (count > 1) {
        atomic_store_explicit(&lock->count, count - 1, memory_order_relaxed);
        return 0;
    }
    atomic_store_explicit(&lock->thread, 0, memory_order_relaxed);
    return owner_lock_release(&lock->lock);
}

bool mproc_rlock_is_locked(const mproc_rlock *handle)
{
    struct rlock *lock = rlock_from(handle);
    return lock && owner_lock_is_held(&lock->lock);
}
