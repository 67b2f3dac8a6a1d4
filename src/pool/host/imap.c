/* A map over inputs that come one after another. A few windows, each a job of one chunk, are launched with inputs, and
 * launched again when their results were handed out: so what is held is bounded, however many inputs there are.
 *
 * Only the caller's thread is here. All windows wake the cell of the first one, which is freed last. */
#include "pool/host/imap.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "pool/shared/job_postmortem.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

#define WINDOWS_FOR_EACH_WORKER 4

/* Whether neither it nor its pool was freed: 0, -EINVAL, -ESTALE. */
static int imap_check(const mproc_imap *imap)
{
    int result = tag_check(imap ? &imap->tag : NULL, TAG_IMAP);
    return result ? result : tag_check(&imap->pool->tag, TAG_POOL);
}

/* ---- deaths ---- */

static bool imap_has_untold_deaths(const mproc_imap *imap, const struct imap_window *window)
{
    return imap->options.died && window->count && job_postmortem_count(window->job) > window->deaths;
}

/* A window whose last result is handed out has told all: its deaths were noted before it was settled. */
static void imap_tell_deaths(mproc_imap *imap)
{
    mproc_postmortem postmortem;
    for (size_t i = 0; imap->options.died && i < imap->window_count; i++) {
        struct imap_window *window = &imap->windows[i];
        while (imap_has_untold_deaths(imap, window) &&
               job_postmortem_read(window->job, window->deaths, window->first, &postmortem)) {
            window->deaths++;
            imap->options.died(imap->options.died_arg, &postmortem);
        }
    }
}

/* ---- progress ---- */

static void imap_tell(mproc_imap *imap)
{
    size_t done, failed;
    imap_count_items(imap, &done, &failed);
    telling_go_on(&imap->telling, done, failed);
}

/* For the last time. */
static void tell_end(mproc_imap *imap, bool is_whole)
{
    size_t done, failed;
    if (imap->telling.at == OS_NEVER)
        return;
    imap_count_items(imap, &done, &failed);
    if (is_whole)
        telling_report_done(&imap->telling, done);
    telling_end(&imap->telling, done, failed, is_whole);
}

/* ---- waiting ---- */

static bool imap_has_news(void *arg)
{
    mproc_imap *imap = arg;
    if (imap_settled_window(imap))
        return true;
    for (size_t i = 0; imap->options.died && i < imap->window_count; i++)
        if (imap_has_untold_deaths(imap, &imap->windows[i]))
            return true;
    return false;
}

/* Wait until a window is settled. 0 or MPROC_TIMEOUT. */
static int await_result(mproc_imap *imap, int64_t deadline)
{
    for (;;) {
        int64_t tell_at = imap->telling.at;
        bool is_to_tell = tell_at < OS_NEVER && tell_at < deadline;
        int result = host_wait(imap->pool, imap_cell(imap), imap_has_news, imap, is_to_tell ? tell_at : deadline);
        imap_tell_deaths(imap);
        if (telling_is_due(&imap->telling))
            imap_tell(imap);
        if (imap_settled_window(imap))
            return 0;
        if (result && (!is_to_tell || os_until(deadline) == 0))
            return result;
    }
}

static mproc_item_status imap_status(const struct imap_window *window, size_t item)
{
    const struct job *job = window->job;
    if (job_flags(job) & JOB_NO_FUNCTION)
        return (mproc_item_status){.result = MPROC_NO_FUNCTION};
    if (item >= job_chunk_settled(load_acquire(&job->chunks[0])))
        return (mproc_item_status){.result = job_flags(job) & JOB_BROKEN ? MPROC_BROKEN : MPROC_CANCELLED};
    return job->own_status[item];
}

/* Hand out the next result of a settled window. */
static int hand_out(mproc_imap *imap, struct imap_window *window, void *out, size_t *index)
{
    size_t item = window->handed++;
    imap->last = imap_status(window, item);
    imap->has_status = true;
    imap->last_window = window;
    imap->last_item = item;
    if (index)
        *index = window->first + item;
    if (out && imap->options.out_size)
        memcpy(out, window->job->own_out + item * imap->options.out_size, imap->options.out_size);
    if (window->handed == window->count) {
        imap->failed += imap_items_failed(window);
        window->count = 0;
        imap->bytes -= window->bytes;
        imap->busy--;
        imap->head = (imap->head + 1) % imap->window_count;
    }
    return imap->last.result;
}

static struct yield *last_yield(const mproc_imap *imap)
{
    const struct imap_window *window = imap_check(imap) ? NULL : imap->last_window;
    return window && window->job->yields ? &window->job->yields[imap->last_item] : NULL;
}

/* What the last item has left is no longer asked for. */
static void forget_last(mproc_imap *imap)
{
    struct yield *yield = last_yield(imap);
    if (yield)
        yield_clear(yield);
}

/* There are no more results. Returns why, once. */
static int imap_end(mproc_imap *imap)
{
    int result = imap->end;
    tell_end(imap, result == MPROC_CLOSED);
    imap->end = MPROC_CLOSED;
    return result;
}

int mproc_imap_next(mproc_imap *imap, void *out, size_t *index, mproc_time timeout)
{
    int result = os_timeout_is_valid(timeout) ? imap_check(imap) : failure(-EINVAL, "timeout is negative");
    if (!result)
        result = host_check(imap->pool);
    if (result)
        return outcome(__func__, result);
    int64_t deadline = os_deadline(timeout);
    forget_last(imap);
    for (;;) {
        imap_fill(imap);
        if (imap->busy) {
            result = await_result(imap, deadline);
            return outcome(__func__, result ? os_outcome(result, timeout)
                                            : hand_out(imap, imap_settled_window(imap), out, index));
        }
        if (imap->end)
            return outcome(__func__, imap_end(imap));
        if (os_until(deadline) == 0) {
            host_look(imap->pool);
            return outcome(__func__, os_outcome(MPROC_TIMEOUT, timeout));
        }
        host_nap(imap->pool); /* a worker is about to leave a job that could be launched then */
    }
}

static const void *imap_result(const mproc_imap *imap, size_t *size)
{
    const struct yield *yield = last_yield(imap);
    const void *result = yield ? yield_result(yield, size) : NULL;
    if (result)
        return result;
    bool has_out = imap_check(imap) == 0 && imap->last_window && imap->options.out_size;
    *size = has_out ? imap->options.out_size : 0;
    return has_out ? imap->last_window->job->own_out + imap->last_item * imap->options.out_size : NULL;
}

const void *mproc_imap_result(const mproc_imap *imap)
{
    size_t size;
    return imap_result(imap, &size);
}

size_t mproc_imap_result_size(const mproc_imap *imap)
{
    size_t size;
    imap_result(imap, &size);
    return size;
}

void *mproc_imap_take_result(mproc_imap *imap, size_t *size)
{
    size_t unused;
    struct yield *yield = last_yield(imap);
    size = size ? size : &unused;
    *size = 0;
    return yield ? yield_take_result(yield, size) : NULL;
}

const char *mproc_imap_error(const mproc_imap *imap)
{
    const struct yield *yield = last_yield(imap);
    return yield ? yield_text(yield) : NULL;
}

static const void *input_at(const mproc_imap *imap, const struct imap_window *window, size_t item, size_t *size)
{
    const unsigned char *in = window->job->own_in + item * imap->wish.in_size;
    const mproc_input *input = (const mproc_input *)(const void *)in;
    *size = imap->wish.has_inputs ? input->size : imap->wish.in_size;
    return imap->wish.has_inputs ? input->data : in;
}

const void *mproc_imap_input(const mproc_imap *imap, size_t index, size_t *size)
{
    size_t unused;
    size = size ? size : &unused;
    *size = 0;
    if (imap_check(imap))
        return NULL;
    for (size_t i = 0; i < imap->made; i++) {
        const struct imap_window *window = &imap->windows[i];
        if (index - window->first < window->length)
            return input_at(imap, window, index - window->first, size);
    }
    return NULL;
}

int mproc_imap_status(const mproc_imap *imap, mproc_item_status *status)
{
    int result = imap_check(imap);
    if (result)
        return outcome(__func__, result);
    if (!status)
        return refuse(__func__, "status is NULL");
    if (!imap->has_status)
        return refuse(__func__, "no result was got from this imap yet");
    *status = imap->last;
    return 0;
}

int mproc_imap_postmortem(const mproc_imap *imap, mproc_postmortem *postmortem)
{
    int result = imap_check(imap);
    if (result)
        return outcome(__func__, result);
    if (!postmortem)
        return refuse(__func__, "postmortem is NULL");
    if (!imap->has_status)
        return refuse(__func__, "no result was got from this imap yet");
    const struct imap_window *window = imap->last_window;
    bool died = window && job_postmortem_read_item(window->job, imap->last_item, window->first, postmortem);
    return outcome(__func__, died ? 0 : MPROC_CLOSED);
}

/* ---- making and freeing ---- */

static size_t chunk_of(const mproc_imap_options *options)
{
    return options->chunk ? options->chunk : 1;
}

static bool chunk_is_too_large(const mproc_imap_options *options)
{
    size_t bytes, chunk = chunk_of(options);
    return __builtin_mul_overflow(chunk, options->in_size, &bytes) ||
           __builtin_mul_overflow(chunk, options->out_size, &bytes) ||
           __builtin_mul_overflow(chunk, sizeof(struct yield), &bytes);
}

/* What is wrong with them, or NULL. */
static const char *imap_wrong_options(mproc_task *fn, const void *ctx, const mproc_imap_options *options)
{
    if (!fn || !options)
        return fn ? "options is NULL" : "fn is NULL";
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return "a word of options.reserved is not 0";
    if (!options->next == !options->next_input)
        return "one of options.next and options.next_input is needed";
    if (!options->next != !options->in_size)
        return "options.in_size goes with options.next";
    if (options->ctx_size && !ctx)
        return "options.ctx_size is not 0, but ctx is NULL";
    if (options->in_flight && options->in_flight < options->chunk)
        return "options.in_flight is below options.chunk";
    if (chunk_is_too_large(options))
        return "options.chunk times the size of an item is more than can be";
    return NULL;
}

/* The job of each window, without the memory from which it copies its inputs. 0, or why there can be none. */
static int imap_plan(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_imap_options *options,
                     struct host_job *wish)
{
    size_t chunk = chunk_of(options);
    *wish = (struct host_job){.task = fn,
                              .ctx = ctx,
                              .ctx_size = options->ctx_size,
                              .in_size = options->next ? options->in_size : sizeof(mproc_input),
                              .has_inputs = options->next_input,
                              .copy_in = true,
                              .out_size = options->out_size,
                              .zeroes_out = !options->out_uninitialized,
                              .yields = chunk,
                              .takes_results = true,
                              .takes_texts = true,
                              .own_status = true,
                              .priority = options->priority,
                              .count = chunk,
                              .chunk = chunk};
    int result = host_limit_items(wish, "options", options->item_timeout, options->retries, options->retry_on);
    if (!result)
        result = host_check(pool);
    return result ? result : host_check_privileges(pool, false);
}

static void imap_discard(mproc_imap *imap)
{
    free(imap->windows);
    free(imap->inputs);
    tag_end(&imap->tag);
    host_let_go(imap->pool);
    tag_free(&imap->tag);
}

static int imap_make(mproc_pool *pool, const mproc_imap_options *options, const struct host_job *wish,
                     mproc_imap **imap)
{
    size_t chunk = wish->chunk;
    mproc_imap *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    size_t windows =
        options->in_flight ? options->in_flight / chunk : (size_t)pool_wanted(pool->shared) * WINDOWS_FOR_EACH_WORKER;
    host_hold(pool);
    *made =
        (mproc_imap){.tag.kind = TAG_IMAP, .pool = pool, .options = *options, .wish = *wish, .window_count = windows};
    size_t bytes;
    if (!__builtin_mul_overflow(windows, sizeof *made->windows, &bytes))
        made->windows = os_malloc(bytes);
    made->inputs = made->windows ? os_malloc(chunk * wish->in_size) : NULL;
    if (!made->inputs) {
        imap_discard(made);
        return -ENOMEM;
    }
    memset(made->windows, 0, bytes);
    made->wish.in = made->inputs;
    host_decide_copies(&made->wish);
    telling_begin(&made->telling, options->progress, options->progress_arg, options->show, options->total);
    *imap = made;
    return 0;
}

int mproc_pool_imap(mproc_pool *pool, mproc_imap **imap, mproc_task *fn, void *ctx, const mproc_imap_options *options)
{
    if (!imap)
        return refuse(__func__, "imap is NULL");
    *imap = NULL;
    const char *wrong = imap_wrong_options(fn, ctx, options);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    mproc_imap *made;
    struct host_job wish;
    int result = imap_plan(pool, fn, ctx, options, &wish);
    if (!result)
        result = imap_make(pool, options, &wish, &made);
    if (result)
        return outcome(__func__, result);
    result = host_promise(pool);
    if (result) {
        imap_discard(made);
        return outcome(__func__, result == MPROC_CLOSED ? host_closed() : result);
    }
    result = imap_make_jobs(made);
    if (!result)
        result = imap_fill(made);
    if (result)
        mproc_imap_free(made);
    else
        *imap = made;
    return outcome(__func__, result);
}

static void imap_give_up(mproc_imap *imap)
{
    if (host_check(imap->pool) == 0) {
        tell_end(imap, false);
        imap_end_jobs(imap);
        host_end_promise(imap->pool);
    }
    imap_discard(imap);
}

mproc_imap *mproc_imap_free(mproc_imap *imap)
{
    failure_hold();
    if (imap && tag_check(&imap->tag, TAG_IMAP) == 0)
        imap_give_up(imap);
    failure_release();
    return NULL;
}
