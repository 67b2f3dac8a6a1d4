/* A worker of a pool: takes chunks of jobs and runs their items, until the pool is closed and empty. It is forked by
 * the server and killed by it, or by the kernel when the server is gone; it may die at any instruction.
 *
 * What a worker holds is told by its slot: see struct worker_slot. What it promises: job is in the slot before the job
 * is touched and until it is no more, chunk before the chunk is taken, current before the item is begun, and 0 before
 * the next chunk is taken. */
#include "arena/member.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/futex.h"
#include "os/proc.h"
#include "os/supervise.h"
#include "pool/pool.h"
#include "process/self.h"
#include "process/streams.h"
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long an idle worker looks for work before it sleeps. About what a sleep and a wake-up cost. */
#define SPIN_TIME MPROC_US(20)

/* How long the chunks that a worker draws at a time should last: long against the draw, short against the whole. */
#define RUN_SHORT MPROC_US(25)
#define RUN_LONG  MPROC_US(100)

/* Results are zeroed so many bytes ahead of the items: so few that they are still in the nearest cache, and that
 * memset() does not begin with its preparations for large sizes. */
#define ZERO_AHEAD ((size_t)1024)

/* Between two looks at the worker's memory. */
#define MEASURE_PAUSE MPROC_MS(1)

#define FUNCTIONS_KNOWN 16

struct known_function {
    const struct job_function *entry;
    mproc_task *address;
};

struct worker {
    struct pool *pool;
    struct worker_slot *slot;
    unsigned index;
    struct known_function known[FUNCTIONS_KNOWN];

    mproc_finalizer *finalizer; /* or NULL */
    uint64_t items;             /* that it may run until it is replaced */
    int64_t measured;           /* when its memory was last looked at */

    /* Of the present job. */
    mproc_task *task;
    size_t run_at;     /* drawn chunks that were not tried yet: from here */
    size_t run_end;    /* to here */
    size_t run_length; /* how many to draw next time */
    int64_t run_began;
    size_t steal_at;   /* all chunks from here on were seen not to be free, once everything was drawn */
    size_t unreported; /* chunks finished that job->finished does not count yet */
};

/* The flags at which a worker looks after each item: those of its job. A copy that a task makes of the worker by fork()
 * must not go on as the worker; it finds the copy's flags here, which never change. So one look serves for both. */
static const _Atomic(uint32_t) flags_of_copy = JOB_STOPPED;
static const _Atomic(uint32_t) *volatile flags;

static void become_copy(void)
{
    flags = &flags_of_copy;
}

__attribute__((constructor)) static void watch_forks(void)
{
    member_on_fork(become_copy);
}

/* What the initializer of this worker stored. */
static void *worker_state;

void *mproc_worker_state(void)
{
    return worker_state;
}

/* ---- items ---- */

static void item_failed(struct job *job, size_t item, int code)
{
    if (job->status)
        job->status[item] = (mproc_item_status){.result = MPROC_TASK_FAILED, .code = code};
    atomic_fetch_or_explicit(&job->flags, JOB_FAILED, memory_order_relaxed);
}

/* JOB_STOPPED or 0. */
static int is_stopped(void)
{
    return (int)(atomic_load_explicit(flags, memory_order_relaxed) & JOB_STOPPED);
}

/* Try an item again whose function has returned code, if it may be. Returns what it returns in the end. */
static int try_again(struct worker *worker, struct job *job, const void *in, void *out, int code)
{
    if (!(job->retry_on & MPROC_RETRY_FAILURE))
        return code;
    for (unsigned i = 0; i < job->retries && code && !is_stopped(); i++) {
        if (out)
            memset(out, 0, job->out_size);
        atomic_store_explicit(&worker->slot->item_at, os_now(), memory_order_relaxed);
        code = worker->task(job->ctx, in, out);
    }
    return code;
}

/* Run the items from item to end, and return the one before which it stopped. The release stores to current order the
 * outcome of each item before the begin of the next.
 *
 * This loop is all that is done for a tiny item. As a function of its own it has the registers to itself, and it counts
 * in the form in which current has it. */
__attribute__((noinline)) static size_t run_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    _Atomic(uint64_t) *current = &worker->slot->current;
    mproc_task *task = worker->task;
    void *ctx = job->ctx;
    size_t in_size = job->in_size, out_size = job->out_size;
    uintptr_t in = (uintptr_t)job->in + item * in_size;
    uintptr_t out = (uintptr_t)job->out + item * out_size;
    uint64_t mark = (uint64_t)item << 1 | 1, end_mark = (uint64_t)end << 1 | 1;
    while (mark < end_mark) {
        atomic_store_explicit(current, mark, memory_order_release);
        int code = task(ctx, (const void *)in, (void *)out);
        mark += 2;
        in += in_size;
        out += out_size;
        if (__builtin_expect((code | is_stopped()) != 0, 0)) {
            if (code) /* not in a copy: there it is stopped */
                code = try_again(worker, job, (const void *)(in - in_size), (void *)(out - out_size), code);
            if (flags == &flags_of_copy)
                _exit(code);
            if (code)
                item_failed(job, (mark >> 1) - 1, code);
            if (is_stopped())
                break;
        }
    }
    return mark >> 1;
}

/* Wait while the server makes up its mind whether to end this worker. */
static void await_verdict(struct worker_slot *slot)
{
    while (atomic_load_explicit(&slot->kill, memory_order_seq_cst) != POOL_KILL_NOT)
        os_futex_wait(&slot->kill, POOL_KILL_ASKED, OS_TICK);
}

/* The same for items that may take only so long. Between two of them current says that the last one has its outcome and
 * the next was not begun: where the server comes too late for an item, that has counted, and no other pays for it. */
static size_t run_limited_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    struct worker_slot *slot = worker->slot;
    for (; item < end && !is_stopped(); item++) {
        atomic_store_explicit(&slot->current, (uint64_t)item << 1, memory_order_seq_cst);
        await_verdict(slot);
        atomic_store_explicit(&slot->item_at, os_now(), memory_order_relaxed);
        run_items(worker, job, item, item + 1);
    }
    return item;
}

/* Run a chunk from item on, and return where it stopped. */
static size_t run_chunk_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    size_t bytes = job->out_size + (job->status ? sizeof *job->status : 0);
    size_t ahead = bytes ? ZERO_AHEAD / bytes + 1 : end - item;
    while (item < end && !is_stopped()) {
        size_t stop = end - item < ahead ? end : item + ahead;
        if (job->out)
            memset(job->out + item * job->out_size, 0, (stop - item) * job->out_size);
        if (job->status)
            memset(job->status + item, 0, (stop - item) * sizeof *job->status);
        item = job->item_timeout ? run_limited_items(worker, job, item, stop) : run_items(worker, job, item, stop);
    }
    return item;
}

/* Run a chunk that was taken. What the items printed is written before the chunk is seen to be done. Returns whether
 * the worker may run more items. */
static bool run_chunk(struct worker *worker, struct job *job, size_t chunk, size_t settled)
{
    size_t begin = job_chunk_begin(job, chunk);
    size_t length = job_chunk_length(job, chunk);
    size_t reached = run_chunk_items(worker, job, begin + settled, begin + length) - begin;
    if (__fpending(stdout) > 0)
        fflush(stdout);
    enum job_chunk_state state = reached == length ? JOB_DONE : JOB_CANCELLED;
    atomic_store_explicit(&job->chunks[chunk], job_chunk_word(state, 0, reached, 0), memory_order_release);
    atomic_store_explicit(&worker->slot->current, 0, memory_order_release);
    worker->unreported++;
    size_t ran = reached - settled;
    uint64_t items = atomic_load_explicit(&worker->slot->items, memory_order_relaxed);
    atomic_store_explicit(&worker->slot->items, items + ran, memory_order_relaxed);
    worker->items = ran < worker->items ? worker->items - ran : 0;
    return worker->items > 0;
}

/* ---- chunks ---- */

static bool take(struct worker *worker, struct job *job, size_t chunk, size_t *settled)
{
    uint64_t word = atomic_load_explicit(&job->chunks[chunk], memory_order_relaxed);
    if (job_chunk_state(word) != JOB_FREE)
        return false;
    *settled = job_chunk_settled(word);
    atomic_store_explicit(&worker->slot->chunk, chunk, memory_order_relaxed);
    return atomic_compare_exchange_strong_explicit(
        &job->chunks[chunk], &word, job_chunk_word(JOB_TAKEN, worker->index, *settled, job_chunk_deaths(word)),
        memory_order_acq_rel, memory_order_relaxed);
}

static void report(struct worker *worker, struct job *job)
{
    if (worker->unreported)
        job_add_finished(job, worker->unreported);
    worker->unreported = 0;
}

/* How many chunks to draw: twice as many while they are quickly run, but never so many that the others starve. */
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

/* Draw the next chunks. False when all were drawn. */
static bool draw(struct worker *worker, struct job *job)
{
    report(worker, job);
    if (job_is_dealt_out(job))
        return false;
    if (job->runs)
        adapt_run(worker, job);
    uint64_t first = atomic_fetch_add_explicit(&job->next_chunk, worker->run_length, memory_order_acq_rel);
    if (first >= job->chunk_count)
        return false;
    worker->run_at = first;
    worker->run_end = first + worker->run_length < job->chunk_count ? first + worker->run_length : job->chunk_count;
    return true;
}

/* Take a chunk of the job, if there is one that nobody has: of those drawn; else draw; else one that another worker has
 * drawn and not begun, from the far end of what it drew. */
static bool take_next(struct worker *worker, struct job *job, size_t *chunk, size_t *settled)
{
    do {
        while (worker->run_at < worker->run_end) {
            *chunk = worker->run_at++;
            if (take(worker, job, *chunk, settled))
                return true;
        }
    } while (draw(worker, job));
    if (!job->runs || (job_flags(job) & JOB_STOPPED) ||
        atomic_load_explicit(&job->finished, memory_order_relaxed) >= job->chunk_count)
        return false;
    while (worker->steal_at > 0) {
        *chunk = --worker->steal_at;
        if (take(worker, job, *chunk, settled))
            return true;
    }
    return false;
}

/* ---- jobs ---- */

/* The job's function in this process; NULL when it cannot be found. */
static mproc_task *find_task(struct worker *worker, const struct job *job)
{
    struct known_function *known = &worker->known[job->function->number % FUNCTIONS_KNOWN];
    if (known->entry != job->function) {
        known->address = (mproc_task *)(void *)function_find(&job->function->reference);
        known->entry = known->address ? job->function : NULL;
    }
    return known->address;
}

/* The pool was made smaller, and does without this worker. */
static bool is_surplus(const struct worker *worker)
{
    return worker->index >= pool_wanted(worker->pool);
}

/* The worker has got too large. */
static bool is_bloated(struct worker *worker)
{
    size_t bytes;
    int64_t now;
    if (worker->pool->max_memory == UINT64_MAX || (now = os_now()) - worker->measured < MEASURE_PAUSE)
        return false;
    worker->measured = now;
    return os_proc_own_memory(&bytes) == 0 && bytes > worker->pool->max_memory;
}

/* The server looks from now on, or no longer, how long items take. */
static void set_limit(struct worker *worker, int64_t limit)
{
    atomic_store_explicit(&worker->slot->limit, limit, memory_order_seq_cst);
    if (limit)
        cell_wake(&worker->pool->server, CELL_ALL);
}

/* False: the worker is to end, and what it drew beside is left to others. */
static bool run_job(struct worker *worker, struct job *job)
{
    bool more = true;
    size_t chunk, settled;
    flags = &job->flags;
    worker->task = find_task(worker, job);
    if (!worker->task) {
        atomic_fetch_or_explicit(&job->flags, JOB_NO_FUNCTION | JOB_STOPPED, memory_order_acq_rel);
        cell_wake(job->waiter, CELL_ALL);
        return true;
    }
    worker->run_at = worker->run_end = 0;
    worker->run_length = 1;
    worker->run_began = 0;
    worker->steal_at = job->chunk_count;
    worker->unreported = 0;
    atomic_store_explicit(&worker->slot->served, 1, memory_order_relaxed);
    if (job->item_timeout)
        set_limit(worker, job->item_timeout);
    while (more && take_next(worker, job, &chunk, &settled))
        more = run_chunk(worker, job, chunk, settled) && !is_surplus(worker) && !is_bloated(worker);
    if (job->item_timeout)
        set_limit(worker, 0);
    report(worker, job);
    streams_flush();
    return more;
}

/* Name the next job in the slot; NULL when there is none at the moment. A job of one chunk leaves the list at once: no
 * other worker need look at it. */
static struct job *pick(struct worker *worker)
{
    struct pool *pool = worker->pool;
    if (pool_lock(pool))
        return NULL;
    struct job *job = pool_first_job(pool);
    if (job) {
        atomic_store_explicit(&worker->slot->job, job, memory_order_seq_cst);
        if (job->chunk_count == 1)
            list_remove(&pool->list, job);
    }
    bool more = list_first(&pool->list) != NULL;
    pool_unlock(pool);
    if (job && more) /* whoever added it may have counted on a worker that was about to be found busy */
        cell_wake(&pool->work, 1);
    if (job)
        await_verdict(worker->slot);
    return job;
}

static void add_busy(struct worker_slot *slot, int64_t span)
{
    atomic_store_explicit(&slot->busy, atomic_load_explicit(&slot->busy, memory_order_relaxed) + span,
                          memory_order_relaxed);
    atomic_store_explicit(&slot->since, 0, memory_order_relaxed);
}

static void leave_job(struct worker *worker)
{
    atomic_store_explicit(&worker->slot->job, NULL, memory_order_release);
    cell_wake(&worker->pool->changed, CELL_ALL);
}

/* ---- idleness ---- */

/* Whether there is something to do, be it to end. */
static bool has_news(struct worker *worker)
{
    struct pool *pool = worker->pool;
    return list_first(&pool->list) || !pool_expects_jobs(pool) || is_surplus(worker);
}

/* Look for work without sleeping, if nobody else does. Whoever adds a job need not wake anybody then: what came while
 * the spinner gives up is seen by its next look, which is after its store to spinner. */
static void spin(struct worker *worker)
{
    struct pool *pool = worker->pool;
    uint32_t nobody = 0;
    if (!os_cpu_may_spin() || !atomic_compare_exchange_strong_explicit(&pool->spinner, &nobody, worker->index + 1,
                                                                       memory_order_acq_rel, memory_order_relaxed))
        return;
    int64_t end = os_now() + SPIN_TIME;
    while (!has_news(worker) && os_now() < end)
        for (int i = 0; i < 16 && !has_news(worker); i++)
            os_cpu_relax();
    atomic_store_explicit(&pool->spinner, 0, memory_order_seq_cst);
}

/* Wait until there may be work. False when the pool needs this worker no more. */
static bool await_work(struct worker *worker)
{
    struct pool *pool = worker->pool;
    spin(worker);
    while (!has_news(worker)) {
        uint32_t seen = cell_prepare(&pool->work);
        if (has_news(worker))
            break;
        cell_sleep(&pool->work, seen, OS_NEVER);
    }
    return !is_surplus(worker) && (list_first(&pool->list) || pool_expects_jobs(pool));
}

/* ---- the process ---- */

/* What the process is called from now on. Its tasks may start processes of any kind; it joins them when it ends. */
static void take_name(unsigned index)
{
    char name[PROCESS_NAME_SIZE];
    snprintf(name, sizeof name, "Worker-%u", index + 1);
    self_copy_name(self.process.name, name);
    self.process.daemon = false;
    memcpy(member_identity.name, self.process.name, MEMBER_NAME_SIZE);
}

/* Take what the pool's options take from its workers. */
static int confine(const struct worker *worker)
{
    const struct pool *pool = worker->pool;
    int result = pool->pin ? os_cpu_pin(worker->index) : 0;
    return result || !pool->memory_limit ? result : os_limit_memory(pool->memory_limit);
}

/* Take the slot that the server forked this process for. Before that the slot may be somebody else's. */
static int take_slot(struct worker_slot *slot, uint32_t serial)
{
    int result = member_join();
    if (result)
        return result;
    if (!pool_take_place(&slot->word, serial))
        return -ESRCH;
    atomic_store_explicit(&slot->pid, (int32_t)getpid(), memory_order_relaxed);
    return 0;
}

static void *find(const struct job_function *function)
{
    return function ? (void *)function_find(&function->reference) : NULL;
}

/* Run the initializer. Ends the process where that cannot be done. */
static void initialize(struct worker *worker)
{
    struct pool *pool = worker->pool;
    mproc_initializer *initializer = (mproc_initializer *)find(pool->initializer);
    worker->finalizer = (mproc_finalizer *)find(pool->finalizer);
    worker->items = pool->max_items;
    if (!initializer != !pool->initializer || !worker->finalizer != !pool->finalizer)
        _exit(POOL_INITIALIZER_LOST);
    int result = initializer ? initializer(pool->arg, &worker_state) : 0;
    streams_flush();
    if (result)
        _exit(POOL_INITIALIZER_FAILED);
    atomic_store_explicit(&worker->slot->begun, os_now(), memory_order_relaxed);
    atomic_store_explicit(&worker->slot->ready, 1, memory_order_release);
    cell_wake(&pool->server, CELL_ALL);
}

/* A task that closes every descriptor closes the one that proves this process's life, and others would take it for dead
 * while it holds the pool's lock. Such a worker ends, and is replaced. */
_Noreturn void pool_worker(struct pool *pool, unsigned index, uint32_t serial, pid_t parent)
{
    struct worker worker = {.pool = pool, .slot = &pool->workers[index], .index = index};
    os_forget_children();
    take_name(index);
    int result = os_die_with_parent(parent);
    if (!result)
        result = confine(&worker);
    if (!result)
        result = take_slot(worker.slot, serial);
    if (result)
        _exit(-result); /* for the server to read */
    initialize(&worker);
    bool more = true;
    while (more && await_work(&worker)) {
        struct job *job = pick(&worker);
        if (!job)
            continue;
        int64_t since = os_now();
        atomic_store_explicit(&worker.slot->since, since, memory_order_relaxed);
        more = run_job(&worker, job);
        add_busy(worker.slot, os_now() - since);
        if (more) /* else the server finds the job in the slot, and offers again what this worker drew */
            leave_job(&worker);
        if (!member_confirm())
            _exit(POOL_WORKER_UNFIT);
    }
    if (worker.finalizer && pool_state(pool) != POOL_TERMINATED)
        worker.finalizer(worker_state);
    exit(0);
}
