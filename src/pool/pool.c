/* What server and host do alike to a pool in the arena: its lock, and what a dead worker leaves. */
#include "pool/pool.h"

#include "pool/postmortem.h"
#include <signal.h>

int pool_lock(struct pool *pool)
{
    int result = owner_lock_acquire(&pool->lock, OS_FOREVER);
    if (result == MPROC_OWNER_DIED) {
        list_mend(&pool->list);
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
    uint32_t serial = atomic_fetch_add_explicit(&pool->serial, 1, memory_order_relaxed) + 1;
    atomic_store_explicit(word, starting_word(serial), memory_order_release);
    return serial;
}

bool pool_take_place(_Atomic(uint64_t) *word, uint32_t serial)
{
    uint64_t starting = starting_word(serial);
    return atomic_compare_exchange_strong_explicit(word, &starting, member_current(), memory_order_acq_rel,
                                                   memory_order_relaxed);
}

bool pool_is_vacant(_Atomic(uint64_t) *word)
{
    uint64_t now = atomic_load_explicit(word, memory_order_acquire);
    while (now && !pool_word_is_owner(now))
        if (atomic_compare_exchange_weak_explicit(word, &now, 0, memory_order_acq_rel, memory_order_acquire))
            now = 0;
    return now == 0 || member_is_dead(now);
}

struct job *pool_first_job(struct pool *pool)
{
    struct job *job;
    while ((job = list_first(&pool->list)) != NULL && job_is_dealt_out(job))
        list_remove(&pool->list, job);
    return job;
}

bool pool_names_job(struct pool *pool, const struct job *job)
{
    for (unsigned i = 0; i < pool->worker_count; i++)
        if (atomic_load_explicit(&pool->workers[i].job, memory_order_acquire) == job)
            return true;
    return false;
}

void pool_clear_slot(struct pool *pool, unsigned index)
{
    struct worker_slot *slot = &pool->workers[index];
    atomic_store_explicit(&slot->pid, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->ended, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->kill, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->limit, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->late, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->ready, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->served, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->items, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->begun, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->busy, 0, memory_order_relaxed);
    atomic_store_explicit(&slot->since, 0, memory_order_relaxed);
    last_words_clear(pool_last_words(pool, index));
    atomic_store_explicit(&slot->forked, os_now(), memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->starts, 1, memory_order_relaxed);
}

bool pool_wants_workers(struct pool *pool)
{
    return pool_expects_jobs(pool) || (pool_state(pool) == POOL_CLOSED && list_first(&pool->list));
}

void pool_break_if_vain(struct pool *pool, int reason)
{
    if (atomic_load_explicit(&pool->vain, memory_order_relaxed) < POOL_TRIES || pool_broken(pool) || pool_lock(pool))
        return;
    atomic_store_explicit(&pool->broken, reason, memory_order_release);
    pool_unlock(pool);
    cell_wake(&pool->changed, CELL_ALL);
}

void pool_grow(struct pool *pool, size_t chunks)
{
    size_t wanted = pool_wanted(pool);
    size_t idle = 0;
    if (wanted >= pool->full)
        return;
    for (size_t i = 0; i < wanted; i++)
        idle += !atomic_load_explicit(&pool->workers[i].job, memory_order_relaxed);
    if (chunks <= idle)
        return;
    size_t more = chunks - idle < pool->full - wanted ? chunks - idle : pool->full - wanted;
    atomic_store_explicit(&pool->wanted, (uint32_t)(wanted + more), memory_order_release);
    cell_wake(&pool->server, CELL_ALL);
}

void pool_excuse_surplus(struct pool *pool)
{
    struct job *job = atomic_load_explicit(&pool->call, memory_order_relaxed);
    for (size_t i = pool_wanted(pool); job && i < job->chunk_count; i++) {
        uint64_t word = atomic_load_explicit(&job->chunks[i], memory_order_relaxed);
        uint64_t cancelled = job_chunk_word(JOB_CANCELLED, 0, 0, 0);
        if (job_chunk_state(word) == JOB_FREE)
            atomic_compare_exchange_strong_explicit(&job->chunks[i], &word, cancelled, memory_order_acq_rel,
                                                    memory_order_relaxed);
    }
    if (job)
        cell_wake(job->waiter, CELL_ALL);
}

/* With the lock. */
static void offer_again(struct pool *pool, struct job *job)
{
    if (!atomic_load_explicit(&job->published, memory_order_relaxed)) /* the host may be at it */
        return;
    if (job->is_call) { /* the worker's successor finds it */
        pool_excuse_surplus(pool);
        return;
    }
    if (!job_rewind(job))
        return;
    if (!atomic_load_explicit(&job->queued, memory_order_relaxed))
        list_add_first(&pool->list, job);
    cell_wake(&pool->work, CELL_ALL);
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
    uint64_t current = atomic_load_explicit(&slot->current, memory_order_acquire);
    bool was_sent = atomic_load_explicit(&slot->kill, memory_order_acquire) == POOL_KILL_SENT;
    const struct job_death death = {
        .worker = index,
        .chunk = atomic_load_explicit(&slot->chunk, memory_order_acquire),
        .current = current,
        .exit = exit,
        .is_wanted = (job_flags(job) & JOB_KILL) && (exit == -SIGKILL || was_sent),
        .is_late = current && atomic_load_explicit(&slot->late, memory_order_acquire) == current,
    };
    size_t item;
    unsigned attempt;
    if (job_lost_item(job, &death, &item, &attempt))
        postmortem_add(pool, index, job, item, attempt, &death);
    job_settle_death(job, &death);
    postmortem_end(pool, index, job);
    offer_again(pool, job);
}

int pool_settle_worker(struct pool *pool, unsigned index, int exit)
{
    struct worker_slot *slot = &pool->workers[index];
    int result = pool_lock(pool);
    if (result)
        return result;
    struct job *job = atomic_load_explicit(&slot->job, memory_order_acquire);
    if (job)
        settle_job(pool, index, job, exit);
    pool_unlock(pool);
    uint32_t spinner = index + 1;
    atomic_compare_exchange_strong_explicit(&pool->spinner, &spinner, 0, memory_order_acq_rel, memory_order_relaxed);
    atomic_store_explicit(&slot->current, 0, memory_order_release);
    atomic_store_explicit(&slot->job, NULL, memory_order_release);
    uint64_t items = atomic_exchange_explicit(&slot->items, 0, memory_order_relaxed);
    atomic_fetch_add_explicit(&pool->past_items, items, memory_order_relaxed);
    atomic_store_explicit(&slot->word, 0, memory_order_release); /* commit */
    cell_wake(&pool->changed, CELL_ALL);
    cell_wake(&pool->work, CELL_ALL); /* it may have died of a wake-up that was meant for all */
    return 0;
}
