/* The cases of every.h for what a pool does in its host beside waiting: callbacks, and the answer to Ctrl-C. */
#include "every.h"

#include <errno.h>
#include <mproc/pool.h>
#include <signal.h>
#include <stdatomic.h>
#include <stddef.h>

#define LONG MPROC_SEC(20)

static mproc_pool *pool;
static mproc_future *future;
static atomic_int called;

static int nothing(void *ctx, const void *item, void *result)
{
    (void)ctx;
    (void)item;
    (void)result;
    return 0;
}

static void note(void *arg, mproc_future *ended)
{
    (void)arg;
    (void)ended;
    atomic_fetch_add(&called, 1);
}

/* ---- scenes ---- */

static void begin_nothing(void)
{
    pool = NULL;
    future = NULL;
    atomic_store(&called, 0);
}

static void begin_submitted(void)
{
    begin_nothing();
    every_must(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}));
    every_must(mproc_pool_submit(pool, &future, nothing, NULL, NULL, 0, 0));
}

static void begin_done(void)
{
    begin_submitted();
    every_must(mproc_future_wait(future, LONG));
}

static void begin_closed_with_callback(void)
{
    begin_submitted();
    every_must(mproc_future_on_end(future, note, note, NULL));
    every_must(mproc_pool_close(pool));
}

/* The last one was answered: nothing is sent anew when the pool is freed. */
static void begin_interrupted(void)
{
    begin_nothing();
    every_must(mproc_pool_create(
        &pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK, .interrupt = MPROC_INTERRUPT_DRAIN}));
    raise(SIGINT);
}

static bool was_called(void *arg)
{
    (void)arg;
    return atomic_load(&called) == 1;
}

static void look(long *seen)
{
    seen[0] = pool != NULL;
    seen[1] = future != NULL;
}

static void end(void)
{
    future = mproc_future_free(future);
    pool = mproc_pool_free(pool);
}

static void end_called(void)
{
    every_await(was_called);
    end();
}

/* ---- calls ---- */

static int create(void)
{
    return mproc_pool_create(
        &pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK, .interrupt = MPROC_INTERRUPT_TERMINATE});
}

static int map(void)
{
    return mproc_pool_map(pool, nothing, NULL, &(mproc_map){.count = 5}, LONG);
}

static int on_end(void)
{
    return mproc_future_on_end(future, note, note, NULL);
}

static int join(void)
{
    int result = mproc_pool_join(pool, LONG);
    if (!result && !was_called(NULL))
        every_wrong("the callback was not called");
    return result;
}

static const struct every_scene none = {begin_nothing, look, end};
static const struct every_scene interrupted = {begin_interrupted, look, end};
static const struct every_scene submitted = {begin_submitted, look, end_called};
static const struct every_scene done = {begin_done, look, end_called};
static const struct every_scene closed = {begin_closed_with_callback, look, end_called};

static const struct every_case list[] = {
    {"mproc_pool_create", "answering interrupts", &none, create, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {-EAGAIN}},
    {"mproc_pool_map", "interrupted", &interrupted, map, MPROC_CLOSED, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_future_on_end", "not done", &submitted, on_end, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_future_on_end", "done", &done, on_end, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_pool_join", "with a callback", &closed, join, 0, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_host = {list, sizeof list / sizeof *list};
