/* The cases of every.h for what a pool does beside plain maps and tasks: workers with a state, calls, maps that are not
 * waited for, inputs one after another, cancelling, statistics. */
#include "every.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <string.h>
#include <unistd.h>

#define LONG MPROC_SEC(20)

enum {
    COUNT = 50
};

static mproc_pool *pool;
static mproc_future *future;
static mproc_imap *imap;
static mproc_postmortem death;
static long in[COUNT], out[COUNT], taken;

static int square(void *ctx, const void *item, void *result)
{
    long x = *(const long *)item;
    (void)ctx;
    *(long *)result = x * x;
    return 0;
}

static int nothing(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    (void)result;
    return 0;
}

static int sleep_for_ever(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    (void)result;
    for (;;)
        pause();
    return 0;
}

static int leave(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    (void)result;
    _exit(3);
}

static int begin_worker(void *arg, void **state)
{
    *state = arg;
    return 0;
}

static int next_input(void *arg, void *item)
{
    (void)arg;
    if (taken == COUNT)
        return MPROC_CLOSED;
    *(long *)item = taken++;
    return 0;
}

/* ---- scenes ---- */

static void begin_nothing(void)
{
    pool = NULL;
    future = NULL;
    imap = NULL;
    taken = 0;
    memset(out, 0, sizeof out);
    for (long i = 0; i < COUNT; i++)
        in[i] = i;
}

static int call(void)
{
    return mproc_pool_call(pool, square, NULL, &in[5], sizeof *in, &out[5], sizeof *out, LONG);
}

/* The pool has run the function before, and keeps what it knows of it. */
static void begin_pool(void)
{
    begin_nothing();
    every_must(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}));
    every_must(call());
    out[5] = 0;
}

static void begin_endless(void)
{
    begin_pool();
    every_must(mproc_pool_submit(pool, &future, sleep_for_ever, NULL, NULL, 0, 0));
}

static void begin_dead(void)
{
    begin_pool();
    every_must(mproc_pool_submit(pool, &future, leave, NULL, NULL, 0, 0));
    every_must(mproc_future_wait(future, LONG));
}

static int begin_imap(void)
{
    return mproc_pool_imap(
        pool, &imap, square, NULL,
        &(mproc_imap_options){.next = next_input, .in_size = sizeof *in, .out_size = sizeof *out, .in_flight = 2});
}

static void begin_iteration(void)
{
    begin_pool();
    every_must(begin_imap());
}

static void begin_handed_out(void)
{
    begin_iteration();
    every_must(mproc_imap_next(imap, out, NULL, LONG));
}

static void look(long *seen)
{
    seen[0] = pool != NULL;
    seen[1] = future != NULL;
    seen[2] = imap != NULL;
    for (long i = 0; i < COUNT; i++)
        seen[3] += out[i];
}

static void end(void)
{
    imap = mproc_imap_free(imap);
    future = mproc_future_free(future);
    pool = mproc_pool_free(pool);
}

/* What is asked of the pool afterwards it does. */
static void end_used(void)
{
    out[5] = 0;
    every_must(call());
    if (out[5] != 25)
        every_wrong("the pool does not do its work");
    end();
}

/* ---- calls ---- */

static int create_with_workers_state(void)
{
    long number = 5;
    return mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1,
                                                          .method = MPROC_START_FORK,
                                                          .initializer = begin_worker,
                                                          .arg = &number,
                                                          .arg_size = sizeof number,
                                                          .max_items = 10,
                                                          .memory_limit = (size_t)1 << 30,
                                                          .pin = true});
}

static int create_with_threads(void)
{
    return mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .threads = true, .pin = true});
}

/* With the threads of a pool of its own. */
static void begin_threads(void)
{
    begin_nothing();
    every_must(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .max_workers = 2, .threads = true}));
    every_must(call());
    out[5] = 0;
}

static int resize_threads(void)
{
    return mproc_pool_resize(pool, 2);
}

static int map_async(void)
{
    const mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    int result = mproc_pool_map_async(pool, &future, square, NULL, &map);
    if (!result)
        every_must(mproc_future_wait(future, LONG));
    return result;
}

static int map_with_limit(void)
{
    const mproc_map map = {.count = 1, .item_timeout = MPROC_MS(2)};
    return mproc_pool_map(pool, sleep_for_ever, NULL, &map, LONG);
}

static int run_on_all(void)
{
    const mproc_map map = {.count = 1, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    return mproc_pool_run_on_all(pool, square, NULL, &map, LONG);
}

/* What it shows goes nowhere. */
static int map_and_show(void)
{
    const mproc_map map = {.count = COUNT, .in = in, .in_size = sizeof *in, .show = "squares"};
    int ends[2], kept = dup(STDERR_FILENO);
    every_must(pipe(ends));
    dup2(ends[1], STDERR_FILENO);
    int result = mproc_pool_map(pool, nothing, NULL, &map, LONG);
    dup2(kept, STDERR_FILENO);
    close(kept);
    close(ends[0]);
    close(ends[1]);
    return result;
}

static void note_death(void *arg, const mproc_postmortem *postmortem)
{
    *(int *)arg = postmortem->exit;
}

static int map_with_deaths(void)
{
    int code = 3;
    const mproc_map map = {.count = 2, .died = note_death, .died_arg = &code};
    int result = mproc_pool_map(pool, leave, NULL, &map, LONG);
    if (code != 3)
        every_wrong("a death is not told as it was");
    return result;
}

static int tell_future_death(void)
{
    return mproc_future_postmortem(future, 0, &death);
}

static int tell_imap_death(void)
{
    return mproc_imap_postmortem(imap, &death);
}

static int write_report(void)
{
    char text[100];
    return mproc_postmortem_text(&death, text, sizeof text) > 0;
}

static int cancel(void)
{
    return mproc_future_cancel(future);
}

static int next(void)
{
    return mproc_imap_next(imap, out, NULL, LONG);
}

static int tell_status(void)
{
    mproc_item_status status;
    return mproc_imap_status(imap, &status);
}

static int imap_result(void)
{
    return mproc_imap_result(imap) ? 0 : -1;
}

static int free_imap(void)
{
    imap = mproc_imap_free(imap);
    return 0;
}

static int tell_statistics(void)
{
    mproc_pool_statistics all;
    return mproc_pool_stats(pool, &all, NULL, 0);
}

static int tell_worker(void)
{
    mproc_worker_stats worker;
    return mproc_pool_stats(pool, NULL, &worker, 1);
}

static int resize(void)
{
    return mproc_pool_resize(pool, 1);
}

static int has_state(void)
{
    return mproc_worker_state() != NULL;
}

/* ---- inputs and results of any size ---- */

#define LARGE ((size_t)3 << 20)

static int give(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    (void)result;
    char *block = mproc_task_result(mproc_task_input_size());
    if (!block)
        return mproc_task_fail("no memory for %zu bytes", mproc_task_input_size());
    block[0] = 1;
    return 0;
}

static void begin_given(void)
{
    begin_pool();
    every_must(mproc_pool_submit(pool, &future, give, NULL, in, sizeof in, 0));
    every_must(mproc_future_wait(future, LONG));
}

static void begin_failed(void)
{
    begin_pool();
    every_must(mproc_pool_submit(pool, &future, give, NULL, NULL, 0, 0));
    every_must(mproc_future_wait(future, LONG));
}

static int map_sizes(void)
{
    static const char data[LARGE];
    const mproc_input inputs[2] = {{data, 100}, {data, LARGE}};
    mproc_output results[2];
    char *errors[2];
    const mproc_map map = {.count = 2, .inputs = inputs, .results = results, .errors = errors};
    int result = mproc_pool_map(pool, give, NULL, &map, LONG);
    for (int i = 0; i < 2 && (result == 0 || result == MPROC_TASK_FAILED); i++) {
        mproc_free(results[i].data);
        mproc_free(errors[i]);
    }
    return result;
}

static int fill(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    memset(result, 1, LARGE);
    return 0;
}

static unsigned char *large;

/* The pages of its array are touched at once. */
static int map_large_output(void)
{
    const mproc_map map = {.count = 1, .out = large, .out_size = LARGE, .out_uninitialized = true};
    large[LARGE - 1] = 0;
    int result = mproc_pool_map(pool, fill, NULL, &map, LONG);
    if (result == 0 && large[LARGE - 1] != 1)
        every_wrong("the output is not written");
    return result;
}

static void begin_large_output(void)
{
    begin_pool();
    large = mproc_alloc(LARGE);
    every_must(large ? map_large_output() : -ENOMEM);
}

static void end_large_output(void)
{
    mproc_free(large);
    end_used();
}

/* As begin_pool(): the function is known. */
static void begin_sizes(void)
{
    begin_pool();
    every_must(map_sizes());
}

static void begin_sizes_by_threads(void)
{
    begin_threads();
    every_must(map_sizes());
}

static int submit_with_options(void)
{
    const mproc_submit_options options = {.in = in, .in_size = sizeof *in, .out_size = sizeof *out, .priority = 1};
    int result = mproc_pool_submit_with(pool, &future, square, NULL, &options);
    if (!result)
        every_must(mproc_future_wait(future, LONG));
    return result;
}

static int future_result_size(void)
{
    return mproc_future_result_size(future) == sizeof in;
}

static int take_future_result(void)
{
    void *result = mproc_future_take_result(future, NULL);
    mproc_free(result);
    return result != NULL;
}

static int future_error(void)
{
    return mproc_future_error(future) != NULL;
}

static int imap_result_size(void)
{
    return mproc_imap_result_size(imap) == sizeof *out;
}

static int take_imap_result(void)
{
    return mproc_imap_take_result(imap, NULL) != NULL;
}

static int imap_error(void)
{
    return mproc_imap_error(imap) != NULL;
}

static int imap_input(void)
{
    return mproc_imap_input(imap, 0, NULL) != NULL;
}

static int ask_outside(void)
{
    return mproc_task_result(5) || mproc_task_input_size() || mproc_task_fail("no task") != 1;
}

static const struct every_scene sizes = {begin_sizes, look, end_used};
static const struct every_scene sizes_by_threads = {begin_sizes_by_threads, look, end_used};
static const struct every_scene large_output = {begin_large_output, look, end_large_output};
static const struct every_scene given = {begin_given, look, end_used};
static const struct every_scene failed = {begin_failed, look, end_used};
static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene open = {begin_pool, look, end_used};
static const struct every_scene threads = {begin_threads, look, end_used};
static const struct every_scene endless = {begin_endless, look, end_used};
static const struct every_scene dead = {begin_dead, look, end_used};
static const struct every_scene iteration = {begin_iteration, look, end_used};
static const struct every_scene handed_out = {begin_handed_out, look, end_used};

static const struct every_case list[] = {
    {"mproc_pool_create", "with a state", &none, create_with_workers_state, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {-EAGAIN}},
    {"mproc_pool_create", "with threads", &none, create_with_threads, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {-EAGAIN}},
    {"mproc_pool_call", "by a thread", &threads, call, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_resize", "threads", &threads, resize_threads, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_worker_state", NULL, &none, has_state, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_pool_call", "by a process", &open, call, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map_async", NULL, &open, map_async, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map", "too long", &open, map_with_limit, MPROC_LATE, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_run_on_all", NULL, &open, run_on_all, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map", "shown", &open, map_and_show, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_future_cancel", NULL, &endless, cancel, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_postmortem", NULL, &dead, tell_future_death, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map", "with deaths", &open, map_with_deaths, MPROC_WORKER_DIED, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_postmortem_text", NULL, &none, write_report, 1, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_pool_imap", NULL, &open, begin_imap, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_imap_next", NULL, &iteration, next, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_imap_status", NULL, &handed_out, tell_status, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_imap_postmortem", NULL, &handed_out, tell_imap_death, MPROC_CLOSED, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_imap_result", NULL, &handed_out, imap_result, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_pool_map", "inputs and results of any size", &sizes, map_sizes, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {MPROC_TASK_FAILED}},
    {"mproc_pool_map", "the same by threads", &sizes_by_threads, map_sizes, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {MPROC_TASK_FAILED}},
    {"mproc_pool_map", "a large output in place", &large_output, map_large_output, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_submit_with", NULL, &open, submit_with_options, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_result_size", NULL, &given, future_result_size, 1, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_take_result", NULL, &given, take_future_result, 1, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_error", NULL, &failed, future_error, 1, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_imap_result_size", NULL, &handed_out, imap_result_size, 1, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_imap_take_result", NULL, &handed_out, take_imap_result, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_imap_error", NULL, &handed_out, imap_error, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_imap_input", NULL, &handed_out, imap_input, 1, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_task_result", "outside", &none, ask_outside, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_task_input_size", "outside", &none, ask_outside, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_task_fail", "outside", &none, ask_outside, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_imap_free", NULL, &iteration, free_imap, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_resize", "processes", &open, resize, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_stats", "all", &open, tell_statistics, 1, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_stats", "a worker", &open, tell_worker, 1, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_tasks = {list, sizeof list / sizeof *list};
