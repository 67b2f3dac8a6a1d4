/* A map as it is run. Arrays that are not shared are copied through a few portions of the pool's memory: while workers
 * are at some of them, the caller fills others and empties those that are settled. So a map needs little memory however
 * large its arrays are, and what is copied is still in the cache when it is used. A portion is a job like any other,
 * launched again and again. Where nothing is copied, or little, there is one portion, launched once.
 *
 * Only the caller's thread is here. All portions wake the cell of the first one, which is freed last. */
#include "pool/host/map_run.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "pool/host/inputs.h"
#include "pool/host/map.h"
#include "pool/host/telling.h"
#include "pool/shared/job_postmortem.h"
#include "util/atomic.h"
#include <errno.h>
#include <string.h>

/* What is copied through one portion, and through all; and what is copied all at once. */
#define PORTION_BYTES  ((size_t)1 << 20)
#define PORTIONS_BYTES ((size_t)64 << 20)
#define AT_ONCE_BYTES  ((size_t)2 << 20)

/* Beside the one that each worker is at: one that is filled, and one that is emptied. */
#define PORTIONS_MORE 2

struct portion {
    struct job *job; /* NULL: not made yet */
    size_t first;    /* where its items begin in the map */
    size_t from;     /* for job_is_settled() */
    size_t deaths;   /* reported to the caller */
    bool busy;       /* launched and not yet emptied */
};

struct run {
    mproc_pool *pool;
    const mproc_map *map;
    const struct host_job *wish;
    struct portion *portions;
    size_t portion_count;
    size_t portion_size; /* items */
    size_t busy;         /* portions */
    size_t next;         /* the first item that was not launched */
    size_t emptied;      /* items that were in emptied portions */
    bool stopped;        /* nothing more is launched */
    int error;           /* why something could not be launched, or 0 */
    bool whole;          /* of all emptied portions */
    uint32_t flags;      /* of all portions */
    size_t settled;      /* items that have their outcome, of emptied portions */
    size_t failed;       /* and of these, that ended badly */
    struct telling telling;
};

static bool is_last(const struct run *run)
{
    return run->stopped || run->next == run->map->count;
}

/* ---- filling ---- */

static struct wait_cell *run_cell(const struct run *run)
{
    return &run->portions[0].job->cell;
}

static int portion_make(struct run *run, struct portion *portion)
{
    int result = host_make_sibling(run->pool, run->wish, run->portion_size, run->portions[0].job, &portion->job);
    if (result)
        portion->job = NULL;
    return result;
}

/* Whether a portion that was emptied can be launched again. A worker may still be about to leave it. */
static bool portion_is_free(const struct run *run, const struct portion *portion)
{
    return !portion->busy && host_take_back(run->pool, portion->job);
}

/* How many items to launch in one portion. */
static size_t next_count(const struct run *run)
{
    size_t left = run->map->count - run->next;
    size_t count = left < run->portion_size ? left : run->portion_size;
    bool differ = run->wish->has_inputs && run->portion_count > 1;
    return differ ? inputs_that_fit(run->wish, run->next, count, PORTION_BYTES * 2) : count;
}

static int run_launch(struct run *run, struct portion *portion)
{
    size_t count = next_count(run);
    int result = host_launch(run->pool, portion->job, run->wish, run->next, count, run->portion_count > 1);
    if (result)
        return result;
    *portion = (struct portion){.job = portion->job, .first = run->next, .busy = true};
    run->next += count;
    run->busy++;
    return 0;
}

/* Launch what can be launched. Memory that cannot be had makes for fewer portions; the first one is needed. */
static int portion_fill(struct run *run)
{
    int result = 0;
    for (size_t i = 0; i < run->portion_count && !result && !is_last(run); i++) {
        struct portion *portion = &run->portions[i];
        bool can_launch = portion->job ? portion_is_free(run, portion) : true;
        if (!portion->job)
            result = portion_make(run, portion);
        if (result && i > 0) {
            run->portion_count = i < 2 ? 2 : i; /* it stays a map of several, to which a promise was made */
            return 0;
        }
        if (!result && can_launch)
            result = run_launch(run, portion);
    }
    return result == -ENOMEM && run->busy ? 0 : result; /* those that are busy will have given memory back */
}

/* ---- deaths ---- */

static bool portion_has_untold_deaths(const struct run *run, const struct portion *portion)
{
    return run->map->died && portion->busy && job_postmortem_count(portion->job) > portion->deaths;
}

static void portion_tell_deaths(struct run *run, struct portion *portion)
{
    mproc_postmortem postmortem;
    while (portion_has_untold_deaths(run, portion) &&
           job_postmortem_read(portion->job, portion->deaths, portion->first, &postmortem)) {
        portion->deaths++;
        run->map->died(run->map->died_arg, &postmortem);
    }
}

/* ---- emptying ---- */

/* Items that have their outcome, by the words of their chunks. */
static size_t portion_items_settled(const struct job *job)
{
    size_t items = 0;
    for (size_t chunk = 0; chunk < job->chunk_count; chunk++) {
        uint64_t word = load_acquire(&job->chunks[chunk]);
        items += job_chunk_state(word) == JOB_DONE ? job_chunk_length(job, chunk) : job_chunk_settled(word);
    }
    return items;
}

static size_t items_failed(const struct job *job)
{
    return load_relaxed(&job->failures);
}

static void portion_empty(struct run *run, struct portion *portion)
{
    const struct job *job = portion->job;
    portion_tell_deaths(run, portion);
    map_empty(run->map, job, portion->first);
    run->flags |= job_flags(job);
    bool whole = job_is_whole(job);
    run->whole = run->whole && whole;
    run->stopped = run->stopped || (job_flags(job) & JOB_STOPPED);
    run->emptied += job->count;
    run->settled += whole ? job->count : portion_items_settled(job);
    run->failed += items_failed(job);
    run->busy--;
    portion->busy = false;
}

static bool portion_is_settled(struct portion *portion)
{
    return portion->busy && job_is_settled(portion->job, &portion->from);
}

/* Whether there is something to do: a portion is settled, or a worker has died. */
static bool run_has_news(void *arg)
{
    struct run *run = arg;
    for (size_t i = 0; i < run->portion_count; i++)
        if (portion_is_settled(&run->portions[i]) || portion_has_untold_deaths(run, &run->portions[i]))
            return true;
    return false;
}

static void empty_settled(struct run *run)
{
    for (size_t i = 0; i < run->portion_count; i++) {
        portion_tell_deaths(run, &run->portions[i]);
        if (portion_is_settled(&run->portions[i]))
            portion_empty(run, &run->portions[i]);
    }
}

/* ---- waiting ---- */

/* As far as the workers have told. After a death that is too little for good, so the words are asked. */
static size_t items_told(const struct job *job)
{
    if (job_flags(job) & JOB_SCARRED)
        return portion_items_settled(job);
    size_t chunks = load_relaxed(&job->finished);
    return chunks < job->chunk_count ? chunks * job->chunk_size : job->count;
}

static void count_items(const struct run *run, size_t *done, size_t *failed)
{
    *done = run->settled;
    *failed = run->failed;
    for (size_t i = 0; i < run->portion_count; i++) {
        if (!run->portions[i].busy)
            continue;
        *done += items_told(run->portions[i].job);
        *failed += items_failed(run->portions[i].job);
    }
}

static void run_tell(struct run *run)
{
    size_t done, failed;
    count_items(run, &done, &failed);
    telling_go_on(&run->telling, done, failed);
}

/* Wait until there is something to do. 0 or MPROC_TIMEOUT. */
static int run_await(struct run *run, int64_t deadline)
{
    for (;;) {
        int64_t tell_at = run->telling.at;
        bool is_to_tell = tell_at < OS_NEVER && tell_at < deadline;
        int result = host_wait(run->pool, run_cell(run), run_has_news, run, is_to_tell ? tell_at : deadline);
        if (result == 0 || !is_to_tell)
            return result;
        run_tell(run);
    }
}

static void stop(struct run *run)
{
    run->stopped = true;
    for (size_t i = 0; i < run->portion_count; i++)
        if (run->portions[i].busy)
            host_stop(run->pool, run->portions[i].job);
}

/* ---- the run ---- */

/* Launch, wait and empty until the end. A failure to launch is that of the map only before the first launch. */
static int work_portions(struct run *run, int64_t deadline)
{
    bool timed_out = false;
    while (run->busy || !is_last(run)) {
        int result = is_last(run) ? 0 : portion_fill(run);
        if (result && run->next == 0)
            return result;
        if (result == MPROC_CLOSED) { /* the pool's jobs are stopped, and this one's with them */
            run->stopped = true;
        } else if (result) {
            run->error = result;
            stop(run);
        }
        if (run->busy && run_await(run, timed_out ? OS_NEVER : deadline) == MPROC_TIMEOUT) {
            timed_out = true;
            stop(run);
        } else if (!run->busy && !is_last(run)) {
            host_nap(run->pool);
        }
        empty_settled(run);
        if (!run->stopped && telling_is_due(&run->telling) && run->emptied < run->map->count)
            run_tell(run);
    }
    map_cancel_items(run->map, run->next, run->map->count);
    map_hand_over(run->map, run->portions[0].job);
    run->whole = run->whole && run->next == run->map->count;
    if (run->whole)
        telling_report_done(&run->telling, run->map->count);
    telling_end(&run->telling, run->settled, run->failed, run->settled == run->map->count);
    int result = job_result(run->flags, run->whole);
    if (result == MPROC_CANCELLED && run->error)
        return run->error;
    if (result == MPROC_BROKEN)
        return host_broken(run->pool);
    return result == MPROC_CANCELLED && timed_out ? MPROC_TIMEOUT : result;
}

static void divide(struct run *run)
{
    size_t count = run->map->count;
    size_t bytes = run->wish->copies.bytes_per_item;
    size_t most = pool_wanted(run->pool->shared) + (size_t)PORTIONS_MORE;
    size_t portion_bytes = PORTIONS_BYTES / most < PORTION_BYTES ? PORTIONS_BYTES / most : PORTION_BYTES;
    run->portion_size = count;
    run->portion_count = 1;
    if (bytes == 0 || count <= AT_ONCE_BYTES / bytes || run->wish->is_call)
        return;
    size_t chunks = portion_bytes / bytes / run->wish->chunk;
    if (chunks == 0)
        chunks = 1;
    if (chunks > (count - 1) / run->wish->chunk)
        return;
    run->portion_size = chunks * run->wish->chunk;
    run->portion_count = (count - 1) / run->portion_size + 1;
    run->portion_count = run->portion_count < most ? run->portion_count : most;
}

static void free_portions(struct run *run, size_t count)
{
    for (size_t i = count; i-- > 0;)
        if (run->portions[i].job)
            host_free_job(run->pool, run->portions[i].job);
}

static int run_several(struct run *run, int64_t deadline)
{
    size_t count = run->portion_count;
    int result = host_promise(run->pool);
    if (result)
        return result;
    run->portions = os_malloc(count * sizeof *run->portions);
    result = run->portions ? 0 : -ENOMEM;
    if (!result) {
        memset(run->portions, 0, count * sizeof *run->portions);
        result = work_portions(run, deadline);
        free_portions(run, count);
        free(run->portions);
    }
    host_end_promise(run->pool);
    return result;
}

int map_run(mproc_pool *pool, const mproc_map *map, const struct host_job *wish, int64_t deadline)
{
    struct portion only = {.job = NULL};
    struct run run = {.pool = pool, .map = map, .wish = wish, .whole = true, .portions = &only};
    telling_begin(&run.telling, map->progress, map->progress_arg, map->show, map->count);
    divide(&run);
    if (run.portion_count > 1)
        return run_several(&run, deadline);
    int result = pool_state(pool->shared) == POOL_OPEN ? work_portions(&run, deadline) : MPROC_CLOSED;
    free_portions(&run, 1);
    return result;
}
