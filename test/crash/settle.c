/* The crash cases of settling a dead worker, in a pool without processes: whoever settles dies, and the next one
 * settles it once more. What it leaves is one outcome, one post-mortem, and a chunk that those can take who are to have
 * it. */
#include "bare_pool.h"
#include "crash.h"
#include "pool/shared/job_postmortem.h"
#include "pool/shared/store.h"
#include <mproc/memory.h>
#include <signal.h>

enum {
    DEAD = 1, /* the worker; it was at the item of the same number, in the chunk of the same number */
    LAST = BARE_JOBS - 1,
    ITEMS = 5 /* that it had run */
};

/* It has died at the last job, which was dealt out. */
static struct bare_pool *build(unsigned retries)
{
    struct bare_pool *bare = bare_pool_build((const int[BARE_JOBS]){5, 5, 0, 5});
    struct worker_slot *slot = &bare->pool.workers[DEAD];
    struct job *job = &bare->jobs[LAST];
    job->retries = retries;
    job->retry_on = MPROC_RETRY_DEATH;
    atomic_store(&job->next_chunk, BARE_CHUNKS);
    atomic_store(&job->chunks[0], job_chunk_word(JOB_DONE, 0, 1, 0));
    atomic_store(&job->chunks[DEAD], job_chunk_word(JOB_TAKEN, DEAD, 0, 0));
    atomic_store(&slot->word, UINT64_C(1) << 16);
    atomic_store(&slot->job, job);
    atomic_store(&slot->chunk, DEAD);
    atomic_store(&slot->current, DEAD << 1 | 1);
    atomic_store(&slot->items, ITEMS);
    return bare;
}

static void *build_lost(void)
{
    return build(0);
}

static void *build_retried(void)
{
    return build(1);
}

static void *build_call(void)
{
    struct bare_pool *bare = build(1);
    bare->jobs[LAST].is_call = true;
    atomic_store(&bare->pool.call, &bare->jobs[LAST]);
    return bare;
}

/* The pool does without the dead worker. */
static void *build_surplus_call(void)
{
    struct bare_pool *bare = build_call();
    atomic_store(&bare->pool.wanted, DEAD);
    return bare;
}

static void destroy(void *arg)
{
    struct bare_pool *bare = arg;
    store_free_postmortems(&bare->pool, &bare->jobs[LAST]);
    mproc_free(bare);
}

/* Server and host look at the place's word. */
static void settle(void *arg)
{
    struct bare_pool *bare = arg;
    if (atomic_load(&bare->pool.workers[DEAD].word))
        pool_settle_worker(&bare->pool, DEAD, -SIGKILL);
}

static bool is_cleared(struct bare_pool *bare)
{
    struct worker_slot *slot = &bare->pool.workers[DEAD];
    return !atomic_load(&slot->word) && !atomic_load(&slot->job) && !atomic_load(&slot->current) &&
           !atomic_load(&pool_crash_report(&bare->pool, DEAD)->postmortem) &&
           atomic_load(&bare->pool.past_items) <= ITEMS;
}

static const char *check(struct bare_pool *bare, uint64_t chunk, bool queued)
{
    struct job *job = &bare->jobs[LAST];
    settle(bare);
    if (!is_cleared(bare))
        return "the place is not free";
    if (atomic_load(&job->chunks[DEAD]) != chunk)
        return "the chunk has another outcome";
    if (job_postmortem_count(job) != 1)
        return "the death is not told, or told twice";
    pool_lock(&bare->pool);
    const char *wrong = bare_pool_compare(bare);
    pool_unlock(&bare->pool);
    if (!wrong && atomic_load(&job->queued) != queued)
        wrong = queued ? "what is to be done again is not in the list" : "a job without work is in the list";
    store_free_postmortems(&bare->pool, job);
    return wrong ? wrong : heap_balance(mproc_usable_size(bare));
}

static const char *check_lost(void *arg, bool finished)
{
    struct bare_pool *bare = arg;
    const char *wrong = check(bare, job_chunk_word(JOB_DONE, 0, 1, 0), false);
    const mproc_item_status *status = &bare->status[LAST][DEAD];
    (void)finished;
    if (!wrong && (status->result != MPROC_WORKER_DIED || status->code != -SIGKILL))
        wrong = "the item has another outcome";
    return wrong;
}

static const char *check_retried(void *bare, bool finished)
{
    (void)finished;
    return check(bare, job_chunk_word(JOB_FREE, 0, 0, 1), true);
}

static const char *check_call(void *bare, bool finished)
{
    (void)finished;
    return check(bare, job_chunk_word(JOB_FREE, 0, 0, 1), false);
}

static const char *check_surplus_call(void *bare, bool finished)
{
    (void)finished;
    return check(bare, job_chunk_word(JOB_CANCELLED, 0, 0, 0), false);
}

const struct crash_case settle_cases[] = {
    {"pool_settle", "an item", build_lost, NULL, settle, check_lost, destroy, settle},
    {"pool_settle", "an item to be tried again", build_retried, NULL, settle, check_retried, destroy, settle},
    {"pool_settle", "an item of a call", build_call, NULL, settle, check_call, destroy, settle},
    {"pool_settle", "one of a worker given up", build_surplus_call, NULL, settle, check_surplus_call, destroy, settle},
    {0},
};
