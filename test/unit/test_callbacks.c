/* Callbacks of futures: each is called once, by one thread, when its future has ended, whatever way that was. */
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    MANY = 10000,
    LONG_TIME = 30000
};

/* ---- tasks ---- */

static int fail_with_five(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 5;
}

static int die(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    raise(SIGKILL);
    return 0;
}

/* ---- callbacks ---- */

/* What callbacks have seen. */
struct notes {
    atomic_int successes;
    atomic_int errors;
    atomic_int result; /* of the last */
    _Atomic(long) out;
    mproc_future *_Atomic future;
    _Atomic(pthread_t) thread;
};

static void note(struct notes *notes, mproc_future *future)
{
    mproc_item_status status = {-1, -1};
    long out = 0;
    atomic_store(&notes->result, mproc_future_get(future, &out, MPROC_NOWAIT));
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.result, atomic_load(&notes->result));
    atomic_store(&notes->out, out);
    atomic_store(&notes->future, future);
    atomic_store(&notes->thread, pthread_self());
}

static void note_success(void *arg, mproc_future *future)
{
    struct notes *notes = arg;
    note(notes, future);
    atomic_fetch_add(&notes->successes, 1);
}

static void note_error(void *arg, mproc_future *future)
{
    struct notes *notes = arg;
    note(notes, future);
    atomic_fetch_add(&notes->errors, 1);
}

static bool was_called(void *arg)
{
    struct notes *notes = arg;
    return atomic_load(&notes->successes) + atomic_load(&notes->errors) > 0;
}

static mproc_future *submit(mproc_pool *pool, mproc_task *fn, long x)
{
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, fn, NULL, &x, sizeof x, sizeof x), 0);
    return future;
}

static void must_end(mproc_pool *pool)
{
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_null(mproc_pool_free(pool));
}

/* ---- how futures end ---- */

static void success_is_called_where_a_task_went_well(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct notes notes = {0};
    (void)state;
    mproc_future *future = submit(pool, square, 7);
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), 0);
    assert_true(wait_until(was_called, &notes, LONG_TIME));
    assert_int_equal(notes.successes, 1);
    assert_int_equal(notes.errors, 0);
    assert_int_equal(notes.out, 49);
    assert_ptr_equal(notes.future, future);
    assert_false(pthread_equal(notes.thread, pthread_self()));
    mproc_future_free(future);
    must_end(pool);
}

static void error_is_called_where(mproc_task *fn, int result)
{
    mproc_pool *pool = make_pool(2);
    struct notes notes = {0};
    mproc_future *future = submit(pool, fn, 0);
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), 0);
    assert_true(wait_until(was_called, &notes, LONG_TIME));
    assert_int_equal(notes.successes, 0);
    assert_int_equal(notes.errors, 1);
    assert_int_equal(notes.result, result);
    mproc_future_free(future);
    must_end(pool);
}

static void error_is_called_where_a_task_failed(void **state)
{
    (void)state;
    error_is_called_where(fail_with_five, MPROC_TASK_FAILED);
}

static void error_is_called_where_a_worker_died(void **state)
{
    (void)state;
    error_is_called_where(die, MPROC_WORKER_DIED);
}

/* One that runs, and one that never begins. */
static void error_is_called_where_a_task_was_cancelled(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    struct notes runs = {0}, waits = {0};
    (void)state;
    mproc_future *first = submit_at_gate(pool, gate), *second = submit(pool, square, 3);
    assert_int_equal(mproc_future_on_end(first, note_success, note_error, &runs), 0);
    assert_int_equal(mproc_future_on_end(second, note_success, note_error, &waits), 0);
    assert_true(wait_until(gate_has_begun, gate, LONG_TIME));
    assert_int_equal(mproc_future_cancel(second), 0);
    assert_true(wait_until(was_called, &waits, LONG_TIME));
    assert_false(was_called(&runs));
    assert_int_equal(mproc_future_cancel(first), 0);
    assert_true(wait_until(was_called, &runs, LONG_TIME));
    assert_int_equal(runs.errors + waits.errors, 2);
    assert_int_equal(runs.result, MPROC_CANCELLED);
    assert_int_equal(waits.result, MPROC_CANCELLED);
    mproc_future_free(first);
    mproc_future_free(second);
    must_end(pool);
    mproc_free(gate);
}

static void a_future_that_has_ended_has_its_callback_called_too(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct notes notes = {0};
    (void)state;
    mproc_future *future = submit(pool, square, 9);
    assert_int_equal(mproc_future_wait(future, MPROC_FOREVER), 0);
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), 0);
    assert_true(wait_until(was_called, &notes, LONG_TIME));
    assert_int_equal(notes.out, 81);
    mproc_future_free(future);
    must_end(pool);
}

static void a_map_has_one_callback(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct notes notes = {0};
    static long in[COUNT], out[COUNT];
    mproc_future *future;
    (void)state;
    fill_numbers(in, COUNT);
    assert_int_equal(
        mproc_pool_map_async(
            pool, &future, square, NULL,
            &(mproc_map){.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out}),
        0);
    assert_int_equal(mproc_future_on_end(future, NULL, note_error, &notes), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_FOREVER), 0);
    assert_int_equal(out[COUNT - 1], (COUNT - 1) * (COUNT - 1));
    mproc_future_free(future);
    must_end(pool);
    assert_int_equal(notes.errors, 0);
}

static void both_may_be_missing(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct notes notes = {0};
    (void)state;
    mproc_future *futures[] = {submit(pool, square, 1), submit(pool, fail_with_five, 1), submit(pool, square, 1)};
    assert_int_equal(mproc_future_on_end(futures[0], NULL, note_error, &notes), 0);
    assert_int_equal(mproc_future_on_end(futures[1], note_success, NULL, &notes), 0);
    assert_int_equal(mproc_future_on_end(futures[2], NULL, NULL, NULL), 0);
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_false(was_called(&notes));
    for (int i = 0; i < 3; i++)
        mproc_future_free(futures[i]);
    mproc_pool_free(pool);
}

static void bad_input_is_refused(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct notes notes = {0};
    (void)state;
    mproc_future *future = submit(pool, square, 1);
    assert_int_equal(mproc_future_on_end(NULL, note_success, note_error, &notes), -EINVAL);
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), 0);
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), -EINVAL);
    assert_true(wait_until(was_called, &notes, LONG_TIME));
    assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), -EINVAL);
    mproc_future_free(future);
    must_end(pool);
    assert_int_equal(notes.successes, 1);
}

/* ---- many ---- */

struct order {
    atomic_int count;
    long seen[MANY];
};

static void note_order(void *arg, mproc_future *future)
{
    struct order *order = arg;
    long out;
    assert_int_equal(mproc_future_get(future, &out, MPROC_NOWAIT), 0);
    order->seen[atomic_fetch_add(&order->count, 1)] = out;
    mproc_future_free(future);
}

/* One worker ends them in the order of their submission. */
static void ten_thousand_callbacks_come_in_the_order_of_the_ends(void **state)
{
    static struct order order;
    mproc_pool *pool = make_pool(1);
    (void)state;
    atomic_store(&order.count, 0);
    for (long i = 0; i < MANY; i++)
        assert_int_equal(mproc_future_on_end(submit(pool, square, i), note_order, NULL, &order), 0);
    must_end(pool);
    assert_int_equal(order.count, MANY);
    for (long i = 0; i < MANY; i++)
        assert_int_equal(order.seen[i], i * i);
}

/* ---- what a callback may do ---- */

struct chain {
    mproc_pool *pool;
    atomic_int left;
    pthread_t thread;
    sigset_t mask;
};

static void go_on(void *arg, mproc_future *future)
{
    struct chain *chain = arg;
    long out = 0;
    assert_int_equal(mproc_future_get(future, &out, MPROC_FOREVER), 0);
    mproc_future_free(future);
    pthread_sigmask(SIG_BLOCK, NULL, &chain->mask);
    if (atomic_load(&chain->left) > 1)
        assert_int_equal(mproc_future_on_end(submit(chain->pool, square, out % 1000), go_on, NULL, chain), 0);
    atomic_fetch_sub(&chain->left, 1);
}

static bool is_over(void *arg)
{
    return atomic_load(&((struct chain *)arg)->left) == 0;
}

static void a_callback_may_free_its_future_and_submit_another(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct chain chain = {.pool = pool, .left = 500};
    (void)state;
    assert_int_equal(mproc_future_on_end(submit(pool, square, 2), go_on, NULL, &chain), 0);
    assert_true(wait_until(is_over, &chain, LONG_TIME));
    must_end(pool);
    assert_int_equal(sigismember(&chain.mask, SIGINT), 1);
    assert_int_equal(sigismember(&chain.mask, SIGTERM), 1);
}

static void join_and_free(void *arg, mproc_future *future)
{
    mproc_pool *pool = arg;
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), -EDEADLK);
    assert_null(mproc_pool_free(pool));
    mproc_future_free(future);
}

static void a_callback_cannot_wait_for_itself(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future = submit(pool, square, 2);
    (void)state;
    assert_int_equal(mproc_future_on_end(future, join_and_free, NULL, pool), 0);
    while (mproc_pool_join(pool, MPROC_FOREVER) == -EINVAL)
        nap(1);
    mproc_pool_free(pool);
}

/* ---- freeing, joining ---- */

/* A callback that takes its time. */
struct slow {
    atomic_bool begun;
    atomic_bool open;
    atomic_bool ended;
};

static void wait_for_test(void *arg, mproc_future *future)
{
    struct slow *slow = arg;
    (void)future;
    atomic_store(&slow->begun, true);
    while (!atomic_load(&slow->open))
        nap(1);
    atomic_store(&slow->ended, true);
}

static bool slow_has_begun(void *arg)
{
    return atomic_load(&((struct slow *)arg)->begun);
}

static void a_freed_future_has_no_callback_called(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    struct notes notes = {0};
    struct slow slow = {0};
    (void)state;
    /* One that waits for its end, and one that waits for the callback before it. */
    mproc_future *slow_one = submit(pool, square, 1), *ended = submit(pool, square, 2);
    assert_int_equal(mproc_future_wait(ended, MPROC_FOREVER), 0);
    assert_int_equal(mproc_future_on_end(slow_one, wait_for_test, NULL, &slow), 0);
    assert_int_equal(mproc_future_on_end(ended, note_success, note_error, &notes), 0);
    assert_true(wait_until(slow_has_begun, &slow, LONG_TIME));
    mproc_future_free(ended);
    mproc_future *waits = submit_at_gate(pool, gate);
    assert_int_equal(mproc_future_on_end(waits, note_success, note_error, &notes), 0);
    mproc_future_free(waits);
    atomic_store(&gate->open, true);
    atomic_store(&slow.open, true);
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_false(was_called(&notes));
    mproc_future_free(slow_one);
    mproc_pool_free(pool);
    mproc_free(gate);
}

struct sequence {
    atomic_int count;
    mproc_future *seen[2];
};

static void note_sequence(void *arg, mproc_future *future)
{
    struct sequence *sequence = arg;
    sequence->seen[atomic_fetch_add(&sequence->count, 1)] = future;
}

/* Both end while the thread is busy; for the second a callback is asked for when it has ended. */
static void who_ended_first_is_called_first(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct gate *gate = make_gate();
    struct slow slow = {0};
    struct sequence sequence = {0};
    (void)state;
    mproc_future *busy = submit(pool, square, 1);
    assert_int_equal(mproc_future_on_end(busy, wait_for_test, NULL, &slow), 0);
    assert_true(wait_until(slow_has_begun, &slow, LONG_TIME));
    mproc_future *first = submit_at_gate(pool, gate), *second = submit(pool, square, 2);
    assert_int_equal(mproc_future_on_end(first, note_sequence, NULL, &sequence), 0);
    atomic_store(&gate->open, true);
    assert_int_equal(mproc_future_wait(second, MPROC_FOREVER), 0);
    assert_int_equal(mproc_future_on_end(second, note_sequence, NULL, &sequence), 0);
    atomic_store(&slow.open, true);
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_int_equal(sequence.count, 2);
    assert_ptr_equal(sequence.seen[0], first);
    assert_ptr_equal(sequence.seen[1], second);
    mproc_future_free(busy);
    mproc_future_free(first);
    mproc_future_free(second);
    mproc_pool_free(pool);
    mproc_free(gate);
}

static void *open_soon(void *arg)
{
    struct slow *slow = arg;
    nap(50);
    atomic_store(&slow->open, true);
    return NULL;
}

static void freeing_a_future_waits_for_its_callback(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct slow slow = {0};
    pthread_t thread;
    (void)state;
    mproc_future *future = submit(pool, square, 1);
    assert_int_equal(mproc_future_on_end(future, wait_for_test, NULL, &slow), 0);
    assert_true(wait_until(slow_has_begun, &slow, LONG_TIME));
    assert_int_equal(pthread_create(&thread, NULL, open_soon, &slow), 0);
    mproc_future_free(future);
    assert_true(atomic_load(&slow.ended));
    pthread_join(thread, NULL);
    must_end(pool);
}

static void a_join_waits_for_the_callbacks(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct slow slow = {0};
    pthread_t thread;
    (void)state;
    mproc_future *future = submit(pool, square, 1);
    assert_int_equal(mproc_future_on_end(future, wait_for_test, NULL, &slow), 0);
    mproc_pool_close(pool);
    assert_true(wait_until(slow_has_begun, &slow, LONG_TIME));
    assert_int_equal(mproc_pool_join(pool, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(pthread_create(&thread, NULL, open_soon, &slow), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_true(atomic_load(&slow.ended));
    pthread_join(thread, NULL);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void count_and_free(void *arg, mproc_future *future)
{
    mproc_item_status status;
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.result, MPROC_CANCELLED);
    mproc_future_free(future);
    atomic_fetch_add((atomic_int *)arg, 1);
}

/* So a future that its callback frees is freed. */
static void freeing_a_pool_calls_what_it_cancels(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct gate *gate = make_gate();
    atomic_int count = 0;
    (void)state;
    for (int i = 0; i < 100; i++)
        assert_int_equal(mproc_future_on_end(submit_at_gate(pool, gate), NULL, count_and_free, &count), 0);
    mproc_pool_free(pool);
    assert_int_equal(count, 100);
    mproc_free(gate);
}

/* ---- deaths ---- */

struct tally {
    atomic_int successes;
    atomic_int errors;
};

static void tally_success(void *arg, mproc_future *future)
{
    atomic_fetch_add(&((struct tally *)arg)->successes, 1);
    mproc_future_free(future);
}

static void tally_error(void *arg, mproc_future *future)
{
    atomic_fetch_add(&((struct tally *)arg)->errors, 1);
    mproc_future_free(future);
}

/* The thread itself starts another server: nobody else waits. */
static bool all_are_told(void *arg)
{
    struct tally *tally = arg;
    return atomic_load(&tally->successes) + atomic_load(&tally->errors) == 300;
}

static void callbacks_come_though_the_server_is_killed(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct tally tally = {0};
    (void)state;
    for (int i = 0; i < 300; i++) {
        mproc_future *future = submit(pool, i % 100 == 50 ? die : square, i);
        assert_int_equal(mproc_future_on_end(future, tally_success, tally_error, &tally), 0);
        if (i % 60 != 30)
            continue;
        pthread_mutex_lock(&pool->mutex);
        mproc_process_kill(pool->server);
        pthread_mutex_unlock(&pool->mutex);
    }
    assert_true(wait_until(all_are_told, &tally, LONG_TIME));
    assert_in_range(tally.errors, 3, 3 + 2 * 5);
    must_end(pool);
}

/* ---- threads ---- */

static void *submit_some(void *arg)
{
    struct chain *chain = arg;
    for (int i = 0; i < 300; i++) {
        mproc_future *future = submit(chain->pool, square, i);
        assert_int_equal(mproc_future_on_end(future, go_on, NULL, chain), 0);
    }
    return NULL;
}

static void *submit_and_give_up(void *arg)
{
    struct chain *chain = arg;
    struct notes notes = {0};
    for (int i = 0; i < 300; i++) {
        mproc_future *future = submit(chain->pool, square, i);
        assert_int_equal(mproc_future_on_end(future, note_success, note_error, &notes), 0);
        if (i % 2)
            mproc_future_wait(future, MPROC_FOREVER);
        mproc_future_free(future);
    }
    return NULL;
}

static void threads_may_ask_for_callbacks_at_once(void **state)
{
    mproc_pool *pool = make_pool(2);
    struct chain chain = {.pool = pool, .left = -1};
    pthread_t threads[4];
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i % 2 ? submit_some : submit_and_give_up, &chain), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    must_end(pool);
    assert_int_equal(chain.left, -601);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(success_is_called_where_a_task_went_well),
        unit(error_is_called_where_a_task_failed),
        unit(error_is_called_where_a_worker_died),
        unit(error_is_called_where_a_task_was_cancelled),
        unit(a_future_that_has_ended_has_its_callback_called_too),
        unit(a_map_has_one_callback),
        unit(both_may_be_missing),
        unit(bad_input_is_refused),
        unit(ten_thousand_callbacks_come_in_the_order_of_the_ends),
        unit(a_callback_may_free_its_future_and_submit_another),
        unit(a_callback_cannot_wait_for_itself),
        unit(a_freed_future_has_no_callback_called),
        unit(who_ended_first_is_called_first),
        unit(freeing_a_future_waits_for_its_callback),
        unit(a_join_waits_for_the_callbacks),
        unit(freeing_a_pool_calls_what_it_cancels),
        unit(callbacks_come_though_the_server_is_killed),
        unit(threads_may_ask_for_callbacks_at_once),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
