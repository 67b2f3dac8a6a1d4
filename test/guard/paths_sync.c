/* Synchronization and memory: what nobody else wants, and what times out. */
#include "paths.h"

#include <string.h>

/* The loop that repeats a step, alone. */
static void nothing(void *object, size_t i)
{
    (void)object;
    (void)i;
}

static void *make_lock(void)
{
    mproc_lock *lock = shared(sizeof *lock);
    check(mproc_lock_init(lock), "mproc_lock_init");
    return lock;
}

static void lock(void *object, size_t i)
{
    (void)i;
    check(mproc_lock_acquire(object, MPROC_FOREVER), "mproc_lock_acquire");
    check(mproc_lock_release(object), "mproc_lock_release");
}

static void *make_held_lock(void)
{
    void *made = make_lock();
    check(mproc_lock_acquire(made, MPROC_FOREVER), "mproc_lock_acquire");
    return made;
}

static void lock_timeout(void *object, size_t i)
{
    (void)i;
    expect(mproc_lock_acquire(object, MPROC_US(100)), MPROC_TIMEOUT, "mproc_lock_acquire");
}

static void *make_rlock(void)
{
    mproc_rlock *rlock = shared(sizeof *rlock);
    check(mproc_rlock_init(rlock), "mproc_rlock_init");
    return rlock;
}

static void rlock(void *object, size_t i)
{
    (void)i;
    check(mproc_rlock_acquire(object, MPROC_FOREVER), "mproc_rlock_acquire");
    check(mproc_rlock_release(object), "mproc_rlock_release");
}

static void *make_semaphore(unsigned value)
{
    mproc_semaphore *semaphore = shared(sizeof *semaphore);
    check(mproc_semaphore_init(semaphore, value, 0), "mproc_semaphore_init");
    return semaphore;
}

static void *make_free_semaphore(void)
{
    return make_semaphore(2);
}

static void *make_taken_semaphore(void)
{
    return make_semaphore(0);
}

static void semaphore(void *object, size_t i)
{
    (void)i;
    check(mproc_semaphore_acquire(object, MPROC_FOREVER), "mproc_semaphore_acquire");
    check(mproc_semaphore_release(object, 1), "mproc_semaphore_release");
}

static void semaphore_timeout(void *object, size_t i)
{
    (void)i;
    expect(mproc_semaphore_acquire(object, MPROC_US(100)), MPROC_TIMEOUT, "mproc_semaphore_acquire");
}

static void *make_event(void)
{
    mproc_event *event = shared(sizeof *event);
    check(mproc_event_init(event), "mproc_event_init");
    return event;
}

static void event_is_set(void *object, size_t i)
{
    (void)i;
    expect(mproc_event_is_set(object), 0, "mproc_event_is_set");
}

static void event_set_clear(void *object, size_t i)
{
    (void)i;
    check(mproc_event_set(object), "mproc_event_set");
    check(mproc_event_clear(object), "mproc_event_clear");
}

static void event_timeout(void *object, size_t i)
{
    (void)i;
    expect(mproc_event_wait(object, MPROC_US(100)), MPROC_TIMEOUT, "mproc_event_wait");
}

static void *make_condition(void)
{
    mproc_condition *condition = shared(sizeof *condition);
    check(mproc_condition_init(condition), "mproc_condition_init");
    return condition;
}

static void condition_notify(void *object, size_t i)
{
    (void)i;
    check(mproc_condition_notify(object, 1), "mproc_condition_notify");
}

static void *make_barrier(void)
{
    mproc_barrier *barrier = shared(sizeof *barrier);
    check(mproc_barrier_init(barrier, 1, NULL, NULL), "mproc_barrier_init");
    return barrier;
}

static void barrier(void *object, size_t i)
{
    (void)i;
    check(mproc_barrier_wait(object, NULL, MPROC_FOREVER), "mproc_barrier_wait");
}

static void alloc_free(void *object, size_t i)
{
    (void)object;
    (void)i;
    check(mproc_free(mproc_alloc(64)), "mproc_free");
}

const struct path sync_paths[] = {
    {"nothing", NULL, nothing, NULL, NULL, 100, 1000, 3, 0},
    {"lock", make_lock, lock, NULL, NULL, 100, 1000, 3, 0},
    {"lock_timeout", make_held_lock, lock_timeout, NULL, NULL, 10, 50, 10, 10},
    {"rlock", make_rlock, rlock, NULL, NULL, 100, 1000, 3, 0},
    {"semaphore", make_free_semaphore, semaphore, NULL, NULL, 100, 1000, 3, 0},
    {"semaphore_timeout", make_taken_semaphore, semaphore_timeout, NULL, NULL, 10, 50, 10, 10},
    {"event_is_set", make_event, event_is_set, NULL, NULL, 100, 1000, 3, 0},
    {"event_set_clear", make_event, event_set_clear, NULL, NULL, 100, 1000, 3, 0},
    {"event_timeout", make_event, event_timeout, NULL, NULL, 10, 50, 10, 10},
    {"condition_notify", make_condition, condition_notify, NULL, NULL, 100, 1000, 3, 0},
    {"barrier", make_barrier, barrier, NULL, NULL, 100, 1000, 3, 0},
    {"alloc_free", NULL, alloc_free, NULL, NULL, 100, 1000, 3, 0},
    {0},
};
