/* How many workers a pool has, and what can be asked about them. */
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/proc.h"
#include "pool/host/host.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>

/* The pid of the worker that lives in a slot, or 0. */
static pid_t pid_in(struct worker_slot *slot)
{
    pid_t pid = load_acquire(&slot->pid);
    bool lives = pid > 0 && load_acquire(&slot->word) && !load_acquire(&slot->ended);
    return lives ? pid : 0;
}

int mproc_pool_workers(mproc_pool *pool, pid_t *pids, size_t capacity)
{
    int result = capacity && !pids ? failure(-EINVAL, "pids is NULL, but capacity is not 0") : host_check(pool);
    if (result > 0) /* a condition would read as a count */
        result = failure(-EPERM, "the pool belongs to the process that made it");
    if (result)
        return outcome_count(__func__, result);
    int count = 0;
    host_look(pool);
    for (unsigned i = 0; i < pool->shared->worker_count; i++) {
        pid_t pid = pid_in(&pool->shared->workers[i]);
        if (pid && (size_t)count < capacity)
            pids[count] = pid;
        count += pid != 0;
    }
    return count;
}

int mproc_pool_resize(mproc_pool *pool, unsigned workers)
{
    int result = host_check(pool);
    if (result)
        return outcome(__func__, result);
    struct pool *shared = pool->shared;
    if (workers == 0)
        return refuse(__func__, "workers is 0");
    if (workers > shared->worker_count)
        return refuse(__func__, "workers is above the max_workers of the pool");
    result = pool_lock(shared);
    if (result)
        return outcome(__func__, result);
    shared->full = workers;
    store_release(&shared->wanted, workers);
    pool_excuse_surplus(shared);
    pool_unlock(shared);
    if (shared->threads)
        host_mend(pool);
    wait_cell_wake(&shared->work, WAIT_CELL_ALL);
    wait_cell_wake(&shared->server, WAIT_CELL_ALL);
    return 0;
}

static int64_t stats_load(_Atomic(int64_t) *word)
{
    return load_relaxed(word);
}

/* 0 where it cannot be told. */
static size_t peak_memory_of(uint64_t word)
{
    size_t bytes = 0;
    int fd = pool_word_is_owner(word) ? member_pidfd(word) : -ESRCH;
    if (fd < 0)
        return 0;
    os_proc_peak_memory(fd, &bytes);
    os_close(fd);
    return bytes;
}

static mproc_worker_stats stats_look_at(struct worker_slot *slot, pid_t pid)
{
    mproc_worker_stats stats = {.pid = pid, .items = load_relaxed(&slot->items)};
    int64_t begun = stats_load(&slot->begun);
    int64_t since = stats_load(&slot->since);
    int64_t now = os_now();
    if (begun) {
        nanoseconds busy = stats_load(&slot->busy) + (since ? now - since : 0);
        nanoseconds idle = now - begun - busy;
        stats.startup = MPROC_NS(begun - stats_load(&slot->forked));
        stats.busy = MPROC_NS(busy);
        stats.idle = MPROC_NS(idle > 0 ? idle : 0); /* less than 0: it went on while we looked */
    }
    stats.peak_memory = peak_memory_of(load_acquire(&slot->word));
    return stats;
}

int mproc_pool_stats(mproc_pool *pool, mproc_pool_statistics *statistics, mproc_worker_stats *workers, size_t capacity)
{
    int result = capacity && !workers ? failure(-EINVAL, "workers is NULL, but capacity is not 0") : host_check(pool);
    if (result > 0) /* a condition would read as a count */
        result = failure(-EPERM, "the pool belongs to the process that made it");
    if (result)
        return outcome_count(__func__, result);
    struct pool *shared = pool->shared;
    uint64_t items = load_relaxed(&shared->past_items);
    unsigned alive = 0;
    host_look(pool);
    for (unsigned i = 0; i < shared->worker_count; i++) {
        struct worker_slot *slot = &shared->workers[i];
        pid_t pid = pid_in(slot);
        items += load_relaxed(&slot->items);
        if (pid && alive < capacity)
            workers[alive] = stats_look_at(slot, pid);
        alive += pid != 0;
    }
    if (statistics)
        *statistics = (mproc_pool_statistics){
            .workers = pool_wanted(shared),
            .alive = alive,
            .items = items,
            .starts = load_relaxed(&shared->starts),
            .deaths = load_relaxed(&shared->deaths),
        };
    return (int)alive;
}
