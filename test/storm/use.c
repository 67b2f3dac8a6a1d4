/* What the users of the pool do, and the look at what comes of it. */
#include "storm.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* One round in so many makes another pool. */
#define SWAP_ONE_IN 150

/* An item that must be ended from outside takes this, and one that takes time a little. */
#define LONG_US  3000000
#define SHORT_US 2000

enum fate {
    FATE_WELL,
    FATE_SHORT, /* takes a little */
    FATE_FAIL,
    FATE_DIE,
    FATE_LONG, /* takes too long */
    FATES
};

struct input {
    long value;
    unsigned index;
    enum fate fate;
};

/* In shared memory: how often each item was begun. */
struct runs {
    _Atomic(unsigned) of[MOST_ITEMS];
};

/* One round. */
struct round {
    struct user *user;
    struct runs *runs;
    struct input in[MOST_ITEMS];
    long out[MOST_ITEMS];
    mproc_item_status status[MOST_ITEMS];
    size_t count;
    unsigned retries;
    int priority;
};

static long right_result(long value)
{
    return value * value + 1;
}

static int task(void *ctx, const void *in, void *out)
{
    const struct input *input = in;
    struct runs *runs = ctx;
    atomic_fetch_add(&runs->of[input->index], 1);
    if (input->fate == FATE_SHORT)
        nap_us(SHORT_US);
    if (input->fate == FATE_LONG)
        nap_us(LONG_US);
    if (input->fate == FATE_DIE)
        raise(SIGKILL);
    *(long *)out = right_result(input->value);
    return input->fate == FATE_FAIL ? 3 : 0;
}

static int touch(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(long *)out = 1;
    return 0;
}

/* ---- what must hold ---- */

static bool is_end_of_pool(int result)
{
    return result == MPROC_CLOSED || result == MPROC_CANCELLED;
}

static void check_item(const struct round *round, size_t i, mproc_item_status status, long out)
{
    const struct input *in = &round->in[i];
    unsigned runs = atomic_load(&round->runs->of[i]);
    if (runs > 1 + round->retries)
        wrong("item %zu was run %u times, with %u retries", i, runs, round->retries);
    switch (status.result) {
    case 0:
        atomic_fetch_add(&storm.done, 1);
        if (out != right_result(in->value) || runs == 0 || in->fate == FATE_FAIL || in->fate == FATE_DIE)
            wrong("item %zu with the fate %d is done, after %u runs, with %ld", i, (int)in->fate, runs, out);
        break;
    case MPROC_TASK_FAILED:
        atomic_fetch_add(&storm.done, 1);
        if (in->fate != FATE_FAIL || status.code != 3)
            wrong("item %zu with the fate %d failed, with %d", i, (int)in->fate, status.code);
        break;
    case MPROC_WORKER_DIED:
        atomic_fetch_add(&storm.died, 1);
        if (in->fate != FATE_DIE && !storm.kill_ms)
            wrong("item %zu with the fate %d died with %d, and nobody kills", i, (int)in->fate, status.code);
        break;
    case MPROC_LATE:
        atomic_fetch_add(&storm.late, 1);
        break;
    case MPROC_CANCELLED:
        atomic_fetch_add(&storm.cancelled, 1);
        break;
    default:
        wrong("item %zu ended with %d", i, status.result);
    }
}

/* A map that has returned this. */
static void check_map(const struct round *round, int result)
{
    if (result < 0)
        wrong("a map returned %d", result);
    if (result == MPROC_CLOSED)
        return;
    for (size_t i = 0; i < round->count; i++) {
        check_item(round, i, round->status[i], round->out[i]);
        if (round->status[i].result == MPROC_CANCELLED && !is_end_of_pool(result) && result != MPROC_TIMEOUT)
            wrong("a map returned %d, and item %zu is cancelled", result, i);
    }
}

/* ---- what is done ---- */

static uint64_t dice(const struct round *round, uint64_t bound)
{
    return random_below(&round->user->random, bound);
}

static enum fate draw_fate(const struct round *round, bool may_be_long)
{
    uint64_t chance = dice(round, 200);
    if (may_be_long && chance < 3)
        return FATE_LONG;
    if (chance == 10 && !storm.as_threads)
        return FATE_DIE;
    return chance == 11 ? FATE_FAIL : chance < 20 ? FATE_SHORT : FATE_WELL;
}

static void plan(struct round *round, size_t count, bool may_be_long)
{
    round->count = count;
    round->retries = (unsigned)dice(round, 3);
    round->priority = (int)dice(round, 4) - 1;
    for (size_t i = 0; i < count; i++)
        round->in[i] = (struct input){
            .value = (long)dice(round, 1000), .index = (unsigned)i, .fate = draw_fate(round, may_be_long)};
    memset(round->runs, 0, sizeof *round->runs);
    memset(round->status, 0xff, count * sizeof *round->status);
}

static mproc_map map_of(struct round *round)
{
    return (mproc_map){.count = round->count,
                       .in = round->in,
                       .in_size = sizeof *round->in,
                       .out = round->out,
                       .out_size = sizeof *round->out,
                       .chunk = dice(round, 2) ? 1 + dice(round, 10) : 0,
                       .priority = round->priority,
                       .retries = round->retries,
                       .retry_on = MPROC_RETRY_DEATH,
                       .status = round->status};
}

static void map(struct round *round)
{
    plan(round, 1 + dice(round, MOST_ITEMS), false);
    mproc_map map = map_of(round);
    begin_call(round->user, KIND_MAP);
    int result = mproc_pool_map(storm.pool, task, round->runs, &map, MPROC_FOREVER);
    end_call(round->user);
    check_map(round, result);
}

static void map_with_limits(struct round *round)
{
    if (storm.as_threads) {
        map(round);
        return;
    }
    plan(round, 1 + dice(round, 50), true);
    mproc_map map = map_of(round);
    map.item_timeout = MPROC_MS(20);
    begin_call(round->user, KIND_LIMITED_MAP);
    int result = mproc_pool_map(storm.pool, task, round->runs, &map, MPROC_FOREVER);
    end_call(round->user);
    check_map(round, result);
}

/* Its time is over in the middle. */
static void map_in_a_hurry(struct round *round)
{
    plan(round, 1 + dice(round, MOST_ITEMS), !storm.as_threads);
    mproc_map map = map_of(round);
    begin_call(round->user, KIND_SHORT_MAP);
    int result = mproc_pool_map(storm.pool, task, round->runs, &map, MPROC_US(dice(round, 5000)));
    end_call(round->user);
    check_map(round, result);
}

static void call(struct round *round)
{
    plan(round, 1, false);
    round->retries = 0;
    begin_call(round->user, KIND_CALL);
    int result = mproc_pool_call(storm.pool, task, round->runs, round->in, sizeof *round->in, round->out,
                                 sizeof *round->out, MPROC_FOREVER);
    end_call(round->user);
    if (!is_end_of_pool(result))
        check_item(round, 0, (mproc_item_status){.result = result, .code = 3}, round->out[0]);
}

static void free_future(struct round *round, mproc_future *future)
{
    begin_call(round->user, KIND_FREE);
    mproc_future_free(future);
    end_call(round->user);
}

/* Wait for a task in one of the ways that there are. */
static void await(struct round *round, mproc_future *future)
{
    bool polls = dice(round, 4) == 0;
    begin_call(round->user, polls ? KIND_POLL : KIND_GET);
    while (polls && mproc_future_wait(future, MPROC_NOWAIT) == MPROC_TIMEOUT)
        nap_us(500);
    int result = mproc_future_wait(future, MPROC_FOREVER);
    end_call(round->user);
    if (result)
        wrong("mproc_future_wait() returned %d", result);
}

static void cancel(struct round *round, mproc_future *future)
{
    begin_call(round->user, KIND_CANCEL);
    mproc_future_cancel(future);
    end_call(round->user);
}

static void end_task(struct round *round, size_t i, mproc_future *future)
{
    mproc_item_status status;
    if (round->in[i].fate != FATE_LONG && dice(round, 8) == 0)
        cancel(round, future);
    await(round, future);
    int result = mproc_future_get(future, &round->out[i], MPROC_NOWAIT);
    if (mproc_future_status(future, &status) || status.result != result)
        wrong("a task ended with %d, and its status is %d", result, status.result);
    check_item(round, i, status, round->out[i]);
    free_future(round, future);
}

/* A task that nobody asks about again. It may run on, so it touches nothing of this round. */
static void give_up(struct round *round)
{
    mproc_future *future;
    begin_call(round->user, KIND_SUBMIT);
    int result = mproc_pool_submit(storm.pool, &future, touch, NULL, NULL, 0, sizeof(long));
    end_call(round->user);
    if (result == 0)
        free_future(round, future);
    else if (result != MPROC_CLOSED)
        wrong("mproc_pool_submit() returned %d", result);
}

static void submit(struct round *round)
{
    mproc_future *futures[MOST_TASKS];
    size_t count = 0;
    plan(round, 1 + dice(round, MOST_TASKS), !storm.as_threads);
    round->retries = 0;
    while (count < round->count) {
        begin_call(round->user, KIND_SUBMIT);
        int result = mproc_pool_submit(storm.pool, &futures[count], task, round->runs, &round->in[count],
                                       sizeof *round->in, sizeof *round->out);
        end_call(round->user);
        if (result && result != MPROC_CLOSED)
            wrong("mproc_pool_submit() returned %d", result);
        if (result)
            break;
        if (round->in[count].fate == FATE_LONG) /* soon, for others wait for its worker */
            cancel(round, futures[count]);
        count++;
    }
    for (size_t i = 0; i < count; i++)
        end_task(round, i, futures[i]);
}

static void map_async(struct round *round)
{
    mproc_future *future;
    plan(round, 1 + dice(round, MOST_ITEMS), false);
    mproc_map map = map_of(round);
    begin_call(round->user, KIND_SUBMIT);
    int result = mproc_pool_map_async(storm.pool, &future, task, round->runs, &map);
    end_call(round->user);
    if (result) {
        if (result != MPROC_CLOSED)
            wrong("mproc_pool_map_async() returned %d", result);
        return;
    }
    await(round, future);
    result = mproc_future_get(future, NULL, MPROC_NOWAIT);
    free_future(round, future);
    check_map(round, result);
}

struct source {
    struct round *round;
    size_t next;
};

static int next_input(void *arg, void *in)
{
    struct source *source = arg;
    if (source->next == source->round->count)
        return MPROC_CLOSED;
    *(struct input *)in = source->round->in[source->next++];
    return 0;
}

static void take_results(struct round *round, mproc_imap *imap)
{
    size_t left = dice(round, 4) ? MOST_ITEMS + 1 : dice(round, round->count);
    int result = 0;
    while (left-- > 0 && result != MPROC_CLOSED) {
        size_t index = 0;
        long out = 0;
        mproc_item_status status;
        begin_call(round->user, KIND_IMAP_NEXT);
        result = mproc_imap_next(imap, &out, &index, MPROC_FOREVER);
        end_call(round->user);
        if (result == MPROC_CLOSED || mproc_imap_status(imap, &status))
            return;
        if (result < 0 || result == MPROC_TIMEOUT)
            wrong("mproc_imap_next() returned %d", result);
        else if (status.result == result)
            check_item(round, index, status, out);
    }
}

static void imap(struct round *round)
{
    mproc_imap *imap;
    plan(round, 1 + dice(round, MOST_ITEMS), false);
    struct source source = {.round = round};
    const mproc_imap_options options = {.next = next_input,
                                        .arg = &source,
                                        .in_size = sizeof *round->in,
                                        .out_size = sizeof *round->out,
                                        .chunk = 1 + dice(round, 4),
                                        .priority = round->priority,
                                        .retries = round->retries,
                                        .retry_on = MPROC_RETRY_DEATH,
                                        .unordered = dice(round, 2)};
    int result = mproc_pool_imap(storm.pool, &imap, task, round->runs, &options);
    if (result) {
        if (result != MPROC_CLOSED)
            wrong("mproc_pool_imap() returned %d", result);
        return;
    }
    take_results(round, imap);
    begin_call(round->user, KIND_IMAP_FREE);
    mproc_imap_free(imap);
    end_call(round->user);
}

static void run_on_all(struct round *round)
{
    mproc_item_status status[MOST_WORKERS];
    long out[MOST_WORKERS];
    const mproc_map map = {
        .count = 1, .out = out, .out_size = sizeof *out, .status = status, .retries = 3, .retry_on = MPROC_RETRY_DEATH};
    begin_call(round->user, KIND_ON_ALL);
    int result = mproc_pool_run_on_all(storm.pool, touch, NULL, &map, MPROC_FOREVER);
    end_call(round->user);
    if (result < 0)
        wrong("mproc_pool_run_on_all() returned %d", result);
    if (result == 0 && status[0].result == 0 && out[0] != 1)
        wrong("a call to all wrote %ld", out[0]);
}

static void resize(struct round *round)
{
    begin_call(round->user, KIND_RESIZE);
    int result = mproc_pool_resize(storm.pool, storm.workers < 2 ? 1 : 2 + (unsigned)dice(round, storm.workers - 1));
    end_call(round->user);
    if (result)
        wrong("mproc_pool_resize() returned %d", result);
}

static void look(struct round *round)
{
    mproc_pool_statistics statistics;
    begin_call(round->user, KIND_STATS);
    int result = mproc_pool_stats(storm.pool, &statistics, NULL, 0);
    end_call(round->user);
    if (result < 0)
        wrong("mproc_pool_stats() returned %d", result);
}

/* ---- pools ---- */

int make_pool(uint64_t *random)
{
    mproc_pool_options options = {.workers = 1 + (unsigned)random_below(random, storm.workers),
                                  .max_workers = storm.workers,
                                  .threads = storm.as_threads,
                                  .method = storm.method};
    if (random_below(random, 3) == 0)
        options.max_items = 1 + random_below(random, 500);
    if (!storm.as_threads && random_below(random, 3) == 0)
        options.idle_time = MPROC_MS(5);
    atomic_fetch_add(&storm.pools, 1);
    return mproc_pool_create(&storm.pool, &options);
}

/* End the pool in one of the ways that there are, while others use it, and make another when they have done with it. */
static void swap(struct user *user)
{
    bool is_closed = random_below(&user->random, 2);
    pthread_rwlock_rdlock(&storm.swap);
    atomic_store(&storm.swaps, true);
    int result = is_closed ? mproc_pool_close(storm.pool) : mproc_pool_terminate(storm.pool);
    if (result)
        wrong("the pool cannot be ended: %d", result);
    begin_call(user, KIND_JOIN);
    result = mproc_pool_join(storm.pool, MPROC_FOREVER);
    end_call(user);
    if (result)
        wrong("mproc_pool_join() returned %d", result);
    pthread_rwlock_unlock(&storm.swap);

    pthread_rwlock_wrlock(&storm.swap);
    begin_call(user, KIND_CREATE);
    mproc_pool_free(storm.pool);
    result = make_pool(&user->random);
    end_call(user);
    if (result) {
        wrong("no pool: %s", mproc_strerror(result));
        exit(1);
    }
    atomic_store(&storm.swaps, false);
    pthread_rwlock_unlock(&storm.swap);
}

void *use_pool(void *arg)
{
    static void (*const ways[])(struct round *) = {
        map, map_with_limits, map_in_a_hurry, call, submit, give_up, map_async, imap, imap, resize, look, run_on_all};
    struct round *round = malloc(sizeof *round);
    struct user *user = arg;
    *round = (struct round){.user = user};
    while (!atomic_load(&storm.ends)) {
        user->rounds++;
        if (random_below(&user->random, SWAP_ONE_IN) == 0) {
            swap(user);
            continue;
        }
        round->runs = mproc_calloc(1, sizeof *round->runs);
        pthread_rwlock_rdlock(&storm.swap);
        ways[random_below(&user->random, sizeof ways / sizeof *ways)](round);
        pthread_rwlock_unlock(&storm.swap);
        mproc_free(round->runs);
    }
    free(round);
    return NULL;
}
