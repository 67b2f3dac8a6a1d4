/* What server and host do alike to a pool in the arena: its lock, and what a dead worker leaves. */
#include "pool/shared/pool.h"

#include "pool/shared/job_postmortem.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>

/* How long to wait for the lock until it is asked whether its holder could be found dead at all. */
#define LOCK_PATIENCE OS_SEC(1)

static int lost_descriptors(void)
{
    return failure(-EBADF, "the program has closed the library's descriptors, and the pool's lock may be a dead "
                           "process's");
}

int pool_lock(struct pool *pool)
{
    int result = owner_lock_acquire(&pool->lock, LOCK_PATIENCE);
    while (result == MPROC_TIMEOUT)
        result = member_confirm() ? owner_lock_acquire(&pool->lock, LOCK_PATIENCE) : lost_descriptors();
    if (result == MPROC_OWNER_DIED) {
        job_list_mend(&pool->list);
        result = 0;
    }
    return result;
}

void pool_unlock(struct pool *pool)
{
    owner_lock_release(&pool->lock);
}

static uint64_t starting_word(uint32_t serial)
{
    return (uint64_t)serial << 32 | 1;
}

uint32_t pool_reserve(struct pool *pool, _Atomic(uint64_t) *word)
{
    uint32_t serial = fetch_add_relaxed(&pool->serial, 1) + 1;
    store_release(word, starting_word(serial));
    return serial;
}

bool pool_take_place(_Atomic(uint64_t) *word, uint32_t serial)
{
    uint64_t starting = starting_word(serial);
    return compare_exchange_acq_rel(word, &starting, member_current());
}

bool pool_is_vacant(_Atomic(uint64_t) *word)
{
    uint64_t now = load_acquire(word);
    while (now && !pool_word_is_owner(now))
        if (atomic_compare_exchange_weak_explicit(word, &now, 0, memory_order_acq_rel, memory_order_acquire))
            now = 0;
    return now == 0 || member_is_dead(now);
}

struct job *pool_first_job(struct pool *pool)
{
    struct job *job;
    while ((job = job_list_first(&pool->list)) != NULL && job_is_dealt_out(job))
        job_list_remove(&pool->list, job);
    return job;
}

bool pool_names_job(struct pool *pool, const struct job *job)
{
    for (unsigned i = 0; i < pool->worker_count; i++)
        if (load_acquire(&pool->workers[i].job) == job)
            return true;
    return false;
}

void pool_clear_slot(struct pool *pool, unsigned index)
{
    struct worker_slot *slot = &pool->workers[index];
    store_relaxed(&slot->pid, 0);
    store_relaxed(&slot->ended, 0);
    store_relaxed(&slot->kill, 0);
    store_relaxed(&slot->limit, 0);
    store_relaxed(&slot->late, 0);
    store_relaxed(&slot->ready, 0);
    store_relaxed(&slot->served, 0);
    store_relaxed(&slot->items, 0);
    store_relaxed(&slot->begun, 0);
    store_relaxed(&slot->busy, 0);
    store_relaxed(&slot->since, 0);
    crash_report_clear(pool_crash_report(pool, index));
    store_relaxed(&slot->forked, os_now());
    fetch_add_relaxed(&pool->starts, 1);
}

bool pool_wants_workers(struct pool *pool)
{
    return pool_expects_jobs(pool) || (pool_state(pool) == POOL_CLOSED && job_list_first(&pool->list));
}

void pool_break_if_vain(struct pool *pool, int reason)
{
    if (load_relaxed(&pool->vain) < POOL_TRIES || pool_broken(pool) || pool_lock(pool))
        return;
    store_release(&pool->broken, reason);
    pool_unlock(pool);
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
}

void pool_grow(struct pool *pool, size_t chunks)
{
    size_t wanted = pool_wanted(pool);
    size_t idle = 0;
    if (wanted >= pool->full)
        return;
    for (size_t i = 0; i < wanted; i++)
        idle += !load_relaxed(&pool->workers[i].job);
    if (chunks <= idle)
        return;
    size_t more = chunks - idle < pool->full - wanted ? chunks - idle : pool->full - wanted;
    store_release(&pool->wanted, (uint32_t)(wanted + more));
    wait_cell_wake(&pool->server, WAIT_CELL_ALL);
}

void pool_excuse_surplus(struct pool *pool)
{
    struct job *job = load_relaxed(&pool->call);
    for (size_t i = pool_wanted(pool); job && i < job->chunk_count; i++) {
        uint64_t word = load_relaxed(&job->chunks[i]);
        uint64_t cancelled = job_chunk_word(JOB_CANCELLED, 0, 0, 0);
        if (job_chunk_state(word) == JOB_FREE)
            compare_exchange_acq_rel(&job->chunks[i], &word, cancelled);
    }
    if (job)
        wait_cell_wake(job->waiter, WAIT_CELL_ALL);
}

/* With the lock. */
static void offer_again(struct pool *pool, struct job *job)
{
    if (!load_relaxed(&job->published)) /* the host may be at it */
        return;
    if (job->is_call) { /* the worker's successor finds it */
        pool_excuse_surplus(pool);
        return;
    }
    if (!job_rewind(job))
        return;
    if (!load_relaxed(&job->queued))
        job_list_add_first(&pool->list, job);
    wait_cell_wake(&pool->work, WAIT_CELL_ALL);
}

int pool_offer_again(struct pool *pool, struct job *job)
{
    int result = pool_lock(pool);
    if (result)
        return result;
    offer_again(pool, job);
    pool_unlock(pool);
    return 0;
}

static void settle_job(struct pool *pool, unsigned index, struct job *job, int exit)
{
    struct worker_slot *slot = &pool->workers[index];
    uint64_t current = load_acquire(&slot->current);
    bool was_sent = load_acquire(&slot->kill) == POOL_KILL_SENT;
    const struct job_death death = {
        .worker = index,
        .chunk = load_acquire(&slot->chunk),
        .current = current,
        .exit = exit,
        .is_wanted = (job_flags(job) & JOB_KILL) && (exit == -SIGKILL || was_sent),
        .is_late = current && load_acquire(&slot->late) == current,
    };
    size_t item;
    unsigned attempt;
    if (job_lost_item(job, &death, &item, &attempt))
        job_postmortem_add(pool, index, job, item, attempt, &death);
    job_settle_death(job, &death);
    job_postmortem_end(pool, index, job);
    offer_again(pool, job);
}

int pool_settle_worker(struct pool *pool, unsigned index, int exit)
{
    struct worker_slot *slot = &pool->workers[index];
    int result = pool_lock(pool);
    if (result)
        return result;
    struct job *job = load_acquire(&slot->job);
    if (job)
        settle_job(pool, index, job, exit);
    pool_unlock(pool);
    uint32_t spinner = index + 1;
    compare_exchange_acq_rel(&pool->spinner, &spinner, 0);
    store_release(&slot->current, 0);
    store_release(&slot->job, NULL);
    uint64_t items = exchange_relaxed(&slot->items, 0);
    fetch_add_relaxed(&pool->past_items, items);
    store_release(&slot->word, 0); /* commit */
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
    wait_cell_wake(&pool->work, WAIT_CELL_ALL); /* it may have died of a wake-up that was meant for all */
    return 0;
}
