/* The pool as a whole: made, closed, terminated, joined, freed. */
#include "os/allocate.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "os/leave.h"
#include "os/sanitizer.h"
#include "pool/host/host.h"
#include "process/exec_child.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

static bool is_method(enum mproc_start_method method)
{
    return method == MPROC_START_DEFAULT || method == MPROC_START_FORK || method == MPROC_START_SPAWN;
}

static enum mproc_start_method choose_method(const mproc_pool_options *options)
{
    if (options->threads || options->inherited_memory)
        return MPROC_START_FORK;
    if (options->method != MPROC_START_DEFAULT)
        return options->method;
    return exec_child_check() == 0 ? MPROC_START_SPAWN : MPROC_START_FORK;
}

/* ---- the end of the program ---- */

/* How long the end of a program waits for a server to bury its workers. */
#define BURIAL_TIME OS_SEC(1)

/* Without the lock, which a thread of this process that is no longer there may hold. The state only grows, and nobody
 * launches a job any more but threads that the end of the program cuts short. */
static void end_pool(struct pool *shared)
{
    pool_raise_state(shared, POOL_TERMINATED);
    wait_cell_wake(&shared->server, WAIT_CELL_ALL);
}

static void await_end(struct pool *shared)
{
    int64_t deadline = os_now() + BURIAL_TIME;
    int result = 0;
    while (result == 0 && !load_acquire(&shared->ended) && !pool_is_vacant(&shared->server_word)) {
        uint32_t seen = wait_cell_prepare(&shared->changed);
        if (!load_acquire(&shared->ended))
            result = wait_cell_sleep(&shared->changed, seen, deadline);
    }
}

/* Pools that the program did not free are ended by their servers, which reap the workers. The servers would be killed
 * next, as all daemons are, and leave dead workers to a process 1 that in many a container reaps nobody. */
static void end_pools(void)
{
    store_each_pool(end_pool);
    store_each_pool(await_end);
}

static void end_all(void)
{
    callbacks_leave();
    os_leave(end_pools);
}

/* In each process that makes pools: a child leaves without running what its parent has registered. */
static void lifecycle_watch_exit(void)
{
    static _Atomic(member_owner) watching;
    if (exchange_relaxed(&watching, member_current()) != member_current())
        atexit(end_all);
}

/* ---- pools ---- */

static void lifecycle_destroy(mproc_pool *pool)
{
    mproc_process_free(pool->server);
    store_free_pool(pool->shared);
    pthread_mutex_destroy(&pool->callbacks.mutex);
    pthread_mutex_destroy(&pool->mutex);
    free(pool->threads);
    tag_end(&pool->tag);
    host_let_go(pool);
}

/* From SIGTERM to SIGKILL, when the caller says nothing. */
#define GRACE OS_MS(100)

/* A sanitizer's shadow is private memory too, so a worker under any limit could not take a byte more. */
static size_t usable_limit(size_t limit)
{
    const char *sanitizer = os_sanitizer();
    if (!limit || !sanitizer)
        return limit;
    mproc_log(MPROC_LOG_WARNING, "the workers of a pool have no memory_limit, for %s needs more", sanitizer);
    return 0;
}

/* Note what the workers begin and end with. */
static int equip(const mproc_pool *pool, const mproc_pool_options *options)
{
    struct pool *shared = pool->shared;
    int result = 0;
    void *copy;
    shared->arg = options->arg;
    shared->grace = options->grace.nanoseconds ? options->grace.nanoseconds : GRACE;
    shared->max_memory = options->max_memory ? options->max_memory : UINT64_MAX;
    shared->memory_limit = usable_limit(options->memory_limit);
    shared->pin = options->pin;
    shared->leaves_signals = options->interrupt != MPROC_INTERRUPT_DEFAULT;
    shared->threads = options->threads;
    shared->idle_time = options->idle_time.nanoseconds == OS_USER_FOREVER ? 0 : options->idle_time.nanoseconds;
    shared->least = options->min_workers ? options->min_workers : 1;
    shared->max_items = options->max_items ? options->max_items : UINT64_MAX;
    if (!options->arg_size && !host_can_pass(pool, options->arg))
        result = failure(MPROC_NOT_SHARED, "options.arg is not in shared memory: set options.arg_size");
    if (!result && options->initializer)
        result = store_function(shared, (mproc_task *)(void *)options->initializer, &shared->initializer);
    if (!result && options->finalizer)
        result = store_function(shared, (mproc_task *)(void *)options->finalizer, &shared->finalizer);
    if (result || !options->arg_size)
        return result;
    result = heap_alloc(options->arg_size, &shared->own_arg, &copy);
    if (!result)
        shared->arg = memcpy(copy, options->arg, options->arg_size);
    return result;
}

/* Make a pool that has no process yet. */
static int lifecycle_make(mproc_pool **pool, const mproc_pool_options *options)
{
    unsigned workers = options->workers ? options->workers : (unsigned)os_cpu_count();
    mproc_pool *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (mproc_pool){.tag.kind = TAG_POOL,
                         .holders = 1,
                         .method = choose_method(options),
                         .sees_private = options->threads || options->inherited_memory,
                         .callbacks.mutex = PTHREAD_MUTEX_INITIALIZER};
    int result = -pthread_mutex_init(&made->mutex, NULL);
    if (!result)
        result = store_new_pool(&made->shared, options->max_workers > workers ? options->max_workers : workers);
    if (result) {
        free(made);
        return result;
    }
    store_relaxed(&made->shared->wanted, workers);
    made->shared->full = workers;
    result = equip(made, options);
    if (result)
        lifecycle_destroy(made);
    else
        *pool = made;
    return result;
}

/* What is wrong with the numbers of workers, or NULL. */
static const char *wrong_workers(const mproc_pool_options *options)
{
    if (options->workers > POOL_WORKERS_MAX || options->max_workers > POOL_WORKERS_MAX)
        return "options.workers or options.max_workers is above 1024";
    if (options->max_workers && options->workers > options->max_workers)
        return "options.workers is above options.max_workers";
    if (options->min_workers > POOL_WORKERS_MAX)
        return "options.min_workers is above 1024";
    if (options->min_workers && !options->idle_time.nanoseconds)
        return "options.min_workers needs an options.idle_time";
    return NULL;
}

static const char *wrong_times(const mproc_pool_options *options)
{
    if (options->grace.nanoseconds < 0)
        return "options.grace is negative";
    if (!os_option_is_valid(options->grace))
        return "options.grace is under 100 us: its unit is missing";
    if (options->idle_time.nanoseconds < OS_FOREVER)
        return "options.idle_time is negative";
    if (!os_option_is_valid(options->idle_time))
        return "options.idle_time is under 100 us: its unit is missing";
    return NULL;
}

static const char *wrong_arg(const mproc_pool_options *options)
{
    if (!options->initializer && options->arg)
        return "options.arg is of no use without an options.initializer";
    if (!options->arg && options->arg_size)
        return "options.arg is NULL, but options.arg_size is not 0";
    return NULL;
}

static const char *wrong_kind(const mproc_pool_options *options)
{
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return "a word of options.reserved is not 0";
    if (!is_method(options->method))
        return "options.method is no start method of a pool";
    if ((unsigned)options->interrupt > MPROC_INTERRUPT_TERMINATE)
        return "options.interrupt is none of enum mproc_interrupt";
    if (options->threads &&
        (options->method || options->max_memory || options->memory_limit || options->idle_time.nanoseconds))
        return "options.threads excludes method, max_memory, memory_limit and idle_time";
    if (options->inherited_memory && options->method == MPROC_START_SPAWN)
        return "options.inherited_memory needs a server that is forked";
    return NULL;
}

static const char *lifecycle_wrong_options(const mproc_pool_options *options)
{
    const char *wrong = wrong_kind(options);
    wrong = wrong ? wrong : wrong_workers(options);
    wrong = wrong ? wrong : wrong_times(options);
    return wrong ? wrong : wrong_arg(options);
}

int mproc_pool_create(mproc_pool **pool, const mproc_pool_options *options)
{
    unsigned before = failure_mark();
    static const mproc_pool_options defaults;
    mproc_pool *made = NULL;
    options = options ? options : &defaults;
    if (!pool)
        return refuse(__func__, "pool is NULL");
    *pool = NULL;
    const char *wrong = lifecycle_wrong_options(options);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    int result = lifecycle_make(&made, options);
    if (result)
        return retold(__func__, before, result);
    result = host_start(made);
    if (result) {
        int code = load_relaxed(&made->shared->initializer_code);
        mproc_pool_free(made);
        if (result == MPROC_TASK_FAILED)
            failure(result, "the initializer returned %d", code);
        return retold(__func__, before, result);
    }
    interrupt_add(made, options->interrupt);
    lifecycle_watch_exit();
    *pool = made;
    return 0;
}

int mproc_pool_close(mproc_pool *pool)
{
    int result = host_check(pool);
    return outcome(__func__, result ? result : host_set_state(pool, POOL_CLOSED));
}

int mproc_pool_terminate(mproc_pool *pool)
{
    int result = host_check(pool);
    return outcome(__func__, result ? result : host_set_state(pool, POOL_TERMINATED));
}

int mproc_pool_join(mproc_pool *pool, mproc_time timeout)
{
    unsigned before = failure_mark();
    int result = host_check(pool);
    if (result)
        return retold(__func__, before, result);
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (pool_state(pool->shared) == POOL_OPEN)
        return refuse(__func__, "the pool is open: close or terminate it first");
    if (callbacks_is_caller(pool))
        return retold(__func__, before, failure(-EDEADLK, "a callback of pool cannot wait for it"));
    int64_t deadline = os_deadline(timeout);
    result = host_wait_end(pool, deadline);
    return retold(__func__, before, os_outcome(result ? result : callbacks_await(pool, deadline), timeout));
}

mproc_pool *mproc_pool_free(mproc_pool *pool)
{
    if (!pool)
        return NULL;
    failure_hold();
    if (host_check(pool) == 0 && !callbacks_is_caller(pool)) {
        host_set_state(pool, POOL_TERMINATED);
        int result = host_wait_end(pool, OS_NEVER);
        interrupt_remove(pool);
        if (result != -EBADF) { /* else its memory may still be used, and goes with the family */
            callbacks_end(pool);
            lifecycle_destroy(pool);
        }
    }
    failure_release();
    return NULL;
}
