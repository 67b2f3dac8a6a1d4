/* The list of jobs that have work: by priority, and first in first out among the same. Every function is called with
 * the pool's lock held.
 *
 * Invariant: the jobs reached from first by next are the list, and none has a higher priority than the one before it.
 * Commit: one store, to first or to a job's next. previous, last, urgency and each job's queued follow from it. moving
 * names the job that is being put in or taken out, so that a holder of the lock that finds its predecessor dead can
 * mend all that: job_list_mend() walks the list and decides about moving.
 *
 * What the list must hold: a published job that is not stopped and has a FREE chunk is on the list and not dealt out,
 * or some slot names it, and the worker of that slot tries every chunk that is FREE, or gives it back, before it takes
 * the job out of its slot. So as long as there is work, some worker looks at it:
 *
 * - A job enters by host_jobs_publish(), with nothing drawn.
 * - It is dealt out by a draw. The worker that draws has named the job before. It runs all that it drew, gives it back
 *   by pool_offer_again(), or ends with the job in its slot. It does not leave a job with drawn chunks for another job.
 * - It leaves the list when it is dealt out, by which it loses nothing; or, if it has only one chunk, when a worker
 *   names it. That counts as a draw, so the worker must really draw: it checks urgency and calls to all workers only
 *   afterwards. Otherwise the chunk would be FREE with the job off the list, and nobody would ever run it.
 * - A chunk turns FREE again when the death of a worker is settled, which then calls offer_again(), in the same hold of
 *   the lock. The process that settles may die in between: the slot still names the job then, and it is settled again.
 * - A job that is stopped may leave the list with FREE chunks; whoever waits for it cancels these.
 *
 * pool->call holds the same for the job of a call to all workers: chunk i is FREE only while the worker of slot i, or
 * the one that takes its place, will see that it has not answered yet, and the worker takes the chunk when it names the
 * job. test/model/pool_list.pml is this as a model. */
#ifndef MPROC_POOL_SHARED_JOB_LIST_H
#define MPROC_POOL_SHARED_JOB_LIST_H

#include "pool/shared/job.h"
#include "util/atomic.h"

struct job_list {
    struct job *_Atomic first;
    struct job *_Atomic last;
    struct job *_Atomic moving;
    _Atomic(int) urgency; /* the priority of the first job, or INT_MIN; readable without the lock, as a hint */
};

/* An empty one. */
void job_list_init(struct job_list *list);

/* Add a job behind those of its priority, or before them. */
void job_list_add_last(struct job_list *list, struct job *job);
void job_list_add_first(struct job_list *list, struct job *job);
void job_list_remove(struct job_list *list, struct job *job);
void job_list_mend(struct job_list *list);

/* The first job; readable without the lock too, as a hint. */
static inline struct job *job_list_first(struct job_list *list)
{
    return load_acquire(&list->first);
}

#endif
