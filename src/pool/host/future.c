/* Futures: a job, of one item or of a map's, for which its maker waits when it likes. The handle is memory of the host
 * alone; several threads may ask it at once, but only one may free it. */
#include "pool/host/future.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "pool/host/map.h"
#include "pool/shared/job_postmortem.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

struct mproc_future {
    struct tag tag;
    mproc_pool *pool;
    struct job *job;
    mproc_map map;  /* of a map; else the count is 0 */
    bool delivered; /* what it left was written where its caller wants it; with the pool's mutex */
    struct callback callback;
};

static int future_launch(mproc_pool *pool, const struct host_job *wish, struct job **job)
{
    int result = host_make_job(pool, wish, wish->count, job);
    if (result)
        return result;
    result = host_launch(pool, *job, wish, 0, wish->count, false);
    if (result)
        host_free_job(pool, *job);
    return result;
}

/* Make a future of a job in an open pool. */
static int submit(mproc_pool *pool, const struct host_job *wish, mproc_future **future)
{
    if (pool_state(pool->shared) != POOL_OPEN)
        return host_closed();
    mproc_future *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (mproc_future){.tag.kind = TAG_FUTURE, .pool = pool};
    int result = future_launch(pool, wish, &made->job);
    if (result) {
        free(made);
    } else {
        host_hold(pool);
        *future = made;
    }
    return result;
}

int mproc_pool_submit(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx, const void *in,
                      size_t in_size, size_t out_size)
{
    unsigned before = failure_mark();
    const mproc_submit_options options = {.in = in, .in_size = in_size, .out_size = out_size};
    return retold(__func__, before, mproc_pool_submit_with(pool, future, fn, ctx, &options));
}

/* What is wrong with them, or NULL. */
static const char *future_wrong_options(mproc_task *fn, const void *ctx, const mproc_submit_options *options)
{
    if (!fn)
        return "fn is NULL";
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return "a word of options.reserved is not 0";
    if (!options->in != !options->in_size)
        return "in and in_size go together";
    return options->ctx_size && !ctx ? "options.ctx_size is not 0, but ctx is NULL" : NULL;
}

int mproc_pool_submit_with(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx,
                           const mproc_submit_options *options)
{
    static const mproc_submit_options none;
    options = options ? options : &none;
    struct host_job wish = {.task = fn,
                            .ctx = ctx,
                            .ctx_size = options->ctx_size,
                            .in = options->in,
                            .in_size = options->in_size,
                            .copy_in = true,
                            .out_size = options->out_size,
                            .zeroes_out = !options->out_uninitialized,
                            .own_status = true,
                            .yields = 1,
                            .takes_results = true,
                            .takes_texts = true,
                            .priority = options->priority,
                            .count = 1,
                            .chunk = 1};
    if (!future)
        return refuse(__func__, "future is NULL");
    *future = NULL;
    const char *wrong = future_wrong_options(fn, ctx, options);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    int result = host_limit_items(&wish, "options", options->item_timeout, options->retries, options->retry_on);
    if (!result)
        result = host_check(pool);
    if (!result)
        result = host_check_privileges(pool, true);
    host_decide_copies(&wish);
    return outcome(__func__, result ? result : submit(pool, &wish, future));
}

int mproc_pool_map_async(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx, const mproc_map *map)
{
    if (!future)
        return refuse(__func__, "future is NULL");
    *future = NULL;
    struct host_job wish;
    int result = map_plan(pool, fn, ctx, map, false, &wish);
    if (result)
        return outcome(__func__, result);
    if (map->count == 0 || map->progress || map->show || map->died)
        return refuse(__func__,
                      map->count ? "progress, show and died are for maps that are waited for" : "map.count is 0");
    result = submit(pool, &wish, future);
    if (!result)
        (*future)->map = *map;
    return outcome(__func__, result);
}

/* 0; -EINVAL; -EPERM; -ESTALE: it was freed, or its pool. */
static int future_check(const mproc_future *future)
{
    int result = tag_check(future ? &future->tag : NULL, TAG_FUTURE);
    return result ? result : host_check(future->pool);
}

static bool future_is_settled(void *arg)
{
    size_t from = 0;
    return job_is_settled(arg, &from);
}

/* Whether the one chunk of a future's job is done in whatever way. A program may ask this in a loop and never wait, so
 * it is also a look at the pool's server. */
static bool future_is_done(const mproc_future *future)
{
    if (future_is_settled(future->job))
        return true;
    host_look(future->pool);
    return future_is_settled(future->job);
}

/* How it ended. A job that was cancelled has written no status; a map has one for each item. */
static mproc_item_status end_of(const mproc_future *future)
{
    int result = job_result(job_flags(future->job), job_is_whole(future->job));
    if (result == MPROC_BROKEN)
        host_broken(future->pool);
    if (future->map.count || result == MPROC_CANCELLED || result == MPROC_BROKEN || result == MPROC_NO_FUNCTION)
        return (mproc_item_status){.result = result};
    return *future->job->status;
}

/* Write the results of a settled map where its caller wants them. */
static void future_deliver(mproc_future *future)
{
    pthread_mutex_lock(&future->pool->mutex);
    if (!future->delivered) {
        map_empty(&future->map, future->job, 0);
        map_hand_over(&future->map, future->job);
    }
    future->delivered = true;
    pthread_mutex_unlock(&future->pool->mutex);
}

static int future_await(mproc_future *future, mproc_time timeout)
{
    int result = os_timeout_is_valid(timeout) ? future_check(future) : failure(-EINVAL, "timeout is negative");
    if (!result)
        result = host_wait(future->pool, &future->job->cell, future_is_settled, future->job, os_deadline(timeout));
    if (!result && future->map.count)
        future_deliver(future);
    return os_outcome(result, timeout);
}

int mproc_future_wait(mproc_future *future, mproc_time timeout)
{
    return outcome(__func__, future_await(future, timeout));
}

int mproc_future_get(mproc_future *future, void *out, mproc_time timeout)
{
    int result = future_await(future, timeout);
    if (result)
        return outcome(__func__, result);
    mproc_item_status status = end_of(future);
    if (out && future->job->out && (status.result == 0 || status.result == MPROC_TASK_FAILED || future->map.count))
        memcpy(out, future->job->out, future->job->count * future->job->out_size);
    return outcome(__func__, status.result);
}

/* What a task, not a map, has left in blocks of its own; NULL when it is not done. */
static struct yield *yield_of(mproc_future *future)
{
    if (future_check(future) || future->map.count || !future_is_done(future))
        return NULL;
    return future->job->yields;
}

/* What it has written in place, and how much. */
static const void *future_result(mproc_future *future, size_t *size)
{
    const struct yield *yield = yield_of(future);
    const void *result = yield ? yield_result(yield, size) : NULL;
    if (result)
        return result;
    *size = 0;
    if (future_check(future) || !future_is_done(future) || end_of(future).result == MPROC_CANCELLED)
        return NULL;
    *size = future->job->out ? future->job->count * future->job->out_size : 0;
    return future->job->out;
}

const void *mproc_future_result(mproc_future *future)
{
    size_t size;
    return future_result(future, &size);
}

size_t mproc_future_result_size(mproc_future *future)
{
    size_t size;
    future_result(future, &size);
    return size;
}

void *mproc_future_take_result(mproc_future *future, size_t *size)
{
    size_t unused;
    struct yield *yield = yield_of(future);
    size = size ? size : &unused;
    *size = 0;
    return yield ? yield_take_result(yield, size) : NULL;
}

const char *mproc_future_error(mproc_future *future)
{
    const struct yield *yield = yield_of(future);
    return yield ? yield_text(yield) : NULL;
}

int mproc_future_status(mproc_future *future, mproc_item_status *status)
{
    int result = status ? future_check(future) : failure(-EINVAL, "status is NULL");
    if (result)
        return outcome(__func__, result);
    if (!future_is_done(future))
        return MPROC_RUNNING;
    *status = end_of(future);
    return 0;
}

/* One whose pool was freed, or that was freed itself, has nothing that could be waited for. */
bool mproc_future_is_done(mproc_future *future)
{
    int result = future_check(future);
    return result == -ESTALE || (result == 0 && future_is_done(future));
}

int mproc_future_postmortem(mproc_future *future, size_t number, mproc_postmortem *postmortem)
{
    int result = postmortem ? future_check(future) : failure(-EINVAL, "postmortem is NULL");
    if (result)
        return outcome(__func__, result);
    bool done = future_is_done(future); /* before the look, so that there is none to come */
    if (job_postmortem_read(future->job, number, 0, postmortem))
        return 0;
    return outcome(__func__, done ? MPROC_CLOSED : MPROC_RUNNING);
}

int mproc_future_cancel(mproc_future *future)
{
    int result = future_check(future);
    if (!result)
        host_stop(future->pool, future->job);
    return outcome(__func__, result);
}

int mproc_future_on_end(mproc_future *future, mproc_callback *success, mproc_callback *error, void *arg)
{
    int result = future_check(future);
    if (result)
        return outcome(__func__, result);
    const struct callback wish = {.future = future, .job = future->job, .success = success, .error = error, .arg = arg};
    return outcome(__func__, callbacks_add(future->pool, &future->callback, &wish));
}

static void future_give_up(mproc_future *future)
{
    if (future_check(future) == 0) {
        callbacks_remove(future->pool, &future->callback);
        host_give_up_job(future->pool, future->job);
    }
    tag_end(&future->tag);
    host_let_go(future->pool);
    tag_free(&future->tag);
}

mproc_future *mproc_future_free(mproc_future *future)
{
    failure_hold();
    if (future && tag_check(&future->tag, TAG_FUTURE) == 0)
        future_give_up(future);
    failure_release();
    return NULL;
}

struct wait_cell *future_wait_cell(mproc_future *future)
{
    return future_check(future) ? NULL : &future->job->cell;
}

bool future_is_ready(mproc_future *future)
{
    return mproc_future_is_done(future);
}
