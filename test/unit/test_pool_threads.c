/* Pools whose workers are threads of this process. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    WORKERS = 3,
    MANY = 20000
};

static mproc_pool *make_threads(unsigned workers)
{
    mproc_pool *pool;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers, .threads = true}), 0);
    return pool;
}

/* ---- tasks ---- */

static _Atomic(long) own_count; /* of this process's memory */

static int count_here(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pthread_t *)out = pthread_self();
    atomic_fetch_add(&own_count, 1);
    return 0;
}

static int end_thread(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    if (*(const long *)in == 3)
        pthread_exit(NULL);
    return 0;
}

static int fork_once(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    pid_t child = fork();
    if (child == 0)
        return 7; /* the copy ends with this, and runs nothing more */
    int status;
    return waitpid(child, &status, 0) == child && WIFEXITED(status) && WEXITSTATUS(status) == 7 ? 0 : 1;
}

static _Atomic(int) begun, ended, failures;

static int begin(void *arg, void **state)
{
    (void)arg;
    if (atomic_fetch_sub(&failures, 1) > 0)
        return 1;
    *state = calloc(1, sizeof(int));
    atomic_fetch_add(&begun, 1);
    return 0;
}

static void end(void *state)
{
    free(state);
    atomic_fetch_add(&ended, 1);
}

static int use_state(void *ctx, const void *in, void *out)
{
    int *state = mproc_worker_state();
    (void)ctx;
    (void)in;
    *(int *)out = ++*state;
    return 0;
}

static int nap_a_little(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    nap(1);
    atomic_fetch_add((_Atomic(long) *)ctx, 1);
    return 0;
}

/* ---- tests ---- */

static void tasks_run_in_this_process_on_its_own_arrays(void **state)
{
    (void)state;
    mproc_pool *pool = make_threads(WORKERS);
    static pthread_t out[MANY];
    long numbers[100], squares[100];
    atomic_store(&own_count, 0);
    const mproc_map map = {.count = MANY, .out = out, .out_size = sizeof *out};
    assert_int_equal(mproc_pool_map(pool, count_here, NULL, &map, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&own_count), MANY);
    for (int i = 0; i < MANY; i++)
        assert_false(pthread_equal(out[i], pthread_self()));
    map_squares(pool, numbers, squares, 100, 0);
    map_squares(pool, numbers, squares, 100, 7);
    mproc_pool_free(pool);
}

static void workers_have_a_state_each(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    int out[100];
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&failures, 0);
    const mproc_pool_options options = {
        .workers = 2, .threads = true, .initializer = begin, .finalizer = end, .max_items = 10};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    assert_int_equal(atomic_load(&begun), 2);
    const mproc_map map = {.count = 100, .out = out, .out_size = sizeof *out, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, use_state, NULL, &map, MPROC_SEC(20)), 0);
    for (int i = 0; i < 100; i++)
        assert_in_range(out[i], 1, 10);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    assert_true(atomic_load(&begun) >= 10);
    assert_int_equal(atomic_load(&ended), atomic_load(&begun));
    mproc_pool_free(pool);
    atomic_store(&failures, 1);
    assert_int_equal(mproc_pool_create(&pool, &options), MPROC_TASK_FAILED);
}

static void an_initializer_that_fails_later_is_tried_again(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    int out[4];
    atomic_store(&begun, 0);
    atomic_store(&ended, 0);
    atomic_store(&failures, 0);
    const mproc_pool_options options = {
        .workers = 1, .threads = true, .initializer = begin, .finalizer = end, .max_items = 2};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    atomic_store(&failures, 2);
    const mproc_map map = {.count = 4, .out = out, .out_size = sizeof *out, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, use_state, NULL, &map, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
    assert_int_equal(atomic_load(&ended), atomic_load(&begun)); /* also where it was terminated */
}

static void a_task_that_ends_its_thread_costs_one_item(void **state)
{
    (void)state;
    mproc_pool *pool = make_threads(2);
    long in[10], out[10];
    mproc_item_status status[10];
    fill_numbers(in, 10);
    for (int round = 0; round < 5; round++) {
        const mproc_map map = {.count = 10, .in = in, .in_size = sizeof *in, .status = status, .chunk = 5};
        assert_int_equal(mproc_pool_map(pool, end_thread, NULL, &map, MPROC_SEC(20)), MPROC_WORKER_DIED);
        for (int i = 0; i < 10; i++)
            assert_int_equal(status[i].result, i == 3 ? MPROC_WORKER_DIED : 0);
    }
    map_squares(pool, in, out, 10, 1);
    mproc_pool_free(pool);
}

static void a_copy_that_a_task_forks_runs_nothing_more(void **state)
{
    (void)state;
    mproc_pool *pool = make_threads(2);
    assert_int_equal(mproc_pool_map(pool, fork_once, NULL, &(mproc_map){.count = 6, .chunk = 3}, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
}

static void what_is_stopped_is_finished_first(void **state)
{
    (void)state;
    mproc_pool *pool = make_threads(2);
    _Atomic(long) count = 0;
    mproc_item_status status[1000];
    const mproc_map map = {.count = 1000, .status = status};
    assert_int_equal(mproc_pool_map(pool, nap_a_little, &count, &map, MPROC_MS(50)), MPROC_TIMEOUT);
    long done = 0;
    for (int i = 0; i < 1000; i++)
        done += status[i].result == 0;
    assert_int_equal(done, atomic_load(&count));
    assert_true(done > 0 && done < 1000);
    mproc_future *future;
    assert_int_equal(mproc_pool_map_async(pool, &future, nap_a_little, &count, &(mproc_map){.count = 1000}), 0);
    assert_int_equal(mproc_pool_terminate(pool), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), MPROC_CANCELLED);
    mproc_future_free(future);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
}

static void the_number_of_threads_can_change(void **state)
{
    (void)state;
    mproc_pool *pool;
    long in[MANY / 10], out[MANY / 10];
    pthread_t threads[4];
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .max_workers = 4, .threads = true}),
                     0);
    for (unsigned i = 0; i < 20; i++) {
        assert_int_equal(mproc_pool_resize(pool, i % 4 + 1), 0);
        map_squares(pool, in, out, MANY / 10, i % 3);
    }
    assert_int_equal(mproc_pool_resize(pool, 4), 0);
    assert_int_equal(mproc_pool_run_on_all(pool, count_here, NULL,
                                           &(mproc_map){.out = threads, .out_size = sizeof *threads}, MPROC_SEC(20)),
                     0);
    for (int i = 1; i < 4; i++)
        assert_false(pthread_equal(threads[i], threads[0]));
    mproc_pool_free(pool);
}

static int next_number(void *arg, void *in)
{
    long *left = arg;
    *(long *)in = *left;
    return (*left)-- > 0 ? 0 : MPROC_CLOSED;
}

static void tasks_and_inputs_one_after_another_are_run_too(void **state)
{
    (void)state;
    mproc_pool *pool = make_threads(2);
    mproc_imap *imap;
    long left = 50, in = 12, out = 0;
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, &in, sizeof in, sizeof out), 0);
    in = 0; /* it was copied */
    const mproc_imap_options options = {
        .next = next_number, .arg = &left, .in_size = sizeof(long), .out_size = sizeof out};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), 0);
    for (long i = 50; i > 0; i--) {
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(20)), 0);
        assert_int_equal(out, i * i);
    }
    assert_int_equal(mproc_future_get(future, &out, MPROC_SEC(20)), 0);
    assert_int_equal(out, 144);
    mproc_future_free(future);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void what_threads_cannot_have_is_refused(void **state)
{
    static const mproc_pool_options wrong[] = {{.threads = true, .method = MPROC_START_SPAWN},
                                               {.threads = true, .max_memory = 1},
                                               {.threads = true, .memory_limit = 1},
                                               {.threads = true, .idle_time = MPROC_MS(1)}};
    mproc_pool *pool;
    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        assert_int_equal(mproc_pool_create(&pool, &wrong[i]), -EINVAL);
    pool = make_threads(1);
    const mproc_map map = {.count = 1, .item_timeout = MPROC_MS(1)};
    assert_int_equal(mproc_pool_map(pool, nap_a_little, NULL, &map, MPROC_FOREVER), -EINVAL);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(tasks_run_in_this_process_on_its_own_arrays),
        unit(workers_have_a_state_each),
        unit(an_initializer_that_fails_later_is_tried_again),
        unit(a_task_that_ends_its_thread_costs_one_item),
        unit(a_copy_that_a_task_forks_runs_nothing_more),
        unit(what_is_stopped_is_finished_first),
        unit(the_number_of_threads_can_change),
        unit(tasks_and_inputs_one_after_another_are_run_too),
        unit(what_threads_cannot_have_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
