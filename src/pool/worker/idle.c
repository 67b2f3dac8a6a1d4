/* A worker without work: it spins for a moment, then it sleeps. */
#include "os/clock.h"
#include "os/cpu.h"
#include "os/spin.h"
#include "pool/worker/worker.h"
#include "util/atomic.h"

/* How long an idle worker spins before it sleeps: about what a sleep and a wake-up cost. */
#define SPIN_TIME OS_US(20)

/* Whether there is something to do, even if only to end. */
static bool idle_has_news(struct worker *worker)
{
    struct pool *pool = worker->pool;
    return job_list_first(&pool->list) || !pool_expects_jobs(pool) || worker_is_surplus(worker) ||
           worker_is_called(worker);
}

void worker_begin_look(struct worker *worker)
{
    _Atomic(uint32_t) *spinner = &worker->pool->spinner;
    uint32_t nobody = 0;
    if (!worker->looks && os_cpu_may_spin() && load_relaxed(spinner) == 0)
        worker->looks = compare_exchange_acq_rel(spinner, &nobody, worker->index + 1);
}

void worker_end_look(struct worker *worker)
{
    if (!worker->looks)
        return;
    worker->looks = false;
    store_relaxed(&worker->pool->spinner, 0);
    atomic_thread_fence(memory_order_seq_cst); /* before the last look at the list; pairs with that of wake_workers() */
}

/* Look for work without sleeping, if nobody else does. Whoever adds a job need not wake anybody then: what came while
 * the spinner gives up is seen by its next look, which is after its store to spinner. */
static void idle_spin(struct worker *worker)
{
    worker_begin_look(worker);
    if (!worker->looks)
        return;
    struct os_spin spin = os_spin_begin_for(SPIN_TIME);
    while (!idle_has_news(worker) && os_spin_pause(&spin))
        ;
    worker_end_look(worker);
}

/* When an idle worker may end. The one that is not the last looks again after each tick, for the last may have gone. */
static int64_t end_of_patience(const struct worker *worker)
{
    const struct pool *pool = worker->pool;
    return pool->idle_time && worker->index >= pool->least ? worker->idle_since + pool->idle_time : OS_NEVER;
}

/* The worker has been idle for idle_time. It becomes surplus if it is the last one wanted and there is still nothing to
 * do. Returns whether it does. */
static bool give_up_place(struct worker *worker)
{
    struct pool *pool = worker->pool;
    if (pool_lock(pool))
        return false;
    bool gives_up = !idle_has_news(worker) && worker->index + 1 == pool_wanted(pool);
    if (gives_up)
        store_release(&pool->wanted, worker->index);
    pool_unlock(pool);
    return gives_up;
}

bool worker_await_work(struct worker *worker)
{
    struct pool *pool = worker->pool;
    idle_spin(worker);
    int64_t end = end_of_patience(worker);
    while (!idle_has_news(worker)) {
        uint32_t seen = wait_cell_prepare(&pool->work);
        if (idle_has_news(worker))
            break;
        bool is_over = os_until(end) == 0;
        if (is_over && give_up_place(worker))
            break;
        wait_cell_sleep(&pool->work, seen, is_over ? OS_NEVER : end);
    }
    if (worker_is_surplus(worker)) { /* it may have been woken for work */
        wait_cell_wake(&pool->work, 1);
        return false;
    }
    return job_list_first(&pool->list) || pool_expects_jobs(pool);
}
