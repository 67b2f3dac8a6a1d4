/* Maps that are not waited for at once, calls, and tasks that are cancelled. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum {
    ITEMS = 50000
};

/* ---- tasks ---- */

static int square_or_fail(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x * x;
    return x < 0;
}

static void must_be(mproc_future *future, int result)
{
    mproc_item_status status;
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), result);
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.result, result);
    mproc_future_free(future);
}

/* ---- tests ---- */

static void a_call_waits_for_its_result(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    long in = 12, out = 0;
    assert_int_equal(mproc_pool_call(pool, square_or_fail, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(20)), 0);
    assert_int_equal(out, 144);
    in = -1;
    assert_int_equal(mproc_pool_call(pool, square_or_fail, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(20)),
                     MPROC_TASK_FAILED);
    assert_int_equal(mproc_pool_call(pool, square_or_fail, NULL, &in, 0, &out, sizeof out, MPROC_SEC(20)), -EINVAL);
    mproc_pool_free(pool);
}

static void a_call_that_is_late_is_ended(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    long in = 3, out = 0;
    assert_int_equal(mproc_pool_call(pool, wait_at_gate, gate, NULL, 0, NULL, 0, MPROC_MS(50)), MPROC_TIMEOUT);
    assert_int_equal(mproc_pool_call(pool, square_or_fail, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&gate->ended), 0);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void await_squares(bool shared)
{
    mproc_pool *pool = make_pool(2);
    void *(*take)(size_t) = shared ? mproc_alloc : malloc;
    long *in = take(ITEMS * sizeof *in), *out = take(ITEMS * sizeof *out);
    mproc_item_status *status = take(ITEMS * sizeof *status);
    mproc_future *future;
    assert_true(in && out && status);
    for (long i = 0; i < ITEMS; i++)
        in[i] = i % 1000 == 999 ? -i : i;
    memset(out, 'x', ITEMS * sizeof *out);
    const mproc_map map = {
        .count = ITEMS, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status};
    assert_int_equal(mproc_pool_map_async(pool, &future, square_or_fail, NULL, &map), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    for (long i = 0; i < ITEMS; i++) {
        assert_int_equal(out[i], i * i);
        assert_int_equal(status[i].result, i % 1000 == 999 ? MPROC_TASK_FAILED : 0);
    }
    memset(out, 0, ITEMS * sizeof *out);
    must_be(future, MPROC_TASK_FAILED);
    assert_int_equal(out[2], 0); /* it is written once */
    mproc_pool_free(pool);
    void (*give)(void *) = shared ? (void (*)(void *))(void *)mproc_free : free;
    give(in);
    give(out);
    give(status);
}

static void a_map_that_is_not_waited_for_fills_private_arrays(void **state)
{
    (void)state;
    await_squares(false);
}

static void a_map_that_is_not_waited_for_fills_shared_arrays(void **state)
{
    (void)state;
    await_squares(true);
}

static void a_get_copies_what_a_map_wrote(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    mproc_future *future;
    long in[3] = {1, 2, 3}, out[3] = {0};
    const mproc_map map = {.count = 3, .in = in, .in_size = sizeof *in, .out_size = sizeof *out, .out = out};
    assert_int_equal(mproc_pool_map_async(pool, &future, square_or_fail, NULL, &map), 0);
    in[0] = 7; /* it was copied */
    long copy[3] = {0};
    assert_int_equal(mproc_future_get(future, copy, MPROC_SEC(20)), 0);
    assert_memory_equal(copy, ((const long[]){1, 4, 9}), sizeof copy);
    assert_memory_equal(copy, out, sizeof copy);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void several_maps_are_at_work_at_once(void **state)
{
    (void)state;
    enum {
        MAPS = 20
    };
    mproc_pool *pool = make_pool(2);
    static long in[MAPS][100], out[MAPS][100];
    mproc_future *futures[MAPS];
    for (int i = 0; i < MAPS; i++) {
        for (int j = 0; j < 100; j++)
            in[i][j] = i * 100 + j;
        const mproc_map map = {
            .count = 100, .in = in[i], .in_size = sizeof **in, .out = out[i], .out_size = sizeof **out};
        assert_int_equal(mproc_pool_map_async(pool, &futures[i], square_or_fail, NULL, &map), 0);
    }
    for (int i = MAPS - 1; i >= 0; i--) {
        must_be(futures[i], 0);
        for (long j = 0; j < 100; j++)
            assert_int_equal(out[i][j], (i * 100 + j) * (i * 100 + j));
    }
    mproc_pool_free(pool);
}

static void a_cancelled_task_that_waits_never_begins(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    struct gate *other = make_gate();
    mproc_future *first = submit_at_gate(pool, gate);
    mproc_future *second = submit_at_gate(pool, other);
    assert_true(wait_until(gate_has_begun, gate, 20000));
    assert_int_equal(mproc_future_cancel(second), 0);
    must_be(second, MPROC_CANCELLED);
    atomic_store(&gate->open, true);
    must_be(first, 0);
    assert_int_equal(atomic_load(&other->begun), 0);
    mproc_pool_free(pool);
    mproc_free(gate);
    mproc_free(other);
}

static void a_cancelled_task_that_runs_is_ended_and_its_worker_replaced(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    mproc_future *future = submit_at_gate(pool, gate);
    long in = 5, out = 0;
    assert_true(wait_until(gate_has_begun, gate, 20000));
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_cancel(future), 0);
    must_be(future, MPROC_CANCELLED);
    assert_int_equal(mproc_pool_call(pool, square_or_fail, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&gate->ended), 0);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void a_task_that_is_done_is_not_cancelled(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    long in = 5, out = 0;
    assert_int_equal(mproc_pool_submit(pool, &future, square_or_fail, NULL, &in, sizeof in, sizeof out), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_get(future, &out, MPROC_NOWAIT), 0);
    assert_int_equal(out, 25);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void a_cancelled_map_stops(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct gate *gate = make_gate();
    mproc_item_status status[100];
    mproc_future *future;
    const mproc_map map = {.count = 100, .status = status, .chunk = 1};
    assert_int_equal(mproc_pool_map_async(pool, &future, wait_at_gate, gate, &map), 0);
    assert_true(wait_until(gate_has_begun, gate, 20000));
    assert_int_equal(mproc_future_cancel(future), 0);
    must_be(future, MPROC_CANCELLED);
    for (int i = 0; i < 100; i++)
        assert_int_equal(status[i].result, MPROC_CANCELLED);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    mproc_future *future = (mproc_future *)&pool;
    mproc_map map = {.count = 0};
    assert_int_equal(mproc_pool_map_async(pool, NULL, square_or_fail, NULL, &map), -EINVAL);
    assert_int_equal(mproc_pool_map_async(pool, &future, square_or_fail, NULL, &map), -EINVAL);
    assert_null(future);
    map.count = 1;
    assert_int_equal(mproc_pool_map_async(pool, &future, NULL, NULL, &map), -EINVAL);
    assert_int_equal(mproc_pool_map_async(NULL, &future, square_or_fail, NULL, &map), -EINVAL);
    map.out_size = 1;
    assert_int_equal(mproc_pool_map_async(pool, &future, square_or_fail, NULL, &map), -EINVAL);
    assert_int_equal(mproc_future_cancel(NULL), -EINVAL);
    mproc_pool_close(pool);
    map.out_size = 0;
    assert_int_equal(mproc_pool_map_async(pool, &future, square_or_fail, NULL, &map), MPROC_CLOSED);
    mproc_pool_free(pool);
}

/* ---- options of a task ---- */

static int sleep_or_fail(void *ctx, const void *in, void *out)
{
    _Atomic(int) *tries = *(_Atomic(int) *const *)ctx;
    (void)out;
    if (atomic_fetch_add(tries, 1) < 2)
        return 1;
    while (*(const int *)in)
        nap(1);
    return 0;
}

static void a_task_has_the_options_of_a_map(void **state)
{
    mproc_pool *pool = make_pool(1);
    _Atomic(int) *tries = mproc_calloc(1, sizeof *tries);
    int stays = 0;
    mproc_future *future;
    (void)state;
    mproc_submit_options options = {
        .in = &stays, .in_size = sizeof stays, .ctx_size = sizeof tries, .retries = 1, .retry_on = MPROC_RETRY_FAILURE};
    assert_int_equal(mproc_pool_submit_with(pool, &future, sleep_or_fail, &tries, &options), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_int_equal(atomic_load(tries), 2);
    mproc_future_free(future);
    stays = 1;
    options.item_timeout = MPROC_MS(100);
    options.retry_on = MPROC_RETRY_LATE;
    assert_int_equal(mproc_pool_submit_with(pool, &future, sleep_or_fail, &tries, &options), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_LATE);
    assert_int_equal(atomic_load(tries), 4);
    mproc_future_free(future);
    assert_int_equal(mproc_pool_submit_with(pool, &future, count_up, tries, NULL), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(tries);
}

static int note_turn(void *ctx, const void *in, void *out)
{
    *(int *)out = atomic_fetch_add((_Atomic(int) *)ctx, 1);
    return in != NULL;
}

static void a_task_of_higher_priority_goes_first(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    _Atomic(int) *turns = mproc_calloc(1, sizeof *turns);
    mproc_future *at_gate = submit_at_gate(pool, gate), *futures[2];
    int turn;
    (void)state;
    assert_true(wait_until(gate_has_begun, gate, 20000));
    for (int priority = 0; priority < 2; priority++) {
        const mproc_submit_options options = {.out_size = sizeof turn, .priority = priority};
        assert_int_equal(mproc_pool_submit_with(pool, &futures[priority], note_turn, turns, &options), 0);
    }
    atomic_store(&gate->open, true);
    for (int priority = 0; priority < 2; priority++) {
        assert_int_equal(mproc_future_get(futures[priority], &turn, MPROC_SEC(60)), 0);
        assert_int_equal(turn, 1 - priority);
        mproc_future_free(futures[priority]);
    }
    mproc_future_free(at_gate);
    mproc_pool_free(pool);
    mproc_free(gate);
    mproc_free(turns);
}

static void bad_options_of_a_task_are_refused(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    const mproc_submit_options bad[] = {{.in = "x"},      {.in_size = 5},  {.ctx_size = 5},
                                        {.retries = 256}, {.retry_on = 8}, {.item_timeout = MPROC_SEC(-3)}};
    (void)state;
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        assert_int_equal(mproc_pool_submit_with(pool, &future, count_up, NULL, &bad[i]), -EINVAL);
        assert_null(future);
    }
    assert_int_equal(mproc_pool_submit_with(pool, NULL, count_up, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_pool_submit_with(pool, &future, NULL, NULL, NULL), -EINVAL);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_call_waits_for_its_result),
        unit(a_call_that_is_late_is_ended),
        unit(a_map_that_is_not_waited_for_fills_private_arrays),
        unit(a_map_that_is_not_waited_for_fills_shared_arrays),
        unit(a_get_copies_what_a_map_wrote),
        unit(several_maps_are_at_work_at_once),
        unit(a_cancelled_task_that_waits_never_begins),
        unit(a_cancelled_task_that_runs_is_ended_and_its_worker_replaced),
        unit(a_task_that_is_done_is_not_cancelled),
        unit(a_cancelled_map_stops),
        unit(bad_arguments_are_refused),
        unit(a_task_has_the_options_of_a_map),
        unit(a_task_of_higher_priority_goes_first),
        unit(bad_options_of_a_task_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
