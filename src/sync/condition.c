/* mproc_condition: waiters in a list, first in, first out. */
#include "os/listed.h"
#include "sync/describe.h"
#include "sync/lock.h"
#include "sync/wait_note.h"
#include "util/atomic.h"
#include "util/failure.h"

/* The list is threaded through notes in the waiters' ledgers. Whoever changes it, or a note in it, has the lock.
 *
 * Invariant: from first, by next, one comes to every note that is in the list, each of which names this condition and
 * is WAITING or SIGNALLED. first being 0 means that it is empty. A note is freed only after it was taken out.
 *
 * Commits, each one store: of a wait, into first or into the last note's next; of a signal, the note's state becoming
 * SIGNALLED; of taking a note out, into first or into the next of the note before it.
 *
 * Recovery: whoever takes the lock over from a dead process finds the last note anew, and that is all. A SIGNALLED note
 * that its signaller could not take out any more is taken out by its waiter, or by the next signaller. The sweep takes
 * the notes of a dead waiter out; one that was signalled and had not come back from its wait signals another waiter in
 * its place. (If the sweeper dies in between, one waiter too many is woken.) */
struct condition {
    struct stamp object;
    struct owner_lock lock;       /* held for a few dozen instructions and for wake-ups, never while asleep */
    _Atomic(wait_note_ref) first; /* under lock; read by anybody to see that there are no waiters */
    _Atomic(wait_note_ref) last;  /* under lock; 0 when the list is empty */
};

_Static_assert(sizeof(struct condition) == sizeof(mproc_condition), "the public type has room for it");

/* ---- the list; all under the lock ---- */

static wait_note_ref condition_load(const _Atomic(wait_note_ref) *ref)
{
    return load_relaxed(ref);
}

static void condition_store(_Atomic(wait_note_ref) *ref, wait_note_ref value)
{
    store_release(ref, value);
}

static void condition_append(struct condition *condition, wait_note_ref ref)
{
    wait_note_ref last = condition_load(&condition->last);
    condition_store(last ? &wait_note_at(last)->next : &condition->first, ref);
    condition_store(&condition->last, ref);
}

/* Take a note out if it is in the list. */
static void condition_take_out(struct condition *condition, wait_note_ref ref)
{
    wait_note_ref before = 0;
    wait_note_ref at = condition_load(&condition->first);
    while (at && at != ref) {
        before = at;
        at = condition_load(&wait_note_at(at)->next);
    }
    if (!at)
        return;
    condition_store(before ? &wait_note_at(before)->next : &condition->first, condition_load(&wait_note_at(at)->next));
    if (condition_load(&condition->last) == at)
        condition_store(&condition->last, before);
}

/* Take the first note out; wake its waiter, unless somebody did before. Returns whether it was waiting. */
static bool signal_first(struct condition *condition)
{
    wait_note_ref ref = condition_load(&condition->first);
    struct wait_note *note = wait_note_at(ref);
    bool waited = wait_note_state(note) == WAIT_NOTE_WAITING;
    wait_note_set_state(note, WAIT_NOTE_SIGNALLED);
    condition_take_out(condition, ref);
    wait_note_set_state(note, WAIT_NOTE_RELEASED); /* from here on the note is its waiter's */
    wait_cell_wake(&note->cell, 1);
    return waited;
}

static void signal_some(struct condition *condition, unsigned count)
{
    while (count > 0 && condition_load(&condition->first))
        count -= signal_first(condition);
}

static void condition_find_last(struct condition *condition)
{
    wait_note_ref last = 0;
    for (wait_note_ref at = condition_load(&condition->first); at; at = condition_load(&wait_note_at(at)->next))
        last = at;
    condition_store(&condition->last, last);
}

/* 0, MPROC_TIMEOUT or -errno. */
static int enter(struct condition *condition, nanoseconds timeout)
{
    int result = owner_lock_acquire(&condition->lock, timeout);
    if (result == MPROC_OWNER_DIED) {
        condition_find_last(condition);
        return 0;
    }
    return result;
}

static void condition_leave(struct condition *condition)
{
    owner_lock_release(&condition->lock);
}

/* ---- waiting ---- */

static struct condition *condition_from(const mproc_condition *handle)
{
    struct condition *condition = (struct condition *)(uintptr_t)handle;
    return stamp_is(STAMP_CONDITION, condition) ? condition : NULL;
}

bool condition_is_waited_for(const mproc_condition *handle)
{
    const struct condition *condition = condition_from(handle);
    return condition && condition_load(&condition->first) != 0;
}

int mproc_condition_init(mproc_condition *handle)
{
    struct condition *condition = (struct condition *)handle;
    int result = stamp_check_place(condition, _Alignof(struct condition));
    if (result)
        return outcome(__func__, result);
    store_relaxed(&condition->lock.word, 0);
    condition_store(&condition->first, 0);
    condition_store(&condition->last, 0);
    stamp_set_up(STAMP_CONDITION, &condition->object);
    return 0;
}

/* Sleep until the note is signalled or it is time. */
static void sleep_on(struct wait_note *note, int64_t deadline)
{
    int slept = 0;
    while (!slept && wait_note_state(note) == WAIT_NOTE_WAITING) {
        uint32_t seen = wait_cell_prepare(&note->cell);
        if (wait_note_state(note) == WAIT_NOTE_WAITING)
            slept = wait_cell_sleep(&note->cell, seen, deadline);
    }
}

/* Make the note free. Returns whether it was signalled. */
static bool retire(struct condition *condition, wait_note_ref ref)
{
    struct wait_note *note = wait_note_at(ref);
    bool signalled = true;
    if (wait_note_state(note) != WAIT_NOTE_RELEASED) {
        enter(condition, OS_FOREVER);
        signalled = wait_note_state(note) != WAIT_NOTE_WAITING;
        condition_take_out(condition, ref);
        condition_leave(condition);
    }
    wait_note_set_state(note, WAIT_NOTE_FREE);
    return signalled;
}

/* Wait once. The note is in the list before the lock is given up, so nobody who changes what the lock guards after that
 * can miss it; and it stays signalled until the lock is back, so that a death in between passes the signal on. */
static int wait(struct condition *condition, struct lock *lock, int64_t deadline)
{
    if (!lock_is_mine(lock))
        return failure(-EPERM, "this process does not hold the lock");
    wait_note_ref ref = wait_note_claim(member_slot(member_current()), condition, stamp_nonce(&condition->object));
    if (!ref)
        return failure(-ENOSPC, "256 threads of this process wait already");
    struct wait_note *note = wait_note_at(ref);
    condition_store(&note->next, 0);
    wait_note_set_state(note, WAIT_NOTE_WAITING);
    int result = enter(condition, OS_FOREVER);
    if (result) {
        wait_note_set_state(note, WAIT_NOTE_FREE);
        return result;
    }
    condition_append(condition, ref);
    condition_leave(condition);

    result = owner_lock_release(&lock->lock);
    if (result) {
        retire(condition, ref);
        return result;
    }
    sleep_on(note, deadline);
    result = owner_lock_acquire(&lock->lock, OS_FOREVER);
    bool signalled = retire(condition, ref);
    if (result)
        return result;
    return signalled ? 0 : MPROC_TIMEOUT;
}

int mproc_condition_wait(mproc_condition *handle, mproc_lock *lock_handle, mproc_time timeout)
{
    struct condition *condition = condition_from(handle);
    struct lock *lock = lock_from(lock_handle);
    if (!condition)
        return refuse(__func__, "condition is NULL, or mproc_condition_init() has not set it up");
    if (!lock)
        return refuse(__func__, "lock is NULL, or mproc_lock_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    return outcome(__func__, os_outcome(wait(condition, lock, os_deadline(timeout)), timeout));
}

int mproc_condition_wait_for(mproc_condition *handle, mproc_lock *lock_handle, bool (*predicate)(void *arg), void *arg,
                             mproc_time timeout)
{
    struct condition *condition = condition_from(handle);
    struct lock *lock = lock_from(lock_handle);
    if (!condition)
        return refuse(__func__, "condition is NULL, or mproc_condition_init() has not set it up");
    if (!lock)
        return refuse(__func__, "lock is NULL, or mproc_lock_init() has not set it up");
    if (!predicate)
        return refuse(__func__, "predicate is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (!lock_is_mine(lock))
        return outcome(__func__, failure(-EPERM, "this process does not hold the lock"));
    int64_t deadline = os_deadline(timeout);
    int result = 0;
    while (!predicate(arg)) {
        if (result)
            return outcome(__func__, os_outcome(result, timeout));
        result = wait(condition, lock, deadline);
        if (result && result != MPROC_TIMEOUT)
            return outcome(__func__, result);
    }
    return 0;
}

int mproc_condition_notify(mproc_condition *handle, unsigned count)
{
    struct condition *condition = condition_from(handle);
    if (!condition)
        return refuse(__func__, "condition is NULL, or mproc_condition_init() has not set it up");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (load_acquire(&condition->first) == 0)
        return 0;
    int result = enter(condition, OS_FOREVER);
    if (result)
        return outcome(__func__, result);
    signal_some(condition, count);
    condition_leave(condition);
    return 0;
}

int mproc_condition_notify_all(mproc_condition *handle)
{
    unsigned before = failure_mark();
    return retold(__func__, before, mproc_condition_notify(handle, UINT32_MAX));
}

/* ---- the sweep ---- */

/* The condition that a note is of, or NULL when that is no more. */
static struct condition *condition_of(const struct wait_note *note)
{
    struct condition *condition = (struct condition *)load_relaxed(&note->object);
    uint32_t nonce = load_relaxed(&note->nonce);
    return stamp_is_same(STAMP_CONDITION, condition, nonce) ? condition : NULL;
}

/* Take a dead waiter out of the list and pass its signal on. */
static void hand_over(struct condition *condition, wait_note_ref ref)
{
    bool signalled = wait_note_state(wait_note_at(ref)) != WAIT_NOTE_WAITING;
    condition_take_out(condition, ref);
    if (signalled)
        signal_some(condition, 1);
}

/* Make good what a dead waiter's note says. False when the condition is in use at this moment. */
static bool condition_give_back(wait_note_ref ref)
{
    struct wait_note *note = wait_note_at(ref);
    struct condition *condition = wait_note_state(note) == WAIT_NOTE_CLAIMED ? NULL : condition_of(note);
    if (condition) {
        if (enter(condition, OS_NOWAIT))
            return false;
        if (condition_of(note)) /* it was not freed before we had its lock */
            hand_over(condition, ref);
        condition_leave(condition);
    }
    wait_note_set_state(note, WAIT_NOTE_FREE);
    return true;
}

static bool condition_sweep(unsigned slot, member_owner owner)
{
    (void)owner;
    return wait_note_each(slot, WAIT_NOTE_CLAIMED, WAIT_NOTE_RELEASED, condition_give_back);
}

static member_sweeper *const listed OS_LISTED("mproc_sweepers") = condition_sweep;
