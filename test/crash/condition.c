/* The crash cases of the condition. One that was notified goes on; a signal of which a dead waiter made no use goes to
 * the next; and the list of waiters stays whole. */
#include "arena/member.h"
#include "crash.h"
#include "sync/wait_note.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <stdatomic.h>
#include <unistd.h>

#define WAITERS 3

struct condition_world {
    mproc_lock lock;
    mproc_condition condition;
    _Atomic(member_owner) victim; /* or the dead one that is to be swept */
    _Atomic(int) waiting;         /* bystanders that wait, or are about to with the lock held */
    _Atomic(int) gone_on;         /* bystanders that came back from their wait */
    _Atomic(bool) notified;       /* the bystander that notifies has done so */
    _Atomic(bool) armed;          /* the victim is about to wait, with the lock held */
    _Atomic(int) result;          /* of the victim's wait, plus 1 */
    int expected;                 /* how many waiters a finished victim has notified */
    pid_t waiters[WAITERS + 1];   /* and one that comes at the end */
};

static struct condition_world *build(void)
{
    struct condition_world *world = world_alloc(sizeof *world);
    mproc_lock_init(&world->lock);
    mproc_condition_init(&world->condition);
    return world;
}

static void wait_once(void *arg)
{
    struct condition_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    atomic_fetch_add(&world->waiting, 1);
    mproc_condition_wait(&world->condition, &world->lock, MPROC_FOREVER);
    mproc_lock_release(&world->lock);
    atomic_fetch_add(&world->gone_on, 1);
    for (;;)
        pause();
}

struct arrival {
    struct condition_world *world;
    int before;
};

static bool has_come(void *arg)
{
    const struct arrival *arrival = arg;
    return atomic_load(&arrival->world->waiting) > arrival->before;
}

/* Have so many bystanders wait. They wait once the lock can be had after they have said so. */
static struct condition_world *add_waiters(struct condition_world *world, int count)
{
    for (int i = 0; i < count; i++) {
        world->waiters[i] = bystander_start(wait_once, world);
        within_time(has_come, &(struct arrival){world, i});
    }
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_lock_release(&world->lock);
    return world;
}

static void *build_waiter(void)
{
    struct condition_world *world = add_waiters(build(), 1);
    world->expected = 1;
    return world;
}

static void *build_three_waiters(void)
{
    struct condition_world *world = add_waiters(build(), 3);
    world->expected = 3;
    return world;
}

static void *build_three_waiters_for_two(void)
{
    struct condition_world *world = add_waiters(build(), 3);
    world->expected = 2;
    return world;
}

static void *build_other_waiter(void)
{
    return add_waiters(build(), 1);
}

static void destroy(void *arg)
{
    struct condition_world *world = arg;
    for (int i = 0; i <= WAITERS; i++)
        bystander_end(world->waiters[i]);
    member_sweep_all();
    mproc_free(world);
}

static int gone_on(struct condition_world *world)
{
    return atomic_load(&world->gone_on);
}

static bool all_have_gone_on(void *arg)
{
    struct condition_world *world = arg;
    return gone_on(world) >= atomic_load(&world->waiting);
}

static bool as_many_have_gone_on(void *arg)
{
    struct condition_world *world = arg;
    return gone_on(world) >= world->expected;
}

/* ---- notifying ---- */

static void notify(void *arg)
{
    struct condition_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_notify(&world->condition, (unsigned)world->expected);
    mproc_lock_release(&world->lock);
}

static void notify_all(void *arg)
{
    struct condition_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_notify_all(&world->condition);
    mproc_lock_release(&world->lock);
}

static void notify_without_lock(void *arg)
{
    mproc_condition_notify(&((struct condition_world *)arg)->condition, 1);
}

static void introduce(void *arg)
{
    atomic_store(&((struct condition_world *)arg)->victim, member_self());
}

/* A waiter that comes now is notified as ever. */
static const char *use_again(struct condition_world *world)
{
    bystander_end(world->waiters[WAITERS]);
    int before = atomic_load(&world->waiting);
    world->waiters[WAITERS] = bystander_start(wait_once, world);
    within_time(has_come, &(struct arrival){world, before});
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_notify_all(&world->condition);
    mproc_lock_release(&world->lock);
    return within_time(all_have_gone_on, world) ? NULL : "the next waiter was not woken";
}

/* Let all go on, and find the list empty and whole. */
static const char *finish(struct condition_world *world)
{
    int result = mproc_lock_acquire(&world->lock, MPROC_SEC(1));
    if (result != 0 && result != MPROC_OWNER_DIED)
        return "the lock stays held";
    mproc_condition_notify_all(&world->condition);
    mproc_lock_release(&world->lock);
    if (!within_time(all_have_gone_on, world))
        return "one that slept was not woken";
    member_sweep_all(); /* passes on the signals that the dead were given, to nobody */
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    result = mproc_condition_wait(&world->condition, &world->lock, MPROC_NOWAIT);
    mproc_lock_release(&world->lock);
    return result == MPROC_TIMEOUT ? use_again(world) : "a wait that nobody notified does not time out";
}

static const char *check_notified(void *arg, bool finished)
{
    struct condition_world *world = arg;
    if (finished && !within_time(as_many_have_gone_on, world))
        return "one that was notified does not go on";
    if (gone_on(world) > world->expected)
        return "more have gone on than were notified";
    return finish(world);
}

/* ---- waiting ---- */

static void wait_in_vain(void *arg)
{
    struct condition_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    atomic_store(&world->result, mproc_condition_wait(&world->condition, &world->lock, CRASH_WAIT) + 1);
    mproc_lock_release(&world->lock);
}

static const char *check_in_vain(void *arg, bool finished)
{
    struct condition_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a wait that nobody notified did not time out";
    if (gone_on(world) > 0)
        return "another waiter went on that nobody notified";
    return finish(world);
}

/* The victim waits first, then the other waiter; then one of them is notified. */
static bool is_armed(void *arg)
{
    return atomic_load(&((struct condition_world *)arg)->armed);
}

static bool other_waits(void *arg)
{
    return atomic_load(&((struct condition_world *)arg)->waiting) > 0;
}

static void wait_second(void *arg)
{
    within_time(is_armed, arg);
    wait_once(arg);
}

static void notify_one_at_last(void *arg)
{
    struct condition_world *world = arg;
    within_time(other_waits, world);
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_condition_notify(&world->condition, 1);
    mproc_lock_release(&world->lock);
    atomic_store(&world->notified, true);
    for (;;)
        pause();
}

static bool is_notified(void *arg)
{
    return atomic_load(&((struct condition_world *)arg)->notified);
}

static void *build_to_be_notified(void)
{
    struct condition_world *world = build();
    world->expected = 1;
    world->waiters[0] = bystander_start(wait_second, world);
    world->waiters[1] = bystander_start(notify_one_at_last, world);
    return world;
}

static void wait_to_be_notified(void *arg)
{
    struct condition_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    atomic_store(&world->armed, true);
    atomic_store(&world->result, mproc_condition_wait(&world->condition, &world->lock, MPROC_FOREVER) + 1);
    mproc_lock_release(&world->lock);
}

static bool is_note(wait_note_ref ref)
{
    (void)ref;
    return false;
}

/* Unless the victim has come back from its wait, the signal is for the other one, whoever of the two it was meant for.
 * A dead waiter's note tells, as long as nobody has swept it. */
static const char *check_passed_on(void *arg, bool finished)
{
    struct condition_world *world = arg;
    member_owner victim = atomic_load(&world->victim);
    bool waits = !wait_note_each(member_slot(victim), WAIT_NOTE_WAITING, WAIT_NOTE_RELEASED, is_note);
    bool came_back = atomic_load(&world->result) != 0;
    bool never_waited = !atomic_load(&world->armed);
    atomic_store(&world->armed, true);
    if (finished && atomic_load(&world->result) != 1)
        return "the one that was notified does not say so";
    if (!came_back && (waits || never_waited) && !within_time(as_many_have_gone_on, world))
        return "the signal is lost";
    if (!within_time(is_notified, world))
        return "the lock stays held";
    return finish(world);
}

/* ---- sweeping a waiter that was notified when it was dead ---- */

static void wait_and_be_named(void *arg)
{
    introduce(arg);
    wait_once(arg);
}

static bool first_waits(void *arg)
{
    return atomic_load(&((struct condition_world *)arg)->waiting) == 1;
}

static void *build_dead_signalled(void)
{
    struct condition_world *world = build();
    pid_t first = bystander_start(wait_and_be_named, world);
    within_time(first_waits, world);
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    bystander_end(first);
    mproc_lock_release(&world->lock);
    atomic_store(&world->waiting, 0);
    add_waiters(world, 1);
    world->expected = 1;
    mproc_condition_notify(&world->condition, 1);
    return world;
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct condition_world *)arg)->victim));
}

static const char *check_swept(void *arg, bool finished)
{
    struct condition_world *world = arg;
    (void)finished;
    member_sweep_all();
    if (!within_time(as_many_have_gone_on, world))
        return "a signal for a dead waiter is not passed on";
    return finish(world);
}

static void repair(void *arg)
{
    struct condition_world *world = arg;
    if (mproc_lock_acquire(&world->lock, MPROC_NOWAIT) != MPROC_TIMEOUT) {
        mproc_condition_wait(&world->condition, &world->lock, MPROC_NOWAIT);
        mproc_lock_release(&world->lock);
    }
    member_sweep_all();
}

static void sweep_all(void *arg)
{
    (void)arg;
    member_sweep_all();
}

const struct crash_case condition_cases[] = {
    {"condition_notify", "a waiter asleep", build_waiter, NULL, notify, check_notified, destroy, repair},
    {"condition_notify", "two of three waiters asleep", build_three_waiters_for_two, NULL, notify, check_notified,
     destroy, repair},
    {"condition_notify", "without the lock", build_waiter, NULL, notify_without_lock, check_notified, destroy, NULL},
    {"condition_notify_all", "three waiters asleep", build_three_waiters, NULL, notify_all, check_notified, destroy,
     repair},
    {"condition_wait", "in vain, another asleep", build_other_waiter, NULL, wait_in_vain, check_in_vain, destroy,
     repair},
    {"condition_wait", "notified, another asleep", build_to_be_notified, introduce, wait_to_be_notified,
     check_passed_on, destroy, NULL},
    {"member_sweep", "a waiter with a signal", build_dead_signalled, NULL, sweep, check_swept, destroy, sweep_all},
    {0},
};
