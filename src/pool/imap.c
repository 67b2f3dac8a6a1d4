/* A map over inputs that come one after another. A few windows, each a job of one chunk, are launched with inputs, and
 * launched again when their results were handed out: so what is held is bounded, however many inputs there are.
 *
 * Only the caller's thread is here. All windows wake the cell of the first one, which is freed last. */
#include "os/allocate.h"
#include "os/clock.h"
#include "pool/inputs.h"
#include "pool/postmortem.h"
#include "pool/progress.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

#define WINDOWS_FOR_EACH_WORKER 4

/* Between two reports of progress, so that there are never more than ten in a second. */
#define PROGRESS_PAUSE OS_MS(112)

struct window {
    struct job *job;
    size_t first;  /* the number of its first input */
    size_t length; /* inputs that it was last launched with; they are there until it is launched again */
    size_t count;  /* the same until all results were handed out; then 0, as at first */
    size_t deaths; /* that the caller was told of */
    size_t handed; /* results that were handed out */
    size_t bytes;  /* of its inputs, as they were weighed */
    size_t from;   /* for job_is_settled() */
};

struct mproc_imap {
    struct tag tag;
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
    size_t failed;         /* items that ended badly, of windows that were handed out */
    size_t told;           /* progress: items, */
    int64_t tell_at;       /* and when next; OS_NEVER: nobody asks, or all was told */
    struct progress line;
};

/* Whether neither it nor its pool was freed: 0, -EINVAL, -ESTALE. */
static int check(const mproc_imap *imap)
{
    int result = tag_check(imap ? &imap->tag : NULL, TAG_IMAP);
    return result ? result : tag_check(&imap->pool->tag, TAG_POOL);
}

/* ---- inputs ---- */

static struct wait_cell *cell_of(const mproc_imap *imap)
{
    return &imap->windows[0].job->cell;
}

static bool is_full(const mproc_imap *imap)
{
    return imap->options.bytes_in_flight && imap->bytes >= imap->options.bytes_in_flight;
}

/* Have the next input written to its place. As the source says. */
static int ask_source(mproc_imap *imap, unsigned char *in)
{
    const mproc_imap_options *options = &imap->options;
    memset(in, 0, imap->wish.in_size);
    return options->next ? options->next(options->arg, in)
                         : options->next_input(options->arg, (mproc_input *)(void *)in);
}

/* Where other inputs follow before the window is launched, the source may need the memory again. */
static int keep_data(const mproc_imap *imap, mproc_input *input)
{
    if (!input->size || imap->wish.chunk == 1)
        return !input->data && input->size ? -EINVAL : 0;
    void *copy = input->data ? os_malloc(input->size) : NULL;
    if (!copy)
        return input->data ? -ENOMEM : -EINVAL;
    input->data = memcpy(copy, input->data, input->size);
    return 0;
}

static void free_data(const mproc_imap *imap, size_t count)
{
    const mproc_input *inputs = (const mproc_input *)(void *)imap->inputs;
    for (size_t i = 0; i < count && imap->wish.has_inputs && imap->wish.chunk > 1; i++)
        if (inputs[i].size)
            free((void *)(uintptr_t)inputs[i].data);
}

/* Count the bytes of an input that was taken: more than can be counted are as many as can. */
static void weigh(mproc_imap *imap, const unsigned char *in)
{
    const mproc_imap_options *options = &imap->options;
    const mproc_input *input = (const mproc_input *)(const void *)in;
    const void *data = options->next ? in : input->data;
    size_t size = options->next ? options->in_size : input->size;
    size_t bytes = size;
    if (options->weigh)
        bytes = options->weigh(options->arg, data);
    else if (__builtin_add_overflow(size, options->out_size, &bytes))
        bytes = SIZE_MAX;
    imap->bytes = bytes < SIZE_MAX - imap->bytes ? imap->bytes + bytes : SIZE_MAX;
}

/* Take inputs for one window. Returns how many. */
static size_t take_inputs(mproc_imap *imap)
{
    size_t count = 0;
    while (count < imap->wish.chunk && !is_full(imap)) {
        unsigned char *in = imap->inputs + count * imap->wish.in_size;
        imap->end = ask_source(imap, in);
        if (!imap->end && imap->wish.has_inputs)
            imap->end = keep_data(imap, (mproc_input *)(void *)in);
        if (imap->end)
            break;
        weigh(imap, in);
        count++;
    }
    return count;
}

static int launch(mproc_imap *imap, struct window *window)
{
    if (job_flags(window->job) & JOB_BROKEN) {
        imap->end = MPROC_BROKEN;
        return MPROC_BROKEN;
    }
    size_t before = imap->bytes;
    size_t count = take_inputs(imap);
    if (count == 0)
        return 0;
    if (imap->last_window == window)
        imap->last_window = NULL;
    int result = host_launch(imap->pool, window->job, &imap->wish, 0, count, true);
    free_data(imap, count);
    if (result) { /* CLOSED in spite of the promise: the pool was terminated */
        imap->end = result == MPROC_CLOSED ? MPROC_CANCELLED : result;
        return result;
    }
    *window = (struct window){
        .job = window->job, .first = imap->taken, .length = count, .count = count, .bytes = imap->bytes - before};
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

/* ---- deaths ---- */

static bool has_untold_deaths(const mproc_imap *imap, const struct window *window)
{
    return imap->options.died && window->count && postmortem_count(window->job) > window->deaths;
}

/* A window whose last result is handed out has told all: its deaths were noted before it was settled. */
static void tell_deaths(mproc_imap *imap)
{
    mproc_postmortem postmortem;
    for (size_t i = 0; imap->options.died && i < imap->window_count; i++) {
        struct window *window = &imap->windows[i];
        while (has_untold_deaths(imap, window) &&
               postmortem_read(window->job, window->deaths, window->first, &postmortem)) {
            window->deaths++;
            imap->options.died(imap->options.died_arg, &postmortem);
        }
    }
}

/* ---- progress ---- */

static size_t items_failed(const struct window *window)
{
    return load_relaxed(&window->job->failures);
}

static size_t items_settled(const struct window *window)
{
    uint64_t word = load_acquire(&window->job->chunks[0]);
    return job_chunk_is_settled(word) ? window->count : job_chunk_settled(word);
}

static void count_items(const mproc_imap *imap, size_t *done, size_t *failed)
{
    *done = imap->taken;
    *failed = imap->failed;
    for (size_t i = 0; i < imap->window_count; i++) {
        const struct window *window = &imap->windows[i];
        if (!window->count)
            continue;
        *done -= window->count - items_settled(window);
        *failed += items_failed(window);
    }
}

static void tell(mproc_imap *imap)
{
    const mproc_imap_options *options = &imap->options;
    size_t done, failed;
    imap->tell_at = os_now() + PROGRESS_PAUSE;
    count_items(imap, &done, &failed);
    if (options->progress && done > imap->told) {
        imap->told = done;
        options->progress(options->progress_arg, done, options->total);
    }
    if (options->show)
        progress_show(&imap->line, done, failed);
}

/* For the last time. */
static void tell_end(mproc_imap *imap, bool is_whole)
{
    size_t done, failed;
    if (imap->tell_at == OS_NEVER)
        return;
    imap->tell_at = OS_NEVER;
    count_items(imap, &done, &failed);
    if (imap->options.progress && is_whole && done > imap->told)
        imap->options.progress(imap->options.progress_arg, done, imap->options.total);
    if (imap->options.show)
        progress_end(&imap->line, done, failed, is_whole);
}

/* ---- waiting ---- */

static bool has_news(void *arg)
{
    mproc_imap *imap = arg;
    if (settled_window(imap))
        return true;
    for (size_t i = 0; imap->options.died && i < imap->window_count; i++)
        if (has_untold_deaths(imap, &imap->windows[i]))
            return true;
    return false;
}

/* Wait until a window is settled. 0 or MPROC_TIMEOUT. */
static int await_result(mproc_imap *imap, int64_t deadline)
{
    for (;;) {
        bool is_to_tell = imap->tell_at < OS_NEVER && imap->tell_at < deadline;
        int result = host_wait(imap->pool, cell_of(imap), has_news, imap, is_to_tell ? imap->tell_at : deadline);
        tell_deaths(imap);
        if (imap->tell_at != OS_NEVER && imap->tell_at <= os_now())
            tell(imap);
        if (settled_window(imap))
            return 0;
        if (result && (!is_to_tell || os_until(deadline) == 0))
            return result;
    }
}

static mproc_item_status status_of(const struct window *window, size_t item)
{
    const struct job *job = window->job;
    if (job_flags(job) & JOB_NO_FUNCTION)
        return (mproc_item_status){.result = MPROC_NO_FUNCTION};
    if (item >= job_chunk_settled(load_acquire(&job->chunks[0])))
        return (mproc_item_status){.result = job_flags(job) & JOB_BROKEN ? MPROC_BROKEN : MPROC_CANCELLED};
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
        imap->failed += items_failed(window);
        window->count = 0;
        imap->bytes -= window->bytes;
        imap->busy--;
        imap->head = (imap->head + 1) % imap->window_count;
    }
    return imap->last.result;
}

static struct yield *last_yield(const mproc_imap *imap)
{
    const struct window *window = check(imap) ? NULL : imap->last_window;
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
static int end(mproc_imap *imap)
{
    int result = imap->end;
    tell_end(imap, result == MPROC_CLOSED);
    imap->end = MPROC_CLOSED;
    return result;
}

int mproc_imap_next(mproc_imap *imap, void *out, size_t *index, mproc_time timeout)
{
    int result = os_timeout_is_valid(timeout) ? check(imap) : -EINVAL;
    if (!result)
        result = host_check(imap->pool);
    if (result)
        return outcome(__func__, result);
    int64_t deadline = os_deadline(timeout);
    forget_last(imap);
    for (;;) {
        fill(imap);
        if (imap->busy) {
            result = await_result(imap, deadline);
            return outcome(__func__,
                           result ? os_outcome(result, timeout) : hand_out(imap, settled_window(imap), out, index));
        }
        if (imap->end)
            return outcome(__func__, end(imap));
        if (os_until(deadline) == 0) {
            host_look(imap->pool);
            return outcome(__func__, os_outcome(MPROC_TIMEOUT, timeout));
        }
        host_nap(imap->pool); /* a worker is about to leave a job that could be launched then */
    }
}

static const void *result_of(const mproc_imap *imap, size_t *size)
{
    const struct yield *yield = last_yield(imap);
    const void *result = yield ? yield_result(yield, size) : NULL;
    if (result)
        return result;
    bool has_out = check(imap) == 0 && imap->last_window && imap->options.out_size;
    *size = has_out ? imap->options.out_size : 0;
    return has_out ? imap->last_window->job->own_out + imap->last_item * imap->options.out_size : NULL;
}

const void *mproc_imap_result(const mproc_imap *imap)
{
    size_t size;
    return result_of(imap, &size);
}

size_t mproc_imap_result_size(const mproc_imap *imap)
{
    size_t size;
    result_of(imap, &size);
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

static const void *input_at(const mproc_imap *imap, const struct window *window, size_t item, size_t *size)
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
    if (check(imap))
        return NULL;
    for (size_t i = 0; i < imap->made; i++) {
        const struct window *window = &imap->windows[i];
        if (index - window->first < window->length)
            return input_at(imap, window, index - window->first, size);
    }
    return NULL;
}

int mproc_imap_status(const mproc_imap *imap, mproc_item_status *status)
{
    int result = check(imap);
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
    int result = check(imap);
    if (result)
        return outcome(__func__, result);
    if (!postmortem)
        return refuse(__func__, "postmortem is NULL");
    if (!imap->has_status)
        return refuse(__func__, "no result was got from this imap yet");
    const struct window *window = imap->last_window;
    bool died = window && postmortem_read_item(window->job, imap->last_item, window->first, postmortem);
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
static const char *wrong_options(mproc_task *fn, const void *ctx, const mproc_imap_options *options)
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

/* The job of each window, but for the memory from which it copies its inputs. 0, or why there can be none. */
static int plan(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_imap_options *options, struct host_job *wish)
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
    if (!host_limit_items(wish, options->item_timeout, options->retries, options->retry_on))
        return -EINVAL;
    int result = host_check(pool);
    return result ? result : host_check_privileges(pool, false);
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
    free(imap->windows);
    free(imap->inputs);
    tag_end(&imap->tag);
    host_let_go(imap->pool);
    tag_free(&imap->tag);
}

static void end_jobs(mproc_imap *imap)
{
    for (size_t i = 0; i < imap->made; i++)
        if (imap->windows[i].count)
            host_stop(imap->pool, imap->windows[i].job);
    if (imap->made)
        host_wait(imap->pool, cell_of(imap), none_is_busy, imap, OS_NEVER);
    while (imap->made)
        host_free_job(imap->pool, imap->windows[--imap->made].job);
}

static int make(mproc_pool *pool, const mproc_imap_options *options, const struct host_job *wish, mproc_imap **imap)
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
        discard(made);
        return -ENOMEM;
    }
    memset(made->windows, 0, bytes);
    made->wish.in = made->inputs;
    host_decide_copies(&made->wish);
    made->tell_at = options->progress || options->show ? os_now() + PROGRESS_PAUSE : OS_NEVER;
    if (options->show)
        progress_begin(&made->line, options->show, options->total);
    *imap = made;
    return 0;
}

int mproc_pool_imap(mproc_pool *pool, mproc_imap **imap, mproc_task *fn, void *ctx, const mproc_imap_options *options)
{
    if (!imap)
        return refuse(__func__, "imap is NULL");
    *imap = NULL;
    const char *wrong = wrong_options(fn, ctx, options);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    mproc_imap *made;
    struct host_job wish;
    int result = plan(pool, fn, ctx, options, &wish);
    if (!result)
        result = make(pool, options, &wish, &made);
    if (result)
        return outcome(__func__, result);
    result = host_promise(pool);
    if (result) {
        discard(made);
        return outcome(__func__, result);
    }
    result = make_jobs(made);
    if (!result)
        result = fill(made);
    if (result)
        mproc_imap_free(made);
    else
        *imap = made;
    return outcome(__func__, result);
}

static void give_up(mproc_imap *imap)
{
    if (host_check(imap->pool) == 0) {
        tell_end(imap, false);
        end_jobs(imap);
        host_end_promise(imap->pool);
    }
    discard(imap);
}

mproc_imap *mproc_imap_free(mproc_imap *imap)
{
    failure_hold();
    if (imap && tag_check(&imap->tag, TAG_IMAP) == 0)
        give_up(imap);
    failure_release();
    return NULL;
}
