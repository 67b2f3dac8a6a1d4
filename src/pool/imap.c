/* A map over inputs that come one after another. A few windows, each a job of one chunk, are launched with inputs, and
 * launched again when their results were handed out: so what is held is bounded, however many inputs there are.
 *
 * Only the caller's thread is here. All windows wake the cell of the first one, which is freed last. */
#include "os/allocate.h"
#include "os/clock.h"
#include "pool/host.h"
#include "pool/postmortem.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

#define WINDOWS_FOR_EACH_WORKER 4

struct window {
    struct job *job;
    size_t first;  /* the number of its first input */
    size_t count;  /* inputs; 0: not launched */
    size_t handed; /* results that were handed out */
    size_t bytes;  /* of its inputs, as they were weighed */
    size_t from;   /* for job_is_settled() */
};

struct mproc_imap {
    mproc_pool *pool;
    mproc_imap_options options;
    struct host_job wish;
    struct window *windows;
    size_t window_count;
    size_t made;     /* windows that have a job */
    size_t head;     /* the window whose results are next, or where to look first */
    size_t taken;    /* inputs */
    size_t busy;     /* windows that were launched and not handed out */
    size_t bytes;    /* of all inputs in these */
    int end;         /* 0, or what the source said when it ended */
    bool has_status; /* an item was handed out */
    mproc_item_status last;
    const struct window *last_window; /* where it was, or NULL when that was launched again */
    size_t last_item;
    unsigned char *inputs; /* of one window, on their way */
};

/* ---- inputs ---- */

static struct wait_cell *cell_of(const mproc_imap *imap)
{
    return &imap->windows[0].job->cell;
}

static bool is_full(const mproc_imap *imap)
{
    return imap->options.bytes_in_flight && imap->bytes >= imap->options.bytes_in_flight;
}

/* Count the bytes of an input that was taken: more than can be counted are as many as can. */
static void weigh(mproc_imap *imap, const void *in)
{
    const mproc_imap_options *options = &imap->options;
    size_t bytes = options->weigh ? options->weigh(options->arg, in) : options->in_size + options->out_size;
    imap->bytes = bytes < SIZE_MAX - imap->bytes ? imap->bytes + bytes : SIZE_MAX;
}

/* Take inputs for one window. Returns how many. */
static size_t take_inputs(mproc_imap *imap)
{
    size_t size = imap->options.in_size;
    size_t count = 0;
    while (count < imap->wish.chunk && !is_full(imap)) {
        unsigned char *in = imap->inputs + count * size;
        memset(in, 0, size);
        imap->end = imap->options.next(imap->options.arg, in);
        if (imap->end)
            break;
        weigh(imap, in);
        count++;
    }
    return count;
}

static int launch(mproc_imap *imap, struct window *window)
{
    size_t before = imap->bytes;
    size_t count = take_inputs(imap);
    if (count == 0)
        return 0;
    if (imap->last_window == window)
        imap->last_window = NULL;
    int result = host_launch(imap->pool, window->job, &imap->wish, 0, count, true);
    if (result) { /* CLOSED in spite of the promise: the pool was terminated */
        imap->end = result == MPROC_CLOSED ? MPROC_CANCELLED : result;
        return result;
    }
    *window = (struct window){.job = window->job, .first = imap->taken, .count = count, .bytes = imap->bytes - before};
    imap->taken += count;
    imap->busy++;
    return 0;
}

/* Launch every window that has nothing to hand out, in the order in which their results will be. */
static int fill(mproc_imap *imap)
{
    int result = 0;
    for (size_t i = 0; i < imap->window_count && !imap->end && !result && !is_full(imap); i++) {
        struct window *window = &imap->windows[(imap->head + i) % imap->window_count];
        if (window->count)
            continue;
        if (host_take_back(imap->pool, window->job)) /* else a worker is still about to leave it */
            result = launch(imap, window);
        else if (!imap->options.unordered)
            break; /* those behind it would be before it */
    }
    return result;
}

/* ---- results ---- */

static bool is_settled(struct window *window)
{
    return window->count && job_is_settled(window->job, &window->from);
}

/* A window with a result to hand out, or NULL. In order only the head will do. */
static struct window *settled_window(mproc_imap *imap)
{
    size_t looks = imap->options.unordered ? imap->window_count : 1;
    for (size_t i = 0; i < looks; i++) {
        size_t at = (imap->head + i) % imap->window_count;
        if (!is_settled(&imap->windows[at]))
            continue;
        imap->head = at;
        return &imap->windows[at];
    }
    return NULL;
}

static bool has_result(void *imap)
{
    return settled_window(imap) != NULL;
}

static mproc_item_status status_of(const struct window *window, size_t item)
{
    const struct job *job = window->job;
    if (job_flags(job) & JOB_NO_FUNCTION)
        return (mproc_item_status){.result = MPROC_NO_FUNCTION};
    if (item >= job_chunk_settled(atomic_load_explicit(&job->chunks[0], memory_order_acquire)))
        return (mproc_item_status){.result = MPROC_CANCELLED};
    return job->own_status[item];
}

/* Hand out the next result of a settled window. */
static int hand_out(mproc_imap *imap, struct window *window, void *out, size_t *index)
{
    size_t item = window->handed++;
    imap->last = status_of(window, item);
    imap->has_status = true;
    imap->last_window = window;
    imap->last_item = item;
    if (index)
        *index = window->first + item;
    if (out && imap->options.out_size)
        memcpy(out, window->job->own_out + item * imap->options.out_size, imap->options.out_size);
    if (window->handed == window->count) {
        window->count = 0;
        imap->bytes -= window->bytes;
        imap->busy--;
        imap->head = (imap->head + 1) % imap->window_count;
    }
    return imap->last.result;
}

int mproc_imap_next(mproc_imap *imap, void *out, size_t *index, mproc_time timeout)
{
    if (!imap || !os_timeout_is_valid(timeout))
        return -EINVAL;
    int result = host_check(imap->pool);
    if (result)
        return result;
    int64_t deadline = os_deadline(timeout);
    for (;;) {
        fill(imap);
        if (imap->busy) {
            result = host_wait(imap->pool, cell_of(imap), has_result, imap, deadline);
            return result ? result : hand_out(imap, settled_window(imap), out, index);
        }
        if (imap->end) {
            result = imap->end;
            imap->end = MPROC_CLOSED;
            return result;
        }
        if (deadline != OS_NEVER && os_until(deadline) == 0)
            return MPROC_TIMEOUT;
        host_nap(imap->pool); /* a worker is about to leave a job that could be launched then */
    }
}

const void *mproc_imap_result(const mproc_imap *imap)
{
    const struct window *window = imap ? imap->last_window : NULL;
    return window ? window->job->own_out + imap->last_item * imap->options.out_size : NULL;
}

int mproc_imap_status(const mproc_imap *imap, mproc_item_status *status)
{
    if (!imap || !status || !imap->has_status)
        return -EINVAL;
    *status = imap->last;
    return 0;
}

int mproc_imap_postmortem(const mproc_imap *imap, mproc_postmortem *postmortem)
{
    if (!imap || !postmortem || !imap->has_status)
        return -EINVAL;
    const struct window *window = imap->last_window;
    bool died = window && postmortem_read_item(window->job, imap->last_item, window->first, postmortem);
    return died ? 0 : MPROC_CLOSED;
}

/* ---- making and freeing ---- */

/* The job of each window, but for the memory from which it copies its inputs. 0, or why these are no options. */
static int plan(const mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_imap_options *options,
                struct host_job *wish)
{
    size_t bytes;
    if (!fn || !options || !reserved_is_zero(options->reserved, sizeof options->reserved) || !options->next ||
        !options->in_size || (options->ctx_size && !ctx))
        return -EINVAL;
    size_t chunk = options->chunk ? options->chunk : 1;
    if ((options->in_flight && options->in_flight < chunk) || __builtin_mul_overflow(chunk, options->in_size, &bytes) ||
        __builtin_mul_overflow(chunk, options->out_size, &bytes) ||
        __builtin_mul_overflow(chunk, sizeof(mproc_item_status), &bytes))
        return -EINVAL;
    *wish = (struct host_job){.task = fn,
                              .ctx = ctx,
                              .ctx_size = options->ctx_size,
                              .in_size = options->in_size,
                              .copy_in = true,
                              .out_size = options->out_size,
                              .own_status = true,
                              .priority = options->priority,
                              .count = chunk,
                              .chunk = chunk};
    if (!host_limit_items(wish, options->item_timeout, options->retries, options->retry_on))
        return -EINVAL;
    return host_check(pool);
}

static int make_jobs(mproc_imap *imap)
{
    int result = 0;
    while (!result && imap->made < imap->window_count) {
        struct job **job = &imap->windows[imap->made].job;
        result = host_make_sibling(imap->pool, &imap->wish, imap->wish.chunk, imap->windows[0].job, job);
        imap->made += !result;
    }
    return result;
}

static bool none_is_busy(void *arg)
{
    mproc_imap *imap = arg;
    for (size_t i = 0; i < imap->made; i++)
        if (imap->windows[i].count && !is_settled(&imap->windows[i]))
            return false;
    return true;
}

static void discard(mproc_imap *imap)
{
    for (size_t i = 0; i < imap->made; i++)
        if (imap->windows[i].count)
            host_stop(imap->pool, imap->windows[i].job);
    if (imap->made)
        host_wait(imap->pool, cell_of(imap), none_is_busy, imap, OS_NEVER);
    while (imap->made)
        host_free_job(imap->pool, imap->windows[--imap->made].job);
    free(imap->windows);
    free(imap->inputs);
    free(imap);
}

static int make(mproc_pool *pool, const mproc_imap_options *options, const struct host_job *wish, mproc_imap **imap)
{
    size_t chunk = wish->chunk;
    mproc_imap *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    size_t windows =
        options->in_flight ? options->in_flight / chunk : (size_t)pool_wanted(pool->shared) * WINDOWS_FOR_EACH_WORKER;
    *made = (mproc_imap){.pool = pool, .options = *options, .wish = *wish, .window_count = windows};
    size_t bytes;
    if (!__builtin_mul_overflow(windows, sizeof *made->windows, &bytes))
        made->windows = os_malloc(bytes);
    made->inputs = made->windows ? os_malloc(chunk * options->in_size) : NULL;
    if (!made->inputs) {
        discard(made);
        return -ENOMEM;
    }
    memset(made->windows, 0, bytes);
    made->wish.in = made->inputs;
    *imap = made;
    return 0;
}

int mproc_pool_imap(mproc_pool *pool, mproc_imap **imap, mproc_task *fn, void *ctx, const mproc_imap_options *options)
{
    if (!imap)
        return -EINVAL;
    *imap = NULL;
    mproc_imap *made;
    struct host_job wish;
    int result = plan(pool, fn, ctx, options, &wish);
    if (!result)
        result = make(pool, options, &wish, &made);
    if (result)
        return result;
    result = host_promise(pool);
    if (result) {
        discard(made);
        return result;
    }
    result = make_jobs(made);
    if (!result)
        result = fill(made);
    if (result)
        mproc_imap_free(made);
    else
        *imap = made;
    return result;
}

mproc_imap *mproc_imap_free(mproc_imap *imap)
{
    if (imap && host_check(imap->pool) == 0) {
        mproc_pool *pool = imap->pool;
        discard(imap);
        host_end_promise(pool);
    }
    return NULL;
}
