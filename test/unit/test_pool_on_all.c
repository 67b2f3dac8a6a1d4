/* Calls to all workers of a pool. */
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <unistd.h>

enum {
    WORKERS = 4,
    ROUNDS = 50
};

static int tell_pid(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pid_t *)out = getpid();
    return 0;
}

/* Dies once: ctx is a shared count of the deaths that are still to come. */
static int die_at_first(void *ctx, const void *in, void *out)
{
    (void)in;
    if (atomic_fetch_sub((_Atomic(int) *)ctx, 1) > 0)
        raise(SIGKILL);
    return tell_pid(NULL, NULL, out);
}

static void ask_all(mproc_pool *pool, pid_t *pids)
{
    mproc_map map = {.out_size = sizeof *pids};
    map.out = pids;
    assert_int_equal(mproc_pool_run_on_all(pool, tell_pid, NULL, &map, MPROC_SEC(20)), 0);
}

static void must_differ(const pid_t *pids, int count)
{
    for (int i = 0; i < count; i++) {
        assert_true(pids[i] > 0);
        for (int j = 0; j < i; j++)
            assert_true(pids[i] != pids[j]);
    }
}

static void each_worker_is_called_once(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(WORKERS);
    pid_t first[WORKERS], pids[WORKERS] = {0};
    ask_all(pool, first);
    must_differ(first, WORKERS);
    for (int round = 0; round < ROUNDS; round++) {
        ask_all(pool, pids);
        assert_memory_equal(pids, first, sizeof pids); /* item i is of worker i, each time */
    }
    mproc_pool_free(pool);
}

static void each_item_has_its_input(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(WORKERS);
    long in[WORKERS], out[WORKERS];
    mproc_item_status status[WORKERS];
    fill_numbers(in, WORKERS);
    const mproc_map map = {
        .count = 3, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status};
    assert_int_equal(mproc_pool_run_on_all(pool, square, NULL, &map, MPROC_SEC(20)), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(out[i], i * i);
        assert_int_equal(status[i].result, 0);
    }
    mproc_pool_free(pool);
}

static void a_busy_worker_answers_between_its_items(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    mproc_future *future;
    int *in = calloc(4000, sizeof *in);
    pid_t pids[2];
    for (int i = 0; i < 4000; i++)
        in[i] = 1;
    const mproc_map map = {.count = 4000, .in = in, .in_size = sizeof *in, .priority = 100};
    assert_int_equal(mproc_pool_map_async(pool, &future, sleep_so_long, NULL, &map), 0);
    ask_all(pool, pids);
    must_differ(pids, 2);
    assert_false(mproc_future_is_done(future));
    assert_int_equal(mproc_future_cancel(future), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    free(in);
}

static void the_call_waits_for_a_worker_that_is_at_an_item(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct gate *gate = make_gate();
    mproc_item_status status[2];
    pid_t pids[2];
    const mproc_map map = {.out = pids, .out_size = sizeof *pids, .status = status};
    mproc_future *future = submit_at_gate(pool, gate);
    assert_true(wait_until(gate_has_begun, gate, 20000));
    assert_int_equal(mproc_pool_run_on_all(pool, tell_pid, NULL, &map, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_int_equal((status[0].result == MPROC_CANCELLED) + (status[1].result == MPROC_CANCELLED), 1);
    atomic_store(&gate->open, true);
    ask_all(pool, pids);
    must_differ(pids, 2);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void a_death_costs_its_own_item_and_may_be_tried_again(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(WORKERS);
    _Atomic(int) *deaths = mproc_calloc(1, sizeof *deaths);
    mproc_item_status status[WORKERS];
    pid_t pids[WORKERS];
    mproc_map map = {.out = pids, .out_size = sizeof *pids, .status = status};
    atomic_store(deaths, 1);
    assert_int_equal(mproc_pool_run_on_all(pool, die_at_first, deaths, &map, MPROC_SEC(20)), MPROC_WORKER_DIED);
    int died = 0;
    for (int i = 0; i < WORKERS; i++)
        died += status[i].result == MPROC_WORKER_DIED && status[i].code == -SIGKILL;
    assert_int_equal(died, 1);
    atomic_store(deaths, 2);
    map.retries = 2;
    assert_int_equal(mproc_pool_run_on_all(pool, die_at_first, deaths, &map, MPROC_SEC(20)), 0);
    must_differ(pids, WORKERS);
    mproc_pool_free(pool);
    mproc_free(deaths);
}

static void workers_that_the_pool_gives_up_are_excused(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(WORKERS);
    pid_t pids[WORKERS];
    assert_int_equal(mproc_pool_resize(pool, 2), 0);
    ask_all(pool, pids);
    must_differ(pids, 2);
    const mproc_map too_many = {.count = 3, .out = pids, .out_size = sizeof *pids};
    assert_int_equal(mproc_pool_run_on_all(pool, tell_pid, NULL, &too_many, MPROC_SEC(20)), -EINVAL);
    assert_int_equal(mproc_pool_resize(pool, WORKERS), 0);
    ask_all(pool, pids);
    must_differ(pids, WORKERS);
    mproc_pool_free(pool);
}

struct caller {
    mproc_pool *pool;
    int result;
    mproc_item_status status[2];
};

static void *call_both(void *arg)
{
    struct caller *caller = arg;
    pid_t pids[2];
    const mproc_map map = {.out = pids, .out_size = sizeof *pids, .status = caller->status};
    caller->result = mproc_pool_run_on_all(caller->pool, tell_pid, NULL, &map, MPROC_SEC(20));
    return NULL;
}

static bool has_called(void *pool)
{
    return atomic_load(&((mproc_pool *)pool)->shared->call) != NULL;
}

static bool both_have_begun(void *gate)
{
    return atomic_load(&((struct gate *)gate)->begun) == 2;
}

/* Both workers are busy when the call is made, and one is given up before it can answer. */
static void a_call_does_not_wait_for_a_worker_that_is_given_up(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct gate *gate = make_gate();
    pthread_t thread;
    struct caller caller = {.pool = pool};
    mproc_future *futures[2] = {submit_at_gate(pool, gate), submit_at_gate(pool, gate)};
    assert_true(wait_until(both_have_begun, gate, 20000));
    assert_int_equal(pthread_create(&thread, NULL, call_both, &caller), 0);
    assert_true(wait_until(has_called, pool, 20000));
    assert_int_equal(mproc_pool_resize(pool, 1), 0);
    atomic_store(&gate->open, true);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(caller.result, 0);
    assert_int_equal(caller.status[0].result, 0);
    assert_int_equal(caller.status[1].result, MPROC_CANCELLED);
    for (int i = 0; i < 2; i++)
        mproc_future_free(futures[i]);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void a_closed_pool_is_not_called(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    const mproc_map map = {.count = 0};
    assert_int_equal(mproc_pool_run_on_all(pool, tell_pid, NULL, &(mproc_map){.chunk = 2}, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_run_on_all(pool, NULL, NULL, &map, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_run_on_all(NULL, tell_pid, NULL, &map, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_run_on_all(pool, tell_pid, NULL, &map, MPROC_FOREVER), MPROC_CLOSED);
    mproc_pool_free(pool);
}

static void tasks_beside_a_call_are_all_run(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(4);
    pid_t pids[4];
    for (int round = 0; round < 800; round++) {
        mproc_future *tasks[4];
        long numbers[4] = {1, 2, 3, 4}, result;
        for (int i = 0; i < 4; i++)
            assert_int_equal(
                mproc_pool_submit(pool, &tasks[i], square, NULL, &numbers[i], sizeof numbers[i], sizeof result), 0);
        ask_all(pool, pids);
        for (int i = 0; i < 4; i++) {
            assert_int_equal(mproc_future_get(tasks[i], &result, MPROC_SEC(20)), 0);
            assert_int_equal(result, numbers[i] * numbers[i]);
            mproc_future_free(tasks[i]);
        }
    }
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_worker_is_called_once),
        unit(each_item_has_its_input),
        unit(a_busy_worker_answers_between_its_items),
        unit(the_call_waits_for_a_worker_that_is_at_an_item),
        unit(a_death_costs_its_own_item_and_may_be_tried_again),
        unit(workers_that_the_pool_gives_up_are_excused),
        unit(a_closed_pool_is_not_called),
        unit(a_call_does_not_wait_for_a_worker_that_is_given_up),
        unit(tasks_beside_a_call_are_all_run),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
