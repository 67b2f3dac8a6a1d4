/* The cases of every.h for pools and futures. The calls that fail are those of the host, of the server and of the
 * workers alike: whatever they do while the call lasts. */
#include "every.h"

#include <errno.h>
#include <mproc/connection.h>
#include <mproc/pool.h>
#include <stdatomic.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

enum {
    COUNT = 50,
    LARGE = 100000 /* items whose arrays are not copied into the job's own block */
};

static mproc_pool *pool;
static mproc_future *future;
static long in[LARGE], out[LARGE];

static int square(void *ctx, const void *item, void *result)
{
    long x = *(const long *)item;
    (void)ctx;
    *(long *)result = x * x;
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

/* ---- scenes ---- */

static void begin_nothing(void)
{
    pool = NULL;
    future = NULL;
    for (long i = 0; i < LARGE; i++) {
        in[i] = i;
        out[i] = 0;
    }
}

static void begin_pool(void)
{
    begin_nothing();
    every_must(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}));
}

static void submit_square(void)
{
    every_must(mproc_pool_submit(pool, &future, square, NULL, &in[5], sizeof *in, sizeof *out));
}

/* The pool has run the function before, and keeps what it knows of it. */
static void begin_used(void)
{
    begin_pool();
    submit_square();
    every_must(mproc_future_wait(future, LONG));
    future = mproc_future_free(future);
}

static void begin_closed(void)
{
    begin_pool();
    every_must(mproc_pool_close(pool));
}

static void begin_terminated(void)
{
    begin_pool();
    every_must(mproc_pool_terminate(pool));
}

static void begin_submitted(void)
{
    begin_pool();
    submit_square();
}

static void begin_done(void)
{
    begin_submitted();
    every_must(mproc_future_wait(future, LONG));
}

static void begin_endless(void)
{
    begin_pool();
    every_must(mproc_pool_submit(pool, &future, sleep_for_ever, NULL, NULL, 0, 0));
}

static void look(long *seen)
{
    seen[0] = pool != NULL;
    seen[1] = future != NULL;
    for (long i = 0; i < LARGE; i++)
        seen[2] += out[i];
}

/* What is asked of the pool afterwards it does. */
static void end_used(void)
{
    long result = 0;

    if (future)
        future = mproc_future_free(future);
    submit_square();
    every_must(mproc_future_get(future, &result, LONG));
    if (result != 25)
        every_wrong("the pool does not do its work");
    future = mproc_future_free(future);
    pool = mproc_pool_free(pool);
}

static void end(void)
{
    future = mproc_future_free(future);
    pool = mproc_pool_free(pool);
}

/* ---- the pool ---- */

static int create_with(enum mproc_start_method method)
{
    return mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = method});
}

static int create_by_fork(void)
{
    return create_with(MPROC_START_FORK);
}

static int create_by_spawn(void)
{
    return create_with(MPROC_START_SPAWN);
}

static int create_and_free(void)
{
    int result = create_with(MPROC_START_FORK);
    if (!result)
        pool = mproc_pool_free(pool);
    return result;
}

static int map_items(mproc_task *fn, size_t count, mproc_time timeout)
{
    return mproc_pool_map(
        pool, fn, NULL,
        &(mproc_map){.count = count, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out}, timeout);
}

static int map(void)
{
    return map_items(square, COUNT, LONG);
}

static int map_large(void)
{
    return map_items(square, LARGE, LONG);
}

static int map_for_a_while(void)
{
    return map_items(sleep_for_ever, 1, SHORT);
}

static int submit(void)
{
    return mproc_pool_submit(pool, &future, square, NULL, &in[5], sizeof *in, sizeof *out);
}

static int submit_large(void)
{
    return mproc_pool_submit(pool, &future, square, NULL, in, sizeof in, sizeof *out);
}

static int count_workers(void)
{
    pid_t pids[4];
    return mproc_pool_workers(pool, pids, 4);
}

static int call_close(void)
{
    return mproc_pool_close(pool);
}

static int terminate(void)
{
    return mproc_pool_terminate(pool);
}

static int join(void)
{
    return mproc_pool_join(pool, LONG);
}

static int join_for_a_while(void)
{
    return mproc_pool_join(pool, SHORT);
}

static int call_free(void)
{
    pool = mproc_pool_free(pool);
    return 0;
}

/* ---- futures ---- */

static int get(void)
{
    return mproc_future_get(future, &out[0], LONG);
}

static int get_for_a_while(void)
{
    return mproc_future_get(future, NULL, SHORT);
}

static int wait(void)
{
    return mproc_future_wait(future, LONG);
}

static int wait_for_a_while(void)
{
    return mproc_future_wait(future, SHORT);
}

static int status(void)
{
    mproc_item_status result;
    return mproc_future_status(future, &result);
}

static int result(void)
{
    return mproc_future_result(future) != NULL;
}

static int is_done(void)
{
    return mproc_future_is_done(future);
}

static int free_future(void)
{
    future = mproc_future_free(future);
    return 0;
}

static int wait_among_others(void)
{
    mproc_wait_item item = {.kind = MPROC_WAIT_FUTURE, .on.future = future};
    return mproc_wait(&item, 1, NULL, LONG);
}

static int wait_among_others_in_vain(void)
{
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_FUTURE, .on.future = future},
                               {.kind = MPROC_WAIT_FUTURE, .on.future = future}};
    return mproc_wait(items, 2, NULL, SHORT);
}

static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene fresh = {begin_pool, look, end_used};
static const struct every_scene open = {begin_used, look, end_used};
static const struct every_scene closing = {begin_pool, look, end};
static const struct every_scene closed = {begin_closed, look, end};
static const struct every_scene terminated = {begin_terminated, look, end};
static const struct every_scene submitted = {begin_submitted, look, end_used};
static const struct every_scene done = {begin_done, look, end_used};
static const struct every_scene endless = {begin_endless, look, end};

/* Whether anybody sleeps who has to be woken is a matter of time. */
static const struct every_case list[] = {
    {"mproc_pool_create", "fork", &none, create_by_fork, 0, CHILD_MAY_NOT, .calls = CALLS, .answers = {-EAGAIN}},
    {"mproc_pool_create", "spawn", &none, create_by_spawn, 0, CHILD_MAY_NOT, .calls = CALLS, .answers = {-EAGAIN}},
    {"mproc_pool_create", "first of all", &none, create_and_free, 0, CHILD_ALONE, .calls = CALLS, .answers = {-EAGAIN}},
    {"mproc_pool_map", "a few", &open, map, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map", "many", &open, map_large, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_map", "some time", &open, map_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_map", "of another process", &open, map, MPROC_FOREIGN, CHILD_ALONE, .calls = CALLS_NONE},
    {"mproc_pool_submit", "a new function", &fresh, submit, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_submit", "a little", &open, submit, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_submit", "much", &open, submit_large, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_submit", "closed", &closed, submit, MPROC_CLOSED, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_pool_workers", NULL, &open, count_workers, 1, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_close", NULL, &closing, call_close, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_terminate", "idle", &closing, terminate, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_terminate", "at work", &endless, terminate, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_pool_join", "closed", &closed, join, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_join", "terminated", &terminated, join, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_join", "open", &closing, join_for_a_while, -EINVAL, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_pool_free", "open", &closing, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_free", "closed", &closed, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_future_get", "submitted", &submitted, get, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_get", "done", &done, get, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_future_get", "some time", &endless, get_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_future_wait", "submitted", &submitted, wait, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_wait", "some time", &endless, wait_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_future_status", "done", &done, status, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_future_status", "not done", &endless, status, MPROC_RUNNING, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_result", NULL, &done, result, true, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_future_is_done", "done", &done, is_done, true, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_future_is_done", "not done", &endless, is_done, false, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_free", "done", &done, free_future, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_free", "not done", &submitted, free_future, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_wait", "a future", &submitted, wait_among_others, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_wait", "futures, some time", &endless, wait_among_others_in_vain, MPROC_TIMEOUT, CHILD_MAY_NOT,
     .calls = CALLS},
};

const struct every_table cases_pool = {list, sizeof list / sizeof *list};
