/* Jobs that go before others. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <stdlib.h>

enum {
    JOBS = 6,
    LONG_MAP = 1200
};

/* Shared with the test: the order in which tasks were run. */
struct record {
    _Atomic(int) length;
    _Atomic(int) jobs[JOBS];
};

struct entry {
    struct record *record;
    int job;
};

static int enter(void *ctx, const void *in, void *out)
{
    const struct entry *entry = in;
    (void)ctx;
    (void)out;
    atomic_store(&entry->record->jobs[atomic_fetch_add(&entry->record->length, 1)], entry->job);
    return 0;
}

static int nothing(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static int doze(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    nap(1);
    atomic_fetch_add((_Atomic(long) *)ctx, 1);
    return 0;
}

static mproc_future *submit_entry(mproc_pool *pool, struct record *record, int job, int priority)
{
    const struct entry entry = {.record = record, .job = job};
    const mproc_map map = {.count = 1, .in = &entry, .in_size = sizeof entry, .priority = priority};
    mproc_future *future;
    assert_int_equal(mproc_pool_map_async(pool, &future, enter, NULL, &map), 0);
    return future;
}

static void what_waits_is_run_by_priority_and_then_in_order(void **state)
{
    static const int priorities[JOBS] = {0, -5, 7, 0, 7, INT32_MIN};
    static const int expected[JOBS] = {2, 4, 0, 3, 1, 5};
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    struct record *record = mproc_calloc(1, sizeof *record);
    mproc_future *futures[JOBS];
    (void)state;
    assert_non_null(record);
    mproc_future *first = submit_at_gate(pool, gate);
    assert_true(wait_until(gate_has_begun, gate, 20000));
    for (int i = 0; i < JOBS; i++)
        futures[i] = submit_entry(pool, record, i, priorities[i]);
    atomic_store(&gate->open, true);
    for (int i = 0; i < JOBS; i++) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_SEC(20)), 0);
        mproc_future_free(futures[i]);
    }
    for (int i = 0; i < JOBS; i++)
        assert_int_equal(atomic_load(&record->jobs[i]), expected[i]);
    mproc_future_free(first);
    mproc_pool_free(pool);
    mproc_free(gate);
    mproc_free(record);
}

static bool is_under_way(void *count)
{
    return atomic_load((_Atomic(long) *)count) > 0;
}

/* The chunk is one that the pool chooses, and one that the caller does. */
static void interrupt_long_map(size_t chunk)
{
    mproc_pool *pool = make_pool(2);
    _Atomic(long) *count = mproc_calloc(1, sizeof *count);
    mproc_future *future;
    long in[100], out[100];
    const mproc_map background = {.count = LONG_MAP, .chunk = chunk, .priority = -1};
    const mproc_map urgent = {
        .count = 100, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .chunk = 1};
    assert_non_null(count);
    fill_numbers(in, 100);
    assert_int_equal(mproc_pool_map_async(pool, &future, doze, count, &background), 0);
    assert_true(wait_until(is_under_way, count, 20000));
    assert_int_equal(mproc_pool_map(pool, square, NULL, &urgent, MPROC_SEC(20)), 0);
    assert_int_equal(out[99], 99 * 99);
    assert_true(atomic_load(count) < LONG_MAP / 2);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    assert_int_equal(atomic_load(count), LONG_MAP); /* each once */
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(count);
}

static void a_long_map_gives_way_to_what_is_urgent_and_goes_on(void **state)
{
    (void)state;
    interrupt_long_map(0);
    interrupt_long_map(10);
}

struct source {
    int left;
};

static int next_input(void *arg, void *in)
{
    struct source *source = arg;
    *(long *)in = source->left;
    return source->left-- > 0 ? 0 : MPROC_CLOSED;
}

static void inputs_one_after_another_have_a_priority_too(void **state)
{
    mproc_pool *pool = make_pool(1);
    _Atomic(long) *count = mproc_calloc(1, sizeof *count);
    struct source source = {.left = 20};
    mproc_future *future;
    mproc_imap *imap;
    long out;
    (void)state;
    assert_int_equal(mproc_pool_map_async(pool, &future, doze, count, &(mproc_map){.count = LONG_MAP, .priority = 1}),
                     0);
    const mproc_imap_options options = {
        .next = next_input, .arg = &source, .in_size = sizeof(long), .out_size = sizeof(long), .priority = 2};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), 0);
    for (long i = 20; i > 0; i--) {
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(20)), 0);
        assert_int_equal(out, i * i);
    }
    assert_true(atomic_load(count) < LONG_MAP / 2);
    mproc_imap_free(imap);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(count);
}

/* Workers that have just taken a task see the map. */
static void run_tasks_beside_urgent_maps(mproc_pool *pool)
{
    for (int i = 0; i < 1000; i++) {
        mproc_future *tasks[4], *urgent;
        long result;
        for (long number = 0; number < 4; number++)
            assert_int_equal(
                mproc_pool_submit(pool, &tasks[number], square, NULL, &number, sizeof number, sizeof number), 0);
        assert_int_equal(mproc_pool_map_async(pool, &urgent, nothing, NULL, &(mproc_map){.count = 100, .priority = 1}),
                         0);
        for (long number = 0; number < 4; number++) {
            assert_int_equal(mproc_future_get(tasks[number], &result, MPROC_SEC(20)), 0);
            assert_int_equal(result, number * number);
            mproc_future_free(tasks[number]);
        }
        assert_int_equal(mproc_future_wait(urgent, MPROC_SEC(20)), 0);
        mproc_future_free(urgent);
    }
    mproc_pool_free(pool);
}

static void tasks_that_something_urgent_overtakes_are_run_all_the_same(void **state)
{
    mproc_pool *threads;
    (void)state;
    run_tasks_beside_urgent_maps(make_pool(1));
    run_tasks_beside_urgent_maps(make_pool(4));
    assert_int_equal(mproc_pool_create(&threads, &(mproc_pool_options){.workers = 1, .threads = true}), 0);
    run_tasks_beside_urgent_maps(threads);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_waits_is_run_by_priority_and_then_in_order),
        unit(a_long_map_gives_way_to_what_is_urgent_and_goes_on),
        unit(inputs_one_after_another_have_a_priority_too),
        unit(tasks_that_something_urgent_overtakes_are_run_all_the_same),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
