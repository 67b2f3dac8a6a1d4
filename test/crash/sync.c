/* The crash cases of event and barrier. */
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdatomic.h>
#include <unistd.h>

#define WAITERS 3

struct sync_world {
    mproc_event event;
    mproc_barrier barrier;
    _Atomic(member_owner) dead;    /* to be swept */
    _Atomic(int) gone_on;          /* bystanders that came back from their wait */
    _Atomic(int) results[WAITERS]; /* of their calls */
    _Atomic(int) result;           /* of the victim's, plus 1 */
    _Atomic(int) actions;          /* calls of the barrier's action */
    int waiting;                   /* bystanders */
    pid_t waiters[WAITERS];
};

static void destroy(void *arg)
{
    struct sync_world *world = arg;
    for (int i = 0; i < WAITERS; i++)
        bystander_end(world->waiters[i]);
    member_sweep_all();
    mproc_free(world);
}

static bool all_have_gone_on(void *arg)
{
    struct sync_world *world = arg;
    return atomic_load(&world->gone_on) == world->waiting;
}

static void went_on(struct sync_world *world, int result)
{
    int number = atomic_load(&world->gone_on);
    atomic_store(&world->results[number % WAITERS], result);
    atomic_fetch_add(&world->gone_on, 1);
    for (;;)
        pause();
}

/* ---- event ---- */

static void *build_event(void)
{
    struct sync_world *world = world_alloc(sizeof *world);
    mproc_event_init(&world->event);
    return world;
}

static void *build_set_event(void)
{
    struct sync_world *world = build_event();
    mproc_event_set(&world->event);
    return world;
}

static void wait_for_event(void *arg)
{
    struct sync_world *world = arg;
    went_on(world, mproc_event_wait(&world->event, MPROC_FOREVER));
}

/* The word of the event's cell, whose lowest bit says that somebody may sleep. */
static bool somebody_sleeps(void *arg)
{
    const uint32_t *words = (const uint32_t *)(const void *)&((struct sync_world *)arg)->event;
    return __atomic_load_n(&words[3], __ATOMIC_SEQ_CST) & 1;
}

static void *build_event_waiters(int count)
{
    struct sync_world *world = build_event();
    world->waiting = count;
    for (int i = 0; i < count; i++)
        world->waiters[i] = bystander_start(wait_for_event, world);
    within_time(somebody_sleeps, world);
    return world;
}

static void *build_event_waiter(void)
{
    return build_event_waiters(1);
}

static void *build_three_event_waiters(void)
{
    return build_event_waiters(3);
}

static void set_event(void *arg)
{
    mproc_event_set(&((struct sync_world *)arg)->event);
}

static void clear_event(void *arg)
{
    mproc_event_clear(&((struct sync_world *)arg)->event);
}

static void wait_for_event_in_vain(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->result, mproc_event_wait(&world->event, CRASH_WAIT) + 1);
}

static const char *check_set(void *arg, bool finished)
{
    struct sync_world *world = arg;
    bool is_set = mproc_event_is_set(&world->event);
    if (finished && !is_set)
        return "the event is not set";
    if (is_set && mproc_event_wait(&world->event, MPROC_NOWAIT))
        return "an event that is set cannot be waited for";
    if (!is_set)
        mproc_event_set(&world->event);
    return within_time(all_have_gone_on, world) ? NULL : "one that slept was not woken";
}

static const char *check_cleared(void *arg, bool finished)
{
    struct sync_world *world = arg;
    bool is_set = mproc_event_is_set(&world->event);
    if (finished && is_set)
        return "the event is set still";
    if (mproc_event_wait(&world->event, MPROC_NOWAIT) != (is_set ? 0 : MPROC_TIMEOUT))
        return "an event is neither set nor clear";
    mproc_event_set(&world->event);
    return mproc_event_wait(&world->event, MPROC_NOWAIT) ? "the event cannot be set again" : NULL;
}

static const char *check_event_in_vain(void *arg, bool finished)
{
    struct sync_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a wait for an event that nobody set did not time out";
    if (atomic_load(&world->gone_on))
        return "another waiter went on that nobody woke";
    return check_set(arg, false);
}

/* ---- barrier ---- */

static int act(void *arg)
{
    atomic_fetch_add(&((struct sync_world *)arg)->actions, 1);
    return 0;
}

static void wait_at_barrier(void *arg)
{
    struct sync_world *world = arg;
    went_on(world, mproc_barrier_wait(&world->barrier, NULL, MPROC_FOREVER));
}

static bool all_wait(void *arg)
{
    struct sync_world *world = arg;
    return mproc_barrier_waiting(&world->barrier) == world->waiting;
}

/* A barrier with this many waiters asleep, which lacks so many more. */
static void *build_barrier(int waiting, unsigned lacking, bool acts)
{
    struct sync_world *world = world_alloc(sizeof *world);
    world->waiting = waiting;
    mproc_barrier_init(&world->barrier, (unsigned)waiting + lacking, acts ? act : NULL, world);
    for (int i = 0; i < waiting; i++)
        world->waiters[i] = bystander_start(wait_at_barrier, world);
    within_time(all_wait, world);
    return world;
}

static void *build_one_waits(void)
{
    return build_barrier(1, 1, false);
}

static void *build_two_wait(void)
{
    return build_barrier(2, 1, false);
}

static void *build_two_wait_for_action(void)
{
    return build_barrier(2, 1, true);
}

static void *build_two_lack(void)
{
    return build_barrier(1, 2, false);
}

static void come(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->result, mproc_barrier_wait(&world->barrier, NULL, MPROC_FOREVER) + 1);
}

static void come_in_vain(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->result, mproc_barrier_wait(&world->barrier, NULL, CRASH_WAIT) + 1);
}

static void abort_barrier(void *arg)
{
    mproc_barrier_abort(&((struct sync_world *)arg)->barrier);
}

static void reset_barrier(void *arg)
{
    mproc_barrier_reset(&((struct sync_world *)arg)->barrier);
}

static int count_results(struct sync_world *world, int result)
{
    int count = 0;
    for (int i = 0; i < world->waiting; i++)
        count += atomic_load(&world->results[i]) == result;
    return count;
}

/* After it was reset, the barrier works: two rounds of one party are no round of more. */
static const char *use_again(struct sync_world *world)
{
    mproc_barrier_reset(&world->barrier);
    if (mproc_barrier_waiting(&world->barrier) != 0 || mproc_barrier_is_broken(&world->barrier))
        return "a reset barrier is not empty and whole";
    if (mproc_barrier_wait(&world->barrier, NULL, MPROC_NOWAIT) != MPROC_TIMEOUT ||
        !mproc_barrier_is_broken(&world->barrier))
        return "one that comes alone to a reset barrier does not break it";
    return NULL;
}

/* The one that lacked has come, or died before it came, or on the point of coming. All that wait are told the same. */
static const char *check_last(void *arg, bool finished)
{
    struct sync_world *world = arg;
    member_sweep_all();
    if (!finished && all_wait(world)) { /* the victim died before: the tester comes in its place */
        int result = mproc_barrier_wait(&world->barrier, NULL, MPROC_SEC(1));
        if (result != 0 && result != MPROC_BROKEN)
            return "nobody comes to the barrier";
    }
    if (!within_time(all_have_gone_on, world))
        return "one that slept was not woken";
    if (count_results(world, 0) != world->waiting && count_results(world, MPROC_BROKEN) != world->waiting)
        return "not all are told the same";
    if (finished && (count_results(world, 0) != world->waiting || atomic_load(&world->result) != 1))
        return "all came, and the barrier broke";
    if (atomic_load(&world->actions) > 1)
        return "the action was called twice";
    return use_again(world);
}

static const char *check_last_acting(void *arg, bool finished)
{
    struct sync_world *world = arg;
    const char *wrong = check_last(arg, finished);
    if (!wrong && count_results(world, 0) > 0 && atomic_load(&world->actions) != 1)
        wrong = "the barrier opened without its action";
    return wrong;
}

/* The victim comes and goes; or dies there, which breaks the barrier; or does not come, and then the tester breaks it.
 */
static const char *check_broken(void *arg, bool finished)
{
    struct sync_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "the time was over, and is not said to be";
    member_sweep_all();
    if (finished && !mproc_barrier_is_broken(&world->barrier))
        return "one gave up, and the barrier is whole";
    mproc_barrier_abort(&world->barrier);
    if (!within_time(all_have_gone_on, world))
        return "one that slept was not woken";
    if (count_results(world, MPROC_BROKEN) != world->waiting)
        return "not all are told that it broke";
    return use_again(world);
}

static const char *check_aborted(void *arg, bool finished)
{
    struct sync_world *world = arg;
    if (finished && !mproc_barrier_is_broken(&world->barrier))
        return "an aborted barrier is whole";
    atomic_store(&world->result, MPROC_TIMEOUT + 1);
    return check_broken(arg, false);
}

static const char *check_reset(void *arg, bool finished)
{
    struct sync_world *world = arg;
    if (finished && (mproc_barrier_is_broken(&world->barrier) || mproc_barrier_waiting(&world->barrier) != 0))
        return "a reset barrier is not empty and whole";
    return check_broken(arg, false);
}

/* ---- the sweep of one that waited ---- */

static void arrive_and_stay(void *arg)
{
    struct sync_world *world = arg;
    atomic_store(&world->dead, member_self());
    mproc_barrier_wait(&world->barrier, NULL, MPROC_FOREVER);
}

static bool two_wait(void *arg)
{
    return mproc_barrier_waiting(&((struct sync_world *)arg)->barrier) == 2;
}

static void *build_dead_party(void)
{
    struct sync_world *world = build_two_lack();
    pid_t dead = bystander_start(arrive_and_stay, world);
    within_time(two_wait, world);
    bystander_end(dead);
    return world;
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct sync_world *)arg)->dead));
}

static const char *check_swept(void *arg, bool finished)
{
    struct sync_world *world = arg;
    (void)finished;
    member_sweep_all();
    if (!mproc_barrier_is_broken(&world->barrier))
        return "a party is dead, and the barrier is whole";
    return check_broken(arg, false);
}

static void sweep_all(void *arg)
{
    (void)arg;
    member_sweep_all();
}

const struct crash_case sync_cases[] = {
    {"event_set", "idle", build_event, NULL, set_event, check_set, destroy, NULL},
    {"event_set", "a waiter asleep", build_event_waiter, NULL, set_event, check_set, destroy, NULL},
    {"event_set", "three waiters asleep", build_three_event_waiters, NULL, set_event, check_set, destroy, NULL},
    {"event_clear", "set", build_set_event, NULL, clear_event, check_cleared, destroy, NULL},
    {"event_wait", "in vain, another asleep", build_event_waiter, NULL, wait_for_event_in_vain, check_event_in_vain,
     destroy, NULL},
    {"barrier_wait", "the last, one asleep", build_one_waits, NULL, come, check_last, destroy, sweep_all},
    {"barrier_wait", "the last, two asleep", build_two_wait, NULL, come, check_last, destroy, sweep_all},
    {"barrier_wait", "the last, with an action", build_two_wait_for_action, NULL, come, check_last_acting, destroy,
     sweep_all},
    {"barrier_wait", "in vain, one asleep", build_two_lack, NULL, come_in_vain, check_broken, destroy, sweep_all},
    {"barrier_abort", "one asleep", build_one_waits, NULL, abort_barrier, check_aborted, destroy, NULL},
    {"barrier_reset", "one asleep", build_one_waits, NULL, reset_barrier, check_reset, destroy, NULL},
    {"member_sweep", "a party of a barrier", build_dead_party, NULL, sweep, check_swept, destroy, sweep_all},
    {0},
};
