/* Workers that are threads of the host. Each goes through the lives of one worker after another, where a process would
 * be replaced: after max_items, or when the initializer has failed. */
#include "os/allocate.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/signal.h"
#include "os/thread.h"
#include "os/uncancelled.h"
#include "pool/host/host.h"
#include "pool/worker/worker.h"
#include "util/atomic.h"
#include <errno.h>
#include <string.h>
#include <unistd.h>

/* Between two tries of an initializer that fails. */
#define PAUSE OS_MS(100)

/* ---- the thread ---- */

static bool none_is_ready(struct pool *pool)
{
    for (unsigned i = 0; i < pool->worker_count; i++)
        if (load_acquire(&pool->workers[i].word) && load_acquire(&pool->workers[i].ready))
            return false;
    return true;
}

/* The initializer failed: the reason why a pool cannot be made, and later a pause before the next try. Returns whether
 * there is one. */
static bool fail_to_begin(struct worker *worker, int code)
{
    struct pool *pool = worker->pool;
    int32_t starting = POOL_STARTING;
    int result = code == POOL_INITIALIZER_LOST ? MPROC_NO_FUNCTION : MPROC_TASK_FAILED;
    if (compare_exchange_release(&pool->started, &starting, result)) {
        wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
        return false;
    }
    pool_note_vain(pool);
    pool_note_trouble(pool, result);
    if (!pool_broken(pool) && none_is_ready(pool))
        pool_break_if_vain(pool, result);
    int64_t end = os_now() + PAUSE;
    while ((os_until(end) > 0 || pool_broken(pool)) && pool_wants_workers(pool) && !worker_is_surplus(worker))
        wait_cell_sleep(&pool->work, wait_cell_prepare(&pool->work), os_until(end) > 0 ? end : OS_NEVER);
    return pool_wants_workers(pool) && !worker_is_surplus(worker);
}

/* One worker's life. Returns whether another one is to follow in the same place. */
static bool live(struct pool_thread *thread)
{
    struct pool *pool = thread->pool->shared;
    struct worker worker = {.pool = pool,
                            .slot = &pool->workers[thread->index],
                            .words = pool_crash_report(pool, thread->index),
                            .index = thread->index,
                            .is_thread = true};
    pool_clear_slot(pool, thread->index);
    store_relaxed(&worker.slot->pid, (int32_t)getpid());
    store_release(&worker.slot->word, member_current());
    worker_become(&worker);
    int result = worker_initialize(&worker);
    bool more = result ? fail_to_begin(&worker, result) : worker_serve(&worker);
    pool_settle_worker(pool, thread->index, 0);
    return more;
}

static void threads_leave(struct pool_thread *thread)
{
    struct pool *pool = thread->pool->shared;
    store_release(&thread->gone, true);
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL); /* the pool stays until this thread was joined */
}

/* A task has ended its thread. That costs the item, as the end of a process does. */
static void bury(void *arg)
{
    struct pool_thread *thread = arg;
    struct pool *pool = thread->pool->shared;
    fetch_add_relaxed(&pool->deaths, 1);
    pool_settle_worker(pool, thread->index, 0);
    threads_leave(thread);
}

static void *threads_run(void *arg)
{
    struct pool_thread *thread = arg;
    os_signals_restore(&thread->pool->mask);
    if (thread->pool->shared->pin)
        os_cpu_pin(thread->index); /* it could when the pool was made; else it runs anywhere */
    pthread_cleanup_push(bury, thread);
    while (live(thread))
        ;
    pthread_cleanup_pop(0);
    threads_leave(thread);
    return NULL;
}

/* ---- the host ---- */

static void join_gone(struct pool_thread *thread)
{
    if (!thread->exists || !load_acquire(&thread->gone))
        return;
    uncancelled_pthread_join(thread->id, NULL);
    thread->exists = false;
}

static int threads_start_one(mproc_pool *pool, unsigned index)
{
    struct pool_thread *thread = &pool->threads[index];
    thread->pool = pool;
    thread->index = index;
    store_relaxed(&thread->gone, false);
    int result = os_thread_create(&thread->id, threads_run, thread);
    thread->exists = result == 0;
    return result;
}

/* With the mutex. 0, or why one could not be started. */
static int threads_start_missing(mproc_pool *pool)
{
    int result = 0;
    for (unsigned i = 0; i < pool_wanted(pool->shared) && !result; i++) {
        join_gone(&pool->threads[i]);
        if (!pool->threads[i].exists)
            result = threads_start_one(pool, i);
    }
    return result;
}

void threads_mend(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    bool exists = false;
    if (load_relaxed(&shared->started) == 0 && pool_wants_workers(shared))
        threads_start_missing(pool);
    for (unsigned i = 0; pool->threads && i < shared->worker_count; i++) {
        join_gone(&pool->threads[i]);
        exists = exists || pool->threads[i].exists;
    }
    if (!exists && pool_state(shared) != POOL_OPEN && !pool_wants_workers(shared))
        store_release(&shared->ended, 1);
}

/* 0 when all are ready, POOL_STARTING while they are not, or why they cannot be. */
static int look_at_start(struct pool *shared)
{
    for (unsigned i = 0; i < pool_wanted(shared); i++)
        if (!load_acquire(&shared->workers[i].ready))
            return load_acquire(&shared->started);
    int32_t starting = POOL_STARTING;
    compare_exchange_release(&shared->started, &starting, 0);
    return 0;
}

int threads_start(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    size_t size = shared->worker_count * sizeof *pool->threads;
    pool->threads = os_malloc(size);
    if (!pool->threads)
        return -ENOMEM;
    memset(pool->threads, 0, size);
    os_signals_block(&pool->mask);
    os_signals_restore(&pool->mask);
    pthread_mutex_lock(&pool->mutex);
    int result = threads_start_missing(pool);
    pthread_mutex_unlock(&pool->mutex);
    while (!result) {
        uint32_t seen = wait_cell_prepare(&shared->changed);
        result = look_at_start(shared);
        if (result != POOL_STARTING)
            return result;
        result = 0;
        wait_cell_sleep(&shared->changed, seen, OS_NEVER);
    }
    return result;
}

static bool threads_is_over(mproc_pool *pool)
{
    host_mend(pool);
    return load_acquire(&pool->shared->ended);
}

int threads_wait_end(mproc_pool *pool, int64_t deadline)
{
    for (;;) {
        uint32_t seen = wait_cell_prepare(&pool->shared->changed);
        interrupt_look(pool);
        if (threads_is_over(pool))
            return 0;
        if (wait_cell_sleep(&pool->shared->changed, seen, deadline) == MPROC_TIMEOUT)
            return threads_is_over(pool) ? 0 : MPROC_TIMEOUT;
    }
}
