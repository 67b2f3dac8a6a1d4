/* The crash cases of the semaphore. Whatever a dead process did, the units are counted exactly once it is swept: those
 * that it held are back, and those that it gave are there if its release was committed. */
#include "arena/member.h"
#include "crash.h"
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdatomic.h>
#include <unistd.h>

#define WAITERS 2

struct semaphore_world {
    mproc_semaphore semaphore;
    _Atomic(member_owner) dead; /* to be swept */
    _Atomic(int) through;       /* waiters that have their unit; they keep it */
    _Atomic(int) result;        /* of the victim's call, plus 1 */
    pid_t waiters[WAITERS];
};

static struct semaphore_world *build_of(unsigned value, unsigned flags)
{
    struct semaphore_world *world = world_alloc(sizeof *world);
    mproc_semaphore_init(&world->semaphore, value, flags);
    return world;
}

static void *build_bounded(void)
{
    return build_of(1, MPROC_SEMAPHORE_BOUNDED);
}

static void *build_signal(void)
{
    return build_of(2, MPROC_SEMAPHORE_SIGNAL);
}

/* The only unit is the tester's. */
static void *build_none_free(void)
{
    struct semaphore_world *world = build_bounded();
    mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT);
    return world;
}

static void wait_for_unit(void *arg)
{
    struct semaphore_world *world = arg;
    if (mproc_semaphore_acquire(&world->semaphore, MPROC_FOREVER) == 0)
        atomic_fetch_add(&world->through, 1);
    for (;;)
        pause();
}

/* The semaphore's cell says that somebody sleeps; it does not say how many. */
static bool somebody_sleeps(void *arg)
{
    const uint32_t *words = (const uint32_t *)(const void *)&((struct semaphore_world *)arg)->semaphore;
    return __atomic_load_n(&words[3], __ATOMIC_SEQ_CST) & 1;
}

static void *build_waiters(unsigned flags)
{
    struct semaphore_world *world = build_of(0, flags);
    for (int i = 0; i < WAITERS; i++)
        world->waiters[i] = bystander_start(wait_for_unit, world);
    within_time(somebody_sleeps, world);
    return world;
}

static void *build_two_waiters(void)
{
    return build_waiters(0);
}

static void *build_two_signal_waiters(void)
{
    return build_waiters(MPROC_SEMAPHORE_SIGNAL);
}

static void hold_two(void *arg)
{
    struct semaphore_world *world = arg;
    mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT);
    mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT);
    atomic_store(&world->dead, member_self());
}

static void *build_dead_holder(void)
{
    struct semaphore_world *world = build_of(3, MPROC_SEMAPHORE_BOUNDED);
    bystander_die_in(hold_two, world);
    return world;
}

static void *build_of_three(void)
{
    return build_of(3, MPROC_SEMAPHORE_BOUNDED);
}

static void destroy(void *arg)
{
    struct semaphore_world *world = arg;
    for (int i = 0; i < WAITERS; i++)
        bystander_end(world->waiters[i]);
    member_sweep_all();
    mproc_free(world);
}

/* ---- what the victim does ---- */

static void use(void *arg)
{
    struct semaphore_world *world = arg;
    mproc_semaphore_acquire(&world->semaphore, MPROC_FOREVER);
    mproc_semaphore_release(&world->semaphore, 1);
}

static void acquire(void *arg)
{
    mproc_semaphore_acquire(&((struct semaphore_world *)arg)->semaphore, MPROC_FOREVER);
}

static void acquire_in_vain(void *arg)
{
    struct semaphore_world *world = arg;
    int result = mproc_semaphore_acquire(&world->semaphore, CRASH_WAIT);
    atomic_store(&world->result, result + 1);
}

static void release_one(void *arg)
{
    mproc_semaphore_release(&((struct semaphore_world *)arg)->semaphore, 1);
}

static void release_three(void *arg)
{
    mproc_semaphore_release(&((struct semaphore_world *)arg)->semaphore, 3);
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct semaphore_world *)arg)->dead));
}

static void leave(void *arg)
{
    (void)arg;
    member_leave();
}

/* ---- what must hold ---- */

/* Nobody holds a unit: all are there, and no more. */
static const char *check_all_free(void *arg, bool finished)
{
    struct semaphore_world *world = arg;
    (void)finished;
    member_sweep_all();
    int units = mproc_semaphore_value(&world->semaphore);
    if (units != (atomic_load(&world->dead) ? 3 : 1))
        return "the units are not those that nobody holds";
    for (int i = 0; i < units; i++) {
        if (mproc_semaphore_acquire(&world->semaphore, MPROC_SEC(1)))
            return "a unit cannot be had";
    }
    if (mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT) != MPROC_TIMEOUT)
        return "there is a unit too many";
    if (mproc_semaphore_release(&world->semaphore, (unsigned)units) ||
        mproc_semaphore_release(&world->semaphore, 1) != -EOVERFLOW)
        return "the bound does not hold";
    return NULL;
}

static const char *check_in_vain(void *arg, bool finished)
{
    struct semaphore_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a unit was had that is another's";
    if (mproc_semaphore_value(&world->semaphore) != 0 || mproc_semaphore_release(&world->semaphore, 1))
        return "the unit is not the tester's any more";
    return check_all_free(arg, finished);
}

/* A unit that is an event does not come back. */
static const char *check_signal(void *arg, bool finished)
{
    struct semaphore_world *world = arg;
    member_sweep_all();
    int units = mproc_semaphore_value(&world->semaphore);
    if (units != 1 && (finished || units != 2))
        return "the events are not those that were not taken";
    for (int i = 0; i < units; i++)
        mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT);
    return mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT) == MPROC_TIMEOUT ? NULL : "there is one too many";
}

static bool are_through(void *arg)
{
    return atomic_load(&((struct semaphore_world *)arg)->through) == WAITERS;
}

/* The tester gives as many as there are waiters; the victim gave three more or none. */
static const char *check_released(void *arg, bool finished)
{
    struct semaphore_world *world = arg;
    if (mproc_semaphore_value(&world->semaphore) > 0 && !within_time(are_through, world))
        return "one that slept was not woken";
    if (mproc_semaphore_release(&world->semaphore, WAITERS))
        return "the survivor cannot release";
    if (!within_time(are_through, world))
        return "one that slept was not woken";
    member_sweep_all();
    int left = mproc_semaphore_value(&world->semaphore);
    if (left != 3 && (finished || left != 0))
        return "the units are neither with the victim's nor without";
    return NULL;
}

/* What mends: any process that uses it, and the sweep. */
static void repair(void *arg)
{
    struct semaphore_world *world = arg;
    if (mproc_semaphore_acquire(&world->semaphore, MPROC_NOWAIT) == 0)
        mproc_semaphore_release(&world->semaphore, 1);
    member_sweep_all();
}

static void sweep_all(void *arg)
{
    (void)arg;
    member_sweep_all();
}

const struct crash_case semaphore_cases[] = {
    {"semaphore", "free", build_bounded, NULL, use, check_all_free, destroy, repair},
    {"semaphore_acquire", "free", build_bounded, NULL, acquire, check_all_free, destroy, repair},
    {"semaphore_acquire", "none free, in vain", build_none_free, NULL, acquire_in_vain, check_in_vain, destroy, NULL},
    {"semaphore_acquire", "events", build_signal, NULL, acquire, check_signal, destroy, NULL},
    {"semaphore_release", "its own unit", build_bounded, acquire, release_one, check_all_free, destroy, repair},
    {"semaphore_release", "three, two waiters asleep", build_two_waiters, NULL, release_three, check_released, destroy,
     sweep_all},
    {"semaphore_release", "three events, two waiters", build_two_signal_waiters, NULL, release_three, check_released,
     destroy, NULL},
    {"member_leave", "two units of a semaphore", build_of_three, hold_two, leave, check_all_free, destroy, repair},
    {"member_sweep", "two units of a semaphore", build_dead_holder, NULL, sweep, check_all_free, destroy, repair},
    {0},
};
