/* Handles that are used after they were freed, or after their pool was: an error, and no more. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <stdlib.h>
#include <string.h>

static void ignore(void *arg, mproc_future *future)
{
    (void)arg;
    (void)future;
}

static void assert_future_is_stale(mproc_future *future)
{
    long out;
    mproc_item_status status;
    mproc_postmortem death;
    mproc_wait_item item = {.kind = MPROC_WAIT_FUTURE, .on.future = future};
    size_t size = 5;
    assert_int_equal(mproc_future_get(future, &out, MPROC_FOREVER), -ESTALE);
    assert_int_equal(mproc_future_wait(future, MPROC_FOREVER), -ESTALE);
    assert_non_null(strstr(mproc_last_error(), "mproc_future_wait: the "));
    assert_non_null(strstr(mproc_last_error(), " was freed"));
    assert_int_equal(mproc_future_status(future, &status), -ESTALE);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), -ESTALE);
    assert_int_equal(mproc_future_cancel(future), -ESTALE);
    assert_int_equal(mproc_future_on_end(future, ignore, ignore, NULL), -ESTALE);
    assert_true(mproc_future_is_done(future)); /* a loop that waits for it ends */
    assert_null(mproc_future_result(future));
    assert_int_equal(mproc_future_result_size(future), 0);
    assert_null(mproc_future_take_result(future, &size));
    assert_int_equal(size, 0);
    assert_null(mproc_future_error(future));
    assert_int_equal(mproc_wait(&item, 1, &size, MPROC_FOREVER), -EINVAL);
}

static void assert_imap_is_stale(mproc_imap *imap)
{
    size_t index;
    mproc_item_status status;
    mproc_postmortem death;
    assert_int_equal(mproc_imap_next(imap, NULL, &index, MPROC_FOREVER), -ESTALE);
    assert_int_equal(mproc_imap_status(imap, &status), -ESTALE);
    assert_int_equal(mproc_imap_postmortem(imap, &death), -ESTALE);
    assert_null(mproc_imap_result(imap));
    assert_int_equal(mproc_imap_result_size(imap), 0);
    assert_null(mproc_imap_take_result(imap, NULL));
    assert_null(mproc_imap_error(imap));
    assert_null(mproc_imap_input(imap, 0, NULL));
}

static int next_number(void *arg, void *in)
{
    *(long *)in = ++*(long *)arg;
    return 0;
}

static void assert_pool_is_stale(mproc_pool *pool)
{
    mproc_future *future;
    mproc_imap *imap;
    mproc_pool_statistics statistics;
    const mproc_map map = {.count = 1};
    const mproc_imap_options options = {.next = next_number, .in_size = sizeof(long)};
    assert_int_equal(mproc_pool_map(pool, count_up, NULL, &map, MPROC_FOREVER), -ESTALE);
    assert_int_equal(mproc_pool_map_async(pool, &future, count_up, NULL, &map), -ESTALE);
    assert_int_equal(mproc_pool_run_on_all(pool, count_up, NULL, &map, MPROC_FOREVER), -ESTALE);
    assert_int_equal(mproc_pool_call(pool, count_up, NULL, NULL, 0, NULL, 0, MPROC_FOREVER), -ESTALE);
    assert_int_equal(mproc_pool_submit(pool, &future, count_up, NULL, NULL, 0, 0), -ESTALE);
    assert_int_equal(mproc_pool_submit_with(pool, &future, count_up, NULL, NULL), -ESTALE);
    assert_int_equal(mproc_pool_imap(pool, &imap, count_up, NULL, &options), -ESTALE);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), -ESTALE);
    assert_int_equal(mproc_pool_stats(pool, &statistics, NULL, 0), -ESTALE);
    assert_int_equal(mproc_pool_resize(pool, 1), -ESTALE);
    assert_int_equal(mproc_pool_close(pool), -ESTALE);
    assert_int_equal(mproc_pool_terminate(pool), -ESTALE);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), -ESTALE);
    assert_null(mproc_pool_free(pool));
}

static mproc_future *submit_square(mproc_pool *pool)
{
    long in = 3;
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &in, sizeof in, sizeof in), 0);
    return future;
}

/* NOLINTNEXTLINE(readability-non-const-parameter): next_number() writes it */
static mproc_imap *begin_squares(mproc_pool *pool, long *number)
{
    mproc_imap *imap;
    const mproc_imap_options options = {
        .next = next_number, .arg = number, .in_size = sizeof(long), .out_size = sizeof(long)};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), 0);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), 0);
    return imap;
}

static void what_belongs_to_a_freed_pool_says_so(void **state)
{
    long number = 0;
    mproc_pool *pool = make_pool(1);
    mproc_future *done = submit_square(pool), *other = submit_square(pool);
    mproc_imap *imap = begin_squares(pool, &number);
    (void)state;
    assert_int_equal(mproc_future_wait(done, MPROC_SEC(60)), 0);
    mproc_pool_free(pool);
    for (int i = 0; i < 200; i++) /* the memory of the handle stays as long as these */
        free(malloc(1000));
    assert_future_is_stale(done);
    assert_future_is_stale(other);
    assert_imap_is_stale(imap);
    assert_pool_is_stale(pool);
    assert_null(mproc_future_free(done));
    assert_null(mproc_future_free(other));
    assert_null(mproc_imap_free(imap));
    assert_pool_is_stale(pool);
}

static void what_was_freed_just_now_says_so(void **state)
{
    long number = 0;
    mproc_pool *pool = make_pool(1);
    (void)state;
    for (int i = 0; i < 200; i++) {
        mproc_future *future = submit_square(pool);
        mproc_future_free(future);
        assert_int_equal(mproc_future_wait(future, MPROC_NOWAIT), -ESTALE);
        assert_null(mproc_future_free(future));
    }
    mproc_future *future = submit_square(pool);
    mproc_imap *imap = begin_squares(pool, &number);
    mproc_future_free(future);
    mproc_imap_free(imap);
    assert_future_is_stale(future);
    assert_imap_is_stale(imap);
    assert_null(mproc_future_free(future));
    assert_null(mproc_imap_free(imap));
    mproc_pool_free(pool);
    assert_pool_is_stale(pool);
    assert_pool_is_stale(pool);
    assert_future_is_stale(future);
}

static void something_else_is_no_handle(void **state)
{
    long number = 0;
    mproc_pool *pool = make_pool(1);
    mproc_future *future = submit_square(pool);
    mproc_imap *imap = begin_squares(pool, &number);
    (void)state;
    assert_int_equal(mproc_future_wait((mproc_future *)(void *)pool, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_imap_next((mproc_imap *)(void *)future, NULL, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_pool_close((mproc_pool *)(void *)imap), -EINVAL);
    assert_null(mproc_pool_free((mproc_pool *)(void *)future));
    assert_null(mproc_future_free((mproc_future *)(void *)imap));
    assert_null(mproc_imap_free((mproc_imap *)(void *)pool));
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    mproc_imap_free(imap);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_belongs_to_a_freed_pool_says_so),
        unit(what_was_freed_just_now_says_so),
        unit(something_else_is_no_handle),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
