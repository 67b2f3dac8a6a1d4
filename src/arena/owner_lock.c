/* The lock that knows its owner: what happens when it is not free. The usual case is in the inline functions of
 * owner_lock.h. */
#include "arena/owner_lock.h"

#include "os/clock.h"
#include "os/futex.h"
#include "os/leave.h"
#include "os/spin.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>

/* A holder that is running gives the lock up within a few hundred instructions; sleeping costs some thousands. Each
 * look takes the line away from the holder, so the pauses between two looks double, up to this. */
#define SPIN_PAUSES 128
#define SPIN_LENGTH 255

/* So many ticks a program that ends waits at a lock: its own thread may hold it. */
#define LEAVE_TICKS 3

_Static_assert(__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__, "the futex is the low half of the word, at its address");

static _Atomic(uint32_t) *futex_of(struct owner_lock *lock)
{
    return (_Atomic(uint32_t) *)(void *)&lock->word;
}

static bool swap(struct owner_lock *lock, uint64_t from, uint64_t to)
{
    return compare_exchange_acquire(&lock->word, &from, to);
}

static bool owner_lock_spin(struct owner_lock *lock, uint64_t me)
{
    struct os_spin spin = os_spin_begin(SPIN_LENGTH, SPIN_PAUSES, 1);
    while (os_spin_pause(&spin)) {
        uint64_t word = load_relaxed(&lock->word);
        if (word == 0 && swap(lock, 0, me))
            return true;
        if (word & OWNER_LOCK_WAITERS) /* others sleep already: it is no matter of a moment */
            return false;
    }
    return false;
}

static enum owner_lock_look replace_dead(struct owner_lock *lock, uint64_t word, uint64_t mine, void *arg)
{
    (void)arg;
    if (!member_is_dead(word))
        return OWNER_LIVES;
    return swap(lock, word, mine) ? OWNER_REPLACED : OWNER_CHANGED;
}

/* Inlined twice, for a wait of an ordinary lock is counted. */
static inline __attribute__((always_inline)) int acquire(struct owner_lock *lock, owner_lock_heir *heir, void *arg,
                                                         nanoseconds timeout)
{
    if (timeout < OS_FOREVER)
        return failure(-EINVAL, "timeout is negative");
    int result = member_need();
    if (result)
        return result;
    uint64_t me = member_current();
    if (timeout != OS_NOWAIT && owner_lock_spin(lock, me))
        return 0;
    int64_t deadline = os_after(timeout);
    uint64_t waiters = 0; /* once we slept, others may sleep too, and our release must wake them */
    bool look_for_death = true;
    int patience = LEAVE_TICKS;
    for (;;) {
        uint64_t word = load_relaxed(&lock->word);
        if (word == 0) {
            if (swap(lock, 0, me | waiters))
                return 0;
            continue;
        }
        enum owner_lock_look found =
            look_for_death ? heir(lock, word, me | waiters | (word & OWNER_LOCK_WAITERS), arg) : OWNER_LIVES;
        if (found == OWNER_REPLACED)
            return MPROC_OWNER_DIED;
        if (found == OWNER_CHANGED)
            continue;
        int64_t nap = os_nap(deadline);
        if (nap == 0)
            return MPROC_TIMEOUT;
        if (!(word & OWNER_LOCK_WAITERS) && !swap(lock, word, word | OWNER_LOCK_WAITERS))
            continue;
        waiters = OWNER_LOCK_WAITERS;
        look_for_death = os_futex_wait(futex_of(lock), (uint32_t)(word | OWNER_LOCK_WAITERS), nap) == -ETIMEDOUT;
        if (!look_for_death)
            continue;
        if (--patience == 0 && os_leave_is_own())
            os_leave_give_up();
        member_tick();
    }
}

int owner_lock_acquire_slow(struct owner_lock *lock, nanoseconds timeout)
{
    return acquire(lock, replace_dead, NULL, timeout);
}

int owner_lock_acquire_by(struct owner_lock *lock, owner_lock_heir *heir, void *arg, nanoseconds timeout)
{
    return acquire(lock, heir, arg, timeout);
}

int owner_lock_release_slow(struct owner_lock *lock)
{
    uint64_t me = member_current();
    uint64_t word = load_relaxed(&lock->word);
    if (!me || (word & ~MEMBER_FLAGS) != me)
        return failure(-EPERM, "this process does not hold the lock");
    word = exchange_release(&lock->word, 0);
    if (word & OWNER_LOCK_WAITERS)
        os_futex_wake(futex_of(lock), 1);
    return 0;
}

bool owner_lock_is_held(struct owner_lock *lock)
{
    uint64_t word = load_relaxed(&lock->word);
    return word != 0 && !member_is_dead(word);
}
