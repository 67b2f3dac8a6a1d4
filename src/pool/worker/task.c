/* What a task may ask of the worker that runs it: the size of its input, room for a result of any size, and to keep the
 * text of an error. A job that has such inputs or results is run through worker_run_task(), any other without it. */
#include "pool/worker/worker.h"

#include "util/atomic.h"
#include "util/failure.h"

#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>

/* A task and a copy of the worker that it has forked return here; the copy has nothing more to do with the item. */
int worker_run_task(void *ctx, const void *in, void *out)
{
    struct worker *worker = worker_of_thread();
    struct job *job = worker->job;
    uint64_t item = load_relaxed(&worker->slot->current) >> 1;
    struct yield *yield = job->yields ? &job->yields[item] : NULL;
    worker->yield = yield;
    if (yield)
        yield_clear(yield); /* what an earlier try has left */
    if (job->has_inputs) {
        const mproc_input *input = in;
        in = input->data;
        worker->input_size = input->size;
    }
    int code = worker->task(ctx, in, out);
    if (worker_is_copy())
        return code;
    if (yield && code == 0)
        yield_drop_text(yield);
    worker->yield = NULL;
    return code;
}

/* The worker whose item the calling thread runs, or helps to run; NULL if there is none. */
static struct worker *worker_at_item(void)
{
    struct worker *worker = worker_of_thread();
    if (!worker)
        worker = worker_of_process();
    if (!worker || !(load_relaxed(&worker->slot->current) & 1))
        return NULL;
    return worker;
}

size_t mproc_task_input_size(void)
{
    const struct worker *worker = worker_at_item();
    if (!worker)
        return 0;
    return worker->job->has_inputs ? worker->input_size : worker->job->in_size;
}

void *mproc_task_result(size_t size)
{
    const struct worker *worker = worker_is_copy() ? NULL : worker_at_item();
    if (!worker)
        return outcome_null(__func__, failure(-EPERM, "the caller is no task of a pool"));
    if (!worker->yield || !worker->job->takes_results)
        return outcome_null(__func__, failure(-ENOTSUP, "who runs this task asks for no results: map.results is NULL"));
    if (size == 0)
        return outcome_null(__func__, failure(-EINVAL, "size is 0"));
    void *result = yield_resize(worker->yield, size);
    return result ? result : outcome_null(__func__, -errno);
}

int mproc_task_fail(const char *format, ...)
{
    const struct worker *worker = worker_is_copy() ? NULL : worker_at_item();
    if (!worker || !worker->yield || !worker->job->takes_texts || !format)
        return outcome(__func__, EXIT_FAILURE);
    va_list values;
    va_start(values, format);
    yield_set_text(worker->yield, format, values);
    va_end(values);
    return outcome(__func__, EXIT_FAILURE);
}
