/* The windows of an imap: each takes inputs, is launched with them, and again when its results were handed out. Only
 * the caller's thread is here. */
#include "os/allocate.h"
#include "pool/host/imap.h"
#include "pool/host/inputs.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

/* ---- inputs ---- */

struct wait_cell *imap_cell(const mproc_imap *imap)
{
    return &imap->windows[0].job->cell;
}

static bool imap_window_is_full(const mproc_imap *imap)
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
    if (!input->data && input->size)
        return failure(-EINVAL, "options.next_input gave an input with a size, but without data");
    if (!input->size || imap->wish.chunk == 1)
        return 0;
    void *copy = os_malloc(input->size);
    if (!copy)
        return -ENOMEM;
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
    while (count < imap->wish.chunk && !imap_window_is_full(imap)) {
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

static int imap_window_launch(mproc_imap *imap, struct imap_window *window)
{
    if (job_flags(window->job) & JOB_BROKEN) {
        imap->end = host_broken(imap->pool);
        return imap->end;
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
    *window = (struct imap_window){
        .job = window->job, .first = imap->taken, .length = count, .count = count, .bytes = imap->bytes - before};
    imap->taken += count;
    imap->busy++;
    return 0;
}

int imap_fill(mproc_imap *imap)
{
    int result = 0;
    for (size_t i = 0; i < imap->window_count && !imap->end && !result && !imap_window_is_full(imap); i++) {
        struct imap_window *window = &imap->windows[(imap->head + i) % imap->window_count];
        if (window->count)
            continue;
        if (host_take_back(imap->pool, window->job)) /* else a worker is still about to leave it */
            result = imap_window_launch(imap, window);
        else if (!imap->options.unordered)
            break; /* those behind it would be before it */
    }
    return result;
}

/* ---- results ---- */

bool imap_window_is_settled(struct imap_window *window)
{
    return window->count && job_is_settled(window->job, &window->from);
}

struct imap_window *imap_settled_window(mproc_imap *imap)
{
    size_t looks = imap->options.unordered ? imap->window_count : 1;
    for (size_t i = 0; i < looks; i++) {
        size_t at = (imap->head + i) % imap->window_count;
        if (!imap_window_is_settled(&imap->windows[at]))
            continue;
        imap->head = at;
        return &imap->windows[at];
    }
    return NULL;
}

/* ---- progress ---- */

size_t imap_items_failed(const struct imap_window *window)
{
    return load_relaxed(&window->job->failures);
}

static size_t imap_window_items_settled(const struct imap_window *window)
{
    uint64_t word = load_acquire(&window->job->chunks[0]);
    return job_chunk_is_settled(word) ? window->count : job_chunk_settled(word);
}

void imap_count_items(const mproc_imap *imap, size_t *done, size_t *failed)
{
    *done = imap->taken;
    *failed = imap->failed;
    for (size_t i = 0; i < imap->window_count; i++) {
        const struct imap_window *window = &imap->windows[i];
        if (!window->count)
            continue;
        *done -= window->count - imap_window_items_settled(window);
        *failed += imap_items_failed(window);
    }
}

/* ---- making and freeing ---- */

int imap_make_jobs(mproc_imap *imap)
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
        if (imap->windows[i].count && !imap_window_is_settled(&imap->windows[i]))
            return false;
    return true;
}

void imap_end_jobs(mproc_imap *imap)
{
    for (size_t i = 0; i < imap->made; i++)
        if (imap->windows[i].count)
            host_stop(imap->pool, imap->windows[i].job);
    if (imap->made)
        host_wait(imap->pool, imap_cell(imap), none_is_busy, imap, OS_NEVER);
    while (imap->made)
        host_free_job(imap->pool, imap->windows[--imap->made].job);
}
