/* Tasks that end their worker. What must hold: an item is run at most once, each has exactly one outcome, a death costs
 * the item at which it struck and no other. */
#include "children.h"
#include "harness.h"
#include "pools.h"

#include <mproc.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/resource.h>
#include <unistd.h>

/* ---- tasks that end their worker ---- */

enum way {
    LIVE,
    FAIL,
    SEGFAULT,
    ABORT,
    EXIT_0,
    EXIT_3,
    LEAVE_4,
    KILLED,
    TERMINATED,
    OUT_OF_TIME,
    OVERFLOW_STACK,
    WAYS
};

static int overflow_stack(volatile int *depth)
{
    volatile char frame[4096];
    frame[0] = (char)++*depth;
    return *depth > 0 ? overflow_stack(depth) + frame[0] : 0;
}

static void raise_plainly(int number)
{
    signal(number, SIG_DFL); /* a sanitizer may have its own way with it */
    raise(number);
}

static int end_by(void *ctx, const void *in, void *out)
{
    const struct rlimit second = {.rlim_cur = 1, .rlim_max = 2}, none = {0};
    (void)ctx;
    setrlimit(RLIMIT_CORE, &none);
    switch (*(const enum way *)in) {
    case FAIL:
        return -7;
    case SEGFAULT:
        raise_plainly(SIGSEGV);
        break;
    case ABORT:
        raise_plainly(SIGABRT);
        break;
    case EXIT_0:
        exit(0);
    case EXIT_3:
        exit(3);
    case LEAVE_4:
        _exit(4);
    case KILLED:
        raise(SIGKILL);
        break;
    case TERMINATED:
        raise(SIGTERM);
        break;
    case OUT_OF_TIME:
        signal(SIGXCPU, SIG_DFL); /* TSan puts a handler off until the task sleeps */
        setrlimit(RLIMIT_CPU, &second);
        for (;;)
            ;
    case OVERFLOW_STACK:
        signal(SIGSEGV, SIG_DFL);
        overflow_stack(&(volatile int){0});
        break;
    default:
        break;
    }
    *(int *)out = 1;
    return 0;
}

static const mproc_item_status outcomes[WAYS] = {
    [LIVE] = {0, 0},
    [FAIL] = {MPROC_TASK_FAILED, -7},
    [SEGFAULT] = {MPROC_WORKER_DIED, -SIGSEGV},
    [ABORT] = {MPROC_WORKER_DIED, -SIGABRT},
    [EXIT_0] = {MPROC_WORKER_DIED, 0},
    [EXIT_3] = {MPROC_WORKER_DIED, 3},
    [LEAVE_4] = {MPROC_WORKER_DIED, 4},
    [KILLED] = {MPROC_WORKER_DIED, -SIGKILL},
    [TERMINATED] = {MPROC_WORKER_DIED, -SIGTERM},
    [OUT_OF_TIME] = {MPROC_WORKER_DIED, -SIGXCPU},
    [OVERFLOW_STACK] = {MPROC_WORKER_DIED, -SIGSEGV},
};

static void map_ways_to(mproc_pool *pool, const enum way *ways, size_t count, size_t chunk, int *out,
                        mproc_item_status *status)
{
    assert_int_equal(mproc_pool_map(pool, end_by, NULL,
                                    &(mproc_map){.count = count,
                                                 .in = ways,
                                                 .in_size = sizeof *ways,
                                                 .out = out,
                                                 .out_size = sizeof *out,
                                                 .status = status,
                                                 .chunk = chunk},
                                    MPROC_FOREVER),
                     MPROC_WORKER_DIED);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(status[i].result, outcomes[ways[i]].result);
        assert_int_equal(status[i].code, outcomes[ways[i]].code);
        assert_int_equal(out[i], ways[i] == LIVE);
    }
}

/* With arrays that are copied, and with some that workers use in place. */
static void map_ways(mproc_pool *pool, const enum way *ways, size_t count, size_t chunk)
{
    int *out = malloc(count * sizeof *out);
    mproc_item_status *status = malloc(count * sizeof *status);
    map_ways_to(pool, ways, count, chunk, out, status);
    free(out);
    free(status);

    enum way *shared_ways = shared(count * sizeof *ways);
    int *shared_out = shared(count * sizeof *out);
    mproc_item_status *shared_status = shared(count * sizeof *status);
    memcpy(shared_ways, ways, count * sizeof *ways);
    map_ways_to(pool, shared_ways, count, chunk, shared_out, shared_status);
    shared_free(shared_ways);
    shared_free(shared_out);
    shared_free(shared_status);
}

static void a_death_costs_its_item_and_no_other(void **state)
{
    enum {
        ROUNDS = 7
    };
    enum way ways[WAYS * ROUNDS];
    mproc_pool *pool = make_pool(3);
    (void)state;
    for (int i = 0; i < WAYS * ROUNDS; i++)
        ways[i] = i / WAYS == 3 && i % WAYS != OUT_OF_TIME ? (enum way)(i % WAYS) : LIVE;
    map_ways(pool, ways, WAYS * ROUNDS, 0);
    map_ways(pool, ways, WAYS * ROUNDS, 1);
    map_ways(pool, ways, WAYS * ROUNDS, 10);
    map_ways(pool, ways, WAYS * ROUNDS, WAYS * ROUNDS);
    mproc_pool_free(pool);
}

static void an_item_that_runs_out_of_a_limit_dies(void **state)
{
    const enum way ways[] = {LIVE, OUT_OF_TIME, LIVE};
    mproc_pool *pool = make_pool(1);
    (void)state;
    map_ways(pool, ways, 3, 3);
    mproc_pool_free(pool);
}

static void the_first_and_the_last_item_of_a_chunk_may_die(void **state)
{
    const enum way ways[] = {KILLED, LIVE, KILLED, KILLED, LIVE, LIVE, KILLED, KILLED, KILLED, LIVE, LIVE, KILLED};
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (size_t chunk = 1; chunk <= 12; chunk++)
        map_ways(pool, ways, 12, chunk);
    mproc_pool_free(pool);
}

static void a_pool_gets_through_nothing_but_deaths(void **state)
{
    enum way ways[300];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 300; i++)
        ways[i] = KILLED;
    map_ways(pool, ways, 300, 0);
    mproc_pool_free(pool);
}

static void a_submitted_task_may_die(void **state)
{
    mproc_future *futures[WAYS];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (enum way way = LIVE; way < WAYS; way++)
        if (way != OUT_OF_TIME)
            assert_int_equal(mproc_pool_submit(pool, &futures[way], end_by, NULL, &way, sizeof way, sizeof(int)), 0);
    for (enum way way = LIVE; way < WAYS; way++) {
        mproc_item_status status;
        int out = -1;
        if (way == OUT_OF_TIME)
            continue;
        assert_int_equal(mproc_future_get(futures[way], &out, MPROC_FOREVER), outcomes[way].result);
        assert_int_equal(out, way == LIVE ? 1 : way == FAIL ? 0 : -1);
        assert_int_equal(mproc_future_status(futures[way], &status), 0);
        assert_int_equal(status.result, outcomes[way].result);
        assert_int_equal(status.code, outcomes[way].code);
        mproc_future_free(futures[way]);
    }
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_death_costs_its_item_and_no_other),
        unit(an_item_that_runs_out_of_a_limit_dies),
        unit(the_first_and_the_last_item_of_a_chunk_may_die),
        unit(a_pool_gets_through_nothing_but_deaths),
        unit(a_submitted_task_may_die),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
