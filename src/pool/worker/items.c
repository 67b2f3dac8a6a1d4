/* The items of a chunk that a worker has taken: run one after another, tried again, given their outcome. */
#include "os/clock.h"
#include "os/futex.h"
#include "os/memory.h"
#include "os/uncancelled.h"
#include "pool/worker/worker.h"
#include "process/streams.h"
#include "util/atomic.h"
#include <errno.h>
#include <stdio.h>
#include <stdio_ext.h>
#include <string.h>
#include <unistd.h>

/* Results are zeroed this many bytes ahead of the items: few enough that they are still in the nearest cache, and that
 * memset() does not take its path for large sizes. */
#define ZERO_AHEAD ((size_t)1024)

static void item_failed(struct job *job, size_t item, int code)
{
    if (job->status)
        job->status[item] = (mproc_item_status){.result = MPROC_TASK_FAILED, .code = code};
    fetch_or_relaxed(&job->flags, JOB_FAILED);
    fetch_add_relaxed(&job->failures, 1);
}

/* JOB_STOPPED or 0. */
static int is_stopped(const struct worker *worker)
{
    return (int)(load_relaxed(worker->at.flags) & JOB_STOPPED);
}

/* Try an item again whose function has returned code, if it may be. Returns what it returns in the end. */
static int try_again(struct worker *worker, struct job *job, const void *in, void *out, int code)
{
    if (!(job->retry_on & MPROC_RETRY_FAILURE))
        return code;
    for (unsigned i = 0; i < job->retries && code && !is_stopped(worker); i++) {
        if (out && job->zeroes_out)
            memset(out, 0, job->out_size);
        store_relaxed(&worker->slot->item_at, os_now());
        code = worker->at.task(job->ctx, in, out);
    }
    return code;
}

/* An item has not returned 0. In a copy of the worker that a task has forked nothing more is done: it is stopped, so
 * nothing was tried again. */
static void settle_code(struct worker *worker, struct job *job, int code)
{
    const struct loop *at = &worker->at;
    code = try_again(worker, job, (const void *)(at->in - at->in_size), (void *)(at->out - at->out_size), code);
    if (code && at->flags != &worker_flags_of_copy)
        item_failed(job, (size_t)(at->mark >> 1) - 1, code);
}

/* Run the items from item to end, and return the one before which it stopped. */
static size_t run_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    struct loop *at = &worker->at;
    at->mark = (uint64_t)item << 1 | 1;
    at->end_mark = (uint64_t)end << 1 | 1;
    at->in = (uintptr_t)job->in + item * at->in_size;
    at->out = (uintptr_t)job->out + item * at->out_size;
    while (at->mark < at->end_mark) {
        int code = worker->loop(at);
        if (code)
            settle_code(worker, job, code);
        if (at->flags == &worker_flags_of_copy)
            _exit(code);
        if (is_stopped(worker))
            break;
    }
    return (size_t)(at->mark >> 1);
}

void worker_await_verdict(struct worker_slot *slot)
{
    while (load_seq_cst(&slot->kill) != POOL_KILL_NOT)
        os_futex_wait(&slot->kill, POOL_KILL_ASKED, OS_TICK);
}

/* The same for items with a time limit. Between two of them current says that the last one has its outcome and the next
 * was not begun: where the server comes too late for an item, that has counted, and no other pays for it. */
static size_t run_limited_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    struct worker_slot *slot = worker->slot;
    for (; item < end && !is_stopped(worker); item++) {
        store_seq_cst(&slot->current, (uint64_t)item << 1);
        worker_await_verdict(slot);
        store_relaxed(&slot->item_at, os_now());
        errno = 0; /* see run_each() */
        run_items(worker, job, item, item + 1);
    }
    return item;
}

/* The same where memory is limited: errno is cleared before each item, so if one dies with ENOMEM there, it was its
 * own. */
static size_t run_each(struct worker *worker, struct job *job, size_t item, size_t end)
{
    for (; item < end && !is_stopped(worker); item++) {
        errno = 0;
        run_items(worker, job, item, item + 1);
    }
    return item;
}

static size_t items_run(struct worker *worker, struct job *job, size_t item, size_t end)
{
    if (job->item_timeout)
        return run_limited_items(worker, job, item, end);
    return worker->pool->memory_limit ? run_each(worker, job, item, end) : run_items(worker, job, item, end);
}

/* ---- first touches ---- */

/* Ranges below this are not worth the check; and what is touched at a time, unless one item is larger. */
#define TOUCH_LEAST ((size_t)64 << 10)
#define TOUCH_MOST  ((size_t)4 << 20)

/* Whether a range has pages that this process has not touched. A fault brings its neighbours along, so the first page
 * may be there when the others are not. */
static bool is_untouched(const volatile unsigned char *range, size_t size)
{
    int64_t before = os_thread_faults();
    (void)range[0];
    (void)range[size / 2];
    (void)range[size - 1];
    return os_thread_faults() != before;
}

static void touch_range(const unsigned char *range, size_t size)
{
    if (size >= TOUCH_LEAST && is_untouched(range, size))
        os_memory_touch(range, size);
}

/* Before its items write to arrays that are used in place: each page that this process has not touched costs a fault,
 * which takes longer than to write it, and much less where many are touched at once. A look at what was touched before
 * costs next to nothing. Returns up to which item it has done so. */
static size_t touch_ahead(const struct worker *worker, const struct job *job, size_t item, size_t end)
{
    size_t bytes = job->in_size > job->out_size ? job->in_size : job->out_size;
    size_t count = bytes > TOUCH_MOST ? 1 : bytes ? TOUCH_MOST / bytes : end - item;
    size_t stop = end - item < count ? end : item + count;
    if (worker->is_thread)
        return end;
    if (job->out && !job->own_out)
        touch_range(job->out + item * job->out_size, (stop - item) * job->out_size);
    if (job->in && !job->own_in && job->in != job->out)
        touch_range(job->in + item * job->in_size, (stop - item) * job->in_size);
    return stop;
}

/* ---- chunks ---- */

/* Run a chunk from item on, and return where it stopped. */
static size_t run_chunk_items(struct worker *worker, struct job *job, size_t item, size_t end)
{
    size_t bytes = job->out_size + (job->status ? sizeof *job->status : 0);
    size_t ahead = bytes ? ZERO_AHEAD / bytes + 1 : end - item;
    size_t touched = item;
    while (item < end && !is_stopped(worker)) {
        size_t stop = end - item < ahead ? end : item + ahead;
        if (item >= touched)
            touched = touch_ahead(worker, job, item, end);
        if (job->out && job->zeroes_out)
            memset(job->out + item * job->out_size, 0, (stop - item) * job->out_size);
        if (job->status)
            memset(job->status + item, 0, (stop - item) * sizeof *job->status);
        item = items_run(worker, job, item, stop);
    }
    return item;
}

bool worker_run_chunk(struct worker *worker, struct job *job, size_t chunk, size_t settled)
{
    size_t begin = job_chunk_begin(job, chunk);
    size_t length = job_chunk_length(job, chunk);
    crash_report_note_chunk(worker->words);
    size_t reached = run_chunk_items(worker, job, begin + settled, begin + length) - begin;
    if (job->chunk_count == 1) { /* whoever finds it done finds a worker that looks for the next job */
        streams_flush();
        worker_begin_look(worker);
    } else if (__fpending(stdout) > 0) {
        uncancelled_fflush(stdout);
    }
    enum job_chunk_state state = reached == length ? JOB_DONE : JOB_CANCELLED;
    store_release(&job->chunks[chunk], job_chunk_word(state, 0, reached, 0));
    store_release(&worker->slot->current, 0);
    worker->unreported++;
    size_t ran = reached - settled;
    uint64_t items = load_relaxed(&worker->slot->items);
    store_relaxed(&worker->slot->items, items + ran);
    worker->items = ran < worker->items ? worker->items - ran : 0;
    return worker->items > 0;
}
