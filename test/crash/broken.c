/* Broken variants, on which the harness proves that it finds something: each must fail at some point. Most fail
 * when the victim is killed, broken_repair only when the one that repairs is killed too, broken_patience and
 * broken_wanted only when the victim is stopped. The last three are of the pool. */
#include "arena/member.h"
#include "bare_pool.h"
#include "crash.h"
#include "os/clock.h"
#include "os/futex.h"
#include "queue/ring.h"
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct broken_world {
    mproc_queue *queue;
    _Atomic(uint64_t) lock; /* the owner, or 0; or 1: taken, by whom is not said */
    _Atomic(uintptr_t) block;
    _Atomic(uint64_t) units, held;
    _Atomic(uint32_t) flag;
    _Atomic(int) awake;
    _Atomic(uint64_t) from, to, new_from, new_to, intent; /* from + to is 100 */
    _Atomic(uint64_t) count, others;
    pid_t bystander;
};

static void *build(void)
{
    heap_note();
    struct broken_world *world = world_alloc(sizeof *world);
    mproc_queue_create(&world->queue, NULL);
    atomic_store(&world->units, 1);
    atomic_store(&world->from, 100);
    return world;
}

static void destroy(void *arg)
{
    struct broken_world *world = arg;
    bystander_end(world->bystander);
    mproc_queue_free(world->queue);
    mproc_free((void *)atomic_load(&world->block));
    mproc_free(world);
}

/* ---- the commit comes first, and then the message ---- */

static void put_committing_first(void *arg)
{
    struct broken_world *world = arg;
    mproc_queue *queue = world->queue;
    ring_lock_put(queue, OS_FOREVER);
    struct position position = ring_put_position(queue);
    void *data = ring_data(&position);
    ring_finish(&position, 64);
    ring_commit_put(queue, &position, 1);
    memset(data, 7, 64);
    owner_lock_release(&queue->put.lock);
}

static const char *check_message(void *arg, bool finished)
{
    struct broken_world *world = arg;
    unsigned char message[64];
    (void)finished;
    if (mproc_queue_get(world->queue, message, sizeof message, NULL, MPROC_NOWAIT))
        return NULL;
    for (size_t i = 0; i < sizeof message; i++) {
        if (message[i] != 7)
            return "a message is torn";
    }
    return NULL;
}

/* ---- a lock that forgets its owner ---- */

static void use_forgetful_lock(void *arg)
{
    struct broken_world *world = arg;
    atomic_exchange(&world->lock, 1);
    atomic_store(&world->lock, 0);
}

static const char *check_forgetful_lock(void *world, bool finished)
{
    (void)finished;
    return atomic_load(&((struct broken_world *)world)->lock) == 0 ? NULL : "the lock stays held";
}

/* ---- a block of which nothing is noted until it is published ---- */

static void take_block(void *arg)
{
    struct broken_world *world = arg;
    void *block = mproc_alloc(100);
    atomic_store(&world->block, (uintptr_t)block);
}

static const char *check_block(void *arg, bool finished)
{
    struct broken_world *world = arg;
    (void)finished;
    mproc_queue_free(world->queue);
    world->queue = NULL;
    size_t more = mproc_usable_size((void *)atomic_load(&world->block));
    return heap_balance(more + mproc_usable_size(world));
}

/* ---- a unit that is taken in one place and noted in another ---- */

static void take_unit(void *arg)
{
    struct broken_world *world = arg;
    atomic_fetch_sub(&world->units, 1);
    atomic_fetch_add(&world->held, 1);
}

static const char *check_units(void *arg, bool finished)
{
    struct broken_world *world = arg;
    (void)finished;
    return atomic_load(&world->units) + atomic_load(&world->held) == 1 ? NULL : "a unit is lost";
}

/* ---- a sleep that only a wake-up ends ---- */

static void sleep_without_end(void *arg)
{
    struct broken_world *world = arg;
    while (os_futex_wait(&world->flag, 1, OS_NEVER) != 0)
        continue;
    atomic_store(&world->awake, 1);
    for (;;)
        pause();
}

static void *build_sleeper(void)
{
    struct broken_world *world = build();
    atomic_store(&world->flag, 1);
    world->bystander = bystander_start(sleep_without_end, world);
    return world;
}

static bool is_awake(void *arg)
{
    return atomic_load(&((struct broken_world *)arg)->awake);
}

/* The sleeper may not be asleep yet: the wake-up is repeated until it was heard, which is no part of what is broken. */
static void wake_sleeper(void *arg)
{
    struct broken_world *world = arg;
    while (os_futex_wake(&world->flag, 1) == 0)
        usleep(100);
}

static const char *check_sleeper(void *arg, bool finished)
{
    (void)finished;
    return within_time(is_awake, arg) ? NULL : "the one that slept was not woken";
}

/* ---- a repair that forgets what it is about to do before it has done it ---- */

static void transfer(void *arg)
{
    struct broken_world *world = arg;
    atomic_store(&world->new_from, 95);
    atomic_store(&world->new_to, 5);
    atomic_store(&world->intent, 1);
    atomic_store(&world->from, 95);
    atomic_store(&world->to, 5);
    atomic_store(&world->intent, 0);
}

static void finish_transfer(void *arg)
{
    struct broken_world *world = arg;
    if (!atomic_load(&world->intent))
        return;
    atomic_store(&world->intent, 0);
    atomic_store(&world->from, atomic_load(&world->new_from));
    atomic_store(&world->to, atomic_load(&world->new_to));
}

static const char *check_transfer(void *arg, bool finished)
{
    struct broken_world *world = arg;
    (void)finished;
    finish_transfer(world);
    return atomic_load(&world->from) + atomic_load(&world->to) == 100 ? NULL : "the books do not balance";
}

/* ---- a lock of which one is deprived that keeps it for long ---- */

static void take_impatiently(struct broken_world *world)
{
    int64_t patience = os_now() + OS_MS(50);
    uint64_t me = member_self();
    for (;;) {
        uint64_t owner = 0;
        if (atomic_compare_exchange_strong(&world->lock, &owner, me))
            return;
        if ((os_now() > patience || member_is_dead(owner)) && atomic_compare_exchange_strong(&world->lock, &owner, me))
            return;
    }
}

/* The pause between reading and writing is long, so that a sample of the points finds it. */
static void count_up(void *arg)
{
    struct broken_world *world = arg;
    take_impatiently(world);
    uint64_t count = atomic_load(&world->count);
    for (volatile int i = 0; i < 60; i++)
        continue;
    atomic_store(&world->count, count + 1);
    atomic_store(&world->lock, 0);
}

static void count_up_too(void *arg)
{
    count_up(arg);
    atomic_fetch_add(&((struct broken_world *)arg)->others, 1);
}

static const char *check_count(void *arg, bool finished)
{
    struct broken_world *world = arg;
    if (finished && atomic_load(&world->count) != atomic_load(&world->others) + 1)
        return "the count is wrong";
    return NULL;
}

/* ---- a repair of the list that leaves the urgency as it was ---- */

static void *build_list(void)
{
    return bare_pool_build((const int[BARE_JOBS]){5, 3, 1, 9});
}

static void add_most_urgent(void *arg)
{
    struct bare_pool *bare = arg;
    pool_lock(&bare->pool);
    job_list_add_last(&bare->pool.list, &bare->jobs[BARE_JOBS - 1]);
    pool_unlock(&bare->pool);
}

static const char *check_urgency(void *arg, bool finished)
{
    struct bare_pool *bare = arg;
    (void)finished;
    if (owner_lock_acquire(&bare->pool.lock, OS_FOREVER) == MPROC_OWNER_DIED) {
        int urgency = atomic_load(&bare->pool.list.urgency);
        job_list_mend(&bare->pool.list);
        atomic_store(&bare->pool.list.urgency, urgency);
    }
    const char *wrong = bare_pool_compare(bare);
    pool_unlock(&bare->pool);
    return wrong;
}

static void destroy_bare(void *bare)
{
    mproc_free(bare);
}

/* ---- an idle worker that gives up its place without the lock ---- */

static void *build_empty(void)
{
    struct bare_pool *bare = bare_pool_build((const int[BARE_JOBS]){0});
    while (job_list_first(&bare->pool.list))
        job_list_remove(&bare->pool.list, job_list_first(&bare->pool.list));
    return bare;
}

/* The pause between looking and giving up is long, so that a sample of the points finds it. */
static void give_up_place(void *arg)
{
    struct bare_pool *bare = arg;
    if (job_list_first(&bare->pool.list))
        return;
    for (volatile int i = 0; i < 60; i++)
        continue;
    atomic_store(&bare->pool.wanted, BARE_WORKERS - 1);
}

/* As a host does. */
static void launch(void *arg)
{
    struct bare_pool *bare = arg;
    pool_lock(&bare->pool);
    pool_grow(&bare->pool, BARE_CHUNKS);
    job_list_add_last(&bare->pool.list, &bare->jobs[0]);
    pool_unlock(&bare->pool);
}

static const char *check_wanted(void *arg, bool finished)
{
    struct bare_pool *bare = arg;
    (void)finished;
    if (job_list_first(&bare->pool.list) && pool_wanted(&bare->pool) < BARE_WORKERS)
        return "there is more work than workers for it";
    return NULL;
}

/* ---- a settling that frees the place before the chunk of a worker that was given up ---- */

enum {
    SURPLUS = 1
};

static void *build_surplus(void)
{
    struct bare_pool *bare = build_list();
    struct job *call = &bare->jobs[BARE_JOBS - 1];
    call->is_call = true;
    atomic_store(&bare->pool.call, call);
    atomic_store(&bare->pool.wanted, SURPLUS);
    atomic_store(&bare->pool.workers[SURPLUS].word, UINT64_C(1) << 16);
    atomic_store(&bare->pool.workers[SURPLUS].job, call);
    return bare;
}

static void settle_place_first(void *arg)
{
    struct bare_pool *bare = arg;
    struct worker_slot *slot = &bare->pool.workers[SURPLUS];
    if (!atomic_load(&slot->word))
        return;
    atomic_store(&slot->word, 0);
    pool_offer_again(&bare->pool, atomic_load(&slot->job));
    atomic_store(&slot->job, NULL);
}

static const char *check_surplus(void *arg, bool finished)
{
    struct bare_pool *bare = arg;
    (void)finished;
    settle_place_first(bare);
    bool is_settled = job_chunk_is_settled(atomic_load(&bare->chunks[BARE_JOBS - 1][SURPLUS]));
    return is_settled ? NULL : "a call waits for a worker that will not come";
}

const struct crash_case broken_cases[] = {
    {"broken_put", "commits first", build, NULL, put_committing_first, check_message, destroy, NULL},
    {"broken_lock", "forgets its owner", build, NULL, use_forgetful_lock, check_forgetful_lock, destroy, NULL},
    {"broken_alloc", "notes nothing", build, NULL, take_block, check_block, destroy, NULL},
    {"broken_count", "in two places", build, NULL, take_unit, check_units, destroy, NULL},
    {"broken_wake", "a sleep without end", build_sleeper, NULL, wake_sleeper, check_sleeper, destroy, NULL},
    {"broken_repair", "forgets too early", build, NULL, transfer, check_transfer, destroy, finish_transfer},
    {"broken_patience", "takes stopped for dead", build, NULL, count_up, check_count, destroy, count_up_too},
    {"broken_urgency", "is not mended", build_list, NULL, add_most_urgent, check_urgency, destroy_bare, NULL},
    {"broken_wanted", "lowered without the lock", build_empty, NULL, give_up_place, check_wanted, destroy_bare, launch},
    {"broken_settle", "frees the place first", build_surplus, NULL, settle_place_first, check_surplus, destroy_bare,
     NULL},
    {0},
};
