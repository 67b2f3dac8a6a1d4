/* What workers are made with, and how long they stay: initializer and finalizer, state, replacement by max_items. */
#include "harness.h"
#include "os/clock.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum {
    WORKERS = 2,
    ITEMS = 40
};

/* Shared memory that initializers, finalizers and tasks write to. */
struct board {
    _Atomic(int) begun;
    _Atomic(int) ended;
    _Atomic(int) fail_from; /* the initializers from this one on fail; 0: none */
    int number;
};

static struct board *make_board(void)
{
    struct board *board = mproc_calloc(1, sizeof *board);
    assert_non_null(board);
    return board;
}

static int make_equipped_pool(mproc_pool **pool, mproc_pool_options options)
{
    options.workers = options.workers ? options.workers : WORKERS;
    options.method = pool_method;
    return mproc_pool_create(pool, &options);
}

static int64_t now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return OS_SEC(time.tv_sec) + time.tv_nsec;
}

/* ---- what runs in the workers ---- */

struct state {
    struct board *board;
    int calls;
};

static int begin(void *arg, void **state)
{
    struct board *board = arg;
    struct state *made = malloc(sizeof *made);
    if (!made)
        return 1;
    *made = (struct state){.board = board};
    *state = made;
    int begun = atomic_fetch_add(&board->begun, 1) + 1;
    return atomic_load(&board->fail_from) && begun >= atomic_load(&board->fail_from);
}

static void end(void *state)
{
    struct state *made = state;
    atomic_fetch_add(&made->board->ended, 1);
    free(made);
}

static int begin_with_copy(void *arg, void **state)
{
    const char *text = arg;
    *state = strdup(text);
    return strcmp(text, "from the host") != 0;
}

static int die(void *arg, void **state)
{
    (void)arg;
    (void)state;
    return raise(SIGKILL);
}

static int count_calls(void *ctx, const void *in, void *out)
{
    struct state *state = mproc_worker_state();
    (void)ctx;
    (void)in;
    *(int *)out = ++state->calls;
    return 0;
}

static int copy_state(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    strcpy(out, mproc_worker_state());
    return 0;
}

static int tell_pid(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pid_t *)out = getpid();
    return 0;
}

static void count_end(void *state)
{
    (void)state;
}

/* ---- tests ---- */

static void a_worker_has_the_state_that_its_initializer_made(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    int calls[ITEMS];
    assert_int_equal(
        make_equipped_pool(&pool, (mproc_pool_options){.initializer = begin, .finalizer = end, .arg = board}), 0);
    assert_int_equal(atomic_load(&board->begun), WORKERS); /* create has waited for them */
    const mproc_map map = {.count = ITEMS, .out = calls, .out_size = sizeof *calls, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, count_calls, NULL, &map, MPROC_FOREVER), 0);
    int firsts = 0;
    for (int i = 0; i < ITEMS; i++) {
        assert_true(calls[i] >= 1);
        firsts += calls[i] == 1;
    }
    assert_true(firsts >= 1 && firsts <= WORKERS);
    assert_null(mproc_worker_state());
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&board->ended), WORKERS);
    mproc_pool_free(pool);
    mproc_free(board);
}

static void an_initializer_may_have_a_copy_of_its_argument(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    char text[] = "from the host";
    char out[sizeof text];
    assert_int_equal(
        make_equipped_pool(&pool,
                           (mproc_pool_options){.initializer = begin_with_copy, .arg = text, .arg_size = sizeof text}),
        0);
    memset(text, 'x', sizeof text - 1);
    const mproc_map map = {.count = 1, .out = out, .out_size = sizeof out};
    assert_int_equal(mproc_pool_map(pool, copy_state, NULL, &map, MPROC_FOREVER), 0);
    assert_string_equal(out, "from the host");
    mproc_pool_free(pool);
}

static void a_pool_whose_initializer_fails_is_not_made(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    atomic_store(&board->fail_from, 2);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.initializer = begin, .arg = board}),
                     MPROC_TASK_FAILED);
    assert_null(pool);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.initializer = die}), MPROC_WORKER_DIED);
    assert_null(pool);
    mproc_free(board);
}

/* The first to come fails while all the others are at it. */
static int fail_first(void *arg, void **state)
{
    struct board *board = arg;
    (void)state;
    if (atomic_fetch_add(&board->begun, 1) == 0)
        return 1;
    for (;;)
        pause();
    return 0;
}

static void the_first_failure_is_the_one_that_is_told(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    assert_int_equal(
        make_equipped_pool(&pool, (mproc_pool_options){.workers = 6, .initializer = fail_first, .arg = board}),
        MPROC_TASK_FAILED);
    assert_null(pool);
    mproc_free(board);
}

static bool has_begun_again(void *board)
{
    return atomic_load(&((struct board *)board)->begun) >= WORKERS + 3;
}

static void an_initializer_that_fails_later_is_tried_again(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    pid_t pid;
    int calls[1];
    assert_int_equal(
        make_equipped_pool(&pool,
                           (mproc_pool_options){.workers = 1, .initializer = begin, .finalizer = end, .arg = board}),
        0);
    atomic_store(&board->begun, WORKERS);
    atomic_store(&board->fail_from, WORKERS);
    assert_int_equal(mproc_pool_workers(pool, &pid, 1), 1);
    assert_int_equal(kill(pid, SIGKILL), 0);
    assert_true(wait_until(has_begun_again, board, 20000));
    atomic_store(&board->fail_from, 0);
    const mproc_map map = {.count = 1, .out = calls, .out_size = sizeof *calls};
    assert_int_equal(mproc_pool_map(pool, count_calls, NULL, &map, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
    mproc_free(board);
}

static void a_killed_worker_runs_no_finalizer(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    assert_int_equal(
        make_equipped_pool(&pool, (mproc_pool_options){.initializer = begin, .finalizer = end, .arg = board}), 0);
    mproc_pool_terminate(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&board->ended), 0);
    mproc_pool_free(pool);
    mproc_free(board);
}

static int compare_pids(const void *a, const void *b)
{
    pid_t x = *(const pid_t *)a, y = *(const pid_t *)b;
    return (x > y) - (x < y);
}

static int count_different(pid_t *pids, int count)
{
    int different = 1;
    qsort(pids, (size_t)count, sizeof *pids, compare_pids);
    for (int i = 1; i < count; i++)
        different += pids[i] != pids[i - 1];
    return different;
}

static void a_worker_is_replaced_after_so_many_items(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    struct board *board = make_board();
    pid_t pids[ITEMS];
    assert_int_equal(
        make_equipped_pool(&pool,
                           (mproc_pool_options){.initializer = begin, .finalizer = end, .arg = board, .max_items = 4}),
        0);
    const mproc_map map = {.count = ITEMS, .out = pids, .out_size = sizeof *pids, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, tell_pid, NULL, &map, MPROC_SEC(60)), 0);
    assert_true(count_different(pids, ITEMS) >= ITEMS / 4);
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&board->ended), atomic_load(&board->begun));
    mproc_pool_free(pool);
    mproc_free(board);
}

static void replacing_workers_all_the_time_loses_no_item(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    enum {
        MANY = 3000
    };
    static pid_t pids[MANY];
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.max_items = 100}), 0);
    for (size_t chunk = 0; chunk < 40; chunk += 13) {
        const mproc_map map = {.count = MANY, .out = pids, .out_size = sizeof *pids, .chunk = chunk};
        memset(pids, 0, sizeof pids);
        assert_int_equal(mproc_pool_map(pool, tell_pid, NULL, &map, MPROC_SEC(60)), 0);
        for (int i = 0; i < MANY; i++)
            assert_true(pids[i] > 0);
    }
    for (int i = 0; i < 300; i++) {
        mproc_future *future;
        assert_int_equal(mproc_pool_submit(pool, &future, tell_pid, NULL, NULL, 0, sizeof *pids), 0);
        assert_int_equal(mproc_future_get(future, pids, MPROC_SEC(60)), 0);
        mproc_future_free(future);
    }
    mproc_pool_free(pool);
}

static volatile char *last_block; /* what take_memory() keeps on purpose */

static int take_memory(void *ctx, const void *in, void *out)
{
    size_t bytes = *(const size_t *)in;
    (void)ctx;
    volatile char *memory = malloc(bytes);
    last_block = memory;
    *(pid_t *)out = getpid();
    if (!memory)
        return ENOMEM;
    for (size_t i = 0; i < bytes; i += 4096)
        memory[i] = 1;
    if (bytes > (size_t)32 << 20)
        free((void *)memory); /* else it is leaked */
    return 0;
}

static void a_worker_that_gets_too_large_is_replaced(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    size_t in[ITEMS];
    pid_t pids[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        in[i] = (size_t)8 << 20;
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.workers = 1, .max_memory = (size_t)40 << 20}), 0);
    for (int i = 0; i < ITEMS; i++) /* each is a job of its own, and there is time to look at the memory */
        assert_int_equal(
            mproc_pool_call(pool, take_memory, NULL, &in[i], sizeof *in, &pids[i], sizeof *pids, MPROC_SEC(60)), 0);
    int different = count_different(pids, ITEMS);
    assert_true(different >= 4 && different < ITEMS);
    mproc_pool_free(pool);
}

static void a_worker_has_no_more_memory_than_it_may(void **unused)
{
    (void)unused;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    skip(); /* a sanitizer needs more than any limit for itself */
#endif
    mproc_pool *pool;
    size_t in = (size_t)512 << 20;
    pid_t pid;
    mproc_item_status status;
    mproc_map map = {
        .count = 1, .in = &in, .in_size = sizeof in, .out = &pid, .out_size = sizeof pid, .status = &status};
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.memory_limit = (size_t)256 << 20}), 0);
    assert_int_equal(mproc_pool_map(pool, take_memory, NULL, &map, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_int_equal(status.code, ENOMEM);
    in = (size_t)64 << 20;
    assert_int_equal(mproc_pool_map(pool, take_memory, NULL, &map, MPROC_SEC(60)), 0);
    mproc_pool_free(pool);
}

static int count_cpus(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(int *)out = mproc_cpu_count();
    return 0;
}

static void a_pinned_worker_has_one_cpu(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    int cpus[ITEMS];
    const mproc_map map = {.count = ITEMS, .out = cpus, .out_size = sizeof *cpus, .chunk = 1};
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.workers = 5, .pin = true}), 0);
    assert_int_equal(mproc_pool_map(pool, count_cpus, NULL, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(cpus[i], 1);
    mproc_pool_free(pool);
}

struct wait {
    mproc_pool *pool;
    int workers;
};

static bool has_workers(void *arg)
{
    const struct wait *wait = arg;
    return mproc_pool_workers(wait->pool, NULL, 0) == wait->workers;
}

static void a_pool_grows_and_shrinks(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    pid_t pids[ITEMS];
    struct board *board = make_board();
    assert_int_equal(
        make_equipped_pool(
            &pool,
            (mproc_pool_options){.workers = 2, .max_workers = 5, .initializer = begin, .finalizer = end, .arg = board}),
        0);
    static const int sizes[] = {5, 1, 3, 3, 2, 5, 1};
    const mproc_map map = {.count = ITEMS, .out = pids, .out_size = sizeof *pids, .chunk = 1};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        assert_int_equal(mproc_pool_resize(pool, (unsigned)sizes[i]), 0);
        assert_int_equal(mproc_pool_map(pool, tell_pid, NULL, &map, MPROC_SEC(60)), 0);
        assert_true(wait_until(has_workers, &(struct wait){pool, sizes[i]}, 20000));
        assert_int_equal(mproc_pool_map(pool, tell_pid, NULL, &map, MPROC_SEC(60)), 0);
        assert_true(count_different(pids, ITEMS) <= sizes[i]);
    }
    mproc_pool_close(pool);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&board->ended), atomic_load(&board->begun)); /* all ended in good order */
    mproc_pool_free(pool);
    mproc_free(board);
}

static int set_to_one(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(int *)out = 1;
    return 0;
}

static void resizing_while_it_works_loses_no_item(void **unused)
{
    (void)unused;
    enum {
        MANY = 20000
    };
    mproc_pool *pool;
    static int out[MANY];
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.max_workers = 4}), 0);
    for (unsigned i = 0; i < 30; i++) {
        mproc_future *future;
        const mproc_map map = {.count = MANY, .out = out, .out_size = sizeof *out, .chunk = i % 3 * 50};
        memset(out, 0, sizeof out);
        assert_int_equal(mproc_pool_map_async(pool, &future, set_to_one, NULL, &map), 0);
        for (unsigned j = 0; !mproc_future_is_done(future); j++)
            assert_int_equal(mproc_pool_resize(pool, (i + j) % 4 + 1), 0);
        assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
        mproc_future_free(future);
        for (int k = 0; k < MANY; k++)
            assert_int_equal(out[k], 1);
    }
    mproc_pool_free(pool);
}

static int grow(void *ctx, const void *in, void *out)
{
    static char *memory;
    (void)ctx;
    (void)in;
    (void)out;
    free(memory);
    memory = malloc((size_t)64 << 20);
    if (memory)
        memset(memory, 1, (size_t)64 << 20);
    nanosleep(&(struct timespec){.tv_nsec = 20000000}, NULL);
    return memory ? 0 : 1;
}

static void the_statistics_tell_what_workers_did(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    mproc_pool_statistics all;
    mproc_worker_stats worker;
    int64_t before = now();
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.workers = 1}), 0);
    assert_int_equal(mproc_pool_call(pool, grow, NULL, NULL, 0, NULL, 0, MPROC_SEC(60)), 0);
    const mproc_map map = {.count = 3, .chunk = 1};
    assert_int_equal(mproc_pool_map(pool, grow, NULL, &map, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_pool_stats(pool, &all, &worker, 1), 1);
    int64_t life = now() - before;
    assert_int_equal(all.workers, 1);
    assert_int_equal(all.alive, 1);
    assert_int_equal(all.items, 4);
    assert_int_equal(all.starts, 1);
    assert_int_equal(all.deaths, 0);
    assert_int_equal(worker.items, 4);
    assert_true(worker.startup.nanoseconds > 0 && worker.startup.nanoseconds < life);
    assert_true(worker.busy.nanoseconds >= MPROC_MS(80).nanoseconds && worker.busy.nanoseconds < life);
    assert_true(worker.idle.nanoseconds >= 0 && worker.idle.nanoseconds < life);
    assert_true(worker.peak_memory >= (size_t)64 << 20);
    assert_int_equal(kill(worker.pid, SIGKILL), 0);
    assert_int_equal(mproc_pool_call(pool, grow, NULL, NULL, 0, NULL, 0, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_pool_stats(pool, &all, NULL, 0), 1);
    assert_int_equal(all.items, 5);
    assert_int_equal(all.starts, 2);
    assert_int_equal(all.deaths, 1);
    assert_int_equal(mproc_pool_stats(pool, NULL, NULL, 1), -EINVAL);
    assert_int_equal(mproc_pool_stats(NULL, &all, NULL, 0), -EINVAL);
    mproc_pool_free(pool);
}

static void bad_options_are_refused(void **unused)
{
    (void)unused;
    mproc_pool *pool;
    int local = 1;
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.arg = &local}), -EINVAL);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.initializer = begin, .arg_size = 1}), -EINVAL);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.initializer = begin, .arg = &local}),
                     MPROC_NOT_SHARED);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.workers = 3, .max_workers = 2}), -EINVAL);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.max_workers = 1025}), -EINVAL);
    assert_null(pool);
    assert_int_equal(make_equipped_pool(&pool, (mproc_pool_options){.finalizer = count_end}), 0);
    assert_int_equal(mproc_pool_resize(pool, 0), -EINVAL);
    assert_int_equal(mproc_pool_resize(pool, WORKERS + 1), -EINVAL);
    assert_int_equal(mproc_pool_resize(NULL, 1), -EINVAL);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_worker_has_the_state_that_its_initializer_made),
        unit(an_initializer_may_have_a_copy_of_its_argument),
        unit(a_pool_whose_initializer_fails_is_not_made),
        unit(the_first_failure_is_the_one_that_is_told),
        unit(an_initializer_that_fails_later_is_tried_again),
        unit(a_killed_worker_runs_no_finalizer),
        unit(a_worker_is_replaced_after_so_many_items),
        unit(replacing_workers_all_the_time_loses_no_item),
        unit(a_worker_that_gets_too_large_is_replaced),
        unit(a_worker_has_no_more_memory_than_it_may),
        unit(a_pinned_worker_has_one_cpu),
        unit(a_pool_grows_and_shrinks),
        unit(resizing_while_it_works_loses_no_item),
        unit(the_statistics_tell_what_workers_did),
        unit(bad_options_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
