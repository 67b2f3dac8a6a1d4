/* Jobs: their chunks and their end, for workers, server and host. Only the host makes and frees jobs: see store.c. */
#include "pool/shared/job.h"

#include "util/atomic.h"

bool job_is_settled(struct job *job, size_t *from)
{
    bool stopped = job_flags(job) & JOB_STOPPED;
    while (*from < job->chunk_count) {
        uint64_t word = load_acquire(&job->chunks[*from]);
        if (stopped && job_chunk_state(word) == JOB_FREE) {
            uint64_t cancelled = job_chunk_word(JOB_CANCELLED, 0, job_chunk_settled(word), 0);
            if (atomic_compare_exchange_strong_explicit(&job->chunks[*from], &word, cancelled, memory_order_acq_rel,
                                                        memory_order_acquire))
                word = cancelled;
        }
        if (!job_chunk_is_settled(word))
            return false;
        ++*from;
    }
    return true;
}

void job_add_finished(struct job *job, size_t chunks)
{
    uint64_t before = fetch_add_acq_rel(&job->finished, chunks);
    if (before + chunks >= job->chunk_count || (job_flags(job) & (JOB_SCARRED | JOB_STOPPED)))
        wait_cell_wake(job->waiter, WAIT_CELL_ALL);
}

bool job_is_whole(const struct job *job)
{
    if (!(job_flags(job) & JOB_STOPPED))
        return true;
    for (size_t i = 0; i < job->chunk_count; i++)
        if (job_chunk_state(load_acquire(&job->chunks[i])) != JOB_DONE)
            return false;
    return true;
}

int job_result(uint32_t flags, bool whole)
{
    if (flags & JOB_NO_FUNCTION)
        return MPROC_NO_FUNCTION;
    if (!whole)
        return flags & JOB_BROKEN ? MPROC_BROKEN : MPROC_CANCELLED;
    if (flags & JOB_DIED)
        return MPROC_WORKER_DIED;
    if (flags & JOB_LATE)
        return MPROC_LATE;
    return flags & JOB_FAILED ? MPROC_TASK_FAILED : 0;
}

/* The word of the chunk that the worker has died in. False when it held none. */
static bool has_held(const struct job *job, const struct job_death *death, uint64_t *word)
{
    if (death->chunk >= job->chunk_count)
        return false;
    *word = load_acquire(&job->chunks[death->chunk]);
    return job_chunk_state(*word) == JOB_TAKEN && job_chunk_worker(*word) == death->worker;
}

/* How many items of the chunk have their outcome, and how often a worker had died at the next one. */
static size_t reached(const struct job *job, const struct job_death *death, uint64_t word, unsigned *deaths)
{
    size_t settled = job_chunk_settled(word);
    size_t now = death->current ? (size_t)(death->current >> 1) - job_chunk_begin(job, death->chunk) : settled;
    *deaths = now == settled ? job_chunk_deaths(word) : 0;
    return now;
}

/* An item that the server killed on the host's behalf was cancelled. Any other death is the item's outcome, unless it
 * is to be tried again. Returns how many items of the chunk have their outcome now; *deaths is how often a worker has
 * died at the next one. */
static size_t settle_item(struct job *job, size_t settled, const struct job_death *death, unsigned *deaths)
{
    if (death->is_wanted)
        return settled;
    bool is_retried = job->retry_on & (death->is_late ? MPROC_RETRY_LATE : MPROC_RETRY_DEATH);
    if (is_retried && *deaths < job->retries) {
        ++*deaths;
        return settled;
    }
    *deaths = 0;
    if (job->status)
        job->status[death->current >> 1] =
            (mproc_item_status){.result = death->is_late ? MPROC_LATE : MPROC_WORKER_DIED, .code = death->exit};
    fetch_or_relaxed(&job->flags, death->is_late ? JOB_LATE : JOB_DIED);
    fetch_add_relaxed(&job->failures, 1);
    return settled + 1;
}

bool job_lost_item(const struct job *job, const struct job_death *death, size_t *item, unsigned *attempt)
{
    uint64_t word;
    if (!(death->current & 1) || death->is_wanted || !has_held(job, death, &word))
        return false;
    *item = (size_t)(death->current >> 1);
    reached(job, death, word, attempt);
    return true;
}

void job_settle_death(struct job *job, const struct job_death *death)
{
    uint64_t word;
    fetch_or_acq_rel(&job->flags, JOB_SCARRED);
    if (has_held(job, death, &word)) {
        unsigned deaths;
        size_t settled = reached(job, death, word, &deaths);
        if ((death->current & 1) && job->yields)
            yield_clear(&job->yields[death->current >> 1]);
        if (death->current & 1)
            settled = settle_item(job, settled, death, &deaths);
        enum job_chunk_state state = settled == job_chunk_length(job, death->chunk) ? JOB_DONE : JOB_FREE;
        store_release(&job->chunks[death->chunk], job_chunk_word(state, 0, settled, deaths));
    }
    wait_cell_wake(job->waiter, WAIT_CELL_ALL);
}

bool job_rewind(struct job *job)
{
    if (job_flags(job) & JOB_STOPPED)
        return false;
    for (size_t i = 0; i < job->chunk_count; i++) {
        uint64_t word = load_acquire(&job->chunks[i]);
        if (job_chunk_state(word) != JOB_FREE)
            continue;
        store_release(&job->next_chunk, i);
        return true;
    }
    return false;
}
