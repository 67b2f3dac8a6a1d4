/* The list of jobs that have work. Its argument stands in list.h. Stores are in the order in which they must be found
 * done when the process dies between two of them, hence release. */
#include "pool/list.h"

static void set(struct job *_Atomic *place, struct job *job)
{
    atomic_store_explicit(place, job, memory_order_release);
}

static struct job *get(struct job *_Atomic *place)
{
    return atomic_load_explicit(place, memory_order_relaxed);
}

static void set_queued(struct job *job, bool queued)
{
    atomic_store_explicit(&job->queued, queued, memory_order_release);
}

void list_add_last(struct job_list *list, struct job *job)
{
    struct job *last = get(&list->last);
    set(&list->moving, job);
    set(&job->next, NULL);
    set(&job->previous, last);
    set_queued(job, true);
    set(last ? &last->next : &list->first, job); /* commit */
    set(&list->last, job);
    set(&list->moving, NULL);
}

void list_add_first(struct job_list *list, struct job *job)
{
    struct job *next = get(&list->first);
    set(&list->moving, job);
    set(&job->next, next);
    set(&job->previous, NULL);
    set_queued(job, true);
    set(&list->first, job); /* commit */
    set(next ? &next->previous : &list->last, job);
    set(&list->moving, NULL);
}

void list_remove(struct job_list *list, struct job *job)
{
    struct job *next = get(&job->next);
    struct job *previous = get(&job->previous);
    set(&list->moving, job);
    set(previous ? &previous->next : &list->first, next); /* commit */
    set(next ? &next->previous : &list->last, previous);
    set_queued(job, false);
    set(&list->moving, NULL);
}

void list_mend(struct job_list *list)
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
    set(&list->moving, NULL);
}
