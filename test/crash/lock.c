/* The crash cases of lock and rlock. A lock that a dead process held goes to the next one, who is told so; nobody else
 * is told, and nobody is told of a process that had released. */
#include "sync/lock.h"
#include "arena/member.h"
#include "crash.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <stdatomic.h>
#include <unistd.h>

struct lock_world {
    mproc_lock lock;
    mproc_rlock rlock;
    _Atomic(member_owner) victim;
    _Atomic(int) holds;   /* the bystander holds the lock */
    _Atomic(int) asleep;  /* the other bystander is about to wait for it */
    _Atomic(int) deaths;  /* how often somebody was told that the owner died */
    _Atomic(int) through; /* the bystander that waited has had it */
    _Atomic(int) result;  /* of the victim's acquire, plus 1 */
    _Atomic(int) count;   /* what the lock guards: how often it was counted up */
    _Atomic(int) others;  /* how often by others, of those that came to the end of it */
    pid_t holder;
    pid_t waiter;
};

static void *build(void)
{
    struct lock_world *world = world_alloc(sizeof *world);
    mproc_lock_init(&world->lock);
    mproc_rlock_init(&world->rlock);
    return world;
}

static void destroy(void *arg)
{
    struct lock_world *world = arg;
    bystander_end(world->holder);
    bystander_end(world->waiter);
    member_sweep_all();
    mproc_free(world);
}

static uint64_t word_of(struct lock_world *world)
{
    return atomic_load(&lock_from(&world->lock)->lock.word);
}

static int acquire(struct lock_world *world, mproc_time timeout)
{
    int result = mproc_lock_acquire(&world->lock, timeout);
    if (result == MPROC_OWNER_DIED)
        atomic_fetch_add(&world->deaths, 1);
    return result;
}

/* ---- bystanders ---- */

static bool is_held(void *arg)
{
    return word_of(arg) != 0;
}

static bool has_sleeper(void *arg)
{
    return word_of(arg) & OWNER_LOCK_WAITERS;
}

static bool is_through(void *arg)
{
    return atomic_load(&((struct lock_world *)arg)->through);
}

static void hold(void *arg)
{
    struct lock_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    mproc_rlock_acquire(&world->rlock, MPROC_FOREVER);
    atomic_store(&world->holds, 1);
    for (;;)
        pause();
}

static bool holder_holds(void *arg)
{
    return atomic_load(&((struct lock_world *)arg)->holds);
}

static void wait_for_lock(void *arg)
{
    struct lock_world *world = arg;
    within_time(is_held, world);
    acquire(world, MPROC_FOREVER);
    mproc_lock_release(&world->lock);
    atomic_store(&world->through, 1);
}

static void *build_held(void)
{
    struct lock_world *world = build();
    world->holder = bystander_start(hold, world);
    within_time(holder_holds, world);
    return world;
}

static void *build_held_with_waiter(void)
{
    struct lock_world *world = build_held();
    world->waiter = bystander_start(wait_for_lock, world);
    within_time(has_sleeper, world);
    return world;
}

/* The owner is dead, and nobody has noticed. */
static void *build_owner_died(void)
{
    struct lock_world *world = build_held();
    bystander_end(world->holder);
    world->holder = 0;
    return world;
}

static void *take_rlock(void *arg)
{
    mproc_rlock_acquire(&((struct lock_world *)arg)->rlock, MPROC_FOREVER);
    return NULL;
}

/* The thread that has the rlock has ended, and its process, which is the tester, lives. */
static void *build_thread_ended(void)
{
    struct lock_world *world = build();
    pthread_t thread;
    if (pthread_create(&thread, NULL, take_rlock, world) || pthread_join(thread, NULL))
        give_up("pthread_create");
    return world;
}

/* The victim takes the lock, and then somebody waits for it. */
static void *build_waiter(void)
{
    struct lock_world *world = build();
    world->waiter = bystander_start(wait_for_lock, world);
    return world;
}

static void take_before(void *arg)
{
    struct lock_world *world = arg;
    atomic_store(&world->victim, member_self());
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    within_time(has_sleeper, world);
}

static void introduce(void *arg)
{
    atomic_store(&((struct lock_world *)arg)->victim, member_self());
}

/* ---- what the victim does ---- */

static void use_lock(void *arg)
{
    struct lock_world *world = arg;
    atomic_store(&world->result, mproc_lock_acquire(&world->lock, MPROC_FOREVER) + 1);
    mproc_lock_release(&world->lock);
}

static void release_lock(void *arg)
{
    mproc_lock_release(&((struct lock_world *)arg)->lock);
}

/* The lock is held, and stays so. */
static void wait_in_vain(void *arg)
{
    struct lock_world *world = arg;
    int result = mproc_lock_acquire(&world->lock, CRASH_WAIT);
    atomic_store(&world->result, result + 1);
}

static void use_rlock(void *arg)
{
    struct lock_world *world = arg;
    atomic_store(&world->result, mproc_rlock_acquire(&world->rlock, MPROC_FOREVER) + 1);
    mproc_rlock_acquire(&world->rlock, MPROC_FOREVER);
    mproc_rlock_acquire(&world->rlock, MPROC_FOREVER);
    mproc_rlock_release(&world->rlock);
    mproc_rlock_release(&world->rlock);
    mproc_rlock_release(&world->rlock);
}

static void wait_in_vain_for_rlock(void *arg)
{
    struct lock_world *world = arg;
    int result = mproc_rlock_acquire(&world->rlock, CRASH_WAIT);
    atomic_store(&world->result, result + 1);
}

/* ---- what must hold ---- */

/* Use the lock twice; a death must be told the first time, if told is 1, never, if it is 0, and by somebody or nobody,
 * if it is -1. */
static const char *use_twice(struct lock_world *world, int told)
{
    int result = acquire(world, MPROC_SEC(1));
    if (result != 0 && result != MPROC_OWNER_DIED)
        return "the lock stays held";
    if (mproc_lock_release(&world->lock) || acquire(world, MPROC_SEC(1)))
        return "a death is told twice, or the lock cannot be released";
    if (mproc_lock_release(&world->lock) || mproc_lock_release(&world->lock) != -EPERM)
        return "the lock is not released by one release";
    if (world->waiter && !within_time(is_through, world))
        return "the one that slept was not woken";
    int deaths = atomic_load(&world->deaths);
    if (deaths > 1 || (told >= 0 && deaths != told))
        return deaths > told ? "a death is told too often" : "a death is not told";
    return NULL;
}

static const char *check_lock(void *arg, bool finished)
{
    struct lock_world *world = arg;
    member_owner victim = atomic_load(&world->victim);
    bool died_holding = (word_of(world) & ~MEMBER_FLAGS) == victim;
    if (finished && died_holding)
        return "what was released is held";
    int told = died_holding ? 1 : 0;
    if (!died_holding && world->waiter && !finished)
        told = -1; /* the waiter may have been told by now */
    return use_twice(world, told);
}

/* A dead owner, of whom the victim was told or the survivor is, not both; and the victim may have died as owner. */
static const char *check_taken_over(void *arg, bool finished)
{
    struct lock_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_OWNER_DIED + 1)
        return "the next one is not told that the owner died";
    return use_twice(world, word_of(world) != 0);
}

/* The holder lives through the victim's death, and still holds the lock; then it dies too. */
static const char *check_held(void *arg, bool finished)
{
    struct lock_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a lock that is held was had";
    if (!mproc_lock_is_locked(&world->lock) || mproc_lock_acquire(&world->lock, MPROC_MS(1)) != MPROC_TIMEOUT)
        return "the death of a waiter has freed the lock";
    bystander_end(world->holder);
    world->holder = 0;
    return use_twice(world, 1);
}

static const char *use_rlock_twice(struct lock_world *world, int told)
{
    int result = mproc_rlock_acquire(&world->rlock, MPROC_SEC(1));
    if (result != (told ? MPROC_OWNER_DIED : 0))
        return told ? "a death is not told" : "the rlock stays held, or a death is told that was none";
    if (mproc_rlock_acquire(&world->rlock, MPROC_NOWAIT) || mproc_rlock_release(&world->rlock) ||
        mproc_rlock_release(&world->rlock) || mproc_rlock_release(&world->rlock) == 0)
        return "the rlock has another count than 2 after two acquires";
    if (mproc_rlock_acquire(&world->rlock, MPROC_SEC(1)) || mproc_rlock_release(&world->rlock))
        return "a death is told twice";
    return NULL;
}

static const char *check_rlock(void *arg, bool finished)
{
    struct lock_world *world = arg;
    uint64_t word = ((_Atomic(uint64_t) *)(void *)&world->rlock)[1];
    if (finished && word)
        return "what was released is held";
    return use_rlock_twice(world, word != 0);
}

static const char *check_rlock_taken_over(void *arg, bool finished)
{
    struct lock_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_OWNER_DIED + 1)
        return "the next one is not told that the owner died";
    return check_rlock(arg, finished);
}

static const char *check_rlock_held(void *arg, bool finished)
{
    struct lock_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "an rlock that is held was had";
    if (!mproc_rlock_is_locked(&world->rlock))
        return "the death of a waiter has freed the rlock";
    bystander_end(world->holder);
    world->holder = 0;
    return use_rlock_twice(world, 1);
}

/* ---- what mends: the next one to take it, who is told, and says so as long as it lives ---- */

static void repair(void *arg)
{
    struct lock_world *world = arg;
    int result = mproc_lock_acquire(&world->lock, MPROC_NOWAIT);
    if (result == 0 || result == MPROC_OWNER_DIED)
        mproc_lock_release(&world->lock);
    member_sweep_all();
}

/* One that repairs has been told of the death, or has died holding the lock. */
static const char *check_repaired(void *arg, bool finished)
{
    struct lock_world *world = arg;
    (void)finished;
    return use_twice(world, world->waiter ? -1 : word_of(world) != 0);
}

static void repair_rlock(void *arg)
{
    struct lock_world *world = arg;
    int result = mproc_rlock_acquire(&world->rlock, MPROC_NOWAIT);
    if (result == 0 || result == MPROC_OWNER_DIED)
        mproc_rlock_release(&world->rlock);
    member_sweep_all();
}

/* ---- what the lock is for: one at a time changes something, not in one step ---- */

static void count_up(void *arg)
{
    struct lock_world *world = arg;
    mproc_lock_acquire(&world->lock, MPROC_FOREVER);
    int count = atomic_load(&world->count);
    for (volatile int i = 0; i < 20; i++)
        continue;
    atomic_store(&world->count, count + 1);
    mproc_lock_release(&world->lock);
}

static void count_up_too(void *arg)
{
    count_up(arg);
    atomic_fetch_add(&((struct lock_world *)arg)->others, 1);
}

/* Each of the two may have died before it counted, or after. */
static const char *check_count(void *arg, bool finished)
{
    struct lock_world *world = arg;
    int least = atomic_load(&world->others) + finished;
    int count = atomic_load(&world->count);
    if (count < least || count > least + (finished ? 0 : 2))
        return "two had the lock at a time";
    return use_twice(world, -1);
}

const struct crash_case lock_cases[] = {
    {"lock", "beside another", build, NULL, count_up, check_count, destroy, count_up_too},
    {"lock", "free", build, introduce, use_lock, check_lock, destroy, NULL},
    {"lock", "free, with repair", build, NULL, use_lock, check_repaired, destroy, repair},
    {"lock", "its owner died", build_owner_died, NULL, use_lock, check_taken_over, destroy, NULL},
    {"lock", "its owner died, with repair", build_owner_died, NULL, use_lock, check_repaired, destroy, repair},
    {"lock_acquire", "held, in vain", build_held, NULL, wait_in_vain, check_held, destroy, NULL},
    {"lock_acquire", "held, a waiter asleep", build_held_with_waiter, NULL, wait_in_vain, check_held, destroy, NULL},
    {"lock_release", "a waiter asleep", build_waiter, take_before, release_lock, check_lock, destroy, NULL},
    {"lock_release", "a waiter asleep, with repair", build_waiter, take_before, release_lock, check_repaired, destroy,
     repair},
    {"rlock", "free, three deep", build, NULL, use_rlock, check_rlock, destroy, repair_rlock},
    {"rlock", "its owner died", build_owner_died, NULL, use_rlock, check_rlock_taken_over, destroy, NULL},
    {"rlock", "its thread ended", build_thread_ended, NULL, use_rlock, check_rlock_taken_over, destroy, NULL},
    {"rlock", "its thread ended, with repair", build_thread_ended, NULL, use_rlock, check_rlock, destroy, repair_rlock},
    {"rlock_acquire", "held, in vain", build_held, NULL, wait_in_vain_for_rlock, check_rlock_held, destroy, NULL},
    {0},
};
