/* Pools whose system calls fail, in the host, in the server and in the workers. Each call either succeeds all the same
 * or fails with an error and leaves nothing behind. */
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

enum {
    COUNT = 100
};

static int square(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x * x;
    return 0;
}

/* What one run was able to do: the first failure, and of which call. */
struct run {
    enum mproc_start_method method;
    const char *call;
    bool wrong;
};

static int failed(struct run *run, const char *call, int result)
{
    run->call = call;
    return result;
}

static int map(struct run *run, mproc_pool *pool)
{
    long in[COUNT], out[COUNT];
    for (long i = 0; i < COUNT; i++)
        in[i] = i;
    int result = mproc_pool_map(
        pool, square, NULL,
        &(mproc_map){.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out},
        MPROC_SEC(30));
    for (long i = 0; result == 0 && i < COUNT; i++)
        run->wrong = run->wrong || out[i] != i * i;
    return failed(run, "map", result);
}

static int submit(struct run *run, mproc_pool *pool)
{
    mproc_future *future;
    long in = 5, out = 0;
    int result = mproc_pool_submit(pool, &future, square, NULL, &in, sizeof in, sizeof out);
    if (result) {
        run->wrong = run->wrong || future;
        return failed(run, "submit", result);
    }
    result = mproc_future_get(future, &out, MPROC_SEC(30));
    run->wrong = run->wrong || (result == 0 && out != 25);
    mproc_future_free(future);
    return failed(run, "get", result);
}

static int use_a_pool(void *arg)
{
    struct run *run = arg;
    mproc_pool *pool;
    *run = (struct run){.method = run->method};
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = run->method});
    if (result) {
        run->wrong = pool != NULL;
        return failed(run, "create", result);
    }
    result = map(run, pool);
    if (result == 0)
        result = submit(run, pool);
    if (result == 0)
        result = failed(run, "close", mproc_pool_close(pool));
    if (result == 0)
        result = failed(run, "join", mproc_pool_join(pool, MPROC_SEC(30)));
    mproc_pool_free(pool);
    return result;
}

/* A call that fails may have been one that can be done without, or done again. A server that cannot even begin cannot
 * say why. */
static bool is_fair(const struct run *run, int result, const struct fault *fault)
{
    if (result == 0 || !fault)
        return result == 0 && !run->wrong;
    int error = fault->call == OS_FALLOCATE && fault->error == ENOSPC ? ENOMEM : fault->error; /* it is memory here */
    return !run->wrong && (result == -error || (result == -EAGAIN && strcmp(run->call, "create") == 0));
}

static void check_use(void *arg, int result, const struct fault *fault)
{
    const struct run *run = arg;
    if (fault && fault->call == OS_WAITID && fault->error == ECHILD)
        while (waitpid(-1, NULL, 0) > 0) /* somebody else reaps our children: here he is */
            ;
    if (!is_fair(run, result, fault))
        fprintf(stderr, "%s: %s (fault in call %d, number %ld, %s)\n", run->call, mproc_strerror(result),
                fault ? (int)fault->call : -1, fault ? fault->after : 0, fault ? strerror(fault->error) : "none");
    assert_true(is_fair(run, result, fault));
}

static void each_failing_call_is_told_or_survived_with_fork(void **state)
{
    struct run run = {.method = MPROC_START_FORK};
    (void)state;
    assert_true(fault_walk(use_a_pool, check_use, &run) > 30);
}

static void each_failing_call_is_told_or_survived_with_spawn(void **state)
{
    struct run run = {.method = MPROC_START_SPAWN};
    (void)state;
    assert_true(fault_walk(use_a_pool, check_use, &run) > 30);
}

/* ---- a worker that cannot be replaced ---- */

static void count_line(void *arg, int level, const char *process, const char *text)
{
    (void)level;
    (void)process;
    if (strstr(text, "goes on trying") || strstr(text, "again"))
        atomic_fetch_add((_Atomic(int) *)arg, 1);
}

static bool are_two(void *lines)
{
    return atomic_load((_Atomic(int) *)lines) == 2;
}

static void the_log_says_when_a_worker_cannot_be_replaced_and_when_it_can(void **state)
{
    _Atomic(int) *lines = mproc_calloc(1, sizeof *lines);
    struct run run = {.method = MPROC_START_FORK};
    mproc_pool *pool;
    pid_t worker;
    (void)state;
    mproc_log_set_level(MPROC_LOG_WARNING);
    mproc_log_to_callback(count_line, (void *)lines);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}), 0);
    assert_int_equal(mproc_pool_workers(pool, &worker, 1), 1);
    fault_arm(OS_FORK, 0, EAGAIN);
    assert_int_equal(kill(worker, SIGKILL), 0);
    assert_true(wait_until(are_two, (void *)lines, 20000));
    assert_int_equal(map(&run, pool), 0);
    assert_int_equal(atomic_load(lines), 2);
    fault_disarm();
    mproc_pool_free(pool);
    mproc_log_to_stderr(MPROC_LOG_OFF);
    mproc_free((void *)lines);
}

static int make_first_pool(void **state)
{
    mproc_pool *pool;
    (void)state;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}))
        return -1;
    mproc_pool_free(pool);
    return 0;
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(each_failing_call_is_told_or_survived_with_fork),
        unit(each_failing_call_is_told_or_survived_with_spawn),
        unit(the_log_says_when_a_worker_cannot_be_replaced_and_when_it_can),
    };
    return cmocka_run_group_tests(tests, make_first_pool, NULL);
}
