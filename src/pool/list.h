/* The list of jobs that have work: by priority, and first in first out among the same. Every function is called with
 * the pool's lock held.
 *
 * Invariant: the jobs reached from first by next are the list, and none has a higher priority than the one before it.
 * Commit: one store, to first or to a job's next. previous, last, urgency and each job's queued follow from it. moving
 * names the job that is being put in or taken out, so that a holder of the lock that finds its predecessor dead can
 * mend all that: list_mend() walks the list and decides about moving. */
#ifndef MPROC_POOL_LIST_H
#define MPROC_POOL_LIST_H

#include "pool/job.h"

struct job_list {
    struct job *_Atomic first;
    struct job *_Atomic last;
    struct job *_Atomic moving;
    _Atomic(int) urgency; /* the priority of the first job, or INT_MIN; readable without the lock, as a hint */
};

/* An empty one. */
void list_init(struct job_list *list);

/* Add a job behind those of its priority, or before them. */
void list_add_last(struct job_list *list, struct job *job);
void list_add_first(struct job_list *list, struct job *job);
void list_remove(struct job_list *list, struct job *job);
void list_mend(struct job_list *list);

/* The first job; readable without the lock too, as a hint. */
static inline struct job *list_first(struct job_list *list)
{
    return atomic_load_explicit(&list->first, memory_order_acquire);
}

#endif
