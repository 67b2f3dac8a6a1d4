/* mproc_pool_map() and mproc_pool_call(): what they are given. How it is run stands in map_run.c. */
#include "pool/host/map.h"

#include "os/clock.h"
#include "pool/host/inputs.h"
#include "pool/host/map_run.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

/* What is wrong with a map's arrays, or NULL. */
static const char *wrong_arrays(const mproc_map *map)
{
    size_t bytes;
    bool has_entries = map->inputs || map->status || map->results || map->errors;
    if (!map->in != !map->in_size)
        return "map.in and map.in_size go together";
    if (!map->out != !map->out_size)
        return "map.out and map.out_size go together";
    if (map->in && map->inputs)
        return "map.in and map.inputs exclude each other";
    if (__builtin_mul_overflow(map->count, map->in_size, &bytes) ||
        __builtin_mul_overflow(map->count, map->out_size, &bytes) ||
        (has_entries && __builtin_mul_overflow(map->count, sizeof(struct yield), &bytes)))
        return "map.count times the size of an item is more than can be";
    return NULL;
}

static const char *wrong_map(mproc_task *fn, const void *ctx, const mproc_map *map)
{
    if (!fn || !map)
        return fn ? "map is NULL" : "fn is NULL";
    if (!reserved_is_zero(map->reserved, sizeof map->reserved))
        return "a word of map.reserved is not 0";
    if (map->ctx_size && !ctx)
        return "map.ctx_size is not 0, but ctx is NULL";
    return wrong_arrays(map);
}

int map_plan(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, bool waits, struct host_job *wish)
{
    const char *wrong = wrong_map(fn, ctx, map);
    if (wrong)
        return failure(-EINVAL, "%s", wrong);
    *wish = (struct host_job){.task = fn,
                              .ctx = ctx,
                              .ctx_size = map->ctx_size,
                              .in = map->in,
                              .in_size = map->in_size,
                              .out = map->out,
                              .out_size = map->out_size,
                              .zeroes_out = !map->out_uninitialized,
                              .yields = map->results || map->errors ? map->count : 0,
                              .takes_results = map->results,
                              .takes_texts = map->errors,
                              .status = map->status,
                              .priority = map->priority,
                              .count = map->count};
    int result = host_limit_items(wish, "map", map->item_timeout, map->retries, map->retry_on);
    if (result)
        return result;
    host_choose_chunk(wish, map->chunk);
    result = host_check(pool);
    if (!result)
        result = host_check_privileges(pool, map->count <= 1);
    wish->in_place = !result && waits && pool->shared->threads;
    if (!result && map->inputs && !inputs_plan(wish, map->inputs, map->count))
        result = failure(-EINVAL, "an entry of map.inputs has a size without data, or they are more than can be");
    if (!result)
        host_decide_copies(wish);
    return result;
}

void map_hand_over(const mproc_map *map, struct job *job)
{
    for (size_t i = 0; i < map->count && (map->results || map->errors); i++) {
        mproc_output output = {0};
        const char *error = job ? yield_text(&job->all_yields[i]) : NULL;
        if (job)
            output.data = yield_result(&job->all_yields[i], &output.size);
        if (map->results)
            map->results[i] = output;
        if (map->errors)
            map->errors[i] = (char *)(uintptr_t)error;
    }
    if (job)
        store_forget_yields(job);
}

void map_cancel_items(const mproc_map *map, size_t begin, size_t end)
{
    for (size_t item = begin; map->status && item < end; item++)
        map->status[item] = (mproc_item_status){.result = MPROC_CANCELLED};
}

/* The items of a chunk that have their outcome are its first ones. */
static void empty_chunk(const struct job *job, const mproc_map *map, size_t first, size_t chunk)
{
    uint64_t word = load_acquire(&job->chunks[chunk]);
    size_t length = job_chunk_length(job, chunk);
    size_t settled = job_chunk_settled(word);
    size_t from = job_chunk_begin(job, chunk);
    size_t to = first + from;
    if (job->own_out)
        memcpy((unsigned char *)map->out + to * map->out_size, job->own_out + from * map->out_size,
               settled * map->out_size);
    if (job->own_status)
        memcpy(map->status + to, job->own_status + from, settled * sizeof *map->status);
    map_cancel_items(map, to + settled, to + length);
}

void map_empty(const mproc_map *map, const struct job *job, size_t first)
{
    bool is_copied = job->own_out || job->own_status;
    if (!is_copied && (!map->status || job_is_whole(job)))
        return; /* all is where the caller wants it */
    for (size_t chunk = 0; chunk < job->chunk_count; chunk++)
        empty_chunk(job, map, first, chunk);
}

int mproc_pool_map(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_time timeout)
{
    struct host_job wish;
    int64_t deadline = os_deadline(timeout);
    int result = os_timeout_is_valid(timeout) ? map_plan(pool, fn, ctx, map, true, &wish)
                                              : failure(-EINVAL, "timeout is negative");
    if (result || map->count == 0)
        return outcome(__func__, result);
    result = map_run(pool, map, &wish, deadline);
    return outcome(__func__, result == MPROC_CLOSED ? host_closed() : os_outcome(result, timeout));
}

int mproc_pool_call(mproc_pool *pool, mproc_task *fn, void *ctx, const void *in, size_t in_size, void *out,
                    size_t out_size, mproc_time timeout)
{
    unsigned before = failure_mark();
    if (!in != !in_size)
        return refuse(__func__, "in and in_size go together");
    if (!out != !out_size)
        return refuse(__func__, "out and out_size go together");
    const mproc_map map = {.count = 1, .in = in, .in_size = in_size, .out = out, .out_size = out_size};
    return retold(__func__, before, mproc_pool_map(pool, fn, ctx, &map, timeout));
}
