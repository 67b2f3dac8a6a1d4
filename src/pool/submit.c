/* Jobs as the host makes and frees them: their memory, what is copied into it, how they are dealt out. Called by map.c
 * and future.c. */
#include "os/clock.h"
#include "os/cpu.h"
#include "pool/host.h"
#include <errno.h>
#include <string.h>

/* A chosen chunk makes about so many, so that long items are spread evenly: workers draw many at a time as long as they
 * run quickly. */
#define CHUNKS_WANTED ((size_t)16384)

/* A chosen chunk has no more items, so that the last ones do not take long. */
#define CHUNK_LARGEST ((size_t)4096)

/* A wanted chunk is cut at this, so that the items settled in it can be counted in its word, see job.h. */
#define CHUNK_LIMIT ((size_t)1 << 40)

/* What is no larger than this goes into the job's own block. */
#define INLINE_LARGEST ((size_t)1024)

/* The parts of a job's memory: where each begins, and the size of all. A part that is not needed has no size. */
struct layout {
    size_t chunk_size;
    size_t chunk_count;
    size_t chunks, ctx, in, status, out;
    size_t size;
};

static bool is_shared(const void *array, size_t size)
{
    return size == 0 || (region_contains(array) && region_contains((const unsigned char *)array + (size - 1)));
}

/* Add a part of count * size bytes at the end. False when there are not so many numbers. */
static bool add_part(struct layout *layout, size_t *begin, size_t count, size_t size)
{
    size_t bytes;
    *begin = layout->size;
    return !__builtin_mul_overflow(count, size, &bytes) && !__builtin_add_overflow(bytes, 63, &bytes) &&
           !__builtin_add_overflow(layout->size, bytes & ~(size_t)63, &layout->size);
}

static size_t choose_chunk(const struct host_job *wish)
{
    size_t chunk = wish->chunk;
    if (chunk == 0) {
        chunk = wish->count / CHUNKS_WANTED + 1;
        chunk = chunk < CHUNK_LARGEST ? chunk : CHUNK_LARGEST;
    }
    chunk = chunk < CHUNK_LIMIT ? chunk : CHUNK_LIMIT;
    return chunk < wish->count ? chunk : wish->count;
}

static bool copies_in(const struct host_job *wish)
{
    return wish->in && (wish->copy_in || !is_shared(wish->in, wish->count * wish->in_size));
}

static bool owns_out(const struct host_job *wish)
{
    return wish->out_size && (!wish->out || !is_shared(wish->out, wish->count * wish->out_size));
}

static bool owns_status(const struct host_job *wish)
{
    return wish->own_status || (wish->status && !is_shared(wish->status, wish->count * sizeof *wish->status));
}

static int lay_out(struct layout *layout, const struct host_job *wish)
{
    *layout = (struct layout){.chunk_size = choose_chunk(wish)};
    layout->chunk_count = (wish->count - 1) / layout->chunk_size + 1;
    bool fits = add_part(layout, &layout->chunks, layout->chunk_count, sizeof(uint64_t)) &&
                add_part(layout, &layout->ctx, 1, wish->ctx_size) &&
                add_part(layout, &layout->in, copies_in(wish) ? wish->count : 0, wish->in_size) &&
                add_part(layout, &layout->status, owns_status(wish) ? wish->count : 0, sizeof *wish->status) &&
                add_part(layout, &layout->out, owns_out(wish) ? wish->count : 0, wish->out_size);
    return fits ? 0 : -ENOMEM;
}

/* Nobody else knows the job yet. out and status are zeroed by the workers, chunk by chunk. */
static void fill(struct job *job, const struct host_job *wish, const struct layout *layout, unsigned char *memory)
{
    job->chunks = (_Atomic(uint64_t) *)(void *)(memory + layout->chunks);
    memset(memory + layout->chunks, 0, layout->chunk_count * sizeof(uint64_t));
    job->chunk_size = layout->chunk_size;
    job->chunk_count = layout->chunk_count;
    job->runs = wish->chunk == 0 && layout->chunk_count > 1;
    job->count = wish->count;
    job->in_size = wish->in_size;
    job->out_size = wish->out_size;
    job->ctx = wish->ctx_size ? memory + layout->ctx : wish->ctx;
    if (wish->ctx_size)
        memcpy(job->ctx, wish->ctx, wish->ctx_size);
    job->in = copies_in(wish) ? memory + layout->in : wish->in;
    if (copies_in(wish))
        memcpy(memory + layout->in, wish->in, wish->count * wish->in_size);
    job->status = owns_status(wish) ? (mproc_item_status *)(void *)(memory + layout->status) : wish->status;
    job->out = owns_out(wish) ? memory + layout->out : wish->out;
}

/* With the mutex. */
static void free_given_up(mproc_pool *pool);

static int new_job(mproc_pool *pool, const struct host_job *wish, size_t inline_size, struct job **job)
{
    const struct job_function *function;
    pthread_mutex_lock(&pool->mutex);
    free_given_up(pool);
    int result = store_function(pool->shared, wish->task, &function);
    if (!result)
        result = store_new_job(pool->shared, inline_size, job);
    if (!result)
        (*job)->function = function;
    pthread_mutex_unlock(&pool->mutex);
    return result;
}

/* Put a job in the list, and wake as many workers as can find something to do. The fence orders the list before the
 * look at the spinner, as the spinner's store does its going before its last look at the list. */
static int publish(struct pool *shared, struct job *job)
{
    int result = pool_lock(shared);
    if (result)
        return result;
    result = pool_state(shared) == POOL_OPEN ? 0 : MPROC_CLOSED;
    if (!result) {
        atomic_store_explicit(&job->published, true, memory_order_relaxed);
        list_add_last(&shared->list, job);
    }
    pool_unlock(shared);
    if (result)
        return result;
    atomic_thread_fence(memory_order_seq_cst);
    if (job->chunk_count > 1 || atomic_load_explicit(&shared->spinner, memory_order_relaxed) == 0)
        cell_wake(&shared->work, job->chunk_count < shared->worker_count ? (int)job->chunk_count : CELL_ALL);
    return 0;
}

static void discard(mproc_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    store_free_job(pool->shared, job);
    pthread_mutex_unlock(&pool->mutex);
}

int host_submit(mproc_pool *pool, const struct host_job *wish, struct job **job)
{
    struct layout layout;
    void *memory;
    int result = lay_out(&layout, wish);
    if (!result && pool_state(pool->shared) != POOL_OPEN)
        result = MPROC_CLOSED;
    if (!result && wish->ctx && !wish->ctx_size && pool->method != MPROC_START_FORK && !region_contains(wish->ctx))
        result = MPROC_NOT_SHARED;
    if (!result)
        result = new_job(pool, wish, layout.size <= INLINE_LARGEST ? layout.size : 0, job);
    if (result)
        return result;
    memory = (*job)->inline_data;
    if (layout.size > INLINE_LARGEST)
        result = heap_alloc(layout.size, &(*job)->payload, &memory);
    if (!result) {
        fill(*job, wish, &layout, memory);
        result = publish(pool->shared, *job);
    }
    if (result)
        discard(pool, *job);
    return result;
}

/* ---- the end of a job ---- */

void host_stop(mproc_pool *pool, struct job *job)
{
    atomic_fetch_or_explicit(&job->flags, JOB_STOPPED | JOB_KILL, memory_order_acq_rel);
    atomic_fetch_add_explicit(&pool->shared->cancels, 1, memory_order_release);
    cell_wake(&pool->shared->server, CELL_ALL);
    cell_wake(&job->cell, CELL_ALL);
}

/* Free a settled job unless a worker is still at it. Once it is out of the list no other worker can come to it. */
static bool retire(mproc_pool *pool, struct job *job)
{
    if (pool_lock(pool->shared))
        return false;
    if (atomic_load_explicit(&job->queued, memory_order_relaxed))
        list_remove(&pool->shared->list, job);
    bool named = pool_names_job(pool->shared, job);
    pool_unlock(pool->shared);
    if (!named)
        store_free_job(pool->shared, job);
    return !named;
}

static bool try_retire(mproc_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    bool retired = retire(pool, job);
    pthread_mutex_unlock(&pool->mutex);
    return retired;
}

void host_free_job(mproc_pool *pool, struct job *job)
{
    struct pool *shared = pool->shared;
    for (int i = 0; i < 100 && pool_names_job(shared, job); i++)
        os_cpu_relax();
    for (;;) {
        uint32_t seen = cell_prepare(&shared->changed);
        if (try_retire(pool, job))
            return;
        cell_sleep(&shared->changed, seen, OS_NEVER);
        host_look(pool);
    }
}

static bool is_over(mproc_pool *pool, struct job *job)
{
    size_t from = 0;
    return job_is_settled(job, &from) && retire(pool, job);
}

static void free_given_up(mproc_pool *pool)
{
    struct job **at = &pool->given_up;
    while (*at) {
        struct job *job = *at;
        struct job *next = job->given_up;
        if (is_over(pool, job))
            *at = next;
        else
            at = &job->given_up;
    }
}

void host_give_up_job(mproc_pool *pool, struct job *job)
{
    atomic_fetch_or_explicit(&job->flags, JOB_STOPPED, memory_order_acq_rel);
    pthread_mutex_lock(&pool->mutex);
    free_given_up(pool);
    if (!is_over(pool, job)) {
        job->given_up = pool->given_up;
        pool->given_up = job;
    }
    pthread_mutex_unlock(&pool->mutex);
}
