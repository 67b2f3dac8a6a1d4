/* mproc_pool_map(): what it is given. How it is run stands in portions.c. */
#include "os/clock.h"
#include "pool/portions.h"
#include <errno.h>

static int check(const mproc_pool *pool, mproc_task *fn, const void *ctx, const mproc_map *map, mproc_time timeout)
{
    size_t bytes;
    if (!fn || !map || !os_timeout_is_valid(timeout))
        return -EINVAL;
    if (!map->in != !map->in_size || !map->out != !map->out_size || (map->ctx_size && !ctx))
        return -EINVAL;
    if (__builtin_mul_overflow(map->count, map->in_size, &bytes) ||
        __builtin_mul_overflow(map->count, map->out_size, &bytes) ||
        (map->status && __builtin_mul_overflow(map->count, sizeof *map->status, &bytes)))
        return -EINVAL;
    return host_check(pool);
}

int mproc_pool_map(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_time timeout)
{
    int64_t deadline = os_deadline(timeout);
    int result = check(pool, fn, ctx, map, timeout);
    if (result || map->count == 0)
        return result;
    struct host_job wish = {.task = fn,
                            .ctx = ctx,
                            .ctx_size = map->ctx_size,
                            .in = map->in,
                            .in_size = map->in_size,
                            .out = map->out,
                            .out_size = map->out_size,
                            .status = map->status,
                            .count = map->count};
    host_choose_chunk(&wish, map->chunk);
    return portions_run(pool, map, &wish, deadline);
}
