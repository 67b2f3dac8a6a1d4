/* Jobs: their chunks and their end. Called by workers, by the server and by the host. Making and freeing jobs is the
 * host's alone, see host.c. */
#include "pool/job.h"

#include <signal.h>

bool job_is_settled(struct job *job, size_t *from)
{
    bool stopped = job_flags(job) & JOB_STOPPED;
    while (*from < job->chunk_count) {
        uint64_t word = atomic_load_explicit(&job->chunks[*from], memory_order_acquire);
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
    uint64_t before = atomic_fetch_add_explicit(&job->finished, chunks, memory_order_acq_rel);
    if (before + chunks >= job->chunk_count || (job_flags(job) & (JOB_SCARRED | JOB_STOPPED)))
        cell_wake(job->waiter, CELL_ALL);
}

bool job_is_whole(const struct job *job)
{
    if (!(job_flags(job) & JOB_STOPPED))
        return true;
    for (size_t i = 0; i < job->chunk_count; i++)
        if (job_chunk_state(atomic_load_explicit(&job->chunks[i], memory_order_acquire)) != JOB_DONE)
            return false;
    return true;
}

int job_result(uint32_t flags, bool whole)
{
    if (flags & JOB_NO_FUNCTION)
        return MPROC_NO_FUNCTION;
    if (!whole)
        return MPROC_CANCELLED;
    if (flags & JOB_DIED)
        return MPROC_WORKER_DIED;
    if (flags & JOB_LATE)
        return MPROC_LATE;
    return flags & JOB_FAILED ? MPROC_TASK_FAILED : 0;
}

/* An item that the server killed on the host's behalf was cancelled. Any other death is the item's outcome, unless it
 * is to be tried again. Returns how many items of the chunk have their outcome now; *deaths is how often a worker has
 * died at the next one. */
static size_t settle_item(struct job *job, size_t chunk, uint64_t current, const struct job_death *death,
                          unsigned *deaths)
{
    size_t item = (size_t)(current >> 1);
    size_t settled = item - job_chunk_begin(job, chunk);
    if ((job_flags(job) & JOB_KILL) && (death->exit == -SIGKILL || death->was_sent))
        return settled;
    bool is_late = death->late == current;
    bool is_retried = job->retry_on & (is_late ? MPROC_RETRY_LATE : MPROC_RETRY_DEATH);
    if (is_retried && *deaths < job->retries) {
        ++*deaths;
        return settled;
    }
    *deaths = 0;
    if (job->status)
        job->status[item] =
            (mproc_item_status){.result = is_late ? MPROC_LATE : MPROC_WORKER_DIED, .code = death->exit};
    atomic_fetch_or_explicit(&job->flags, is_late ? JOB_LATE : JOB_DIED, memory_order_relaxed);
    atomic_fetch_add_explicit(&job->failures, 1, memory_order_relaxed);
    return settled + 1;
}

void job_settle_death(struct job *job, unsigned worker, size_t chunk, uint64_t current, const struct job_death *death)
{
    atomic_fetch_or_explicit(&job->flags, JOB_SCARRED, memory_order_acq_rel);
    uint64_t word = chunk < job->chunk_count ? atomic_load_explicit(&job->chunks[chunk], memory_order_acquire) : 0;
    if (job_chunk_state(word) == JOB_TAKEN && job_chunk_worker(word) == worker) {
        size_t settled = job_chunk_settled(word);
        size_t reached = current ? (size_t)(current >> 1) - job_chunk_begin(job, chunk) : settled;
        unsigned deaths = reached == settled ? job_chunk_deaths(word) : 0; /* of the item that it had reached */
        settled = current & 1 ? settle_item(job, chunk, current, death, &deaths) : reached;
        enum job_chunk_state state = settled == job_chunk_length(job, chunk) ? JOB_DONE : JOB_FREE;
        atomic_store_explicit(&job->chunks[chunk], job_chunk_word(state, 0, settled, deaths), memory_order_release);
    }
    cell_wake(job->waiter, CELL_ALL);
}

bool job_rewind(struct job *job)
{
    if (job_flags(job) & JOB_STOPPED)
        return false;
    for (size_t i = 0; i < job->chunk_count; i++) {
        uint64_t word = atomic_load_explicit(&job->chunks[i], memory_order_acquire);
        if (job_chunk_state(word) != JOB_FREE)
            continue;
        atomic_store_explicit(&job->next_chunk, i, memory_order_release);
        return true;
    }
    return false;
}
