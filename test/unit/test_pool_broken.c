/* Initializers that work at first and fail later: no job waits for ever. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum how {
    FAIL,
    EXIT,
    CRASH
};

/* In shared memory. */
struct plan {
    _Atomic(int) begun;
    _Atomic(int) good; /* the initializer works so many times more */
    _Atomic(int) how;
};

static int begin(void *arg, void **state)
{
    struct plan *plan = arg;
    *state = NULL;
    atomic_fetch_add(&plan->begun, 1);
    if (atomic_fetch_sub(&plan->good, 1) > 0)
        return 0;
    if (atomic_load(&plan->how) == EXIT)
        _exit(0);
    if (atomic_load(&plan->how) == CRASH)
        raise(SIGKILL);
    return 77;
}

static int die(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    if (ctx)
        pthread_exit(NULL);
    raise(SIGKILL);
    return 0;
}

static struct plan *make_plan(enum how how, int good)
{
    struct plan *plan = mproc_calloc(1, sizeof *plan);
    assert_non_null(plan);
    atomic_store(&plan->how, (int)how);
    atomic_store(&plan->good, good);
    return plan;
}

static mproc_pool *make_fragile_pool(struct plan *plan, bool threads)
{
    mproc_pool *pool;
    const mproc_pool_options options = {.workers = 2,
                                        .initializer = begin,
                                        .arg = plan,
                                        .threads = threads,
                                        .method = threads ? MPROC_START_DEFAULT : pool_method};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    return pool;
}

static _Atomic(int) lines;
static _Atomic(bool) code_was_logged;

static void hear(void *arg, int level, const char *process, const char *text)
{
    (void)arg;
    (void)process;
    if (level == MPROC_LOG_ERROR && strstr(text, "MPROC_BROKEN"))
        atomic_fetch_add(&lines, 1);
    if (strstr(text, "the initializer returned 77"))
        atomic_store(&code_was_logged, true);
}

/* The last error of this thread has the code that the initializer returned, if that is how it failed. */
static void assert_code_is_told(const char *function, enum how how)
{
    assert_memory_equal(mproc_last_error(), function, strlen(function));
    assert_int_equal(strstr(mproc_last_error(), "the initializer returned 77") != NULL, how == FAIL);
}

/* Until no worker lives, and then everything of a pool. */
static void break_pool(enum how how, bool threads)
{
    struct plan *plan = make_plan(how, 2);
    mproc_pool *pool = make_fragile_pool(plan, threads);
    mproc_item_status status[10];
    mproc_future *future;
    const mproc_map map = {.count = 10, .status = status, .chunk = 1};
    atomic_store(&lines, 0);
    atomic_store(&code_was_logged, false);
    mproc_log_set_level(MPROC_LOG_ERROR);
    mproc_log_to_callback(hear, NULL);
    assert_int_equal(mproc_pool_map(pool, die, threads ? plan : NULL, &map, MPROC_FOREVER), MPROC_BROKEN);
    assert_code_is_told("mproc_pool_map: ", how);
    mproc_log_to_callback(NULL, NULL);
    mproc_log_set_level(MPROC_LOG_OFF);
    assert_int_equal(atomic_load(&lines), 1);
    assert_int_equal(atomic_load(&code_was_logged), how == FAIL);
    assert_int_equal(status[9].result, MPROC_CANCELLED);
    assert_true(atomic_load(&plan->begun) >= 2 + 32);
    assert_true(atomic_load(&plan->begun) <= 2 + 32 + 4);

    assert_int_equal(mproc_pool_submit(pool, &future, count_up, plan, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), MPROC_BROKEN);
    assert_code_is_told("mproc_future_get: ", how);
    mproc_future_free(future);

    int64_t began = milliseconds();
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(20)), 0);
    mproc_pool_free(pool);
    assert_true(milliseconds() - began < 10000);
    mproc_free(plan);
}

static void jobs_end_when_no_worker_can_begin(void **state)
{
    (void)state;
    break_pool(FAIL, false);
}

static void an_initializer_may_end_or_kill_the_worker(void **state)
{
    (void)state;
    break_pool(EXIT, false);
    if (pool_method == MPROC_START_SPAWN)
        break_pool(CRASH, false);
}

static void jobs_end_when_no_thread_can_begin(void **state)
{
    (void)state;
    break_pool(FAIL, true);
}

static void a_broken_pool_works_again_when_its_initializer_does(void **state)
{
    struct plan *plan = make_plan(FAIL, 2);
    mproc_pool *pool = make_fragile_pool(plan, false);
    long in[COUNT], out[COUNT];
    (void)state;
    assert_int_equal(mproc_pool_map(pool, die, NULL, &(mproc_map){.count = 10, .chunk = 1}, MPROC_FOREVER),
                     MPROC_BROKEN);
    atomic_store(&plan->good, 1000000);
    map_squares(pool, in, out, COUNT, 0);
    mproc_pool_free(pool);
    mproc_free(plan);
}

static void a_pool_whose_initializer_fails_at_once_says_its_code(void **state)
{
    struct plan *plan = make_plan(FAIL, 0);
    (void)state;
    for (int threads = 0; threads < 2; threads++) {
        mproc_pool *pool;
        const mproc_pool_options options = {.workers = 2, .initializer = begin, .arg = plan, .threads = threads};
        assert_int_equal(mproc_pool_create(&pool, &options), MPROC_TASK_FAILED);
        assert_code_is_told("mproc_pool_create: ", FAIL);
    }
    mproc_free(plan);
}

struct source {
    int left;
};

static int next_input(void *arg, void *in)
{
    struct source *source = arg;
    *(long *)in = source->left;
    return source->left-- > 0 ? 0 : MPROC_CLOSED;
}

static void inputs_one_after_another_end_too(void **state)
{
    struct plan *plan = make_plan(FAIL, 2);
    struct source source = {.left = 100000};
    mproc_pool *pool = make_fragile_pool(plan, false);
    mproc_imap *imap;
    int result = 0, results = 0;
    (void)state;
    assert_int_equal(
        mproc_pool_imap(pool, &imap, die, NULL,
                        &(mproc_imap_options){.next = next_input, .arg = &source, .in_size = sizeof(long), .chunk = 1}),
        0);
    while (result != MPROC_CLOSED && results++ < 1000)
        result = mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60));
    assert_int_equal(result, MPROC_CLOSED);
    assert_true(source.left > 0);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(plan);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_pool_whose_initializer_fails_at_once_says_its_code),
        unit(jobs_end_when_no_worker_can_begin),
        unit(an_initializer_may_end_or_kill_the_worker),
        unit(jobs_end_when_no_thread_can_begin),
        unit(a_broken_pool_works_again_when_its_initializer_does),
        unit(inputs_one_after_another_end_too),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
