/* Pools when nothing goes wrong but what the caller or the task wants: maps, their arrays and statuses, time, close,
 * terminate and join, several pools and threads at once. */
#include "harness.h"

#include "pool/host.h"
#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    COUNT = 1000
};

/* Every test is run with each. */
static enum mproc_start_method method;

static mproc_pool *make_pool(unsigned workers)
{
    mproc_pool *pool;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers, .method = method}), 0);
    assert_non_null(pool);
    return pool;
}

static size_t bytes_in_use(void)
{
    struct mproc_memory_usage usage;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    return usage.allocated;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

static void nap(int milliseconds_long)
{
    struct timespec span = {.tv_sec = milliseconds_long / 1000, .tv_nsec = milliseconds_long % 1000 * 1000000L};
    while (nanosleep(&span, &span) && errno == EINTR)
        ;
}

/* ---- tasks ---- */

static int square(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x * x;
    return 0;
}

static int fail_at_odd(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x + 1;
    return x % 2 ? (int)x : 0;
}

static int add_ctx(void *ctx, const void *in, void *out)
{
    *(long *)out += *(const long *)in + *(const long *)ctx;
    return 0;
}

static int sleep_so_long(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    nap(*(const int *)in);
    return 0;
}

static int tell_pid(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pid_t *)out = getpid();
    return 0;
}

static int count_up(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add((atomic_long *)ctx, 1);
    return 0;
}

/* ---- maps ---- */

static void fill(long *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        in[i] = (long)i;
}

/* Whether a map was begun. */
static bool has_jobs(mproc_pool *pool)
{
    return atomic_load(&pool->shared->newest) != NULL;
}

static void map_squares(mproc_pool *pool, long *in, long *out, size_t count, size_t chunk)
{
    const mproc_map map = {
        .count = count, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .chunk = chunk};
    fill(in, count);
    memset(out, 0xff, count * sizeof *out);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(out[i], i * i);
}

static void private_arrays_are_copied_there_and_back(void **state)
{
    static const size_t counts[] = {1, 2, 3, 100, 16383, 16384, 16385, 100000, 1000003};
    static long in[1000003], out[1000003];
    mproc_pool *pool = make_pool(3);
    (void)state;
    for (size_t i = 0; i < sizeof counts / sizeof *counts; i++)
        map_squares(pool, in, out, counts[i], 0);
    assert_null(mproc_pool_free(pool));
}

static void shared_arrays_are_used_in_place(void **state)
{
    long *in = mproc_alloc(200000 * sizeof *in), *out = mproc_alloc(200000 * sizeof *out);
    mproc_pool *pool = make_pool(2);
    size_t before = bytes_in_use();
    (void)state;
    map_squares(pool, in, out, 200000, 0);
    map_squares(pool, in, out, 200000, 7);
    assert_true(bytes_in_use() <= before + 4096); /* the function's entry stays */
    mproc_pool_free(pool);
    mproc_free(in);
    mproc_free(out);
}

static void every_chunk_size_will_do(void **state)
{
    static const size_t chunks[] = {1, 2, 3, 10, 999, 1000, 1001, SIZE_MAX};
    long in[COUNT], out[COUNT];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (size_t i = 0; i < sizeof chunks / sizeof *chunks; i++)
        map_squares(pool, in, out, COUNT, chunks[i]);
    mproc_pool_free(pool);
}

static void a_chunk_is_run_by_one_worker(void **state)
{
    pid_t pids[COUNT];
    mproc_pool *pool = make_pool(4);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, tell_pid, NULL,
                                    &(mproc_map){.count = COUNT, .out = pids, .out_size = sizeof *pids, .chunk = 40},
                                    MPROC_FOREVER),
                     0);
    for (size_t i = 0; i < COUNT; i++) {
        assert_int_not_equal(pids[i], getpid());
        assert_int_equal(pids[i], pids[i - i % 40]);
    }
    mproc_pool_free(pool);
}

static void a_map_of_nothing_is_done(void **state)
{
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, square, NULL, &(mproc_map){.count = 0}, MPROC_FOREVER), 0);
    mproc_pool_free(pool);
}

static void items_need_no_arrays(void **state)
{
    atomic_long *count = mproc_calloc(1, sizeof *count);
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, count_up, count, &(mproc_map){.count = 12345}, MPROC_FOREVER), 0);
    assert_int_equal(*count, 12345);
    mproc_pool_free(pool);
    mproc_free(count);
}

static void each_item_has_its_status(void **state, bool shared)
{
    static long private_in[COUNT], private_out[COUNT];
    static mproc_item_status private_status[COUNT];
    long *in = shared ? mproc_alloc(sizeof private_in) : private_in;
    long *out = shared ? mproc_alloc(sizeof private_out) : private_out;
    mproc_item_status *status = shared ? mproc_alloc(sizeof private_status) : private_status;
    mproc_pool *pool = make_pool(2);
    (void)state;
    fill(in, COUNT);
    memset(status, 0xff, sizeof private_status);
    assert_int_equal(
        mproc_pool_map(
            pool, fail_at_odd, NULL,
            &(mproc_map){
                .count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status},
            MPROC_FOREVER),
        MPROC_TASK_FAILED);
    for (int i = 0; i < COUNT; i++) {
        assert_int_equal(status[i].result, i % 2 ? MPROC_TASK_FAILED : 0);
        assert_int_equal(status[i].code, i % 2 ? i : 0);
        assert_int_equal(out[i], i + 1);
    }
    mproc_pool_free(pool);
    if (shared) {
        mproc_free(in);
        mproc_free(out);
        mproc_free(status);
    }
}

static void each_item_has_its_status_in_private_memory(void **state)
{
    each_item_has_its_status(state, false);
}

static void each_item_has_its_status_in_shared_memory(void **state)
{
    each_item_has_its_status(state, true);
}

static void a_failure_is_told_without_statuses(void **state)
{
    long in = 1, out;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(
        mproc_pool_map(pool, fail_at_odd, NULL,
                       &(mproc_map){.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out},
                       MPROC_FOREVER),
        MPROC_TASK_FAILED);
    mproc_pool_free(pool);
}

/* add_ctx() adds to what it finds in out. */
static void out_is_zero_and_ctx_the_same_for_all(void **state)
{
    long in[COUNT], out[COUNT], ctx = 5;
    long *shared_ctx = mproc_alloc(sizeof *shared_ctx), *shared_out = mproc_alloc(sizeof out);
    mproc_pool *pool = make_pool(2);
    mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out_size = sizeof *out};
    (void)state;
    fill(in, COUNT);
    memset(out, 0xff, sizeof out);
    memset(shared_out, 0xff, sizeof out);
    *shared_ctx = 7;
    map.out = out;
    map.ctx_size = sizeof ctx;
    assert_int_equal(mproc_pool_map(pool, add_ctx, &ctx, &map, MPROC_FOREVER), 0);
    map.out = shared_out;
    map.ctx_size = 0;
    assert_int_equal(mproc_pool_map(pool, add_ctx, shared_ctx, &map, MPROC_FOREVER), 0);
    for (long i = 0; i < COUNT; i++) {
        assert_int_equal(out[i], i + 5);
        assert_int_equal(shared_out[i], i + 7);
    }
    mproc_pool_free(pool);
    mproc_free(shared_ctx);
    mproc_free(shared_out);
}

static void large_items_are_zeroed_and_copied_whole(void **state)
{
    enum {
        SIZE = 100000,
        ITEMS = 20
    };
    struct large {
        long first;
        char rest[SIZE];
    } *in = calloc(ITEMS, sizeof *in), *out = malloc(ITEMS * sizeof *out);
    mproc_pool *pool = make_pool(2);
    (void)state;
    memset(out, 0xff, ITEMS * sizeof *out);
    for (long i = 0; i < ITEMS; i++)
        in[i].first = i;
    assert_int_equal(
        mproc_pool_map(
            pool, square, NULL,
            &(mproc_map){
                .count = ITEMS, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .chunk = 3},
            MPROC_FOREVER),
        0);
    for (long i = 0; i < ITEMS; i++) {
        assert_int_equal(out[i].first, i * i);
        assert_int_equal(out[i].rest[SIZE - 1], 0);
    }
    mproc_pool_free(pool);
    free(in);
    free(out);
}

/* The long items come last, where a worker that had drawn them all would be alone with them. */
static void long_items_are_spread_over_the_workers(void **state)
{
    int in[2000] = {0};
    mproc_pool *pool = make_pool(4);
    (void)state;
    for (int i = 1996; i < 2000; i++)
        in[i] = 200;
    int64_t begin = milliseconds();
    assert_int_equal(
        mproc_pool_map(pool, sleep_so_long, NULL, &(mproc_map){.count = 2000, .in = in, .in_size = sizeof *in}, -1), 0);
    assert_in_range(milliseconds() - begin, 200, 599);
    mproc_pool_free(pool);
}

static void a_thousand_maps_leave_no_bytes(void **state)
{
    long in[10], out[10];
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_squares(pool, in, out, 10, 0);
    size_t before = bytes_in_use();
    for (int i = 0; i < 1000; i++)
        map_squares(pool, in, out, 10, 0);
    assert_int_equal(bytes_in_use(), before);
    mproc_pool_free(pool);
}

/* Arrays that are copied through portions: more than one, the last one short, and statuses and failures in all. */
static void large_private_arrays_pass_in_portions(void **state)
{
    enum {
        MANY = 700001
    };
    long *in = malloc(MANY * sizeof *in), *out = malloc(MANY * sizeof *out);
    mproc_item_status *status = malloc(MANY * sizeof *status);
    mproc_pool *pool = make_pool(2);
    size_t before = bytes_in_use();
    mproc_map map = {
        .count = MANY, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status};
    (void)state;
    fill(in, MANY);
    for (size_t chunk = 0; chunk < 50000; chunk = chunk * 7 + 1) {
        map.chunk = chunk;
        memset(out, 0xff, MANY * sizeof *out);
        memset(status, 0xff, MANY * sizeof *status);
        assert_int_equal(mproc_pool_map(pool, fail_at_odd, NULL, &map, MPROC_FOREVER), MPROC_TASK_FAILED);
        for (int i = 0; i < MANY; i++)
            if (out[i] != i + 1 || status[i].result != (i % 2 ? MPROC_TASK_FAILED : 0) ||
                status[i].code != (i % 2 ? i : 0))
                fail_msg("item %d", i);
    }
    assert_true(bytes_in_use() <= before + 4096);
    mproc_pool_free(pool);
    free(in);
    free(out);
    free(status);
}

static int sleep_at_one(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(long *)out = 1;
    if (*(const long *)in)
        nap(1000000);
    return 0;
}

static void a_map_in_portions_is_stopped_in_the_middle(void **state)
{
    enum {
        MANY = 1000000,
        STUCK = 500000
    };
    long *in = calloc(MANY, sizeof *in), *out = calloc(MANY, sizeof *out);
    mproc_item_status *status = malloc(MANY * sizeof *status);
    mproc_pool *pool = make_pool(2);
    int done = 0;
    (void)state;
    in[STUCK] = in[STUCK + 1000] = 1;
    assert_int_equal(
        mproc_pool_map(
            pool, sleep_at_one, NULL,
            &(mproc_map){
                .count = MANY, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status},
            MPROC_MS(500)),
        MPROC_TIMEOUT);
    for (int i = 0; i < MANY; i++) {
        if (status[i].result == 0 && out[i] == 1)
            done++;
        else if (status[i].result != MPROC_CANCELLED || status[i].code != 0)
            fail_msg("item %d", i);
    }
    assert_in_range(done, 1, MANY - 1);
    assert_int_equal(status[STUCK].result, MPROC_CANCELLED);
    assert_int_equal(status[MANY - 1].result, MPROC_CANCELLED);
    mproc_pool_free(pool);
    free(in);
    free(out);
    free(status);
}

struct large_map {
    mproc_pool *pool;
    atomic_bool over;
};

static void *map_a_million(void *arg)
{
    static long in[1000000], out[1000000];
    struct large_map *map = arg;
    map_squares(map->pool, in, out, 1000000, 0);
    atomic_store(&map->over, true);
    return NULL;
}

static bool has_begun(void *arg)
{
    struct large_map *map = arg;
    return has_jobs(map->pool) || atomic_load(&map->over);
}

static void a_closed_pool_finishes_a_map_in_portions(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++) {
        pthread_t thread;
        struct large_map map = {.pool = make_pool(2)};
        assert_int_equal(pthread_create(&thread, NULL, map_a_million, &map), 0);
        assert_true(wait_until(has_begun, &map, 60000));
        assert_int_equal(mproc_pool_close(map.pool), 0);
        assert_int_equal(mproc_pool_join(map.pool, MPROC_FOREVER), 0);
        pthread_join(thread, NULL);
        mproc_pool_free(map.pool);
    }
}

/* ---- progress ---- */

struct progress {
    size_t calls;
    size_t last;
    size_t total;
    pthread_t caller;
};

static void note_progress(void *arg, size_t done, size_t total)
{
    struct progress *progress = arg;
    assert_true(pthread_equal(progress->caller, pthread_self()));
    assert_true(done > progress->last);
    progress->calls++;
    progress->last = done;
    progress->total = total;
}

static void progress_is_told_to_the_caller(void **state)
{
    int in[60];
    struct progress progress = {.caller = pthread_self()};
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 60; i++)
        in[i] = 20;
    int64_t begin = milliseconds();
    assert_int_equal(
        mproc_pool_map(
            pool, sleep_so_long, NULL,
            &(mproc_map){
                .count = 60, .in = in, .in_size = sizeof *in, .progress = note_progress, .progress_arg = &progress},
            MPROC_FOREVER),
        0);
    assert_int_equal(progress.last, 60);
    assert_int_equal(progress.total, 60);
    assert_in_range(progress.calls, 2, 2 + (milliseconds() - begin) / 100);
    mproc_pool_free(pool);
}

/* ---- time ---- */

static void a_map_that_takes_too_long_is_stopped(void **state)
{
    enum {
        ITEMS = 10
    };
    int in[ITEMS] = {0};
    mproc_item_status status[ITEMS];
    mproc_pool *pool = make_pool(2);
    mproc_map map = {.count = ITEMS, .in = in, .in_size = sizeof *in, .status = status, .chunk = 1};
    (void)state;
    in[4] = in[5] = 1000000;
    int64_t begin = milliseconds();
    assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL, &map, MPROC_MS(100)), MPROC_TIMEOUT);
    assert_in_range(milliseconds() - begin, 100, 5000);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(status[i].result, i < 4 ? 0 : MPROC_CANCELLED);
        assert_int_equal(status[i].code, 0);
    }
    in[4] = in[5] = 0;
    assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL, &map, MPROC_FOREVER), 0);
    mproc_pool_free(pool);
}

static void no_time_is_too_little(void **state)
{
    int in[4] = {1000000, 1000000, 1000000, 1000000};
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL,
                                        &(mproc_map){.count = 4, .in = in, .in_size = sizeof *in}, MPROC_NOWAIT),
                         MPROC_TIMEOUT);
    mproc_pool_free(pool);
}

struct other_map {
    mproc_pool *pool;
    int in[4];
    int result;
};

static void *map_sleepers(void *arg)
{
    struct other_map *map = arg;
    map->result = mproc_pool_map(map->pool, sleep_so_long, NULL,
                                 &(mproc_map){.count = 4, .in = map->in, .in_size = sizeof *map->in}, MPROC_FOREVER);
    return NULL;
}

static void a_timeout_stops_no_other_map(void **state)
{
    int long_item = 1000000;
    struct other_map other = {.pool = make_pool(3), .in = {50, 50, 50, 50}};
    pthread_t thread;
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pthread_create(&thread, NULL, map_sleepers, &other), 0);
        assert_int_equal(mproc_pool_map(other.pool, sleep_so_long, NULL,
                                        &(mproc_map){.count = 1, .in = &long_item, .in_size = sizeof long_item},
                                        MPROC_MS(20 + i)),
                         MPROC_TIMEOUT);
        pthread_join(thread, NULL);
        assert_int_equal(other.result, 0);
    }
    mproc_pool_free(other.pool);
}

/* ---- the life of a pool ---- */

static bool all_gone(void *arg)
{
    const pid_t *pids = arg;
    for (int i = 0; i < 3; i++)
        if (kill(pids[i], 0) == 0)
            return false;
    return true;
}

static void the_workers_are_known_and_end_with_the_pool(void **state)
{
    pid_t pids[4] = {0};
    mproc_pool *pool = make_pool(3);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, pids, 4), 3);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 3);
    assert_int_equal(pids[3], 0);
    assert_false(all_gone(pids));
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(pids[i], 0), 0);
    mproc_pool_free(pool);
    assert_true(all_gone(pids));
}

static void the_default_is_a_worker_for_each_cpu(void **state)
{
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, NULL), 0);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), mproc_cpu_count());
    mproc_pool_free(pool);
}

static void a_closed_pool_takes_no_more_work(void **state)
{
    long in[10], out[10];
    mproc_future *future;
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_squares(pool, in, out, 10, 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_map(pool, count_up, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER), MPROC_CLOSED);
    assert_int_equal(mproc_pool_submit(pool, &future, count_up, NULL, NULL, 0, 0), MPROC_CLOSED);
    assert_null(future);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 0);
    mproc_pool_free(pool);
}

static void a_closed_pool_does_what_it_has_taken(void **state)
{
    struct other_map map = {.pool = make_pool(2), .in = {50, 50, 50, 50}, .result = -1};
    atomic_long *count = mproc_calloc(1, sizeof *count);
    mproc_future *futures[50];
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(mproc_pool_submit(map.pool, &futures[i], count_up, count, NULL, 0, 0), 0);
    assert_int_equal(mproc_pool_close(map.pool), 0);
    assert_int_equal(mproc_pool_join(map.pool, MPROC_FOREVER), 0);
    assert_int_equal(*count, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_NOWAIT), 0);
        mproc_future_free(futures[i]);
    }
    mproc_pool_free(map.pool);
    mproc_free(count);
}

static void a_join_has_its_time(void **state)
{
    int long_item = 1000000;
    mproc_future *future;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, sleep_so_long, NULL, &long_item, sizeof long_item, 0), 0);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(mproc_pool_terminate(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_FOREVER), MPROC_CANCELLED);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static bool is_at_work(void *arg)
{
    return atomic_load((atomic_long *)arg) > 0;
}

static int note_and_sleep(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add((atomic_long *)ctx, 1);
    nap(1000000);
    return 0;
}

struct endless_map {
    mproc_pool *pool;
    atomic_long *begun;
    mproc_item_status status[5];
    int result;
};

static void *map_endless(void *arg)
{
    struct endless_map *map = arg;
    map->result = mproc_pool_map(map->pool, note_and_sleep, map->begun,
                                 &(mproc_map){.count = 5, .status = map->status, .chunk = 1}, MPROC_FOREVER);
    return NULL;
}

static void terminate_ends_what_runs_and_what_waits(void **state)
{
    struct endless_map map = {.pool = make_pool(2), .begun = mproc_calloc(1, sizeof *map.begun)};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, map_endless, &map), 0);
    assert_true(wait_until(is_at_work, map.begun, 10000));
    assert_int_equal(mproc_pool_terminate(map.pool), 0);
    pthread_join(thread, NULL);
    assert_int_equal(map.result, MPROC_CANCELLED);
    for (int i = 0; i < 5; i++)
        assert_int_equal(map.status[i].result, MPROC_CANCELLED);
    assert_int_equal(mproc_pool_map(map.pool, count_up, map.begun, &(mproc_map){.count = 1}, MPROC_FOREVER),
                     MPROC_CLOSED);
    assert_int_equal(mproc_pool_join(map.pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_pool_terminate(map.pool), 0);
    assert_int_equal(mproc_pool_close(map.pool), 0);
    mproc_pool_free(map.pool);
    mproc_free(map.begun);
}

/* Maps and submits until the pool takes no more. */
static void *work_until_closed(void *pool)
{
    static _Thread_local long in[COUNT], out[COUNT];
    const mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    mproc_future *future;
    int result;
    do {
        result = mproc_pool_submit(pool, &future, square, NULL, in, sizeof *in, sizeof *out);
        if (result == 0) {
            result = mproc_future_get(future, out, MPROC_FOREVER);
            mproc_future_free(future);
        }
        if (result == 0)
            result = mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER);
    } while (result == 0);
    assert_true(result == MPROC_CLOSED || result == MPROC_CANCELLED);
    return NULL;
}

static void the_end_may_come_at_any_moment(void **state)
{
    pthread_t threads[2];
    (void)state;
    for (int i = 0; i < 60; i++) {
        mproc_pool *pool = make_pool(2);
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, work_until_closed, pool), 0);
        nap(i % 7);
        assert_int_equal(i % 2 ? mproc_pool_terminate(pool) : mproc_pool_close(pool), 0);
        assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        mproc_pool_free(pool);
    }
}

static void a_pool_may_be_freed_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        mproc_pool_free(make_pool(2));
    mproc_pool *pool = make_pool(2);
    mproc_pool_close(pool);
    mproc_pool_free(pool);
    assert_null(mproc_pool_free(NULL));
}

static void bad_input_is_refused(void **state)
{
    long x = 0;
    mproc_pool *pool = NULL;
    (void)state;
    assert_int_equal(mproc_pool_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1025}), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.method = MPROC_START_FORKSERVER}), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.method = (enum mproc_start_method)9}), -EINVAL);
    assert_null(pool);
    assert_int_equal(mproc_pool_map(NULL, square, NULL, &(mproc_map){.count = 1}, -1), -EINVAL);
    assert_int_equal(mproc_pool_close(NULL), -EINVAL);
    assert_int_equal(mproc_pool_terminate(NULL), -EINVAL);
    assert_int_equal(mproc_pool_join(NULL, -1), -EINVAL);
    assert_int_equal(mproc_pool_workers(NULL, NULL, 0), -EINVAL);
    pool = make_pool(1);
    const mproc_map wrong[] = {
        {.count = 1, .in_size = 8},
        {.count = 1, .out_size = 8},
        {.count = 1, .in = &x},
        {.count = 1, .out = &x},
        {.count = 1, .ctx_size = 8},
        {.count = SIZE_MAX / 4, .in = &x, .in_size = 8},
        {.count = SIZE_MAX / 4, .out = &x, .out_size = 8},
        {.count = SIZE_MAX, .status = (mproc_item_status *)&x},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mproc_pool_map(pool, square, NULL, &wrong[i], MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, NULL, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, square, NULL, NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &(mproc_map){.count = 1}, -2), -EINVAL);
    assert_int_equal(mproc_pool_workers(pool, NULL, 1), -EINVAL);
    assert_int_equal(mproc_pool_join(pool, -2), -EINVAL);
    mproc_pool_free(pool);
}

static void a_map_for_which_there_is_no_memory_leaves_none_taken(void **state)
{
    char x;
    mproc_pool *pool = make_pool(1);
    size_t before = bytes_in_use();
    (void)state;
    assert_int_equal(mproc_pool_map(pool, square, NULL,
                                    &(mproc_map){.count = 4, .out = &x, .out_size = (size_t)1 << 50}, MPROC_FOREVER),
                     -ENOMEM);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &(mproc_map){.count = SIZE_MAX}, MPROC_FOREVER), -ENOMEM);
    assert_true(bytes_in_use() <= before + 4096);
    mproc_pool_free(pool);
}

static void a_function_that_is_in_no_object_file_is_refused(void **state)
{
    static char data[64];
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, (mproc_task *)(uintptr_t)data, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER),
                     MPROC_NO_FUNCTION);
    mproc_pool_free(pool);
}

static void what_a_spawned_server_cannot_see_must_be_copied(void **state)
{
    long in = 1, out = 0, ctx = 5;
    mproc_map map = {.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out};
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, add_ctx, &ctx, &map, MPROC_FOREVER),
                     method == MPROC_START_FORK ? 0 : MPROC_NOT_SHARED);
    map.ctx_size = sizeof ctx;
    assert_int_equal(mproc_pool_map(pool, add_ctx, &ctx, &map, MPROC_FOREVER), 0);
    assert_int_equal(out, 6);
    mproc_pool_free(pool);
}

static void the_server_is_spawned_where_it_can_be(void **state)
{
    long in = 1, out, ctx = 5;
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, NULL), 0);
    assert_int_equal(
        mproc_pool_map(pool, add_ctx, &ctx,
                       &(mproc_map){.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out},
                       MPROC_FOREVER),
        MPROC_NOT_SHARED);
    mproc_pool_free(pool);
}

/* ---- several ---- */

static void two_pools_work_side_by_side(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_pool *first = make_pool(2), *second = make_pool(1);
    (void)state;
    map_squares(first, in, out, COUNT, 0);
    map_squares(second, in, out, COUNT, 0);
    mproc_pool_free(first);
    map_squares(second, in, out, COUNT, 0);
    mproc_pool_free(second);
}

static void *map_in_a_thread(void *arg)
{
    static _Thread_local long in[COUNT], out[COUNT];
    for (int i = 0; i < 30; i++)
        map_squares(arg, in, out, COUNT, (size_t)i % 3 * 10);
    return NULL;
}

static void threads_of_one_host_map_at_once(void **state)
{
    pthread_t threads[4];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_in_a_thread, pool), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mproc_pool_free(pool);
}

static void *make_in_a_thread(void *arg)
{
    *(mproc_pool **)arg = make_pool(2);
    return NULL;
}

static void a_pool_outlives_the_thread_that_made_it(void **state)
{
    long in[COUNT], out[COUNT];
    pid_t before[2], after[2];
    mproc_pool *pool;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, make_in_a_thread, &pool), 0);
    pthread_join(thread, NULL);
    assert_int_equal(mproc_pool_workers(pool, before, 2), 2);
    map_squares(pool, in, out, COUNT, 0);
    nap(150);
    map_squares(pool, in, out, COUNT, 0);
    assert_int_equal(mproc_pool_workers(pool, after, 2), 2);
    assert_memory_equal(before, after, sizeof before);
    mproc_pool_free(pool);
}

static int use_a_pool(void *arg)
{
    long in[COUNT], out[COUNT];
    (void)arg;
    mproc_pool *pool = make_pool(2);
    map_squares(pool, in, out, COUNT, 0);
    mproc_pool_free(pool);
    return 42;
}

static void a_child_process_has_pools_of_its_own(void **state)
{
    mproc_process *process;
    int exitcode;
    (void)state;
    assert_int_equal(mproc_process_start(&process, use_a_pool, NULL, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 42);
    mproc_process_free(process);
}

static int use_the_parents_pool(void *pool)
{
    if (mproc_pool_map(pool, square, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER) != -EPERM)
        return 1;
    if (mproc_pool_close(pool) != -EPERM || mproc_pool_terminate(pool) != -EPERM)
        return 2;
    return mproc_pool_free(pool) ? 3 : 0;
}

static void a_handle_is_of_no_use_in_another_process(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_process *process;
    int exitcode;
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_process_start(&process, use_the_parents_pool, pool, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 0);
    mproc_process_free(process);
    map_squares(pool, in, out, COUNT, 0);
    mproc_pool_free(pool);
}

static void a_pool_may_have_many_workers(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_pool *pool = make_pool(100);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 100);
    map_squares(pool, in, out, COUNT, 1);
    mproc_pool_free(pool);
}

static void a_pool_does_not_keep_connections_open(void **state)
{
    mproc_connection *reader, *writer;
    char byte;
    size_t size;
    (void)state;
    assert_int_equal(mproc_pipe(&reader, &writer, false), 0);
    mproc_pool *pool = make_pool(2);
    writer = mproc_connection_free(writer);
    assert_int_equal(mproc_connection_recv(reader, &byte, 1, &size, MPROC_SEC(10)), MPROC_CLOSED);
    mproc_connection_free(reader);
    mproc_pool_free(pool);
}

/* ---- what tasks may do ---- */

static int print_number(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    printf("%d ", *(const int *)in);
    return 0;
}

static void what_tasks_print_is_written_when_they_are_done_in_their_order(void **state)
{
    char text[256], byte;
    int numbers[20], pipe_ends[2];
    (void)state;
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(pipe_ends[1], STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 4096); /* inherited by the workers */
    mproc_pool *pool = make_pool(1);
    for (int i = 0; i < 20; i++)
        numbers[i] = i;
    const mproc_map map = {.count = 20, .in = numbers, .in_size = sizeof *numbers};
    assert_int_equal(mproc_pool_map(pool, print_number, NULL, &map, MPROC_FOREVER), 0);
    ssize_t length = read(pipe_ends[0], text, sizeof text - 1);
    int missing = 0;
    for (int i = 0; i < 200; i++) {
        mproc_future *future;
        mproc_pool_submit(pool, &future, print_number, NULL, numbers, sizeof *numbers, 0);
        mproc_future_wait(future, MPROC_FOREVER);
        missing += read(pipe_ends[0], &byte, 1) != 1 || read(pipe_ends[0], &byte, 1) != 1;
        mproc_future_free(future);
    }
    mproc_pool_free(pool);
    dup2(kept, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    close(kept);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_int_equal(missing, 0);
    assert_true(length > 0);
    text[length] = '\0';
    assert_string_equal(text, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
}

static void the_interrupt_of_the_terminal_reaches_the_host_alone(void **state)
{
    long in[COUNT], out[COUNT];
    pid_t before[2], after[2];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, before, 2), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(kill(before[i], SIGINT), 0);
    map_squares(pool, in, out, COUNT, 0);
    assert_int_equal(mproc_pool_workers(pool, after, 2), 2);
    assert_memory_equal(before, after, sizeof before);
    mproc_pool_free(pool);
}

static int return_five(void *arg)
{
    (void)arg;
    return 5;
}

static int start_a_process(void *ctx, const void *in, void *out)
{
    mproc_process *process;
    int exitcode = -1;
    (void)ctx;
    (void)in;
    int result = mproc_process_start(&process, return_five, NULL, NULL);
    if (result)
        return result;
    mproc_process_join(process, MPROC_FOREVER);
    mproc_process_exitcode(process, &exitcode);
    mproc_process_free(process);
    *(int *)out = exitcode;
    return 0;
}

static void tasks_may_start_processes(void **state)
{
    int out[8];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, start_a_process, NULL,
                                    &(mproc_map){.count = 8, .out = out, .out_size = sizeof *out}, MPROC_FOREVER),
                     0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[i], 5);
    mproc_pool_free(pool);
}

/* What processes keep for good after their first pool is no leak of a test. */
static int make_first_pool(void **state)
{
    (void)state;
    mproc_pool_free(make_pool(1));
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(private_arrays_are_copied_there_and_back),
        unit(shared_arrays_are_used_in_place),
        unit(every_chunk_size_will_do),
        unit(a_chunk_is_run_by_one_worker),
        unit(a_map_of_nothing_is_done),
        unit(items_need_no_arrays),
        unit(each_item_has_its_status_in_private_memory),
        unit(each_item_has_its_status_in_shared_memory),
        unit(a_failure_is_told_without_statuses),
        unit(out_is_zero_and_ctx_the_same_for_all),
        unit(large_items_are_zeroed_and_copied_whole),
        unit(long_items_are_spread_over_the_workers),
        unit(a_thousand_maps_leave_no_bytes),
        unit(large_private_arrays_pass_in_portions),
        unit(a_map_in_portions_is_stopped_in_the_middle),
        unit(a_closed_pool_finishes_a_map_in_portions),
        unit(progress_is_told_to_the_caller),
        unit(a_map_that_takes_too_long_is_stopped),
        unit(no_time_is_too_little),
        unit(a_timeout_stops_no_other_map),
        unit(the_workers_are_known_and_end_with_the_pool),
        unit(the_default_is_a_worker_for_each_cpu),
        unit(a_closed_pool_takes_no_more_work),
        unit(a_closed_pool_does_what_it_has_taken),
        unit(a_join_has_its_time),
        unit(terminate_ends_what_runs_and_what_waits),
        unit(the_end_may_come_at_any_moment),
        unit(a_pool_may_be_freed_at_any_time),
        unit(bad_input_is_refused),
        unit(a_map_for_which_there_is_no_memory_leaves_none_taken),
        unit(a_function_that_is_in_no_object_file_is_refused),
        unit(what_a_spawned_server_cannot_see_must_be_copied),
        unit(the_server_is_spawned_where_it_can_be),
        unit(two_pools_work_side_by_side),
        unit(threads_of_one_host_map_at_once),
        unit(a_pool_outlives_the_thread_that_made_it),
        unit(a_child_process_has_pools_of_its_own),
        unit(a_handle_is_of_no_use_in_another_process),
        unit(a_pool_may_have_many_workers),
        unit(a_pool_does_not_keep_connections_open),
        unit(what_tasks_print_is_written_when_they_are_done_in_their_order),
        unit(the_interrupt_of_the_terminal_reaches_the_host_alone),
        unit(tasks_may_start_processes),
    };
    mproc_init();
    method = MPROC_START_FORK;
    int failed = cmocka_run_group_tests_name("servers started by fork", tests, make_first_pool, NULL);
    method = MPROC_START_SPAWN;
    return failed + cmocka_run_group_tests_name("servers started by spawn", tests, make_first_pool, NULL);
}
