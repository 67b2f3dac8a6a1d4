/* The cases of every.h for the synchronization objects: what ends at once, and what waits in vain. Those that wake
 * somebody, or are woken, are in cases_wakes.c. */
#include "every.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <semaphore.h>

#define SHORT MPROC_MS(2)

static struct objects {
    mproc_lock lock;
    mproc_rlock rlock;
    mproc_semaphore semaphore;
    mproc_event event;
    mproc_condition condition;
    mproc_barrier barrier;
} * at;

static void look_at_objects(long *seen)
{
    seen[0] = mproc_lock_is_locked(&at->lock);
    seen[1] = mproc_rlock_is_locked(&at->rlock);
    seen[2] = mproc_semaphore_value(&at->semaphore);
    seen[3] = mproc_event_is_set(&at->event);
    seen[4] = mproc_barrier_waiting(&at->barrier);
    seen[5] = mproc_barrier_is_broken(&at->barrier);
}

static void begin_with(unsigned value, unsigned parties)
{
    at = mproc_calloc(1, sizeof *at);
    every_must(at ? 0 : -errno);
    every_must(mproc_lock_init(&at->lock));
    every_must(mproc_rlock_init(&at->rlock));
    every_must(mproc_semaphore_init(&at->semaphore, value, 0));
    every_must(mproc_event_init(&at->event));
    every_must(mproc_condition_init(&at->condition));
    every_must(mproc_barrier_init(&at->barrier, parties, NULL, NULL));
}

/* Everything is free. */
static void begin_free(void)
{
    begin_with(1, 1);
}

static void begin_signal(void)
{
    begin_free();
    every_must(mproc_semaphore_init(&at->semaphore, 1, MPROC_SEMAPHORE_SIGNAL));
}

/* This process holds everything. */
static void begin_held(void)
{
    begin_free();
    every_must(mproc_lock_acquire(&at->lock, MPROC_NOWAIT));
    every_must(mproc_rlock_acquire(&at->rlock, MPROC_NOWAIT));
    every_must(mproc_semaphore_acquire(&at->semaphore, MPROC_NOWAIT));
    every_must(mproc_event_set(&at->event));
}

static void begin_held_twice(void)
{
    begin_held();
    every_must(mproc_rlock_acquire(&at->rlock, MPROC_NOWAIT));
}

/* There is nothing to be had: another thread holds the rlock until the run has ended. */
static sem_t is_held, may_end;

static int hold_rlock(void)
{
    int result = mproc_rlock_acquire(&at->rlock, MPROC_NOWAIT);
    sem_post(&is_held);
    sem_wait(&may_end);
    return result;
}

static void begin_occupied(void)
{
    begin_with(0, 2);
    every_must(mproc_lock_acquire(&at->lock, MPROC_NOWAIT));
    sem_init(&is_held, 0, 0);
    sem_init(&may_end, 0, 0);
    every_thread(hold_rlock);
    sem_wait(&is_held);
}

static void begin_broken(void)
{
    begin_with(1, 2);
    every_must(mproc_barrier_abort(&at->barrier));
}

static void end_objects(void)
{
    every_must(mproc_free(at));
}

static void end_occupied(void)
{
    sem_post(&may_end);
    every_must(every_join());
    end_objects();
}

/* ---- lock ---- */

static int call_lock_init(void)
{
    return mproc_lock_init(&at->lock);
}

static int lock(void)
{
    return mproc_lock_acquire(&at->lock, MPROC_FOREVER);
}

static int lock_in_vain(void)
{
    return mproc_lock_acquire(&at->lock, SHORT);
}

static int try_lock(void)
{
    return mproc_lock_acquire(&at->lock, MPROC_NOWAIT);
}

static int unlock(void)
{
    return mproc_lock_release(&at->lock);
}

static int is_locked(void)
{
    return mproc_lock_is_locked(&at->lock);
}

/* ---- rlock ---- */

static int call_rlock_init(void)
{
    return mproc_rlock_init(&at->rlock);
}

static int rlock(void)
{
    return mproc_rlock_acquire(&at->rlock, MPROC_FOREVER);
}

static int rlock_in_vain(void)
{
    return mproc_rlock_acquire(&at->rlock, SHORT);
}

static int unlock_rlock(void)
{
    return mproc_rlock_release(&at->rlock);
}

static int rlock_is_locked(void)
{
    return mproc_rlock_is_locked(&at->rlock);
}

/* ---- semaphore ---- */

static int call_semaphore_init(void)
{
    return mproc_semaphore_init(&at->semaphore, 3, MPROC_SEMAPHORE_BOUNDED);
}

static int acquire(void)
{
    return mproc_semaphore_acquire(&at->semaphore, MPROC_FOREVER);
}

static int acquire_in_vain(void)
{
    return mproc_semaphore_acquire(&at->semaphore, SHORT);
}

static int release(void)
{
    return mproc_semaphore_release(&at->semaphore, 1);
}

static int value_is_one(void)
{
    return mproc_semaphore_value(&at->semaphore) == 1 ? 0 : -1;
}

/* ---- event ---- */

static int call_event_init(void)
{
    return mproc_event_init(&at->event);
}

static int set(void)
{
    return mproc_event_set(&at->event);
}

static int clear(void)
{
    return mproc_event_clear(&at->event);
}

static int is_set(void)
{
    return mproc_event_is_set(&at->event);
}

static int wait_for_event(void)
{
    return mproc_event_wait(&at->event, MPROC_FOREVER);
}

static int wait_for_event_in_vain(void)
{
    return mproc_event_wait(&at->event, SHORT);
}

/* ---- condition ---- */

static bool no(void *arg)
{
    (void)arg;
    return false;
}

static bool yes(void *arg)
{
    (void)arg;
    return true;
}

static int call_condition_init(void)
{
    return mproc_condition_init(&at->condition);
}

static int notify(void)
{
    return mproc_condition_notify(&at->condition, 1);
}

static int notify_all(void)
{
    return mproc_condition_notify_all(&at->condition);
}

static int wait_in_vain(void)
{
    return mproc_condition_wait(&at->condition, &at->lock, SHORT);
}

static int wait_for_no(void)
{
    return mproc_condition_wait_for(&at->condition, &at->lock, no, NULL, SHORT);
}

static int wait_for_yes(void)
{
    return mproc_condition_wait_for(&at->condition, &at->lock, yes, NULL, MPROC_FOREVER);
}

/* ---- barrier ---- */

static int call_barrier_init(void)
{
    return mproc_barrier_init(&at->barrier, 3, NULL, NULL);
}

static int pass_barrier(void)
{
    return mproc_barrier_wait(&at->barrier, NULL, MPROC_FOREVER);
}

static int wait_at_barrier_in_vain(void)
{
    return mproc_barrier_wait(&at->barrier, NULL, SHORT);
}

static int call_abort(void)
{
    return mproc_barrier_abort(&at->barrier);
}

static int reset(void)
{
    return mproc_barrier_reset(&at->barrier);
}

static int is_broken(void)
{
    return mproc_barrier_is_broken(&at->barrier);
}

static int parties(void)
{
    return mproc_barrier_parties(&at->barrier);
}

static int waiting(void)
{
    return mproc_barrier_waiting(&at->barrier);
}

static const struct every_scene unheld = {begin_free, look_at_objects, end_objects};
static const struct every_scene signals = {begin_signal, look_at_objects, end_objects};
static const struct every_scene held = {begin_held, look_at_objects, end_objects};
static const struct every_scene held_twice = {begin_held_twice, look_at_objects, end_objects};
static const struct every_scene occupied = {begin_occupied, look_at_objects, end_occupied};
static const struct every_scene broken = {begin_broken, look_at_objects, end_objects};

static const struct every_case list[] = {
    {"mproc_lock_init", NULL, &unheld, call_lock_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_lock_acquire", "free", &unheld, lock, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_lock_acquire", "held, no wait", &occupied, try_lock, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_lock_acquire", "held, some time", &occupied, lock_in_vain, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_lock_release", "held", &held, unlock, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_lock_release", "free", &unheld, unlock, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_lock_is_locked", "free", &unheld, is_locked, false, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_lock_is_locked", "held", &held, is_locked, true, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_rlock_init", NULL, &unheld, call_rlock_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_rlock_acquire", "free", &unheld, rlock, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_rlock_acquire", "held by this thread", &held, rlock, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_rlock_acquire", "held, some time", &occupied, rlock_in_vain, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_rlock_release", "held", &held, unlock_rlock, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_rlock_release", "held twice", &held_twice, unlock_rlock, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_rlock_is_locked", "free", &unheld, rlock_is_locked, false, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_rlock_is_locked", "held", &held, rlock_is_locked, true, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_semaphore_init", NULL, &unheld, call_semaphore_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_semaphore_acquire", "free", &unheld, acquire, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_semaphore_acquire", "a signal", &signals, acquire, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_semaphore_acquire", "none, some time", &occupied, acquire_in_vain, MPROC_TIMEOUT, CHILD_JOINS,
     .calls = CALLS},
    {"mproc_semaphore_release", "held", &held, release, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_semaphore_release", "not held", &unheld, release, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_semaphore_release", "a signal", &signals, release, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_semaphore_value", NULL, &unheld, value_is_one, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_init", NULL, &unheld, call_event_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_set", "nobody waits", &unheld, set, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_clear", NULL, &held, clear, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_is_set", NULL, &held, is_set, true, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_wait", "set", &held, wait_for_event, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_event_wait", "not set, some time", &unheld, wait_for_event_in_vain, MPROC_TIMEOUT, CHILD_JOINS,
     .calls = CALLS},
    {"mproc_condition_init", NULL, &unheld, call_condition_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_condition_wait", "without the lock", &unheld, wait_in_vain, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_condition_wait", "some time", &held, wait_in_vain, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_condition_wait_for", "true", &held, wait_for_yes, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_condition_wait_for", "false, some time", &held, wait_for_no, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_condition_notify", "nobody", &held, notify, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_condition_notify_all", "nobody", &held, notify_all, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_init", NULL, &unheld, call_barrier_init, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_wait", "alone", &unheld, pass_barrier, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_barrier_wait", "some time", &occupied, wait_at_barrier_in_vain, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_barrier_wait", "broken", &broken, pass_barrier, MPROC_BROKEN, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_barrier_abort", "nobody", &occupied, call_abort, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_reset", "nobody", &broken, reset, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_is_broken", NULL, &broken, is_broken, true, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_parties", NULL, &broken, parties, 2, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_barrier_waiting", NULL, &broken, waiting, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
};

const struct every_table cases_sync = {list, sizeof list / sizeof *list};
