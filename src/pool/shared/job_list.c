/* The list of jobs that have work: see job_list.h. The order of the stores is what recovery relies on when the process
 * dies between two of them, hence release. */
#include "pool/shared/job_list.h"

#include "util/atomic.h"
#include <limits.h>

static void job_list_set(struct job *_Atomic *place, struct job *job)
{
    store_release(place, job);
}

static struct job *job_list_get(struct job *_Atomic *place)
{
    return load_relaxed(place);
}

static void set_queued(struct job *job, bool queued)
{
    store_release(&job->queued, queued);
}

static void set_urgency(struct job_list *list)
{
    const struct job *first = job_list_get(&list->first);
    store_release(&list->urgency, first ? first->priority : INT_MIN);
}

void job_list_init(struct job_list *list)
{
    set_urgency(list);
}

/* Put a job behind another one, or first. */
static void job_list_insert(struct job_list *list, struct job *job, struct job *previous)
{
    struct job *next = job_list_get(previous ? &previous->next : &list->first);
    job_list_set(&list->moving, job);
    job_list_set(&job->next, next);
    job_list_set(&job->previous, previous);
    set_queued(job, true);
    job_list_set(previous ? &previous->next : &list->first, job); /* commit */
    job_list_set(next ? &next->previous : &list->last, job);
    set_urgency(list);
    job_list_set(&list->moving, NULL);
}

void job_list_add_last(struct job_list *list, struct job *job)
{
    struct job *previous = job_list_get(&list->last);
    while (previous && previous->priority < job->priority)
        previous = job_list_get(&previous->previous);
    job_list_insert(list, job, previous);
}

void job_list_add_first(struct job_list *list, struct job *job)
{
    struct job *previous = NULL;
    struct job *next = job_list_get(&list->first);
    while (next && next->priority > job->priority) {
        previous = next;
        next = job_list_get(&next->next);
    }
    job_list_insert(list, job, previous);
}

void job_list_remove(struct job_list *list, struct job *job)
{
    struct job *next = job_list_get(&job->next);
    struct job *previous = job_list_get(&job->previous);
    job_list_set(&list->moving, job);
    job_list_set(previous ? &previous->next : &list->first, next); /* commit */
    job_list_set(next ? &next->previous : &list->last, previous);
    set_queued(job, false);
    set_urgency(list);
    job_list_set(&list->moving, NULL);
}

void job_list_mend(struct job_list *list)
{
    struct job *moving = job_list_get(&list->moving);
    struct job *previous = NULL;
    if (moving)
        set_queued(moving, false);
    for (struct job *job = job_list_get(&list->first); job; job = job_list_get(&job->next)) {
        job_list_set(&job->previous, previous);
        set_queued(job, true);
        previous = job;
    }
    job_list_set(&list->last, previous);
    set_urgency(list);
    job_list_set(&list->moving, NULL);
}
