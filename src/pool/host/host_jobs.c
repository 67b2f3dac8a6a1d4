/* Jobs as the host makes, launches and frees them: their memory, what is copied into it, how they are dealt out. */
#include "os/clock.h"
#include "os/cpu.h"
#include "pool/host/inputs.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

/* A chosen chunk size makes about this many chunks, so that long items are spread evenly: workers draw many at a time
 * as long as they run quickly. */
#define CHUNKS_WANTED ((size_t)16384)

/* A chosen chunk has no more items, so that the last ones do not take long. */
#define CHUNK_LARGEST ((size_t)4096)

/* What is no larger than this goes into the job's own block. */
#define INLINE_LARGEST ((size_t)1024)

/* The parts of a job's memory: where each begins, how many homes there are, and the size of all. A part that is not
 * needed has no size. */
struct layout {
    size_t chunks, homes, ctx, in, status, out, yields;
    size_t home_count;
    size_t size;
};

/* Chunks of a home at least. */
#define HOME_CHUNKS 2

int host_limit_items(struct host_job *wish, const char *name, mproc_time item_timeout, unsigned retries,
                     unsigned retry_on)
{
    const char *wrong = !os_option_is_valid(item_timeout)      ? "item_timeout is negative, or its unit is missing"
                        : retries > JOB_RETRIES_MAX            ? "retries is above 255"
                        : retry_on > (unsigned)MPROC_RETRY_ALL ? "retry_on has bits that are none of enum mproc_retry"
                                                               : NULL;
    if (wrong)
        return failure(-EINVAL, "%s.%s", name, wrong);
    wish->item_timeout = item_timeout.nanoseconds == OS_USER_FOREVER ? 0 : item_timeout.nanoseconds;
    wish->retries = retries;
    wish->retry_on = retry_on ? retry_on : MPROC_RETRY_ALL;
    return 0;
}

void host_choose_chunk(struct host_job *wish, size_t wanted)
{
    size_t chunk = wanted ? wanted : wish->count / CHUNKS_WANTED + 1;
    size_t limit = wanted ? JOB_CHUNK_LIMIT : CHUNK_LARGEST;
    chunk = chunk < limit ? chunk : limit;
    wish->chunk = chunk < wish->count ? chunk : wish->count;
    wish->runs = wish->chunk < wish->count;
}

/* ---- memory ---- */

static bool host_jobs_is_shared(const void *array, size_t size)
{
    return size == 0 || (region_contains(array) && region_contains((const unsigned char *)array + (size - 1)));
}

bool host_is_usable(const struct host_job *wish, const void *bytes, size_t size)
{
    return wish->in_place || host_jobs_is_shared(bytes, size);
}

static bool is_usable(const struct host_job *wish, const void *array, size_t size)
{
    return host_is_usable(wish, array, wish->count * size);
}

void host_decide_copies(struct host_job *wish)
{
    bool in = wish->in && (wish->copy_in || wish->has_inputs || !is_usable(wish, wish->in, wish->in_size));
    bool out = wish->out_size && (!wish->out || !is_usable(wish, wish->out, wish->out_size));
    bool status = wish->own_status || (wish->status && !is_usable(wish, wish->status, sizeof *wish->status));
    size_t bytes = (in ? wish->in_size : 0) + (out ? wish->out_size : 0) + (status ? sizeof *wish->status : 0);
    bytes += wish->count ? wish->input_bytes / wish->count : 0; /* inputs differ in size: the mean */
    wish->copies = (struct host_copies){.in = in, .out = out, .status = status, .bytes_per_item = bytes};
}

/* Add a part of count * size bytes at the end. False on overflow. */
static bool add_part(struct layout *layout, size_t *begin, size_t count, size_t size)
{
    size_t bytes;
    *begin = layout->size;
    return !__builtin_mul_overflow(count, size, &bytes) && !__builtin_add_overflow(bytes, 63, &bytes) &&
           !__builtin_add_overflow(layout->size, bytes & ~(size_t)63, &layout->size);
}

static size_t chunk_count(size_t items, size_t chunk)
{
    return (items - 1) / chunk + 1;
}

/* How many homes a job has: for nothing but arrays that workers use where they are. */
static size_t home_count(struct pool *pool, const struct host_job *wish, size_t count)
{
    size_t workers = pool_wanted(pool);
    bool in_place = wish->in_size + wish->out_size > 0 && !wish->copies.in && !wish->copies.out;
    bool suffice = chunk_count(count, wish->chunk) / HOME_CHUNKS >= workers;
    return wish->runs && in_place && suffice ? workers : 0;
}

static int host_jobs_lay_out(struct pool *pool, struct layout *layout, const struct host_job *wish, size_t count)
{
    *layout = (struct layout){.home_count = home_count(pool, wish, count)};
    bool fits = add_part(layout, &layout->chunks, chunk_count(count, wish->chunk), sizeof(uint64_t)) &&
                add_part(layout, &layout->homes, layout->home_count, JOB_HOME_STRIDE * sizeof(uint64_t)) &&
                add_part(layout, &layout->ctx, 1, wish->ctx_size) &&
                add_part(layout, &layout->in, wish->copies.in ? count : 0, wish->in_size) &&
                add_part(layout, &layout->status, wish->copies.status ? count : 0, sizeof *wish->status) &&
                add_part(layout, &layout->out, wish->copies.out ? count : 0, wish->out_size) &&
                add_part(layout, &layout->yields, wish->yields, sizeof(struct yield));
    return fits ? 0 : -ENOMEM;
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
    if (!result) {
        (*job)->function = function;
        (*job)->waiter = wish->waiter ? wish->waiter : &(*job)->cell; /* from now on it may be stopped by terminate */
    }
    pthread_mutex_unlock(&pool->mutex);
    return result;
}

/* With so many entries that name nothing. The store of own_yields is the last, so that whoever sweeps finds no others.
 */
static void make_yields(struct job *job, const struct host_job *wish, unsigned char *memory)
{
    struct yield *yields = (struct yield *)(void *)memory;
    job->all_yields = wish->all_yields ? wish->all_yields : wish->yields ? yields : NULL;
    if (wish->yields == 0)
        return;
    memset(memory, 0, wish->yields * sizeof *yields);
    job->own_yield_count = wish->yields;
    store_release(&job->own_yields, yields);
}

static void furnish(struct job *job, const struct host_job *wish, const struct layout *layout, unsigned char *memory)
{
    job->chunks = (_Atomic(uint64_t) *)(void *)(memory + layout->chunks);
    job->homes = layout->home_count;
    job->home_next = (_Atomic(uint64_t) *)(void *)(memory + layout->homes);
    job->chunk_size = wish->chunk;
    job->runs = wish->runs;
    job->is_call = wish->is_call;
    job->priority = wish->priority;
    job->item_timeout = wish->item_timeout;
    job->retries = wish->retries;
    job->retry_on = wish->retry_on;
    job->in_size = wish->in_size;
    job->out_size = wish->out_size;
    job->ctx = wish->ctx_size ? memory + layout->ctx : wish->ctx;
    if (wish->ctx_size && wish->ctx)
        memcpy(job->ctx, wish->ctx, wish->ctx_size);
    job->own_in = wish->copies.in ? memory + layout->in : NULL;
    job->own_out = wish->copies.out ? memory + layout->out : NULL;
    job->own_status = wish->copies.status ? (mproc_item_status *)(void *)(memory + layout->status) : NULL;
    job->has_inputs = wish->has_inputs;
    job->zeroes_out = wish->zeroes_out;
    job->takes_results = wish->takes_results;
    job->takes_texts = wish->takes_texts;
    make_yields(job, wish, memory + layout->yields);
}

static void host_jobs_discard(mproc_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    store_free_job(pool->shared, job);
    pthread_mutex_unlock(&pool->mutex);
}

int host_make_job(mproc_pool *pool, const struct host_job *wish, size_t count, struct job **job)
{
    struct layout layout;
    if (pool->shared->threads && wish->item_timeout)
        return failure(-EINVAL, "item_timeout is not for a pool of threads");
    int result = host_jobs_lay_out(pool->shared, &layout, wish, count);
    if (!result && !wish->ctx_size && !host_can_pass(pool, wish->ctx))
        result = failure(MPROC_NOT_SHARED, "ctx is not in shared memory: set ctx_size, or take it from mproc_alloc()");
    if (!result)
        result = new_job(pool, wish, layout.size <= INLINE_LARGEST ? layout.size : 0, job);
    if (result)
        return result;
    void *memory = (*job)->inline_data;
    if (layout.size > INLINE_LARGEST)
        result = heap_alloc(layout.size, &(*job)->payload, &memory);
    if (result)
        host_jobs_discard(pool, *job);
    else
        furnish(*job, wish, &layout, memory);
    return result;
}

int host_make_sibling(mproc_pool *pool, const struct host_job *wish, size_t count, struct job *first, struct job **job)
{
    struct host_job own = *wish;
    if (first)
        own.waiter = &first->cell;
    if (first && own.ctx_size) {
        own.ctx = first->ctx;
        own.ctx_size = 0;
    }
    if (first && own.yields > count) {
        own.all_yields = first->all_yields;
        own.yields = 0;
    }
    return host_make_job(pool, &own, count, job);
}

/* ---- launching ---- */

/* Give a job that nobody else knows its items. out and status are zeroed by the workers, chunk by chunk. */
static int host_jobs_load(struct job *job, const struct host_job *wish, size_t first, size_t count)
{
    const unsigned char *in = wish->in ? (const unsigned char *)wish->in + first * wish->in_size : NULL;
    int result = wish->has_inputs ? inputs_load(job, wish, first, count) : 0;
    if (result)
        return result;
    if (job->own_in && in && !wish->has_inputs)
        memcpy(job->own_in, in, count * wish->in_size);
    job->in = job->own_in ? job->own_in : in;
    job->out = job->own_out ? job->own_out : wish->out ? (unsigned char *)wish->out + first * wish->out_size : NULL;
    job->status = job->own_status ? job->own_status : wish->status ? wish->status + first : NULL;
    job->yields = job->all_yields ? job->all_yields + first : NULL;
    for (size_t i = 0; i < count && job->yields; i++)
        yield_clear(&job->yields[i]);
    job->count = count;
    job->chunk_count = chunk_count(count, job->chunk_size);
    for (size_t i = 0; i < job->chunk_count; i++)
        store_relaxed(&job->chunks[i], 0);
    for (size_t home = 0; home < job->homes; home++)
        store_relaxed(job_home_next(job, home), job_home_begin(job, home));
    store_relaxed(&job->next_chunk, job->homes ? JOB_AT_HOME : 0);
    store_relaxed(&job->finished, 0);
    store_relaxed(&job->failures, 0);
    return 0;
}

/* With the lock. No worker draws from such a job: each goes by its own number. */
static void call_all(struct pool *shared, struct job *job)
{
    store_relaxed(&job->next_chunk, job->chunk_count);
    fetch_add_release(&shared->calls, 1);
    store_release(&shared->call, job);
    pool_excuse_surplus(shared);
}

/* With the lock. */
static void try_once_more(struct pool *shared)
{
    store_release(&shared->broken, 0);
    wait_cell_wake(&shared->server, WAIT_CELL_ALL);
    wait_cell_wake(&shared->work, WAIT_CELL_ALL); /* threads that have failed to begin */
}

static int host_jobs_publish(struct pool *shared, struct job *job, bool promised)
{
    int result = pool_lock(shared);
    if (result)
        return result;
    enum pool_state state = pool_state(shared);
    if (state == POOL_OPEN || (state == POOL_CLOSED && promised)) {
        if (!job->is_call)
            pool_grow(shared, job->chunk_count);
        if (pool_broken(shared))
            try_once_more(shared);
        store_relaxed(&job->published, true);
        if (job->is_call)
            call_all(shared, job);
        else
            job_list_add_last(&shared->list, job);
    } else {
        result = MPROC_CLOSED;
    }
    pool_unlock(shared);
    return result;
}

/* Wake as many workers as can find something to do. One that looks without sleeping need not be woken for a single
 * chunk: the fence orders the list before the look at the spinner, as the spinner's store does its going before its
 * last look at the list. Where workers must be woken the host does not look for the end of the job without sleeping:
 * it would only take long, and a worker may be waiting for this very CPU. */
static void wake_workers(mproc_pool *pool, const struct job *job)
{
    struct pool *shared = pool->shared;
    atomic_thread_fence(memory_order_seq_cst);
    bool looks = load_relaxed(&shared->spinner) != 0;
    bool sleep = load_relaxed(&shared->work.word) & WAIT_CELL_SLEEPERS;
    store_relaxed(&pool->woke, sleep && !looks);
    if (job->chunk_count == 1 && !job->is_call && looks)
        return;
    bool needs_few = job->chunk_count < shared->worker_count && !job->is_call;
    wait_cell_wake(&shared->work, needs_few ? (int)job->chunk_count : WAIT_CELL_ALL);
}

static void forget_postmortems(mproc_pool *pool, struct job *job)
{
    pthread_mutex_lock(&pool->mutex);
    store_free_postmortems(pool->shared, job);
    pthread_mutex_unlock(&pool->mutex);
}

int host_launch(mproc_pool *pool, struct job *job, const struct host_job *wish, size_t first, size_t count,
                bool promised)
{
    host_look(pool);
    if (load_acquire(&pool->is_cut_off))
        return host_broken(pool);
    if (load_relaxed(&job->postmortems))
        forget_postmortems(pool, job);
    int result = host_jobs_load(job, wish, first, count);
    if (!result)
        result = host_jobs_publish(pool->shared, job, promised);
    if (!result)
        wake_workers(pool, job);
    return result;
}

int host_promise(mproc_pool *pool)
{
    struct pool *shared = pool->shared;
    if (load_acquire(&pool->is_cut_off)) /* the lock's holder may have died unnoticed, see pool_lock() */
        return host_broken(pool);
    int result = pool_lock(shared);
    if (result)
        return result;
    result = pool_state(shared) == POOL_OPEN ? 0 : MPROC_CLOSED;
    if (!result)
        fetch_add_release(&shared->promises, 1);
    pool_unlock(shared);
    return result;
}

void host_end_promise(mproc_pool *pool)
{
    fetch_sub_release(&pool->shared->promises, 1);
    wait_cell_wake(&pool->shared->work, WAIT_CELL_ALL);
    wait_cell_wake(&pool->shared->server, WAIT_CELL_ALL);
}

/* ---- the end of a job ---- */

void host_begin_no_more(mproc_pool *pool, struct job *job)
{
    fetch_or_acq_rel(&job->flags, JOB_STOPPED);
    wait_cell_wake(job->waiter, WAIT_CELL_ALL);
    callbacks_look(pool);
}

void host_stop(mproc_pool *pool, struct job *job)
{
    fetch_or_acq_rel(&job->flags, JOB_STOPPED | JOB_KILL);
    fetch_add_release(&pool->shared->cancels, 1);
    wait_cell_wake(&pool->shared->server, WAIT_CELL_ALL);
    wait_cell_wake(job->waiter, WAIT_CELL_ALL);
    callbacks_look(pool);
}

/* Once a job is out of the list no other worker can come to it. */
bool host_withdraw(mproc_pool *pool, struct job *job)
{
    if (pool_lock(pool->shared))
        return false;
    if (load_relaxed(&job->queued))
        job_list_remove(&pool->shared->list, job);
    if (load_relaxed(&pool->shared->call) == job)
        store_release(&pool->shared->call, NULL);
    bool named = pool_names_job(pool->shared, job);
    if (!named)
        store_relaxed(&job->published, false);
    pool_unlock(pool->shared);
    return !named;
}

bool host_take_back(mproc_pool *pool, struct job *job)
{
    for (int i = 0; i < 100 && pool_names_job(pool->shared, job); i++)
        os_cpu_relax();
    return host_withdraw(pool, job);
}

void host_free_job(mproc_pool *pool, struct job *job)
{
    bool is_back = host_take_back(pool, job);
    while (!is_back && !load_acquire(&pool->is_cut_off)) {
        host_nap(pool);
        is_back = host_withdraw(pool, job);
    }
    if (is_back) /* else its memory goes with the family */
        host_jobs_discard(pool, job);
}

/* With the mutex. */
static bool host_jobs_is_over(mproc_pool *pool, struct job *job)
{
    size_t from = 0;
    if (!job_is_settled(job, &from))
        return false;
    store_free_yields(job); /* nobody looks at them, though a worker may name the job until it has another */
    if (!host_withdraw(pool, job))
        return false;
    store_free_job(pool->shared, job);
    return true;
}

static void free_given_up(mproc_pool *pool)
{
    struct job **at = &pool->given_up;
    while (*at) {
        struct job *job = *at;
        struct job *next = job->given_up;
        if (host_jobs_is_over(pool, job))
            *at = next;
        else
            at = &job->given_up;
    }
}

void host_give_up_job(mproc_pool *pool, struct job *job)
{
    fetch_or_acq_rel(&job->flags, JOB_STOPPED);
    pthread_mutex_lock(&pool->mutex);
    free_given_up(pool);
    if (!host_jobs_is_over(pool, job)) {
        job->given_up = pool->given_up;
        pool->given_up = job;
    }
    pthread_mutex_unlock(&pool->mutex);
}
