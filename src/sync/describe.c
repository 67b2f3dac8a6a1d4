/* Synchronization objects as text. It asks what any program may ask, and who holds a lock. Nothing is waited for or
 * changed, so what is said may be over when it is read. */
#include "sync/describe.h"

#include "sync/lock.h"
#include "util/atomic.h"
#include <stdio.h>

enum {
    STATE_SIZE = 80
};

/* The pid by which a member knows itself. */
static int pid_of(member_owner owner)
{
    return load_relaxed(&member_at(member_slot(owner))->pid);
}

static void describe_owner(struct owner_lock *lock, uint32_t count, char *state)
{
    member_owner owner = load_acquire(&lock->word);
    if (!owner)
        snprintf(state, STATE_SIZE, "free");
    else if (member_is_dead(owner))
        snprintf(state, STATE_SIZE, "its owner died");
    else if (count > 1)
        snprintf(state, STATE_SIZE, "held by process %d, %u times", pid_of(owner), count);
    else
        snprintf(state, STATE_SIZE, "held by process %d", pid_of(owner));
}

static void describe_barrier(const mproc_barrier *barrier, char *state)
{
    int parties = mproc_barrier_parties(barrier);
    if (mproc_barrier_is_broken(barrier))
        snprintf(state, STATE_SIZE, "broken, of %d", parties);
    else
        snprintf(state, STATE_SIZE, "%d of %d wait", mproc_barrier_waiting(barrier), parties);
}

static const char *describe_describe(void *object, char *state)
{
    uint32_t count = 1;
    if (stamp_is(STAMP_LOCK, object))
        return describe_owner(&lock_from(object)->lock, count, state), "lock";
    struct owner_lock *lock = rlock_describe(object, &count);
    if (lock)
        return describe_owner(lock, count, state), "rlock";
    if (stamp_is(STAMP_SEMAPHORE, object))
        return snprintf(state, STATE_SIZE, "%d free", mproc_semaphore_value(object)), "semaphore";
    if (stamp_is(STAMP_EVENT, object))
        return snprintf(state, STATE_SIZE, mproc_event_is_set(object) ? "set" : "not set"), "event";
    if (stamp_is(STAMP_CONDITION, object))
        return snprintf(state, STATE_SIZE, condition_is_waited_for(object) ? "waited for" : "nobody waits"),
               "condition";
    if (stamp_is(STAMP_BARRIER, object))
        return describe_barrier(object, state), "barrier";
    return NULL;
}

bool sync_describe(void *object, char *text, size_t size)
{
    char state[STATE_SIZE];
    const char *kind = describe_describe(object, state);
    if (kind)
        snprintf(text, size, "<%s at %p: %s>", kind, object, state);
    return kind;
}
