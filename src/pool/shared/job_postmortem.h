/* Post-mortems: made by whoever settles a worker's death, kept with the job at whose item it died, read by the host.
 *
 * A job's post-mortems are a list, the newest first. Only whoever settles adds to it, under the pool's lock; only the
 * host frees, when no worker and no server knows the job (store.c).
 *
 * Invariant: a post-mortem is in the list of the job that its worker's slot names, or the place `postmortem` of that
 * worker names it, or both, or nobody has it. Commit: one store, to the job's postmortems, before the store that
 * settles the chunk. Recovery: whoever settles the same death again finds the place, and the chunk still TAKEN when the
 * item was not accounted for. So it adds none when the place names one that is in the list, and frees it when it is
 * not. The slot names the job until the place is 0 again, so the job is there. */
#ifndef MPROC_POOL_SHARED_JOB_POSTMORTEM_H
#define MPROC_POOL_SHARED_JOB_POSTMORTEM_H

#include "pool/shared/pool.h"

/* How many are kept with a job; workers that die at it later leave none. */
#define POSTMORTEMS_MAX 64

struct job_postmortem {
    struct job_postmortem *older;
    size_t number;         /* from 0 */
    mproc_postmortem text; /* index: in the job. Cut off behind its frames */
};

/* The worker of this slot has died at an item of the job: note what is known. attempt: how many had died at it before.
 * Where there is no memory it is not noted. */
void job_postmortem_add(struct pool *pool, unsigned index, struct job *job, size_t item, unsigned attempt,
                        const struct job_death *death);

/* The death is accounted for in the job. */
void job_postmortem_end(struct pool *pool, unsigned index, struct job *job);

/* How many a job has. */
size_t job_postmortem_count(const struct job *job);

/* Read the one with that number, or the newest of an item. first is added to its index. False when there is none. */
bool job_postmortem_read(const struct job *job, size_t number, size_t first, mproc_postmortem *postmortem);
bool job_postmortem_read_item(const struct job *job, size_t item, size_t first, mproc_postmortem *postmortem);

#endif
