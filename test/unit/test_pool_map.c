/* Maps when nothing goes wrong but what the task wants: their arrays, chunks and statuses, portions, progress. */
#include "children.h"
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"

#include <mproc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- tasks ---- */

static int fail_at_odd(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x + 1;
    return x % 2 ? (int)x : 0;
}

static int tell_pid(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pid_t *)out = getpid();
    return 0;
}

/* ---- maps ---- */

/* Whether a map was begun. */
static bool has_jobs(mproc_pool *pool)
{
    return atomic_load(&pool->shared->newest) != NULL;
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
    fill_numbers(in, COUNT);
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
    fill_numbers(in, COUNT);
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

static int touch_nothing(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    return *(const long *)in == 1; /* this one is tried again */
}

/* Where out is used in place it can be input and output at once. */
static void out_is_left_alone_when_it_is_wished(void **state)
{
    long in[COUNT], *out = mproc_alloc(COUNT * sizeof *out);
    mproc_pool *pool = make_pool(2);
    mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    (void)state;
    fill_numbers(in, COUNT);
    fill_numbers(out, COUNT);
    map.out_uninitialized = true;
    map.retries = 1;
    assert_int_equal(mproc_pool_map(pool, touch_nothing, NULL, &map, MPROC_FOREVER), MPROC_TASK_FAILED);
    for (long i = 0; i < COUNT; i++)
        assert_int_equal(out[i], i);
    map.out_uninitialized = false;
    assert_int_equal(mproc_pool_map(pool, touch_nothing, NULL, &map, MPROC_FOREVER), MPROC_TASK_FAILED);
    for (long i = 0; i < COUNT; i++)
        assert_int_equal(out[i], 0);
    mproc_pool_free(pool);
    mproc_free(out);
}

#define LARGE_OUT ((size_t)2 << 20)

/* How many pages have faulted while it wrote to out: to all of them, from the last to the first. */
static int count_faults(void *ctx, const void *in, void *out)
{
    struct rusage before, after;
    volatile unsigned char *bytes = out;
    _Atomic(long) *most = ctx;
    (void)in;
    getrusage(RUSAGE_THREAD, &before);
    for (size_t at = LARGE_OUT; at > 0; at -= 4096)
        bytes[at - 1] = 1;
    getrusage(RUSAGE_THREAD, &after);
    long faults = after.ru_minflt - before.ru_minflt, known = atomic_load(most);
    while (faults > known && !atomic_compare_exchange_weak(most, &known, faults))
        ;
    return 0;
}

static void large_outputs_cost_no_fault_for_each_page(void **state)
{
    enum {
        ITEMS = 8
    };
    unsigned char *out = mproc_alloc(ITEMS * LARGE_OUT);
    _Atomic(long) *most = mproc_calloc(1, sizeof *most);
    mproc_pool *pool = make_pool(2);
    (void)state;
    const mproc_map map = {.count = ITEMS, .out = out, .out_size = LARGE_OUT, .out_uninitialized = true};
    assert_int_equal(mproc_pool_map(pool, count_faults, most, &map, MPROC_FOREVER), 0);
    assert_true(atomic_load(most) < 64); /* of 512 pages; a few, if the kernel is short of memory */
    mproc_pool_free(pool);
    mproc_free(most);
    mproc_free(out);
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

enum {
    LONG_ITEMS = 4
};

/* An item that is not 0 waits until all long items of its number have begun. */
static int meet_the_others(void *ctx, const void *in, void *out)
{
    int number = *(const int *)in;
    atomic_int *begun = (atomic_int *)ctx + number;
    (void)out;
    if (number == 0)
        return 0;
    atomic_fetch_add(begun, 1);
    while (atomic_load(begun) < LONG_ITEMS)
        nap(1);
    return 0;
}

/* The first ones see to it that all workers are there. The last ones are where a worker that had drawn several would be
 * alone with them. */
static void long_items_are_spread_over_the_workers(void **state)
{
    int in[2000] = {0};
    mproc_pool *pool = make_pool(LONG_ITEMS);
    atomic_int *begun = mproc_calloc(3, sizeof *begun);
    const mproc_map map = {.count = 2000, .in = in, .in_size = sizeof *in};
    (void)state;
    assert_non_null(begun);
    for (int i = 0; i < LONG_ITEMS; i++) {
        in[i] = 1;
        in[1999 - i] = 2;
    }
    assert_int_equal(mproc_pool_map(pool, meet_the_others, begun, &map, MPROC_SEC(60)), 0);
    mproc_pool_free(pool);
    mproc_free(begun);
}

struct halves {
    atomic_int begun; /* the first items of both */
    pid_t pids[COUNT];
    int in[COUNT];
};

static int meet_in_halves(void *ctx, const void *in, void *out)
{
    struct halves *halves = ctx;
    int item = *(const int *)in;
    *(pid_t *)out = getpid();
    if (item % (COUNT / 2) == 0) {
        atomic_fetch_add(&halves->begun, 1);
        while (atomic_load(&halves->begun) < 2)
            nap(1);
    }
    return 0;
}

/* And so comes back to the same pages. The other one is at its half meanwhile. */
static void each_worker_begins_with_the_same_part_of_shared_arrays_each_time(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct halves *halves = shared(sizeof *halves);
    const mproc_map map = {.count = COUNT,
                           .in = halves->in,
                           .in_size = sizeof *halves->in,
                           .out = halves->pids,
                           .out_size = sizeof *halves->pids,
                           .chunk = 10};
    pid_t first = 0, second = 0;
    (void)state;
    for (int i = 0; i < COUNT; i++)
        halves->in[i] = i;
    for (int round = 0; round < 50; round++) {
        atomic_store(&halves->begun, 0);
        assert_int_equal(mproc_pool_map(pool, meet_in_halves, halves, &map, MPROC_SEC(60)), 0);
        first = round ? first : halves->pids[0];
        second = round ? second : halves->pids[COUNT / 2];
        assert_int_not_equal(first, second);
        assert_int_equal(halves->pids[0], first);
        assert_int_equal(halves->pids[COUNT / 2], second);
    }
    mproc_pool_free(pool);
    shared_free(halves);
}

/* What the second worker and the first share. */
struct meeting {
    atomic_int long_items; /* begun */
    atomic_int last_items; /* begun */
};

/* An item of 1 takes some time; one of 2 waits for another one. */
static int take_time_or_meet(void *ctx, const void *in, void *out)
{
    struct meeting *meeting = ctx;
    (void)out;
    if (*(const int *)in == 1) {
        atomic_fetch_add(&meeting->long_items, 1);
        nap(10);
    } else if (*(const int *)in == 2) {
        atomic_fetch_add(&meeting->last_items, 1);
        while (atomic_load(&meeting->last_items) < 2)
            nap(1);
    }
    return 0;
}

static bool has_begun_long_items(void *meeting)
{
    return atomic_load(&((struct meeting *)meeting)->long_items) > 0;
}

/* One worker alone draws more and more at a time, until all is drawn; then its items take long, and the other comes. */
static void a_worker_that_comes_late_gets_what_another_has_drawn(void **state)
{
    int in[2000] = {0};
    mproc_pool *pool = make_pool(2);
    struct gate *gate = make_gate();
    struct meeting *meeting = mproc_calloc(1, sizeof *meeting);
    mproc_future *future, *busy = submit_at_gate(pool, gate);
    const mproc_map map = {.count = 2000, .in = in, .in_size = sizeof *in};
    (void)state;
    assert_non_null(meeting);
    for (int i = 1950; i < 2000; i++)
        in[i] = i < 1998 ? 1 : 2;
    assert_true(wait_until(gate_has_begun, gate, 20000));
    assert_int_equal(mproc_pool_map_async(pool, &future, take_time_or_meet, meeting, &map), 0);
    assert_true(wait_until(has_begun_long_items, meeting, 20000));
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(30)), 0);
    mproc_future_free(future);
    mproc_future_free(busy);
    mproc_pool_free(pool);
    mproc_free(gate);
    mproc_free(meeting);
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
    fill_numbers(in, MANY);
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
        unit(out_is_left_alone_when_it_is_wished),
        unit(large_outputs_cost_no_fault_for_each_page),
        unit(large_items_are_zeroed_and_copied_whole),
        unit(long_items_are_spread_over_the_workers),
        unit(each_worker_begins_with_the_same_part_of_shared_arrays_each_time),
        unit(a_worker_that_comes_late_gets_what_another_has_drawn),
        unit(a_thousand_maps_leave_no_bytes),
        unit(large_private_arrays_pass_in_portions),
        unit(a_map_in_portions_is_stopped_in_the_middle),
        unit(a_closed_pool_finishes_a_map_in_portions),
        unit(progress_is_told_to_the_caller),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
