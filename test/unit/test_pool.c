/* The life of pools when nothing goes wrong but what the caller wants: time, close, terminate and join, bad input,
 * several pools and threads at once. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

/* ---- time ---- */

static void a_map_that_takes_too_long_is_stopped(void **state)
{
    enum {
        ITEMS = 10
    };
    int in[ITEMS] = {0};
    mproc_item_status status[ITEMS];
    mproc_pool *pool = make_pool(2);
    mproc_map map = {.count = ITEMS, .in = in, .in_size = sizeof *in, .status = status, .chunk = 1};
    (void)state;
    in[4] = in[5] = 1000000;
    int64_t begin = milliseconds();
    assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL, &map, MPROC_MS(100)), MPROC_TIMEOUT);
    assert_in_range(milliseconds() - begin, 100, 5000);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(status[i].result, i < 4 ? 0 : MPROC_CANCELLED);
        assert_int_equal(status[i].code, 0);
    }
    in[4] = in[5] = 0;
    assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL, &map, MPROC_FOREVER), 0);
    mproc_pool_free(pool);
}

static void no_time_is_too_little(void **state)
{
    int in[4] = {1000000, 1000000, 1000000, 1000000};
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 20; i++)
        assert_int_equal(mproc_pool_map(pool, sleep_so_long, NULL,
                                        &(mproc_map){.count = 4, .in = in, .in_size = sizeof *in}, MPROC_NOWAIT),
                         MPROC_TIMEOUT);
    mproc_pool_free(pool);
}

struct other_map {
    mproc_pool *pool;
    int in[4];
    int result;
};

static void *map_sleepers(void *arg)
{
    struct other_map *map = arg;
    map->result = mproc_pool_map(map->pool, sleep_so_long, NULL,
                                 &(mproc_map){.count = 4, .in = map->in, .in_size = sizeof *map->in}, MPROC_FOREVER);
    return NULL;
}

static void a_timeout_stops_no_other_map(void **state)
{
    int long_item = 1000000;
    struct other_map other = {.pool = make_pool(3), .in = {50, 50, 50, 50}};
    pthread_t thread;
    (void)state;
    for (int i = 0; i < 10; i++) {
        assert_int_equal(pthread_create(&thread, NULL, map_sleepers, &other), 0);
        assert_int_equal(mproc_pool_map(other.pool, sleep_so_long, NULL,
                                        &(mproc_map){.count = 1, .in = &long_item, .in_size = sizeof long_item},
                                        MPROC_MS(20 + i)),
                         MPROC_TIMEOUT);
        pthread_join(thread, NULL);
        assert_int_equal(other.result, 0);
    }
    mproc_pool_free(other.pool);
}

/* ---- the life of a pool ---- */

static bool all_gone(void *arg)
{
    const pid_t *pids = arg;
    for (int i = 0; i < 3; i++)
        if (kill(pids[i], 0) == 0)
            return false;
    return true;
}

static void the_workers_are_known_and_end_with_the_pool(void **state)
{
    pid_t pids[4] = {0};
    mproc_pool *pool = make_pool(3);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, pids, 4), 3);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 3);
    assert_int_equal(pids[3], 0);
    assert_false(all_gone(pids));
    for (int i = 0; i < 3; i++)
        assert_int_equal(kill(pids[i], 0), 0);
    mproc_pool_free(pool);
    assert_true(all_gone(pids));
}

static void the_default_is_a_worker_for_each_cpu(void **state)
{
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, NULL), 0);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), mproc_cpu_count());
    mproc_pool_free(pool);
}

static void a_closed_pool_takes_no_more_work(void **state)
{
    long in[10], out[10];
    mproc_future *future;
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_squares(pool, in, out, 10, 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_map(pool, count_up, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER), MPROC_CLOSED);
    assert_int_equal(mproc_pool_submit(pool, &future, count_up, NULL, NULL, 0, 0), MPROC_CLOSED);
    assert_null(future);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 0);
    mproc_pool_free(pool);
}

static void a_closed_pool_does_what_it_has_taken(void **state)
{
    struct other_map map = {.pool = make_pool(2), .in = {50, 50, 50, 50}, .result = -1};
    atomic_long *count = mproc_calloc(1, sizeof *count);
    mproc_future *futures[50];
    (void)state;
    for (int i = 0; i < 50; i++)
        assert_int_equal(mproc_pool_submit(map.pool, &futures[i], count_up, count, NULL, 0, 0), 0);
    assert_int_equal(mproc_pool_close(map.pool), 0);
    assert_int_equal(mproc_pool_join(map.pool, MPROC_FOREVER), 0);
    assert_int_equal(*count, 50);
    for (int i = 0; i < 50; i++) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_NOWAIT), 0);
        mproc_future_free(futures[i]);
    }
    mproc_pool_free(map.pool);
    mproc_free(count);
}

static void a_join_has_its_time(void **state)
{
    int long_item = 1000000;
    mproc_future *future;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, sleep_so_long, NULL, &long_item, sizeof long_item, 0), 0);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(mproc_pool_terminate(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_FOREVER), MPROC_CANCELLED);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static bool is_at_work(void *arg)
{
    return atomic_load((atomic_long *)arg) > 0;
}

static int note_and_sleep(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add((atomic_long *)ctx, 1);
    nap(1000000);
    return 0;
}

struct endless_map {
    mproc_pool *pool;
    atomic_long *begun;
    mproc_item_status status[5];
    int result;
};

static void *map_endless(void *arg)
{
    struct endless_map *map = arg;
    map->result = mproc_pool_map(map->pool, note_and_sleep, map->begun,
                                 &(mproc_map){.count = 5, .status = map->status, .chunk = 1}, MPROC_FOREVER);
    return NULL;
}

static void terminate_ends_what_runs_and_what_waits(void **state)
{
    struct endless_map map = {.pool = make_pool(2), .begun = mproc_calloc(1, sizeof *map.begun)};
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, map_endless, &map), 0);
    assert_true(wait_until(is_at_work, map.begun, 10000));
    assert_int_equal(mproc_pool_terminate(map.pool), 0);
    pthread_join(thread, NULL);
    assert_int_equal(map.result, MPROC_CANCELLED);
    for (int i = 0; i < 5; i++)
        assert_int_equal(map.status[i].result, MPROC_CANCELLED);
    assert_int_equal(mproc_pool_map(map.pool, count_up, map.begun, &(mproc_map){.count = 1}, MPROC_FOREVER),
                     MPROC_CLOSED);
    assert_int_equal(mproc_pool_join(map.pool, MPROC_FOREVER), 0);
    assert_int_equal(mproc_pool_terminate(map.pool), 0);
    assert_int_equal(mproc_pool_close(map.pool), 0);
    mproc_pool_free(map.pool);
    mproc_free(map.begun);
}

/* Maps and submits until the pool takes no more. */
static void *work_until_closed(void *pool)
{
    static _Thread_local long in[COUNT], out[COUNT];
    const mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    mproc_future *future;
    int result;
    do {
        result = mproc_pool_submit(pool, &future, square, NULL, in, sizeof *in, sizeof *out);
        if (result == 0) {
            result = mproc_future_get(future, out, MPROC_FOREVER);
            mproc_future_free(future);
        }
        if (result == 0)
            result = mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER);
    } while (result == 0);
    assert_true(result == MPROC_CLOSED || result == MPROC_CANCELLED);
    return NULL;
}

static void the_end_may_come_at_any_moment(void **state)
{
    pthread_t threads[2];
    (void)state;
    for (int i = 0; i < 60; i++) {
        mproc_pool *pool = make_pool(2);
        for (int k = 0; k < 2; k++)
            assert_int_equal(pthread_create(&threads[k], NULL, work_until_closed, pool), 0);
        nap(i % 7);
        assert_int_equal(i % 2 ? mproc_pool_terminate(pool) : mproc_pool_close(pool), 0);
        assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
        for (int k = 0; k < 2; k++)
            pthread_join(threads[k], NULL);
        mproc_pool_free(pool);
    }
}

static void a_pool_may_be_freed_at_any_time(void **state)
{
    (void)state;
    for (int i = 0; i < 10; i++)
        mproc_pool_free(make_pool(2));
    mproc_pool *pool = make_pool(2);
    mproc_pool_close(pool);
    mproc_pool_free(pool);
    assert_null(mproc_pool_free(NULL));
}

static void bad_input_is_refused(void **state)
{
    long x = 0;
    mproc_pool *pool = NULL;
    (void)state;
    assert_int_equal(mproc_pool_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1025}), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.method = MPROC_START_FORKSERVER}), -EINVAL);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.method = (enum mproc_start_method)9}), -EINVAL);
    assert_null(pool);
    assert_int_equal(mproc_pool_map(NULL, square, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_close(NULL), -EINVAL);
    assert_int_equal(mproc_pool_terminate(NULL), -EINVAL);
    assert_int_equal(mproc_pool_join(NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_workers(NULL, NULL, 0), -EINVAL);
    pool = make_pool(1);
    const mproc_map wrong[] = {
        {.count = 1, .in_size = 8},
        {.count = 1, .out_size = 8},
        {.count = 1, .in = &x},
        {.count = 1, .out = &x},
        {.count = 1, .ctx_size = 8},
        {.count = SIZE_MAX / 4, .in = &x, .in_size = 8},
        {.count = SIZE_MAX / 4, .out = &x, .out_size = 8},
        {.count = SIZE_MAX, .status = (mproc_item_status *)&x},
    };
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mproc_pool_map(pool, square, NULL, &wrong[i], MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, NULL, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, square, NULL, NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &(mproc_map){.count = 1}, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_pool_workers(pool, NULL, 1), -EINVAL);
    assert_int_equal(mproc_pool_join(pool, MPROC_NS(-2)), -EINVAL);
    mproc_pool_free(pool);
}

static void a_map_for_which_there_is_no_memory_leaves_none_taken(void **state)
{
    char x;
    mproc_pool *pool = make_pool(1);
    size_t before = bytes_in_use();
    (void)state;
    assert_int_equal(mproc_pool_map(pool, square, NULL,
                                    &(mproc_map){.count = 4, .out = &x, .out_size = (size_t)1 << 50}, MPROC_FOREVER),
                     -ENOMEM);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &(mproc_map){.count = SIZE_MAX}, MPROC_FOREVER), -ENOMEM);
    assert_true(bytes_in_use() <= before + 4096);
    mproc_pool_free(pool);
}

static void a_function_that_is_in_no_object_file_is_refused(void **state)
{
    static char data[64];
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, (mproc_task *)(uintptr_t)data, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER),
                     MPROC_NO_FUNCTION);
    mproc_pool_free(pool);
}

/* The ways to give a pool work with a ctx that stands as it is. */
static int map_with(mproc_pool *pool, void *ctx)
{
    return mproc_pool_map(pool, add_ctx, ctx, &(mproc_map){.count = 1}, MPROC_FOREVER);
}

static int map_async_with(mproc_pool *pool, void *ctx)
{
    mproc_future *future;
    int result = mproc_pool_map_async(pool, &future, add_ctx, ctx, &(mproc_map){.count = 1});
    assert_null(future);
    return result;
}

static int run_on_all_with(mproc_pool *pool, void *ctx)
{
    return mproc_pool_run_on_all(pool, add_ctx, ctx, &(mproc_map){.count = 0}, MPROC_FOREVER);
}

static int call_with(mproc_pool *pool, void *ctx)
{
    return mproc_pool_call(pool, add_ctx, ctx, NULL, 0, NULL, 0, MPROC_FOREVER);
}

static int submit_with(mproc_pool *pool, void *ctx)
{
    mproc_future *future;
    int result = mproc_pool_submit(pool, &future, add_ctx, ctx, NULL, 0, 0);
    assert_null(future);
    return result;
}

static int no_input(void *arg, void *in)
{
    (void)arg, (void)in;
    return MPROC_CLOSED;
}

static int imap_with(mproc_pool *pool, void *ctx)
{
    mproc_imap *imap;
    int result = mproc_pool_imap(pool, &imap, add_ctx, ctx, &(mproc_imap_options){.next = no_input, .in_size = 1});
    assert_null(imap);
    return result;
}

static void a_private_ctx_without_a_size_is_refused_by_every_server(void **state)
{
    static const long constant = 5;
    long local = 5, *heap = malloc(sizeof *heap);
    void *const addresses[] = {&local,
                               heap,
                               (void *)(uintptr_t)&constant,
                               (void *)(uintptr_t) "text",
                               (void *)(uintptr_t)add_ctx,
                               (void *)(uintptr_t)5};
    int (*const ways[])(mproc_pool *, void *) = {map_with,  map_async_with, run_on_all_with,
                                                 call_with, submit_with,    imap_with};
    mproc_pool *pool = make_pool(1);
    (void)state;
    for (size_t way = 0; way < sizeof ways / sizeof *ways; way++)
        for (size_t i = 0; i < sizeof addresses / sizeof *addresses; i++) {
            assert_int_equal(ways[way](pool, addresses[i]), MPROC_NOT_SHARED);
            assert_non_null(strstr(mproc_last_error(), ": ctx is not in shared memory"));
        }
    mproc_pool_free(pool);
    free(heap);
}

static void a_private_ctx_with_a_size_is_copied(void **state)
{
    long in = 1, out = 0, ctx = 5;
    mproc_map map = {.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out};
    mproc_pool *pool = make_pool(1);
    (void)state;
    map.ctx_size = sizeof ctx;
    assert_int_equal(mproc_pool_map(pool, add_ctx, &ctx, &map, MPROC_FOREVER), 0);
    assert_int_equal(out, 6);
    mproc_pool_free(pool);
}

static void what_was_there_before_the_pool_may_be_inherited(void **state)
{
    long in = 1, out = 0, *ctx = malloc(sizeof *ctx);
    const mproc_map map = {.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out};
    mproc_pool *pool;
    (void)state;
    *ctx = 5;
    const mproc_pool_options options = {.workers = 1, .inherited_memory = true};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    assert_int_equal(mproc_pool_map(pool, add_ctx, ctx, &map, MPROC_FOREVER), 0);
    assert_int_equal(out, 6);
    mproc_pool_free(pool);
    free(ctx);
    const mproc_pool_options spawned = {.method = MPROC_START_SPAWN, .inherited_memory = true};
    assert_int_equal(mproc_pool_create(&pool, &spawned), -EINVAL);
    assert_null(pool);
}

static void the_server_is_spawned_where_it_can_be(void **state)
{
    long in = 1, out, ctx = 5;
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, NULL), 0);
    assert_int_equal(
        mproc_pool_map(pool, add_ctx, &ctx,
                       &(mproc_map){.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out},
                       MPROC_FOREVER),
        MPROC_NOT_SHARED);
    mproc_pool_free(pool);
}

/* ---- several ---- */

static void two_pools_work_side_by_side(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_pool *first = make_pool(2), *second = make_pool(1);
    (void)state;
    map_squares(first, in, out, COUNT, 0);
    map_squares(second, in, out, COUNT, 0);
    mproc_pool_free(first);
    map_squares(second, in, out, COUNT, 0);
    mproc_pool_free(second);
}

static void *map_in_a_thread(void *arg)
{
    static _Thread_local long in[COUNT], out[COUNT];
    for (int i = 0; i < 30; i++)
        map_squares(arg, in, out, COUNT, (size_t)i % 3 * 10);
    return NULL;
}

static void threads_of_one_host_map_at_once(void **state)
{
    pthread_t threads[4];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, map_in_a_thread, pool), 0);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    mproc_pool_free(pool);
}

static void *make_in_a_thread(void *arg)
{
    *(mproc_pool **)arg = make_pool(2);
    return NULL;
}

static void a_pool_outlives_the_thread_that_made_it(void **state)
{
    long in[COUNT], out[COUNT];
    pid_t before[2], after[2];
    mproc_pool *pool;
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, make_in_a_thread, &pool), 0);
    pthread_join(thread, NULL);
    assert_int_equal(mproc_pool_workers(pool, before, 2), 2);
    map_squares(pool, in, out, COUNT, 0);
    nap(150);
    map_squares(pool, in, out, COUNT, 0);
    assert_int_equal(mproc_pool_workers(pool, after, 2), 2);
    assert_memory_equal(before, after, sizeof before);
    mproc_pool_free(pool);
}

static int use_a_pool(void *arg)
{
    long in[COUNT], out[COUNT];
    (void)arg;
    mproc_pool *pool = make_pool(2);
    map_squares(pool, in, out, COUNT, 0);
    mproc_pool_free(pool);
    return 42;
}

static void a_child_process_has_pools_of_its_own(void **state)
{
    mproc_process *process;
    int exitcode;
    (void)state;
    assert_int_equal(mproc_process_start(&process, use_a_pool, NULL, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 42);
    mproc_process_free(process);
}

static int use_the_parents_pool(void *pool)
{
    if (mproc_pool_map(pool, square, NULL, &(mproc_map){.count = 1}, MPROC_FOREVER) != MPROC_FOREIGN)
        return 1;
    if (mproc_pool_close(pool) != MPROC_FOREIGN || mproc_pool_terminate(pool) != MPROC_FOREIGN)
        return 2;
    return mproc_pool_free(pool) ? 3 : 0;
}

static void a_handle_is_of_no_use_in_another_process(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_process *process;
    int exitcode;
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_process_start(&process, use_the_parents_pool, pool, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 0);
    mproc_process_free(process);
    map_squares(pool, in, out, COUNT, 0);
    mproc_pool_free(pool);
}

static void a_pool_may_have_many_workers(void **state)
{
    long in[COUNT], out[COUNT];
    mproc_pool *pool = make_pool(100);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, NULL, 0), 100);
    map_squares(pool, in, out, COUNT, 1);
    mproc_pool_free(pool);
}

static void a_pool_does_not_keep_connections_open(void **state)
{
    mproc_connection *reader, *writer;
    char byte;
    size_t size;
    (void)state;
    assert_int_equal(mproc_pipe(&reader, &writer, false), 0);
    mproc_pool *pool = make_pool(2);
    writer = mproc_connection_free(writer);
    assert_int_equal(mproc_connection_recv(reader, &byte, 1, &size, MPROC_SEC(10)), MPROC_CLOSED);
    mproc_connection_free(reader);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_map_that_takes_too_long_is_stopped),
        unit(no_time_is_too_little),
        unit(a_timeout_stops_no_other_map),
        unit(the_workers_are_known_and_end_with_the_pool),
        unit(the_default_is_a_worker_for_each_cpu),
        unit(a_closed_pool_takes_no_more_work),
        unit(a_closed_pool_does_what_it_has_taken),
        unit(a_join_has_its_time),
        unit(terminate_ends_what_runs_and_what_waits),
        unit(the_end_may_come_at_any_moment),
        unit(a_pool_may_be_freed_at_any_time),
        unit(bad_input_is_refused),
        unit(a_map_for_which_there_is_no_memory_leaves_none_taken),
        unit(a_function_that_is_in_no_object_file_is_refused),
        unit(a_private_ctx_without_a_size_is_refused_by_every_server),
        unit(a_private_ctx_with_a_size_is_copied),
        unit(what_was_there_before_the_pool_may_be_inherited),
        unit(the_server_is_spawned_where_it_can_be),
        unit(two_pools_work_side_by_side),
        unit(threads_of_one_host_map_at_once),
        unit(a_pool_outlives_the_thread_that_made_it),
        unit(a_child_process_has_pools_of_its_own),
        unit(a_handle_is_of_no_use_in_another_process),
        unit(a_pool_may_have_many_workers),
        unit(a_pool_does_not_keep_connections_open),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
