/* Programs that never wait for their pool, or never as long as a tick, and only ask. They must see an end too when the
 * pool's server dies. */
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"

#include <mproc.h>
#include <signal.h>
#include <stdlib.h>

/* What the polls ask about. */
struct question {
    mproc_pool *pool;
    mproc_future *future;
    mproc_imap *imap;
    int left; /* inputs */
};

static int next_input(void *arg, void *in)
{
    struct question *question = arg;
    *(long *)in = question->left;
    return question->left-- > 0 ? 0 : MPROC_CLOSED;
}

/* Kill the server, and wait until nothing of the pool lives. */
static void end_server(mproc_pool *pool)
{
    assert_int_equal(mproc_process_kill(pool->server), 0);
    assert_int_equal(mproc_process_join(pool->server, MPROC_FOREVER), 0);
}

/* A future and an imap of a pool whose server is dead. */
static struct question ask(void)
{
    struct question question = {.pool = make_pool(2), .left = 3};
    const long number = 7;
    end_server(question.pool);
    assert_int_equal(
        mproc_pool_submit(question.pool, &question.future, square, NULL, &number, sizeof number, sizeof number), 0);
    end_server(question.pool); /* the job may have started another */
    return question;
}

static void forget(struct question *question)
{
    mproc_imap_free(question->imap);
    mproc_future_free(question->future);
    mproc_pool_free(question->pool);
}

/* Poll until it is so, for some seconds; napping makes it no wait for the pool. */
static void must_become_true(bool (*poll)(void *arg))
{
    struct question question = ask();
    assert_true(wait_until(poll, &question, 20000));
    forget(&question);
}

static bool waits_not(void *arg)
{
    return mproc_future_wait(((struct question *)arg)->future, MPROC_NOWAIT) == 0;
}

static bool waits_a_moment(void *arg)
{
    return mproc_future_wait(((struct question *)arg)->future, MPROC_MS(1)) == 0;
}

static bool gets(void *arg)
{
    long result = 0;
    return mproc_future_get(((struct question *)arg)->future, &result, MPROC_NOWAIT) == 0 && result == 49;
}

static bool has_result(void *arg)
{
    return mproc_future_result(((struct question *)arg)->future) != NULL;
}

static bool has_status(void *arg)
{
    mproc_item_status status;
    return mproc_future_status(((struct question *)arg)->future, &status) == 0;
}

static bool is_done(void *arg)
{
    return mproc_future_is_done(((struct question *)arg)->future);
}

static bool is_ready(void *arg)
{
    mproc_wait_item item = {.kind = MPROC_WAIT_FUTURE, .on.future = ((struct question *)arg)->future};
    return mproc_wait(&item, 1, NULL, MPROC_NOWAIT) == 0;
}

static void a_future_that_is_polled_ends(void **state)
{
    (void)state;
    must_become_true(waits_not);
    must_become_true(waits_a_moment);
    must_become_true(gets);
    must_become_true(has_result);
    must_become_true(has_status);
    must_become_true(is_done);
    must_become_true(is_ready);
}

static void inputs_that_are_polled_have_their_results(void **state)
{
    struct question question = ask();
    const mproc_imap_options options = {
        .next = next_input, .arg = &question, .in_size = sizeof(long), .out_size = sizeof(long)};
    long sum = 0, out;
    int result = MPROC_TIMEOUT;
    (void)state;
    assert_int_equal(mproc_pool_imap(question.pool, &question.imap, square, NULL, &options), 0);
    end_server(question.pool);
    for (int i = 0; i < 20000 && result != MPROC_CLOSED; i++) {
        result = mproc_imap_next(question.imap, &out, NULL, MPROC_NOWAIT);
        if (result == 0)
            sum += out;
        else if (result == MPROC_TIMEOUT)
            nap(1);
        else
            assert_int_equal(result, MPROC_CLOSED);
    }
    assert_int_equal(result, MPROC_CLOSED);
    assert_int_equal(sum, 9 + 4 + 1);
    forget(&question);
}

static bool is_joined(void *arg)
{
    return mproc_pool_join(arg, MPROC_NOWAIT) == 0;
}

static void a_closed_pool_that_is_polled_ends(void **state)
{
    struct question question = ask();
    (void)state;
    assert_int_equal(mproc_pool_close(question.pool), 0);
    assert_true(wait_until(is_joined, question.pool, 20000));
    assert_true(mproc_future_is_done(question.future));
    forget(&question);
}

static void count_call(void *arg, mproc_future *future)
{
    (void)future;
    atomic_fetch_add((_Atomic(int) *)arg, 1);
}

static bool is_called(void *calls)
{
    return atomic_load((_Atomic(int) *)calls) > 0;
}

static void a_callback_comes_though_nobody_asks(void **state)
{
    struct question question = ask();
    _Atomic(int) calls = 0;
    (void)state;
    assert_int_equal(mproc_future_on_end(question.future, count_call, count_call, &calls), 0);
    assert_true(wait_until(is_called, &calls, 20000));
    forget(&question);
}

/* The task tells by shared memory that it has run; the host asks the pool for nothing. */
static void giving_work_is_a_look_too(void **state)
{
    mproc_pool *pool = make_pool(2);
    mproc_future *futures[100];
    atomic_long *count = mproc_calloc(1, sizeof *count);
    (void)state;
    assert_non_null(count);
    end_server(pool);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mproc_pool_submit(pool, &futures[i], count_up, count, NULL, 0, 0), 0);
        nap(1);
    }
    for (int i = 0; i < 20000 && atomic_load(count) < 100; i++)
        nap(1);
    assert_int_equal(atomic_load(count), 100);
    for (int i = 0; i < 100; i++)
        mproc_future_free(futures[i]);
    mproc_pool_free(pool);
    mproc_free(count);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_future_that_is_polled_ends),      unit(inputs_that_are_polled_have_their_results),
        unit(a_closed_pool_that_is_polled_ends), unit(a_callback_comes_though_nobody_asks),
        unit(giving_work_is_a_look_too),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
