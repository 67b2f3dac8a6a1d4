/* mproc_pool_map(): a job over many items, and its caller, who waits for it. */
#include "os/clock.h"
#include "pool/host.h"
#include <errno.h>
#include <string.h>

/* Between two reports of progress but for the last one, which comes when it comes: so there are never more than ten in
 * a second. */
#define PROGRESS_PAUSE MPROC_MS(112)

static int check(const mproc_pool *pool, mproc_task *fn, const void *ctx, const mproc_map *map, mproc_time timeout)
{
    size_t bytes;
    if (!fn || !map || !os_timeout_is_valid(timeout))
        return -EINVAL;
    if (!map->in != !map->in_size || !map->out != !map->out_size || (map->ctx_size && !ctx))
        return -EINVAL;
    if (__builtin_mul_overflow(map->count, map->in_size, &bytes) ||
        __builtin_mul_overflow(map->count, map->out_size, &bytes) ||
        (map->status && __builtin_mul_overflow(map->count, sizeof *map->status, &bytes)))
        return -EINVAL;
    return host_check(pool);
}

/* ---- progress ---- */

struct progress {
    const mproc_map *map;
    size_t told;
    int64_t next_at;
};

static size_t items_done(const struct job *job)
{
    size_t chunks = atomic_load_explicit(&job->finished, memory_order_relaxed);
    return chunks < job->chunk_count ? chunks * job->chunk_size : job->count;
}

static void tell(struct progress *progress, size_t done)
{
    progress->next_at = os_now() + PROGRESS_PAUSE;
    if (done > progress->told)
        progress->map->progress(progress->map->progress_arg, done, progress->map->count);
    progress->told = done > progress->told ? done : progress->told;
}

static int wait_with_progress(mproc_pool *pool, struct job *job, size_t *from, int64_t deadline,
                              struct progress *progress)
{
    for (;;) {
        bool last = deadline <= progress->next_at;
        int result = host_wait(pool, job, from, last ? deadline : progress->next_at);
        if (result == 0 || last)
            return result;
        tell(progress, items_done(job));
    }
}

/* ---- results ---- */

/* The items of a chunk that have their outcome are its first ones. */
static size_t settled_items(const struct job *job, size_t chunk)
{
    return job_chunk_settled(atomic_load_explicit(&job->chunks[chunk], memory_order_acquire));
}

static bool is_copied(const void *ours, const void *theirs)
{
    return theirs && ours != theirs;
}

static void collect_chunk(const struct job *job, const mproc_map *map, size_t begin, size_t settled, size_t length)
{
    if (is_copied(job->out, map->out))
        memcpy((unsigned char *)map->out + begin * map->out_size, job->out + begin * job->out_size,
               settled * job->out_size);
    if (is_copied(job->status, map->status))
        memcpy(map->status + begin, job->status + begin, settled * sizeof *map->status);
    for (size_t item = begin + settled; map->status && item < begin + length; item++)
        map->status[item] = (mproc_item_status){.result = MPROC_CANCELLED};
}

static void collect(const struct job *job, const mproc_map *map)
{
    for (size_t chunk = 0; chunk < job->chunk_count; chunk++)
        collect_chunk(job, map, job_chunk_begin(job, chunk), settled_items(job, chunk), job_chunk_length(job, chunk));
}

/* Wait for the job, and stop it when the time is over. */
static int finish(mproc_pool *pool, struct job *job, const mproc_map *map, int64_t deadline)
{
    struct progress progress = {.map = map, .next_at = os_now() + PROGRESS_PAUSE};
    size_t from = 0;
    int result = map->progress ? wait_with_progress(pool, job, &from, deadline, &progress)
                               : host_wait(pool, job, &from, deadline);
    if (result == MPROC_TIMEOUT) {
        host_stop(pool, job);
        host_wait(pool, job, &from, OS_NEVER);
    }
    collect(job, map);
    int outcome = job_result(job);
    if (map->progress && outcome != MPROC_CANCELLED)
        tell(&progress, map->count);
    return result == MPROC_TIMEOUT && outcome == MPROC_CANCELLED ? MPROC_TIMEOUT : outcome;
}

int mproc_pool_map(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_time timeout)
{
    struct job *job;
    int64_t deadline = os_deadline(timeout);
    int result = check(pool, fn, ctx, map, timeout);
    if (result)
        return result;
    if (map->count == 0)
        return 0;
    const struct host_job wish = {.task = fn,
                                  .ctx = ctx,
                                  .ctx_size = map->ctx_size,
                                  .in = map->in,
                                  .in_size = map->in_size,
                                  .out = map->out,
                                  .out_size = map->out_size,
                                  .status = map->status,
                                  .count = map->count,
                                  .chunk = map->chunk};
    result = host_submit(pool, &wish, &job);
    if (result)
        return result;
    result = finish(pool, job, map, deadline);
    host_free_job(pool, job);
    return result;
}
