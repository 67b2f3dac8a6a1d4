/* A worker of a pool: takes chunks of jobs and runs their items, until the pool is closed and empty. A worker is a
 * process, which may die at any instruction, or a thread of the host.
 *
 * The slot says what a worker holds: see struct worker_slot. Invariant: job is in the slot before the job is touched
 * and until the worker is done with it, chunk before the chunk is taken, current before the item is begun; current is 0
 * again before the next chunk is taken. */
#include "pool/worker/worker.h"

#include "arena/member.h"
#include "os/clock.h"
#include "os/crash.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/proc.h"
#include "process/streams.h"
#include "util/atomic.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long the chunks that a worker draws at a time should last: long against the draw, short against the whole. */
#define RUN_SHORT OS_US(25)
#define RUN_LONG  OS_US(100)

/* Chunks that were drawn so long ago and not begun are given back: workers may have come that find nothing to draw. */
#define RUN_STALE OS_MS(5)

/* Between two looks at the worker's memory. */
#define MEASURE_PAUSE OS_MS(1)

const _Atomic(uint32_t) worker_flags_of_copy = JOB_STOPPED;

/* The worker that this thread is; and the one that this process is, for other threads that its tasks make. */
static _Thread_local struct worker *own_worker;
static struct worker *process_worker;
static _Atomic(bool) has_workers; /* this process */
static bool is_copy;              /* of a process that has workers; for threads that are none themselves */

struct worker *worker_of_thread(void)
{
    return own_worker;
}

struct worker *worker_of_process(void)
{
    return process_worker;
}

bool worker_is_copy(void)
{
    return own_worker ? own_worker->at.flags == &worker_flags_of_copy : is_copy;
}

void worker_become(struct worker *worker)
{
    own_worker = worker;
    if (!worker->is_thread)
        is_copy = false;
    store_relaxed(&has_workers, true);
    if (!worker->is_thread)
        process_worker = worker;
}

/* A process that is no worker does not read its thread's data: that would cost it a page of the dynamic linker. */
static OS_FORK_PATH void become_copy(void)
{
    if (!load_relaxed(&has_workers))
        return;
    is_copy = true;
    if (own_worker)
        own_worker->at.flags = &worker_flags_of_copy;
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = become_copy;

void *mproc_worker_state(void)
{
    const struct worker *worker = own_worker ? own_worker : process_worker;
    return worker ? worker->state : NULL;
}

/* ---- chunks ---- */

static bool worker_take(struct worker *worker, struct job *job, size_t chunk, size_t *settled)
{
    uint64_t word = load_relaxed(&job->chunks[chunk]);
    if (job_chunk_state(word) != JOB_FREE)
        return false;
    *settled = job_chunk_settled(word);
    store_relaxed(&worker->slot->chunk, chunk);
    return compare_exchange_acq_rel(&job->chunks[chunk], &word,
                                    job_chunk_word(JOB_TAKEN, worker->index, *settled, job_chunk_deaths(word)));
}

static void worker_report(struct worker *worker, struct job *job)
{
    if (worker->unreported)
        job_add_finished(job, worker->unreported);
    worker->unreported = 0;
}

/* How many chunks to draw: twice as many while they run quickly, but not more than leaves work for the others. */
static void adapt_run(struct worker *worker, struct job *job)
{
    int64_t now = os_now();
    int64_t took = now - worker->run_began;
    size_t most = job->chunk_count / (pool_wanted(worker->pool) * (size_t)8);
    if (worker->run_began && took < RUN_SHORT && worker->run_length < most)
        worker->run_length *= 2;
    if (took > RUN_LONG && worker->run_length > 1)
        worker->run_length /= 2;
    worker->run_began = now;
}

/* Draw the next chunks below end. False when all were drawn. */
static bool draw_from(struct worker *worker, _Atomic(uint64_t) *next, size_t end)
{
    uint64_t first = fetch_add_acq_rel(next, worker->run_length);
    if (first >= end)
        return false;
    worker->run_at = first;
    worker->run_end = end - first > worker->run_length ? first + worker->run_length : end;
    return true;
}

static bool draw_at_home(struct worker *worker, struct job *job)
{
    while (worker->homes_left > 0) {
        _Atomic(uint64_t) *next = job_home_next(job, worker->home);
        size_t end = job_home_begin(job, worker->home + 1);
        if (load_relaxed(next) < end && draw_from(worker, next, end))
            return true;
        worker->home = (worker->home + 1) % job->homes;
        worker->homes_left--;
    }
    uint64_t at_home = JOB_AT_HOME;
    compare_exchange_acq_rel(&job->next_chunk, &at_home, job->chunk_count);
    return false;
}

/* Draw the next chunks. False when all were drawn. */
static bool worker_draw(struct worker *worker, struct job *job)
{
    worker_report(worker, job);
    if (job_is_dealt_out(job))
        return false;
    if (job->runs)
        adapt_run(worker, job);
    if (job->homes && draw_at_home(worker, job))
        return true;
    return !job_is_dealt_out(job) && draw_from(worker, &job->next_chunk, job->chunk_count);
}

/* Whether there is something to do that goes before this job. */
static bool is_called_away(const struct worker *worker, const struct job *job)
{
    return load_relaxed(&worker->pool->list.urgency) > job->priority || worker_is_called(worker);
}

/* Take a chunk of the job, if there is one that nobody has and the job may go on: of those drawn; else draw; else one
 * that another worker has drawn and not begun, from the far end of what it drew. Calls and more urgent jobs are looked
 * for only after the first draw: pick() may have taken the job off the list for this worker, see job_list.h. */
static bool take_next(struct worker *worker, struct job *job, size_t *chunk, size_t *settled)
{
    do {
        while (worker->run_at < worker->run_end) {
            *chunk = worker->run_at++;
            if (worker_take(worker, job, *chunk, settled))
                return true;
        }
        if (worker->has_drawn && is_called_away(worker, job))
            return false;
        worker->has_drawn = true;
    } while (worker_draw(worker, job));
    if (!job->runs || (job_flags(job) & JOB_STOPPED) || load_relaxed(&job->finished) >= job->chunk_count)
        return false;
    while (worker->steal_at > 0) {
        *chunk = --worker->steal_at;
        if (worker_take(worker, job, *chunk, settled))
            return true;
    }
    return false;
}

/* ---- jobs ---- */

/* The job's function in this process; NULL when it cannot be found. */
static mproc_task *find_task(struct worker *worker, const struct job *job)
{
    struct known_function *known = &worker->known[job->function->number % FUNCTIONS_KNOWN];
    if (worker->is_thread)
        return job->function->address;
    if (known->entry != job->function) {
        known->address = (mproc_task *)(void *)function_find(&job->function->reference);
        os_crash_listen_in_threads(); /* where that has loaded something */
        known->entry = known->address ? job->function : NULL;
    }
    return known->address;
}

/* Whether the worker uses too much memory. */
static bool is_bloated(struct worker *worker)
{
    size_t bytes;
    int64_t now;
    if (worker->pool->max_memory == UINT64_MAX || (now = os_now()) - worker->measured < MEASURE_PAUSE)
        return false;
    worker->measured = now;
    return os_proc_own_memory(&bytes) == 0 && bytes > worker->pool->max_memory;
}

/* Have the server watch how long items take, or stop watching. */
static void set_limit(struct worker *worker, int64_t limit)
{
    store_seq_cst(&worker->slot->limit, limit);
    if (limit)
        wait_cell_wake(&worker->pool->server, WAIT_CELL_ALL);
}

/* Give back what was drawn and not begun, if the chunk that was just run began long after the draw. */
static void give_back_stale(struct worker *worker, struct job *job)
{
    int64_t chunk_at = load_relaxed(&worker->words->chunk_at);
    if (!worker->run_began || chunk_at - worker->run_began < RUN_STALE)
        return;
    worker->run_end = worker->run_at;
    worker->run_length = 1;
    worker_report(worker, job);
    pool_offer_again(worker->pool, job); /* where it cannot, the others find it as they find what a dead one drew */
}

/* Run chunks of the job. False: the worker is to end, and leaves the rest of what it drew to others. */
static bool run_job(struct worker *worker, struct job *job)
{
    bool more = true;
    size_t chunk, settled;
    worker->job = job;
    worker->task = find_task(worker, job);
    worker->at =
        (struct loop){.task = worker->task && (job->has_inputs || job->yields) ? worker_run_task : worker->task,
                      .ctx = job->ctx,
                      .in_size = job->in_size,
                      .out_size = job->out_size,
                      .current = &worker->slot->current,
                      .flags = &job->flags};
    if (!worker->at.task) {
        fetch_or_acq_rel(&job->flags, JOB_NO_FUNCTION | JOB_STOPPED);
        wait_cell_wake(job->waiter, WAIT_CELL_ALL);
        return true;
    }
    worker->loop = loop_for(worker->at.task);
    worker->run_at = job->is_call ? worker->index : 0;
    worker->run_end = worker->run_at + job->is_call;
    worker->run_length = 1;
    worker->run_began = 0;
    worker->has_drawn = false;
    worker->home = job->homes ? worker->index % job->homes : 0;
    worker->homes_left = job->homes;
    worker->steal_at = job->chunk_count;
    worker->unreported = 0;
    store_relaxed(&worker->slot->served, 1);
    if (job->item_timeout)
        set_limit(worker, job->item_timeout);
    while (more && take_next(worker, job, &chunk, &settled)) {
        more = worker_run_chunk(worker, job, chunk, settled) && !worker_is_surplus(worker) && !is_bloated(worker);
        if (more && worker->run_at < worker->run_end)
            give_back_stale(worker, job);
    }
    if (job->item_timeout)
        set_limit(worker, 0);
    worker_report(worker, job);
    streams_flush();
    return more;
}

/* The job of a call to all workers, if this one has not answered it yet; with the pool's lock held. The chunk of one
 * that replaces a dead worker may have its outcome already. */
static struct job *answer_call(struct worker *worker)
{
    struct job *job = load_relaxed(&worker->pool->call);
    bool is_called = worker_is_called(worker);
    worker->calls = load_relaxed(&worker->pool->calls);
    if (!is_called || !job || worker->index >= job->chunk_count)
        return NULL;
    uint64_t word = load_relaxed(&job->chunks[worker->index]);
    return job_chunk_state(word) == JOB_FREE ? job : NULL;
}

/* Name the next job in the slot; NULL when there is none at the moment. A job of one chunk leaves the list at once: no
 * other worker need look at it. So this one must draw from it before it does anything else. */
static struct job *pick(struct worker *worker)
{
    struct pool *pool = worker->pool;
    if (pool_lock(pool))
        return NULL;
    struct job *job = answer_call(worker);
    if (!job)
        job = pool_first_job(pool);
    if (job) {
        store_seq_cst(&worker->slot->job, job);
        if (job->chunk_count == 1 && !job->is_call)
            job_list_remove(&pool->list, job);
    }
    bool more = job_list_first(&pool->list) != NULL;
    if (job && more)
        pool_grow(pool, 1);
    pool_unlock(pool);
    if (job && more) /* whoever added it may have counted on a worker that was about to be found busy */
        wait_cell_wake(&pool->work, 1);
    if (job)
        worker_await_verdict(worker->slot);
    return job;
}

static void add_busy(struct worker_slot *slot, int64_t span)
{
    store_relaxed(&slot->busy, load_relaxed(&slot->busy) + span);
    store_relaxed(&slot->since, 0);
}

static void leave_job(struct worker *worker)
{
    store_release(&worker->slot->job, NULL);
    wait_cell_wake(&worker->pool->changed, WAIT_CELL_ALL);
}

/* ---- the whole ---- */

static void *worker_find_function(const struct worker *worker, const struct job_function *function)
{
    if (!function)
        return NULL;
    return worker->is_thread ? (void *)function->address : (void *)function_find(&function->reference);
}

int worker_initialize(struct worker *worker)
{
    struct pool *pool = worker->pool;
    mproc_initializer *initializer = (mproc_initializer *)worker_find_function(worker, pool->initializer);
    worker->finalizer = (mproc_finalizer *)worker_find_function(worker, pool->finalizer);
    worker->items = pool->max_items;
    if (!initializer != !pool->initializer || !worker->finalizer != !pool->finalizer)
        return POOL_INITIALIZER_LOST;
    int result = initializer ? initializer(pool->arg, &worker->state) : 0;
    streams_flush();
    if (result) {
        store_relaxed(&pool->initializer_code, result);
        return POOL_INITIALIZER_FAILED;
    }
    store_relaxed(&pool->vain, 0);
    fetch_add_relaxed(&pool->begins, 1);
    worker->idle_since = os_now();
    store_relaxed(&worker->slot->begun, worker->idle_since);
    store_release(&worker->slot->ready, 1);
    wait_cell_wake(worker->is_thread ? &pool->changed : &pool->server, WAIT_CELL_ALL);
    return 0;
}

/* A task that closes every descriptor closes the one that proves this process's life, and others would take it for dead
 * while it holds the pool's lock. Such a worker ends, and is replaced. */
bool worker_serve(struct worker *worker)
{
    struct pool *pool = worker->pool;
    bool more = true;
    while (more && worker_await_work(worker)) {
        struct job *job = pick(worker);
        if (!job)
            continue;
        int64_t since = os_now();
        store_relaxed(&worker->slot->since, since);
        more = run_job(worker, job);
        worker->idle_since = os_now();
        add_busy(worker->slot, worker->idle_since - since);
        if (more) /* else the server finds the job in the slot, and offers again what this worker drew */
            leave_job(worker);
        if (!worker->is_thread && !member_confirm())
            _exit(POOL_WORKER_UNFIT);
    }
    worker_end_look(worker);
    if (job_list_first(&pool->list)) /* whoever added it may have counted on this one */
        wait_cell_wake(&pool->work, 1);
    if (worker->finalizer && (worker->is_thread || pool_state(pool) != POOL_TERMINATED))
        worker->finalizer(worker->state);
    return !more && !worker_is_surplus(worker);
}
