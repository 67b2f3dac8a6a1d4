/* Items that are tried again. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    ITEMS = 12,
    BAD = 3, /* these two items misbehave */
    BAD_TOO = 4,
};

/* Shared with the tasks. */
struct book {
    _Atomic(int) begun[ITEMS];
    int bad_for; /* so many times a bad item misbehaves */
};

static bool misbehaves(void *ctx, const void *in)
{
    struct book *book = ctx;
    int item = *(const int *)in;
    int before = atomic_fetch_add(&book->begun[item], 1);
    return (item == BAD || item == BAD_TOO) && before < book->bad_for;
}

static int finish(const void *in, void *out)
{
    int *result = out;
    if (*result != 0) /* out is zero at the start of each try */
        return 99;
    *result = *(const int *)in + 100;
    return 0;
}

static int die(void *ctx, const void *in, void *out)
{
    if (misbehaves(ctx, in)) {
        *(int *)out = 1;
        raise(SIGKILL);
    }
    return finish(in, out);
}

static int go_wrong(void *ctx, const void *in, void *out)
{
    if (misbehaves(ctx, in)) {
        *(int *)out = 1;
        return 5;
    }
    return finish(in, out);
}

static int hang(void *ctx, const void *in, void *out)
{
    while (misbehaves(ctx, in))
        pause();
    return finish(in, out);
}

/* Map with these wishes over items of which two misbehave so many times; they must end as result and code, after so
 * many tries. */
static void must_end(mproc_task *task, mproc_map map, int bad_for, int result, int code, int tries)
{
    mproc_pool *pool;
    struct book *book = mproc_calloc(1, sizeof *book);
    int in[ITEMS], out[ITEMS];
    mproc_item_status status[ITEMS];
    assert_non_null(book);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = pool_method}), 0);
    book->bad_for = bad_for;
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    map.count = ITEMS;
    map.in = in;
    map.in_size = sizeof *in;
    map.out = out;
    map.out_size = sizeof *out;
    map.status = status;
    assert_int_equal(mproc_pool_map(pool, task, book, &map, MPROC_SEC(60)), result);
    for (int i = 0; i < ITEMS; i++) {
        bool bad = i == BAD || i == BAD_TOO;
        assert_int_equal(atomic_load(&book->begun[i]), bad ? tries : 1);
        assert_int_equal(status[i].result, bad ? result : 0);
        assert_int_equal(status[i].code, bad ? code : 0);
        if (status[i].result == 0)
            assert_int_equal(out[i], i + 100);
    }
    mproc_pool_free(pool);
    mproc_free(book);
}

static void an_item_whose_worker_died_is_tried_again(void **state)
{
    (void)state;
    for (size_t chunk = 0; chunk <= ITEMS; chunk += 4) {
        must_end(die, (mproc_map){.chunk = chunk, .retries = 2}, 2, 0, 0, 3);
        must_end(die, (mproc_map){.chunk = chunk, .retries = 2}, 1, 0, 0, 2);
    }
}

static void what_dies_again_and_again_is_given_up(void **state)
{
    (void)state;
    must_end(die, (mproc_map){.chunk = ITEMS, .retries = 3}, 1000, MPROC_WORKER_DIED, -SIGKILL, 4);
    must_end(die, (mproc_map){.chunk = 1, .retries = 3}, 1000, MPROC_WORKER_DIED, -SIGKILL, 4);
}

static void an_item_that_failed_is_tried_again(void **state)
{
    (void)state;
    must_end(go_wrong, (mproc_map){.retries = 2}, 2, 0, 0, 3);
    must_end(go_wrong, (mproc_map){.retries = 2}, 1000, MPROC_TASK_FAILED, 5, 3);
}

static void an_item_that_was_late_is_tried_again(void **state)
{
    (void)state;
    must_end(hang, (mproc_map){.retries = 1, .item_timeout = MPROC_MS(500)}, 1, 0, 0, 2);
}

static void only_what_is_wished_is_tried_again(void **state)
{
    (void)state;
    must_end(die, (mproc_map){.retries = 2, .retry_on = MPROC_RETRY_FAILURE | MPROC_RETRY_LATE}, 1, MPROC_WORKER_DIED,
             -SIGKILL, 1);
    must_end(go_wrong, (mproc_map){.retries = 2, .retry_on = MPROC_RETRY_DEATH}, 1, MPROC_TASK_FAILED, 5, 1);
    must_end(go_wrong, (mproc_map){.retries = 2, .retry_on = MPROC_RETRY_FAILURE}, 1, 0, 0, 2);
}

static void bad_wishes_are_refused(void **state)
{
    (void)state;
    mproc_pool *pool;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = pool_method}), 0);
    assert_int_equal(mproc_pool_map(pool, die, NULL, &(mproc_map){.count = 1, .retries = 256}, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, die, NULL, &(mproc_map){.count = 1, .retry_on = 8}, MPROC_NOWAIT), -EINVAL);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_item_whose_worker_died_is_tried_again), unit(what_dies_again_and_again_is_given_up),
        unit(an_item_that_failed_is_tried_again),       unit(an_item_that_was_late_is_tried_again),
        unit(only_what_is_wished_is_tried_again),       unit(bad_wishes_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
