/* Callbacks of futures. A pool has one thread for them in its host, from the first that is asked for until the pool is
 * freed. The thread calls the program's functions with no lock held, and uses the pool only as any other thread may.
 *
 * The thread sleeps in the pool's cell `changed`, which workers wake when they leave a job, and looks which futures
 * have ended. Jobs are begun in the order in which they are dealt out. So no more unsettled ones than there are workers
 * stand before a settled one, as long as all goes well: each time it is woken it looks at that many and a few more, and
 * at all of them every tick. Where a job overtook others, was stopped, or asked about late, its callback comes after a
 * tick at most. */
#include "pool/host/callbacks.h"

#include "os/clock.h"
#include "os/thread.h"
#include "os/uncancelled.h"
#include "pool/host/host.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>

/* Unsettled futures that are looked at beside one for each worker. */
#define LOOKS_MORE 16

static _Atomic(bool) program_ends;

void callbacks_leave(void)
{
    store_relaxed(&program_ends, true);
}

/* ---- lists ---- */

static void callbacks_insert(struct callback_list *list, struct callback *callback, struct callback *previous)
{
    struct callback *next = previous ? previous->next : list->first;
    callback->next = next;
    callback->previous = previous;
    *(previous ? &previous->next : &list->first) = callback;
    *(next ? &next->previous : &list->last) = callback;
}

static void callbacks_take_out(struct callback_list *list, struct callback *callback)
{
    *(callback->previous ? &callback->previous->next : &list->first) = callback->next;
    *(callback->next ? &callback->next->previous : &list->last) = callback->previous;
}

static void callbacks_settle(struct callbacks *callbacks, struct callback *callback)
{
    callback->is_settled = true;
    callbacks_insert(&callbacks->settled, callback, callbacks->settled.last);
}

/* As the list of jobs has them. */
static void add_pending(struct callbacks *callbacks, struct callback *callback)
{
    struct callback *previous = callbacks->pending.last;
    while (previous && previous->job->priority < callback->job->priority)
        previous = previous->previous;
    callbacks_insert(&callbacks->pending, callback, previous);
}

/* ---- the thread ---- */

/* Move pending callbacks before `end` (NULL: all) whose job has ended to the settled list, until `looks` have been
 * found that have not ended. When a later one has ended, earlier ones may have ended since they were looked at: so they
 * are looked at again, and come before it. With the mutex. */
static void sort_out(struct callbacks *callbacks, const struct callback *end, size_t looks, size_t looks_again)
{
    size_t left = looks;
    struct callback *next;
    for (struct callback *callback = callbacks->pending.first; callback != end && left > 0; callback = next) {
        next = callback->next;
        if (!job_is_settled(callback->job, &callback->from)) {
            left--;
            continue;
        }
        if (looks_again && left < looks)
            sort_out(callbacks, callback, looks_again, 0);
        callbacks_take_out(&callbacks->pending, callback);
        callbacks_settle(callbacks, callback);
    }
}

/* all: of all of them. With the mutex. */
static void callbacks_collect(mproc_pool *pool, bool all)
{
    size_t few = pool->shared->worker_count + (size_t)LOOKS_MORE;
    sort_out(&pool->callbacks, NULL, all ? SIZE_MAX : few, few);
}

/* Whether all are to be looked at now. With the mutex. */
static bool is_time_for_all(struct callbacks *callbacks)
{
    int64_t now = os_now();
    bool is_told = exchange_acquire(&callbacks->look_at_all, false);
    if (!is_told && !callbacks->ends && now < callbacks->all_at)
        return false;
    callbacks->all_at = now + OS_TICK;
    return true;
}

static void callbacks_call(const struct callback *callback)
{
    mproc_item_status status = {0};
    int result = mproc_future_status(callback->future, &status);
    mproc_callback *function = result == 0 && status.result == 0 ? callback->success : callback->error;
    if (function && !load_relaxed(&program_ends))
        function(callback->arg, callback->future);
}

/* Call the first that is due. The callback may free its future, and then has said that it does not run. With the mutex,
 * which is not held meanwhile. */
static void call_first(struct callbacks *callbacks)
{
    struct callback *callback = callbacks->settled.first;
    const struct callback copy = *callback;
    callbacks_take_out(&callbacks->settled, callback);
    callback->state = CALLBACK_OVER;
    callbacks->running = callback;
    pthread_mutex_unlock(&callbacks->mutex);
    callbacks_call(&copy);
    pthread_mutex_lock(&callbacks->mutex);
    callbacks->running = NULL;
    wait_cell_wake(&callbacks->idle, WAIT_CELL_ALL);
}

static bool has_pending(struct callbacks *callbacks)
{
    pthread_mutex_lock(&callbacks->mutex);
    bool has = callbacks->pending.first;
    pthread_mutex_unlock(&callbacks->mutex);
    return has;
}

/* Look at everything once, and call what is due. Returns whether the thread is to end. */
static bool callbacks_look_over(mproc_pool *pool)
{
    struct callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&callbacks->mutex);
    callbacks_collect(pool, is_time_for_all(callbacks));
    bool is_last = callbacks->ends && !callbacks->settled.first;
    while (callbacks->settled.first)
        call_first(callbacks);
    pthread_mutex_unlock(&callbacks->mutex);
    return is_last;
}

/* While nothing is pending, workers that leave a job need not wake it. */
static void *callbacks_run(void *arg)
{
    mproc_pool *pool = arg;
    for (;;) {
        struct wait_cell *cell = &pool->callbacks.news;
        uint32_t seen = wait_cell_prepare(cell);
        if (has_pending(&pool->callbacks)) {
            cell = &pool->shared->changed;
            seen = wait_cell_prepare(cell);
        }
        if (callbacks_look_over(pool))
            return NULL;
        host_sleep(pool, cell, seen, OS_NEVER);
    }
}

static void wake(mproc_pool *pool)
{
    wait_cell_wake(&pool->callbacks.news, WAIT_CELL_ALL);
    wait_cell_wake(&pool->shared->changed, WAIT_CELL_ALL);
}

/* With the mutex. */
static int need_thread(mproc_pool *pool)
{
    struct callbacks *callbacks = &pool->callbacks;
    if (callbacks->has_thread)
        return 0;
    int result = os_thread_create(&callbacks->thread, callbacks_run, pool);
    callbacks->has_thread = result == 0;
    return result;
}

/* ---- the others ---- */

/* One that has ended comes behind those that had ended before. With the mutex. */
static void callbacks_append(mproc_pool *pool, struct callback *callback)
{
    if (job_is_settled(callback->job, &callback->from)) {
        callbacks_collect(pool, false);
        callbacks_settle(&pool->callbacks, callback);
    } else {
        add_pending(&pool->callbacks, callback);
    }
}

int callbacks_add(mproc_pool *pool, struct callback *callback, const struct callback *wish)
{
    struct callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&callbacks->mutex);
    int result = callback->state == CALLBACK_NONE ? need_thread(pool)
                                                  : failure(-EINVAL, "callbacks of future were asked for already");
    if (!result) {
        *callback = *wish;
        callback->state = CALLBACK_WAITS;
        callbacks_append(pool, callback);
    }
    pthread_mutex_unlock(&callbacks->mutex);
    if (!result)
        wake(pool);
    return result;
}

/* With the mutex. */
static bool is_caller(const struct callbacks *callbacks)
{
    return callbacks->has_thread && pthread_equal(callbacks->thread, pthread_self());
}

bool callbacks_is_caller(mproc_pool *pool)
{
    pthread_mutex_lock(&pool->callbacks.mutex);
    bool is = is_caller(&pool->callbacks);
    pthread_mutex_unlock(&pool->callbacks.mutex);
    return is;
}

/* Whether one runs, or whether any is to be called. */
struct question {
    struct callbacks *callbacks;
    const struct callback *callback;
};

static bool does_not_run(void *arg)
{
    const struct question *question = arg;
    pthread_mutex_lock(&question->callbacks->mutex);
    bool runs = question->callbacks->running == question->callback;
    pthread_mutex_unlock(&question->callbacks->mutex);
    return !runs;
}

void callbacks_remove(mproc_pool *pool, struct callback *callback)
{
    struct callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&callbacks->mutex);
    if (callback->state == CALLBACK_WAITS)
        callbacks_take_out(callback->is_settled ? &callbacks->settled : &callbacks->pending, callback);
    callback->state = CALLBACK_OVER;
    if (callbacks->running == callback && is_caller(callbacks))
        callbacks->running = NULL; /* another future may get its memory while the callback goes on */
    bool runs = callbacks->running == callback;
    pthread_mutex_unlock(&callbacks->mutex);
    wait_cell_wake(&callbacks->idle, WAIT_CELL_ALL);
    if (runs)
        host_wait(pool, &callbacks->idle, does_not_run, &(struct question){callbacks, callback}, OS_NEVER);
}

void callbacks_look(mproc_pool *pool)
{
    store_release(&pool->callbacks.look_at_all, true);
    wait_cell_wake(&pool->shared->changed, WAIT_CELL_ALL);
}

static bool all_are_called(void *arg)
{
    struct callbacks *callbacks = arg;
    pthread_mutex_lock(&callbacks->mutex);
    bool all = !callbacks->pending.first && !callbacks->settled.first && !callbacks->running;
    pthread_mutex_unlock(&callbacks->mutex);
    return all;
}

int callbacks_await(mproc_pool *pool, int64_t deadline)
{
    callbacks_look(pool);
    return host_wait(pool, &pool->callbacks.idle, all_are_called, &pool->callbacks, deadline);
}

void callbacks_end(mproc_pool *pool)
{
    struct callbacks *callbacks = &pool->callbacks;
    pthread_mutex_lock(&callbacks->mutex);
    callbacks->ends = true;
    bool has_thread = callbacks->has_thread;
    pthread_mutex_unlock(&callbacks->mutex);
    wake(pool);
    if (has_thread)
        uncancelled_pthread_join(callbacks->thread, NULL);
}
