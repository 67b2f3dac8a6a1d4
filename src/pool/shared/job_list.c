/* The list of jobs that have work. Its argument stands in job_list.h. Stores are in the order in which they must be found
 * done when the process dies between two of them, hence release. */
#include "pool/shared/job_list.h"

#include "util/atomic.h"
#include <limits.h>

static void set(struct job *_Atomic *place, struct job *job)
{
    store_release(place, job);
}

static struct job *get(struct job *_Atomic *place)
{
    return load_relaxed(place);
}

static void set_queued(struct job *job, bool queued)
{
    store_release(&job->queued, queued);
}

static void set_urgency(struct job_list *list)
{
    const struct job *first = get(&list->first);
    store_release(&list->urgency, first ? first->priority : INT_MIN);
}

void job_list_init(struct job_list *list)
{
    set_urgency(list);
}

/* Put a job behind another one, or first. */
static void insert(struct job_list *list, struct job *job, struct job *previous)
{
    struct job *next = get(previous ? &previous->next : &list->first);
    set(&list->moving, job);
    set(&job->next, next);
    set(&job->previous, previous);
    set_queued(job, true);
    set(previous ? &previous->next : &list->first, job); /* commit */
    set(next ? &next->previous : &list->last, job);
    set_urgency(list);
    set(&list->moving, NULL);
}

void job_list_add_last(struct job_list *list, struct job *job)
{
    struct job *previous = get(&list->last);
    while (previous && previous->priority < job->priority)
        previous = get(&previous->previous);
    insert(list, job, previous);
}

void job_list_add_first(struct job_list *list, struct job *job)
{
    struct job *previous = NULL;
    struct job *next = get(&list->first);
    while (next && next->priority > job->priority) {
        previous = next;
        next = get(&next->next);
    }
    insert(list, job, previous);
}

void job_list_remove(struct job_list *list, struct job *job)
{
    struct job *next = get(&job->next);
    struct job *previous = get(&job->previous);
    set(&list->moving, job);
    set(previous ? &previous->next : &list->first, next); /* commit */
    set(next ? &next->previous : &list->last, previous);
    set_queued(job, false);
    set_urgency(list);
    set(&list->moving, NULL);
}

void job_list_mend(struct job_list *list)
{
    struct job *moving = get(&list->moving);
    struct job *previous = NULL;
    if (moving)
        set_queued(moving, false);
    for (struct job *job = get(&list->first); job; job = get(&job->next)) {
        set(&job->previous, previous);
        set_queued(job, true);
        previous = job;
    }
    set(&list->last, previous);
    set_urgency(list);
    set(&list->moving, NULL);
}
