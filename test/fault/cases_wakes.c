/* The cases of every.h for the synchronization objects with somebody else: calls that wake a thread, and calls that are
 * woken by one. A wake-up that fails is made good by the tick, so none of them may fail. */
#include "every.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdatomic.h>

#define LONG MPROC_SEC(20)

static struct objects {
    mproc_lock lock;
    mproc_rlock rlock;
    mproc_semaphore semaphore; /* a signal */
    mproc_semaphore units;
    mproc_event event;
    mproc_condition condition;
    mproc_lock guard; /* of the condition */
    mproc_barrier barrier;
    atomic_bool is_true;
} * at;

static void begin(void)
{
    at = mproc_calloc(1, sizeof *at);
    every_must(at ? 0 : -errno);
    every_must(mproc_lock_init(&at->lock));
    every_must(mproc_rlock_init(&at->rlock));
    every_must(mproc_semaphore_init(&at->semaphore, 0, MPROC_SEMAPHORE_SIGNAL));
    every_must(mproc_semaphore_init(&at->units, 1, 0));
    every_must(mproc_event_init(&at->event));
    every_must(mproc_condition_init(&at->condition));
    every_must(mproc_lock_init(&at->guard));
    every_must(mproc_barrier_init(&at->barrier, 2, NULL, NULL));
    every_must(mproc_lock_acquire(&at->lock, MPROC_NOWAIT));
    every_must(mproc_rlock_acquire(&at->rlock, MPROC_NOWAIT));
    every_must(mproc_semaphore_acquire(&at->units, MPROC_NOWAIT));
}

/* The one that waited has what it waited for. */
static void end(void)
{
    every_must(every_join());
    every_must(mproc_free(at));
}

/* The one that waited at the barrier was told that it broke. */
static void end_broken(void)
{
    if (every_join() != MPROC_BROKEN)
        every_wrong("who waited was not told that the barrier broke");
    every_must(mproc_free(at));
}

/* ---- waits ---- */

static int wait_for_lock(void)
{
    return mproc_lock_acquire(&at->lock, LONG);
}

static int wait_for_rlock(void)
{
    return mproc_rlock_acquire(&at->rlock, LONG);
}

static int wait_for_signal(void)
{
    return mproc_semaphore_acquire(&at->semaphore, LONG);
}

static int wait_for_unit(void)
{
    return mproc_semaphore_acquire(&at->units, LONG);
}

static int wait_for_event(void)
{
    return mproc_event_wait(&at->event, LONG);
}

static bool is_true(void *arg)
{
    (void)arg;
    return atomic_load(&at->is_true);
}

static int wait_for_condition(void)
{
    int result = mproc_lock_acquire(&at->guard, LONG);
    if (result)
        return result;
    while (!result && !is_true(NULL))
        result = mproc_condition_wait(&at->condition, &at->guard, LONG);
    int released = mproc_lock_release(&at->guard);
    return result ? result : released;
}

static int wait_for_truth(void)
{
    int result = mproc_lock_acquire(&at->guard, LONG);
    if (result)
        return result;
    result = mproc_condition_wait_for(&at->condition, &at->guard, is_true, NULL, LONG);
    int released = mproc_lock_release(&at->guard);
    return result ? result : released;
}

static int wait_at_barrier(void)
{
    return mproc_barrier_wait(&at->barrier, NULL, LONG);
}

/* ---- what ends them ---- */

static int release_lock(void)
{
    return mproc_lock_release(&at->lock);
}

static int release_rlock(void)
{
    return mproc_rlock_release(&at->rlock);
}

static int release_semaphore(void)
{
    return mproc_semaphore_release(&at->semaphore, 1);
}

static int release_unit(void)
{
    return mproc_semaphore_release(&at->units, 1);
}

static int set_event(void)
{
    return mproc_event_set(&at->event);
}

static int notify(void)
{
    atomic_store(&at->is_true, true);
    return mproc_condition_notify(&at->condition, 1);
}

static int notify_all(void)
{
    atomic_store(&at->is_true, true);
    return mproc_condition_notify_all(&at->condition);
}

static int abort_barrier(void)
{
    return mproc_barrier_abort(&at->barrier);
}

static int reset_barrier(void)
{
    return mproc_barrier_reset(&at->barrier);
}

static int try_barrier(void)
{
    return mproc_barrier_wait(&at->barrier, NULL, MPROC_NOWAIT);
}

/* ---- a thread waits, the call ends that ---- */

static void lock_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_lock);
}

static void rlock_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_rlock);
}

static void signal_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_signal);
}

static void unit_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_unit);
}

static void event_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_event);
}

static void condition_is_wanted(void)
{
    begin();
    every_sleeper(wait_for_condition);
}

static void barrier_is_wanted(void)
{
    begin();
    every_sleeper(wait_at_barrier);
}

/* ---- the call waits, a thread ends that ---- */

static void help_with_lock(void)
{
    every_must(release_lock());
}

static void help_with_semaphore(void)
{
    every_must(release_semaphore());
}

static void help_with_unit(void)
{
    every_must(release_unit());
}

static void help_with_event(void)
{
    every_must(set_event());
}

static void help_with_condition(void)
{
    every_must(mproc_lock_acquire(&at->guard, LONG));
    every_must(notify());
    every_must(mproc_lock_release(&at->guard));
}

static void help_with_barrier(void)
{
    every_must(wait_at_barrier());
}

static void lock_comes(void)
{
    begin();
    every_help(help_with_lock);
}

static void semaphore_comes(void)
{
    begin();
    every_help(help_with_semaphore);
}

static void unit_comes(void)
{
    begin();
    every_help(help_with_unit);
}

static void event_comes(void)
{
    begin();
    every_help(help_with_event);
}

static void condition_comes(void)
{
    begin();
    every_help(help_with_condition);
}

static void barrier_comes(void)
{
    begin();
    every_help(help_with_barrier);
}

/* A thread holds the rlock, and lets go when somebody sleeps. */
static int hold_rlock_for_a_while(void)
{
    int result = mproc_rlock_acquire(&at->rlock, MPROC_NOWAIT);
    atomic_store(&at->is_true, true);
    if (result)
        return result;
    every_await_sleeper();
    return mproc_rlock_release(&at->rlock);
}

static void rlock_comes(void)
{
    begin();
    every_must(release_rlock());
    every_thread(hold_rlock_for_a_while);
    every_await(is_true);
}

static const struct every_scene wanted_lock = {lock_is_wanted, NULL, end};
static const struct every_scene wanted_rlock = {rlock_is_wanted, NULL, end};
static const struct every_scene wanted_signal = {signal_is_wanted, NULL, end};
static const struct every_scene wanted_unit = {unit_is_wanted, NULL, end};
static const struct every_scene wanted_event = {event_is_wanted, NULL, end};
static const struct every_scene wanted_condition = {condition_is_wanted, NULL, end};
static const struct every_scene wanted_barrier = {barrier_is_wanted, NULL, end};
static const struct every_scene breaking_barrier = {barrier_is_wanted, NULL, end_broken};
static const struct every_scene coming_lock = {lock_comes, NULL, end};
static const struct every_scene coming_rlock = {rlock_comes, NULL, end};
static const struct every_scene coming_semaphore = {semaphore_comes, NULL, end};
static const struct every_scene coming_unit = {unit_comes, NULL, end};
static const struct every_scene coming_event = {event_comes, NULL, end};
static const struct every_scene coming_condition = {condition_comes, NULL, end};
static const struct every_scene coming_barrier = {barrier_comes, NULL, end};

static const struct every_case list[] = {
    {"mproc_lock_release", "to one that waits", &wanted_lock, release_lock, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_rlock_release", "to one that waits", &wanted_rlock, release_rlock, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_semaphore_release", "a signal to one that waits", &wanted_signal, release_semaphore, 0, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_semaphore_release", "to one that waits", &wanted_unit, release_unit, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_event_set", "one waits", &wanted_event, set_event, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_condition_notify", "one waits", &wanted_condition, notify, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_condition_notify_all", "one waits", &wanted_condition, notify_all, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_barrier_wait", "the last", &wanted_barrier, try_barrier, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_barrier_abort", "one waits", &breaking_barrier, abort_barrier, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_barrier_reset", "one waits", &breaking_barrier, reset_barrier, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_lock_acquire", "held for a while", &coming_lock, wait_for_lock, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_rlock_acquire", "held for a while", &coming_rlock, wait_for_rlock, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_semaphore_acquire", "a signal comes", &coming_semaphore, wait_for_signal, 0, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_semaphore_acquire", "a unit comes", &coming_unit, wait_for_unit, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_event_wait", "it is set", &coming_event, wait_for_event, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_condition_wait", "it is notified", &coming_condition, wait_for_condition, 0, CHILD_JOINS, .calls = CALLS,
     .also = "mproc_lock_acquire"},
    {"mproc_condition_wait_for", "it is notified", &coming_condition, wait_for_truth, 0, CHILD_JOINS, .calls = CALLS,
     .also = "mproc_lock_acquire"},
    {"mproc_barrier_wait", "the first", &coming_barrier, wait_at_barrier, 0, CHILD_JOINS, .calls = CALLS},
};

const struct every_table cases_wakes = {list, sizeof list / sizeof *list};
