/* Submitted tasks and their futures. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

/* ---- tasks ---- */

static int return_in(void *ctx, const void *in, void *out)
{
    (void)ctx;
    memset(out, 'x', 4);
    return *(const int *)in;
}

/* In which order tasks were run; shared with the test. */
struct record {
    atomic_int length;
    atomic_int order[100];
};

static int note_order(void *ctx, const void *in, void *out)
{
    struct record *record = ctx;
    (void)out;
    atomic_store(&record->order[atomic_fetch_add(&record->length, 1)], *(const int *)in);
    return 0;
}

static mproc_future *submit_square(mproc_pool *pool, long x)
{
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &x, sizeof x, sizeof x), 0);
    assert_non_null(future);
    return future;
}

/* ---- tests ---- */

static void a_result_can_be_got_again(void **state)
{
    mproc_pool *pool = make_pool(2);
    mproc_future *future = submit_square(pool, 12);
    mproc_item_status status;
    (void)state;
    for (int i = 0; i < 3; i++) {
        long out = 0;
        assert_int_equal(mproc_future_get(future, &out, MPROC_FOREVER), 0);
        assert_int_equal(out, 144);
    }
    assert_int_equal(mproc_future_get(future, NULL, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_NOWAIT), 0);
    assert_true(mproc_future_is_done(future));
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.result, 0);
    assert_int_equal(status.code, 0);
    assert_null(mproc_future_free(future));
    mproc_pool_free(pool);
}

static void the_input_is_copied(void **state)
{
    struct gate *gate = make_gate();
    mproc_pool *pool = make_pool(1);
    mproc_future *first = submit_at_gate(pool, gate), *second;
    long *shared = mproc_alloc(sizeof *shared), out;
    (void)state;
    *shared = 5;
    assert_int_equal(mproc_pool_submit(pool, &second, square, NULL, shared, sizeof *shared, sizeof out), 0);
    *shared = 6;
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_get(second, &out, MPROC_FOREVER), 0);
    assert_int_equal(out, 25);
    mproc_future_free(first);
    mproc_future_free(second);
    mproc_pool_free(pool);
    mproc_free(shared);
    mproc_free(gate);
}

static void large_inputs_and_results_pass(void **state)
{
    enum {
        SIZE = 3000000
    };
    static char in[SIZE], out[SIZE];
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    (void)state;
    ((long *)(void *)in)[0] = 9;
    memset(out, 0xff, SIZE);
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, in, SIZE, SIZE), 0);
    assert_int_equal(mproc_future_get(future, out, MPROC_FOREVER), 0);
    assert_int_equal(((long *)(void *)out)[0], 81);
    assert_int_equal(out[SIZE - 1], 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void a_result_can_be_read_in_place(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    mproc_future *waits = submit_at_gate(pool, gate);
    mproc_future *future;
    long in = 9;
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &in, sizeof in, sizeof in), 0);
    assert_null(mproc_future_result(future)); /* it has not begun */
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(20)), 0);
    const long *out = mproc_future_result(future);
    assert_int_equal(*out, 81);
    assert_ptr_equal(mproc_future_result(future), out);
    assert_null(mproc_future_result(waits)); /* it writes nothing */
    assert_null(mproc_future_result(NULL));
    mproc_future_free(future);
    mproc_future_free(waits);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void a_failure_has_its_code_and_its_output(void **state)
{
    static const int codes[] = {1, -1, 256, 1000000, -1000000};
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        mproc_future *future;
        mproc_item_status status;
        char out[5] = "";
        assert_int_equal(mproc_pool_submit(pool, &future, return_in, NULL, &codes[i], sizeof codes[i], 4), 0);
        assert_int_equal(mproc_future_wait(future, MPROC_FOREVER), 0);
        assert_int_equal(mproc_future_get(future, out, MPROC_FOREVER), MPROC_TASK_FAILED);
        assert_string_equal(out, "xxxx");
        assert_int_equal(mproc_future_status(future, &status), 0);
        assert_int_equal(status.result, MPROC_TASK_FAILED);
        assert_int_equal(status.code, codes[i]);
        mproc_future_free(future);
    }
    mproc_pool_free(pool);
}

static void a_running_task_has_no_status_yet(void **state)
{
    struct gate *gate = make_gate();
    mproc_pool *pool = make_pool(1);
    mproc_future *future = submit_at_gate(pool, gate);
    mproc_item_status status = {77, 77};
    (void)state;
    assert_int_equal(mproc_future_status(future, &status), MPROC_RUNNING);
    assert_int_equal(status.result, 77);
    assert_false(mproc_future_is_done(future));
    assert_int_equal(mproc_future_wait(future, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_MS(10)), MPROC_TIMEOUT);
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_FOREVER), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void tasks_are_begun_in_the_order_of_their_submission(void **state)
{
    struct record *record = mproc_calloc(1, sizeof *record);
    mproc_pool *pool = make_pool(1);
    mproc_future *futures[100];
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(mproc_pool_submit(pool, &futures[i], note_order, record, &i, sizeof i, 0), 0);
    for (int i = 99; i >= 0; i--) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_FOREVER), 0);
        mproc_future_free(futures[i]);
    }
    for (int i = 0; i < 100; i++)
        assert_int_equal(record->order[i], i);
    mproc_pool_free(pool);
    mproc_free(record);
}

static void ten_thousand_futures_may_be_open(void **state)
{
    enum {
        MANY = 10000
    };
    static mproc_future *futures[MANY];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (long i = 0; i < MANY; i++)
        futures[i] = submit_square(pool, i);
    for (long i = 0; i < MANY; i++) {
        long out, at = (i * 7919) % MANY;
        assert_int_equal(mproc_future_get(futures[at], &out, MPROC_FOREVER), 0);
        assert_int_equal(out, at * at);
    }
    for (long i = 0; i < MANY; i++)
        mproc_future_free(futures[(i * 7907) % MANY]);
    mproc_pool_free(pool);
}

static void a_freed_future_that_was_not_begun_is_not_run(void **state)
{
    struct gate *gate = make_gate();
    struct record *record = mproc_calloc(1, sizeof *record);
    mproc_pool *pool = make_pool(1);
    mproc_future *first = submit_at_gate(pool, gate), *others[50], *last;
    int number = 1;
    (void)state;
    assert_true(wait_until(gate_has_begun, gate, 10000));
    for (int i = 0; i < 50; i++)
        assert_int_equal(mproc_pool_submit(pool, &others[i], note_order, record, &number, sizeof number, 0), 0);
    last = submit_square(pool, 3);
    for (int i = 0; i < 50; i++)
        mproc_future_free(others[(i * 7) % 50]);
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_get(last, NULL, MPROC_FOREVER), 0);
    assert_int_equal(atomic_load(&record->length), 0);
    mproc_future_free(first);
    mproc_future_free(last);
    mproc_pool_free(pool);
    mproc_free(gate);
    mproc_free(record);
}

static bool has_ended(void *arg)
{
    return atomic_load(&((struct gate *)arg)->ended) > 0;
}

static void a_freed_future_that_runs_goes_on(void **state)
{
    struct gate *gate = make_gate();
    mproc_pool *pool = make_pool(2);
    mproc_future *future = submit_at_gate(pool, gate);
    (void)state;
    assert_true(wait_until(gate_has_begun, gate, 10000));
    mproc_future_free(future);
    for (long i = 0; i < 100; i++) {
        future = submit_square(pool, i);
        assert_int_equal(mproc_future_get(future, NULL, MPROC_FOREVER), 0);
        mproc_future_free(future);
    }
    assert_false(has_ended(gate));
    atomic_store(&gate->open, true);
    assert_true(wait_until(has_ended, gate, 10000));
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void futures_that_were_freed_leave_no_bytes(void **state)
{
    mproc_memory_statistics before, after;
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int round = 0; round < 2; round++) {
        assert_int_equal(mproc_memory_usage(round == 0 ? &before : &after), 0);
        for (long i = 0; i < 1000; i++)
            mproc_future_free(submit_square(pool, i));
        mproc_future *last = submit_square(pool, 1);
        assert_int_equal(mproc_future_get(last, NULL, MPROC_FOREVER), 0);
        mproc_future_free(last);
    }
    /* A job that a worker is just leaving may still be there. */
    assert_in_range(after.allocated, 0, before.allocated + 8192);
    mproc_pool_free(pool);
}

static void terminate_cancels_what_is_not_done(void **state)
{
    struct gate *gate = make_gate();
    mproc_pool *pool = make_pool(1);
    mproc_future *done = submit_square(pool, 3), *running, *waiting;
    mproc_item_status status;
    long out = 0;
    (void)state;
    assert_int_equal(mproc_future_wait(done, MPROC_FOREVER), 0);
    running = submit_at_gate(pool, gate);
    waiting = submit_square(pool, 4);
    assert_true(wait_until(gate_has_begun, gate, 10000));
    assert_int_equal(mproc_pool_terminate(pool), 0);
    assert_int_equal(mproc_future_get(running, NULL, MPROC_FOREVER), MPROC_CANCELLED);
    assert_int_equal(mproc_future_get(waiting, &out, MPROC_FOREVER), MPROC_CANCELLED);
    assert_int_equal(out, 0);
    assert_int_equal(mproc_future_status(waiting, &status), 0);
    assert_int_equal(status.result, MPROC_CANCELLED);
    assert_int_equal(mproc_future_get(done, &out, MPROC_FOREVER), 0);
    assert_int_equal(out, 9);
    mproc_future_free(done);
    mproc_future_free(running);
    mproc_future_free(waiting);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void futures_can_be_waited_for_together(void **state)
{
    struct gate *gate = make_gate();
    mproc_pool *pool = make_pool(2);
    mproc_future *slow = submit_at_gate(pool, gate), *quick = submit_square(pool, 5);
    mproc_wait_item items[] = {
        {.kind = MPROC_WAIT_FUTURE, .on.future = slow},
        {.kind = MPROC_WAIT_FUTURE, .on.future = quick},
    };
    size_t ready = 0;
    (void)state;
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_FOREVER), 0);
    assert_int_equal(ready, 1);
    assert_false(items[0].ready);
    assert_true(items[1].ready);
    assert_int_equal(mproc_wait(items, 1, &ready, MPROC_MS(10)), MPROC_TIMEOUT);
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_wait(items, 1, &ready, MPROC_FOREVER), 0);
    mproc_future_free(slow);
    mproc_future_free(quick);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void *get_many_times(void *future)
{
    for (int i = 0; i < 100; i++) {
        long out = 0;
        assert_int_equal(mproc_future_get(future, &out, MPROC_FOREVER), 0);
        assert_int_equal(out, 49);
    }
    return NULL;
}

static void threads_may_share_a_future(void **state)
{
    pthread_t threads[4];
    mproc_pool *pool = make_pool(2);
    mproc_future *future = submit_square(pool, 7);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, get_many_times, future), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void *submit_many(void *pool)
{
    for (long i = 0; i < 500; i++) {
        long out = 0;
        mproc_future *future = submit_square(pool, i);
        assert_int_equal(mproc_future_get(future, &out, MPROC_FOREVER), 0);
        assert_int_equal(out, i * i);
        mproc_future_free(future);
    }
    return NULL;
}

static void threads_may_submit_at_once(void **state)
{
    pthread_t threads[4];
    mproc_pool *pool = make_pool(3);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, submit_many, pool), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mproc_pool_free(pool);
}

static void bad_input_is_refused(void **state)
{
    long x = 1;
    mproc_item_status status;
    mproc_future *future = (mproc_future *)&x;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, NULL, square, NULL, &x, sizeof x, sizeof x), -EINVAL);
    assert_int_equal(mproc_pool_submit(NULL, &future, square, NULL, &x, sizeof x, sizeof x), -EINVAL);
    assert_int_equal(mproc_pool_submit(pool, &future, NULL, NULL, &x, sizeof x, sizeof x), -EINVAL);
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &x, 0, sizeof x), -EINVAL);
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, NULL, 8, sizeof x), -EINVAL);
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &x, sizeof x, SIZE_MAX), -ENOMEM);
    assert_int_equal(mproc_future_get(NULL, NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_future_wait(NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_future_status(NULL, &status), -EINVAL);
    assert_false(mproc_future_is_done(NULL));
    assert_null(mproc_future_free(NULL));
    future = submit_square(pool, 2);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_future_wait(future, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_future_status(future, NULL), -EINVAL);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_result_can_be_got_again),
        unit(the_input_is_copied),
        unit(large_inputs_and_results_pass),
        unit(a_result_can_be_read_in_place),
        unit(a_failure_has_its_code_and_its_output),
        unit(a_running_task_has_no_status_yet),
        unit(tasks_are_begun_in_the_order_of_their_submission),
        unit(ten_thousand_futures_may_be_open),
        unit(a_freed_future_that_was_not_begun_is_not_run),
        unit(a_freed_future_that_runs_goes_on),
        unit(futures_that_were_freed_leave_no_bytes),
        unit(terminate_cancels_what_is_not_done),
        unit(futures_can_be_waited_for_together),
        unit(threads_may_share_a_future),
        unit(threads_may_submit_at_once),
        unit(bad_input_is_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
