/* The crash cases of the synchronization objects. Whatever becomes of the victim, a survivor gets what is free, is told
 * once that an owner died, and one that slept goes on. */
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdatomic.h>

struct sync_world {
    mproc_lock lock;
    mproc_semaphore semaphore;
    mproc_event event;
    mproc_condition condition;
    mproc_barrier barrier;
    _Atomic(int) step;   /* of the bystander: 1 before it sleeps, 2 when it has gone on */
    _Atomic(int) result; /* of its call */
    pid_t bystander;
};

static void *build(void)
{
    struct sync_world *world = world_alloc(sizeof *world);
    mproc_lock_init(&world->lock);
    mproc_semaphore_init(&world->semaphore, 1, MPROC_SEMAPHORE_BOUNDED);
    mproc_event_init(&world->event);
    mproc_condition_init(&world->condition);
    mproc_barrier_init(&world->barrier, 2, NULL, NULL);
    return world;
}

static void destroy(void *arg)
{
    struct sync_world *world = arg;
    bystander_end(world->bystander);
    member_sweep_all();
    mproc_free(world);
}

static bool has_gone_on(void *world)
{
    return atomic_load(&((struct sync_world *)world)->step) == 2;
}

static bool is_there(void *world)
{
    return atomic_load(&((struct sync_world *)world)->step) >= 1;
}

static void went_on(struct sync_world *world, int result)
{
    atomic_store(&world->result, result);
    atomic_store(&world->step, 2);
}

static void *build_with(void (*run)(void *world))
{
    struct sync_world *world = build();
    world->bystander = bystander_start(run, world);
    within_time(is_there, world);
    return world;
}

/* ---- semaphore ---- */

static void use_semaphore(void *arg)
{
    struct sync_world *world = arg;
    mproc_semaphore_acquire(&world->semaphore, MPROC_FOREVER);
    mproc_semaphore_release(&world->semaphore, 1);
}

static void wait_for_semaphore(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->step, 1);
    int result = mproc_semaphore_acquire(&world->semaphore, MPROC_FOREVER);
    mproc_semaphore_release(&world->semaphore, 1);
    went_on(world, result);
}

static void *build_semaphore_waiter(void)
{
    struct sync_world *world = build();
    mproc_semaphore_acquire(&world->semaphore, MPROC_FOREVER);
    world->bystander = bystander_start(wait_for_semaphore, world);
    within_time(is_there, world);
    return world;
}

static void release_semaphore(void *arg)
{
    struct sync_world *world = arg;
    mproc_semaphore_release(&world->semaphore, 1);
}

static const char *check_semaphore(void *arg, bool finished)
{
    struct sync_world *world = arg;
    (void)finished;
    member_sweep_all();
    if (mproc_semaphore_value(&world->semaphore) != 1)
        return "the semaphore's value is not what nobody holds";
    if (mproc_semaphore_acquire(&world->semaphore, MPROC_SEC(1)))
        return "the semaphore cannot be had";
    if (mproc_semaphore_release(&world->semaphore, 1) || mproc_semaphore_release(&world->semaphore, 1) == 0)
        return "the semaphore's bound does not hold";
    return NULL;
}

/* The tester holds the unit, and the victim releases it without holding any: it may have come back already. */
static const char *check_released(void *arg, bool finished)
{
    struct sync_world *world = arg;
    int result = mproc_semaphore_release(&world->semaphore, 1);
    if (finished && result == 0 && !atomic_load(&world->step))
        return "a release had no effect";
    return within_time(has_gone_on, world) ? NULL : "the one that slept was not woken";
}

/* ---- event ---- */

static void wait_for_event(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->step, 1);
    went_on(world, mproc_event_wait(&world->event, MPROC_FOREVER));
}

static void *build_event_waiter(void)
{
    return build_with(wait_for_event);
}

static void set_event(void *arg)
{
    struct sync_world *world = arg;
    mproc_event_set(&world->event);
}

static const char *check_event(void *arg, bool finished)
{
    struct sync_world *world = arg;
    if (finished && !mproc_event_is_set(&world->event))
        return "the event is not set";
    mproc_event_set(&world->event);
    return within_time(has_gone_on, world) ? NULL : "the one that slept was not woken";
}

/* ---- condition ---- */

static void wait_for_condition(void *arg)
{
    struct sync_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    atomic_store(&world->step, 1);
    int result = mproc_condition_wait(&world->condition, &world->lock, MPROC_FOREVER);
    mproc_lock_release(&world->lock);
    went_on(world, result);
}

static void *build_condition_waiter(void)
{
    struct sync_world *world = build_with(wait_for_condition);
    mproc_lock_acquire(&world->lock, MPROC_FOREVER); /* it waits when the lock can be had */
    mproc_lock_release(&world->lock);
    return world;
}

static void notify(void *arg)
{
    struct sync_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_notify(&world->condition, 1);
    mproc_lock_release(&world->lock);
}

static const char *check_condition(void *arg, bool finished)
{
    struct sync_world *world = arg;
    (void)finished;
    int result = mproc_lock_acquire(&world->lock, MPROC_SEC(1));
    if (result != 0 && result != MPROC_OWNER_DIED)
        return "the lock stays held";
    mproc_condition_notify_all(&world->condition);
    mproc_lock_release(&world->lock);
    if (!within_time(has_gone_on, world))
        return "the one that slept was not woken";
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    result = mproc_condition_wait(&world->condition, &world->lock, MPROC_NOWAIT);
    mproc_lock_release(&world->lock);
    return result == MPROC_TIMEOUT ? NULL : "a wait that nobody notified does not time out";
}

static void wait_in_vain(void *arg)
{
    struct sync_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_wait(&world->condition, &world->lock, MPROC_NOWAIT);
    mproc_lock_release(&world->lock);
}

/* ---- barrier ---- */

static void wait_at_barrier(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->step, 1);
    went_on(world, mproc_barrier_wait(&world->barrier, NULL, MPROC_FOREVER));
}

static bool one_waits(void *world)
{
    return mproc_barrier_waiting(&((struct sync_world *)world)->barrier) == 1;
}

static void *build_barrier_waiter(void)
{
    struct sync_world *world = build_with(wait_at_barrier);
    within_time(one_waits, world);
    return world;
}

static void come_to_barrier(void *arg)
{
    struct sync_world *world = arg;
    mproc_barrier_wait(&world->barrier, NULL, MPROC_FOREVER);
}

static const char *check_barrier(void *arg, bool finished)
{
    struct sync_world *world = arg;
    member_sweep_all();
    if (!finished && one_waits(world)) { /* the victim died before it came: the tester comes in its place */
        int result = mproc_barrier_wait(&world->barrier, NULL, MPROC_SEC(1));
        if (result != 0 && result != MPROC_BROKEN)
            return "nobody comes to the barrier";
    }
    if (!within_time(has_gone_on, world))
        return "the one that slept was not woken";
    if (finished && atomic_load(&world->result) != 0)
        return "both came, and the barrier broke";
    mproc_barrier_reset(&world->barrier);
    if (mproc_barrier_waiting(&world->barrier) != 0 || mproc_barrier_is_broken(&world->barrier))
        return "a reset barrier is not empty and whole";
    return NULL;
}

/* What mends: each object is used once. */
static void repair(void *arg)
{
    struct sync_world *world = arg;
    if (mproc_lock_acquire(&world->lock, MPROC_NOWAIT) != MPROC_TIMEOUT)
        mproc_lock_release(&world->lock);
    mproc_semaphore_release(&world->semaphore, 1); /* -EOVERFLOW, unless it is short */
    mproc_condition_notify_all(&world->condition);
    member_sweep_all();
}

static void repair_semaphore(void *arg)
{
    struct sync_world *world = arg;
    if (mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT) == 0)
        mproc_semaphore_release(&world->semaphore, 1);
    member_sweep_all();
}

const struct crash_case sync_cases[] = {
    {"semaphore", "free", build, NULL, use_semaphore, check_semaphore, destroy, repair_semaphore},
    {"semaphore_release", "a waiter asleep", build_semaphore_waiter, NULL, release_semaphore, check_released, destroy,
     NULL},
    {"event_set", "a waiter asleep", build_event_waiter, NULL, set_event, check_event, destroy, NULL},
    {"condition_notify", "a waiter asleep", build_condition_waiter, NULL, notify, check_condition, destroy, repair},
    {"condition_wait", "another waiter asleep", build_condition_waiter, NULL, wait_in_vain, check_condition, destroy,
     repair},
    {"barrier_wait", "the last to come", build_barrier_waiter, NULL, come_to_barrier, check_barrier, destroy, NULL},
    {0},
};
