/* Workers that end because they have nothing to do, and come back. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <stdlib.h>

enum {
    WORKERS = 4,
    ROUNDS = 300
};

static mproc_pool *make_idle_pool(unsigned min_workers, mproc_time idle_time)
{
    mproc_pool *pool;
    const mproc_pool_options options = {
        .workers = WORKERS, .min_workers = min_workers, .idle_time = idle_time, .method = pool_method};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    return pool;
}

struct size {
    mproc_pool *pool;
    int alive;
};

static bool has_size(void *arg)
{
    const struct size *size = arg;
    return mproc_pool_workers(size->pool, NULL, 0) == size->alive;
}

static void must_become(mproc_pool *pool, int alive)
{
    assert_true(wait_until(has_size, &(struct size){pool, alive}, 20000));
}

struct crowd {
    struct gate *gate;
    int size;
};

static bool all_have_begun(void *arg)
{
    const struct crowd *crowd = arg;
    return atomic_load(&crowd->gate->begun) == crowd->size;
}

/* As many at once as there are workers. */
static void fill_with_tasks(mproc_pool *pool, int count)
{
    struct gate *gate = make_gate();
    mproc_future *futures[WORKERS];
    for (int i = 0; i < count; i++)
        futures[i] = submit_at_gate(pool, gate);
    assert_true(wait_until(all_have_begun, &(struct crowd){gate, count}, 20000));
    atomic_store(&gate->open, true);
    for (int i = 0; i < count; i++) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_SEC(20)), 0);
        mproc_future_free(futures[i]);
    }
    mproc_free(gate);
}

static void idle_workers_end_and_come_back_when_there_is_work(void **state)
{
    (void)state;
    mproc_pool *pool = make_idle_pool(0, MPROC_MS(20));
    for (int round = 0; round < 3; round++) {
        must_become(pool, 1);
        fill_with_tasks(pool, WORKERS);
    }
    must_become(pool, 1);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
}

static void a_map_calls_all_workers_back(void **state)
{
    (void)state;
    mproc_pool *pool = make_idle_pool(0, MPROC_MS(20));
    struct gate *gate = make_gate();
    mproc_future *future;
    must_become(pool, 1);
    const mproc_map map = {.count = WORKERS, .chunk = 1};
    assert_int_equal(mproc_pool_map_async(pool, &future, wait_at_gate, gate, &map), 0);
    assert_true(wait_until(all_have_begun, &(struct crowd){gate, WORKERS}, 20000));
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void those_that_are_to_stay_do(void **state)
{
    (void)state;
    mproc_pool *pool = make_idle_pool(3, MPROC_MS(1));
    mproc_pool_statistics statistics;
    must_become(pool, 3);
    fill_with_tasks(pool, WORKERS);
    must_become(pool, 3);
    assert_int_equal(mproc_pool_stats(pool, &statistics, NULL, 0), 3);
    assert_int_equal(statistics.workers, 3);
    assert_int_equal(statistics.deaths, 0);
    mproc_pool_free(pool);
}

static void a_resized_pool_comes_back_to_its_new_size(void **state)
{
    (void)state;
    mproc_pool *pool = make_idle_pool(0, MPROC_MS(20));
    must_become(pool, 1);
    assert_int_equal(mproc_pool_resize(pool, 2), 0);
    must_become(pool, 1);
    fill_with_tasks(pool, 2);
    assert_int_equal(mproc_pool_resize(pool, WORKERS), 0);
    fill_with_tasks(pool, WORKERS);
    mproc_pool_free(pool);
}

static void coming_and_going_loses_no_item(void **state)
{
    (void)state;
    mproc_pool *pool = make_idle_pool(0, MPROC_US(100));
    long in[100], out[100];
    for (size_t round = 0; round < ROUNDS; round++) {
        map_squares(pool, in, out, round % 100 + 1, round % 3);
        if (round % 4 != 0)
            continue;
        must_become(pool, 1);
        fill_with_tasks(pool, 2); /* a map may be done before a second worker has come */
    }
    mproc_pool_statistics statistics;
    assert_true(mproc_pool_stats(pool, &statistics, NULL, 0) >= 0);
    assert_int_equal(statistics.deaths, 0);
    assert_true(statistics.starts > ROUNDS / 4);
    mproc_pool_free(pool);
}

static void wrong_options_are_refused(void **state)
{
    static const mproc_pool_options wrong[] = {
        {.idle_time = MPROC_NS(-2)}, {.min_workers = 2}, {.min_workers = 2000, .idle_time = MPROC_MS(1)}};
    mproc_pool *pool;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mproc_pool_create(&pool, &wrong[i]), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(idle_workers_end_and_come_back_when_there_is_work),
        unit(a_map_calls_all_workers_back),
        unit(those_that_are_to_stay_do),
        unit(a_resized_pool_comes_back_to_its_new_size),
        unit(coming_and_going_loses_no_item),
        unit(wrong_options_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
