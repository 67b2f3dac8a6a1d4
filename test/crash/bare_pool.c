/* The bare pool, see bare_pool.h. */
#include "bare_pool.h"

#include "crash.h"
#include <limits.h>
#include <stdatomic.h>

static void furnish(struct bare_pool *bare, int number, int priority)
{
    struct job *job = &bare->jobs[number];
    job->priority = priority;
    job->count = job->chunk_count = BARE_CHUNKS;
    job->chunk_size = 1;
    job->chunks = bare->chunks[number];
    job->status = bare->status[number];
    job->waiter = &job->cell;
    atomic_store(&job->published, true);
}

struct bare_pool *bare_pool_build(const int priorities[BARE_JOBS])
{
    heap_note();
    struct bare_pool *bare = world_alloc(offsetof(struct bare_pool, pool) + pool_size(BARE_WORKERS));
    bare->pool.worker_count = BARE_WORKERS;
    bare->pool.full = BARE_WORKERS;
    atomic_store(&bare->pool.wanted, BARE_WORKERS);
    job_list_init(&bare->pool.list);
    for (int i = 0; i < BARE_JOBS; i++)
        furnish(bare, i, priorities[i]);
    for (int i = 0; i < BARE_JOBS - 1; i++)
        job_list_add_last(&bare->pool.list, &bare->jobs[i]);
    return bare;
}

void bare_pool_mend(void *world)
{
    struct bare_pool *bare = world;
    pool_lock(&bare->pool);
    pool_unlock(&bare->pool);
}

static const char *compare_ends(struct job_list *list, const struct job *last)
{
    const struct job *first = job_list_first(list);
    if (atomic_load(&list->last) != last || atomic_load(&list->moving))
        return "the list's end is another one";
    if (atomic_load(&list->urgency) != (first ? first->priority : INT_MIN))
        return "the urgency is not that of the first job";
    return NULL;
}

const char *bare_pool_compare(struct bare_pool *bare)
{
    struct job *previous = NULL;
    int count = 0, queued = 0;
    for (struct job *job = job_list_first(&bare->pool.list); job && count < BARE_JOBS; job = atomic_load(&job->next)) {
        if (atomic_load(&job->previous) != previous || !atomic_load(&job->queued))
            return "a job in the list does not know its place";
        if (previous && previous->priority < job->priority)
            return "a job stands before one of higher priority";
        previous = job;
        count++;
    }
    for (int i = 0; i < BARE_JOBS; i++)
        queued += atomic_load(&bare->jobs[i].queued);
    if (queued != count || count < BARE_JOBS - 2)
        return "a job is lost, or taken for listed";
    return compare_ends(&bare->pool.list, previous);
}
