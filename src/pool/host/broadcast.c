/* Calls to all workers: mproc_pool_run_on_all(). Such a call is a map whose items are dealt out by the workers' numbers
 * instead of to whoever comes first; it never stands in the list of jobs. A pool has one at a time. */
#include "os/clock.h"
#include "pool/host/map.h"
#include "pool/host/map_run.h"
#include "util/failure.h"
#include <errno.h>

static bool try_turn(mproc_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    bool is_mine = !pool->calls;
    pool->calls = true;
    pthread_mutex_unlock(&pool->mutex);
    return is_mine;
}

static int take_turn(mproc_pool *pool, int64_t deadline)
{
    while (!try_turn(pool)) {
        if (os_until(deadline) == 0)
            return MPROC_TIMEOUT;
        host_nap(pool);
    }
    return 0;
}

static void end_turn(mproc_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    pool->calls = false;
    pthread_mutex_unlock(&pool->mutex);
}

/* The promise keeps the workers of a pool that is closed meanwhile: the list does not. */
static int broadcast_run(mproc_pool *pool, const mproc_map *map, const struct host_job *wish, int64_t deadline)
{
    int result = host_promise(pool);
    if (result)
        return result;
    result = map_run(pool, map, wish, deadline);
    host_end_promise(pool);
    return result;
}

/* The job of a call to as many workers as the map says, or all; *all is its map. */
static int broadcast_plan(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_map *all,
                          struct host_job *wish)
{
    if (!map)
        return failure(-EINVAL, "map is NULL");
    int result = host_check(pool);
    if (result)
        return result;
    unsigned workers = pool_wanted(pool->shared);
    *all = *map;
    if (all->count == 0)
        all->count = workers;
    if (all->count > workers || all->chunk > 1)
        return failure(-EINVAL, all->chunk > 1 ? "map.chunk is above 1" : "map.count is above the number of workers");
    result = map_plan(pool, fn, ctx, all, true, wish);
    wish->chunk = 1;
    wish->runs = false;
    wish->is_call = true;
    return result;
}

int mproc_pool_run_on_all(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_time timeout)
{
    mproc_map all;
    struct host_job wish;
    int64_t deadline = os_deadline(timeout);
    int result = os_timeout_is_valid(timeout) ? broadcast_plan(pool, fn, ctx, map, &all, &wish)
                                              : failure(-EINVAL, "timeout is negative");
    if (!result)
        result = take_turn(pool, deadline);
    if (result)
        return outcome(__func__, os_outcome(result, timeout));
    result = broadcast_run(pool, &all, &wish, deadline);
    end_turn(pool);
    return outcome(__func__, result == MPROC_CLOSED ? host_closed() : os_outcome(result, timeout));
}
