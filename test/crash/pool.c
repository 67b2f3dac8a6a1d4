/* The crash cases of pools whose host is the victim: it dies with its server and its workers, and a sweep takes back
 * all that it had in shared memory; another pool of the family goes on. Workers and servers as victims are in workers.c
 * and calls.c, elastic.c, jobs.c. */
#include "crash.h"
#include "survivors.h"
#include <errno.h>
#include <mproc/base.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define ITEMS ((size_t)8)

struct pool_world {
    enum mproc_start_method method;
    mproc_pool *pool;          /* of the victim */
    mproc_future *future;      /* of the victim, made beforehand */
    _Atomic(unsigned) hanging; /* tasks that do not end */
    _Atomic(unsigned) heard;   /* callbacks */
    long taken;                /* inputs of an imap */
    _Atomic(bool) done;        /* the operation has returned, */
    _Atomic(int) result;       /* with this */
    long in[ITEMS], out[ITEMS];
};

static int add_hundred(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(long *)out = *(const long *)in + 100;
    return 0;
}

static void give_numbers(long *numbers)
{
    for (size_t i = 0; i < ITEMS; i++)
        numbers[i] = (long)i;
}

static int map(mproc_pool *pool, const long *in, long *out) /* NOLINT(readability-non-const-parameter): it is written */
{
    const mproc_map items = {
        .count = ITEMS, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .chunk = 1};
    return mproc_pool_map(pool, add_hundred, NULL, &items, MPROC_SEC(10));
}

static bool are_results(const long *numbers)
{
    for (size_t i = 0; i < ITEMS; i++)
        if (numbers[i] != (long)i + 100)
            return false;
    return true;
}

/* ---- the pool of a bystander: the tester ---- */

static mproc_pool *other;

static bool other_works(void)
{
    long in[ITEMS], out[ITEMS];
    give_numbers(in);
    return map(other, in, out) == 0 && are_results(out);
}

/* It stays for all worlds; what it keeps of the function that it has run is not counted to any. */
static void start_other(void)
{
    if (other)
        return;
    if (mproc_pool_create(&other, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}) || !other_works())
        abort();
}

/* ---- the host ---- */

static struct pool_world *build(enum mproc_start_method method)
{
    start_other();
    survivors_note();
    struct pool_world *world = world_alloc(sizeof *world);
    world->method = method;
    give_numbers(world->in);
    return world;
}

static void *build_forked(void)
{
    return build(MPROC_START_FORK);
}

static void *build_spawned(void)
{
    return build(MPROC_START_SPAWN);
}

static void destroy(void *world)
{
    mproc_free(world);
}

static void done(struct pool_world *world, int result)
{
    atomic_store(&world->result, result);
    atomic_store(&world->done, true);
}

static void create(void *arg)
{
    struct pool_world *world = arg;
    const mproc_pool_options options = {.workers = 2, .max_workers = 3, .method = world->method};
    done(world, mproc_pool_create(&world->pool, &options));
}

static void prepare_pool(void *arg)
{
    struct pool_world *world = arg;
    create(world);
    if (atomic_load(&world->result) || map(world->pool, world->in, world->out))
        abort();
    memset(world->out, 0, sizeof world->out);
    atomic_store(&world->done, false);
}

static void submit(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    done(world, mproc_pool_submit(world->pool, &future, add_hundred, NULL, world->in, sizeof *world->in, sizeof(long)));
}

static void submit_get_free(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    int result = mproc_pool_submit(world->pool, &future, add_hundred, NULL, world->in, sizeof *world->in, sizeof(long));
    if (!result)
        result = mproc_future_get(future, world->out, MPROC_FOREVER);
    if (!result)
        mproc_future_free(future);
    done(world, result ? result : world->out[0] != 100);
}

static void map_shared(void *arg)
{
    struct pool_world *world = arg;
    int result = map(world->pool, world->in, world->out);
    done(world, result ? result : !are_results(world->out));
}

static void map_private(void *arg)
{
    struct pool_world *world = arg;
    static long in[ITEMS], out[ITEMS];
    give_numbers(in);
    int result = map(world->pool, in, out);
    done(world, result ? result : !are_results(out));
}

static void resize(void *arg)
{
    struct pool_world *world = arg;
    done(world, mproc_pool_resize(world->pool, 3));
}

static void resize_down(void *arg)
{
    struct pool_world *world = arg;
    done(world, mproc_pool_resize(world->pool, 1));
}

static void call_all(void *arg)
{
    struct pool_world *world = arg;
    const mproc_map items = {
        .in = world->in, .in_size = sizeof *world->in, .out = world->out, .out_size = sizeof *world->out};
    int result = mproc_pool_run_on_all(world->pool, add_hundred, NULL, &items, MPROC_FOREVER);
    done(world, result ? result : world->out[0] != 100 || world->out[1] != 101 || world->out[2] != 0);
}

static void ask(void *arg)
{
    struct pool_world *world = arg;
    mproc_pool_statistics statistics;
    mproc_worker_stats workers[3];
    int alive = mproc_pool_stats(world->pool, &statistics, workers, 3);
    done(world, alive != 2 || statistics.items != ITEMS || statistics.deaths != 0);
}

/* ---- a host that does not wait for its jobs ---- */

static int begin_map(struct pool_world *world, int priority, mproc_future **future)
{
    const mproc_map items = {.count = ITEMS,
                             .in = world->in,
                             .in_size = sizeof *world->in,
                             .out = world->out,
                             .out_size = sizeof *world->out,
                             .chunk = 1,
                             .priority = priority};
    return mproc_pool_map_async(world->pool, future, add_hundred, NULL, &items);
}

static void map_get_free(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    int result = begin_map(world, 0, &future);
    if (!result)
        result = mproc_future_get(future, NULL, MPROC_FOREVER);
    if (!result)
        mproc_future_free(future);
    done(world, result ? result : !are_results(world->out));
}

static int hang(void *ctx, const void *in, void *out)
{
    struct pool_world *world = ctx;
    (void)in;
    (void)out;
    atomic_fetch_add(&world->hanging, 1);
    for (;;)
        pause();
    return 0;
}

static bool all_hang(void *arg)
{
    return atomic_load(&((struct pool_world *)arg)->hanging) == 2;
}

/* No worker looks into the list any more. */
static void prepare_busy_pool(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    prepare_pool(world);
    if (mproc_pool_submit(world->pool, &world->future, hang, world, NULL, 0, 0) ||
        mproc_pool_submit(world->pool, &future, hang, world, NULL, 0, 0) || !within_time(all_hang, world))
        abort();
}

static void prepare_queued(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    prepare_busy_pool(world);
    if (begin_map(world, 9, &future) || begin_map(world, -9, &future))
        abort();
}

/* It belongs between the other two. */
static void map_between(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    done(world, begin_map(world, 5, &future));
}

static void cancel_wait_free(void *arg)
{
    struct pool_world *world = arg;
    int result = mproc_future_cancel(world->future);
    if (!result)
        result = mproc_future_get(world->future, NULL, MPROC_FOREVER);
    mproc_future_free(world->future);
    done(world, result != MPROC_CANCELLED);
}

static int die(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return raise(SIGKILL);
}

/* A task that has left a post-mortem. */
static void prepare_deadly(void *arg)
{
    struct pool_world *world = arg;
    prepare_pool(world);
    if (mproc_pool_submit(world->pool, &world->future, die, NULL, NULL, 0, 0) ||
        mproc_future_get(world->future, NULL, MPROC_FOREVER) != MPROC_WORKER_DIED)
        abort();
}

static void read_and_free(void *arg)
{
    struct pool_world *world = arg;
    mproc_postmortem death;
    int result = mproc_future_postmortem(world->future, 0, &death);
    mproc_future_free(world->future);
    mproc_pool_free(world->pool);
    done(world, result ? result : death.exit != -SIGKILL);
}

static void hear(void *arg, mproc_future *future)
{
    atomic_fetch_add(&((struct pool_world *)arg)->heard, 1);
    mproc_future_free(future);
}

static bool is_heard(void *arg)
{
    return atomic_load(&((struct pool_world *)arg)->heard) == 1;
}

/* The thread that calls back is not stepped, but it dies with the host. */
static void submit_and_hear(void *arg)
{
    struct pool_world *world = arg;
    mproc_future *future;
    int result = mproc_pool_submit(world->pool, &future, add_hundred, NULL, world->in, sizeof *world->in, sizeof(long));
    if (!result)
        result = mproc_future_on_end(future, hear, NULL, world);
    done(world, result ? result : !within_time(is_heard, world));
}

/* ---- inputs one after another ---- */

static int next_input(void *arg, void *in)
{
    struct pool_world *world = arg;
    if (world->taken == (long)ITEMS)
        return MPROC_CLOSED;
    *(long *)in = world->taken++;
    return 0;
}

static int take_results(struct pool_world *world, mproc_imap *imap)
{
    int result = 0;
    for (size_t i = 0, index = 0; i < ITEMS && !result; i++) {
        result = mproc_imap_next(imap, &world->out[i], &index, MPROC_FOREVER);
        if (!result && index != i)
            result = -ERANGE;
    }
    return result;
}

/* Of three windows each is launched twice or thrice; one more than two would be too many bytes. */
static void run_inputs(void *arg)
{
    struct pool_world *world = arg;
    mproc_imap *imap;
    const mproc_imap_options options = {.next = next_input,
                                        .arg = world,
                                        .in_size = sizeof(long),
                                        .out_size = sizeof(long),
                                        .in_flight = 3,
                                        .bytes_in_flight = 4 * sizeof(long)};
    int result = mproc_pool_imap(world->pool, &imap, add_hundred, NULL, &options);
    if (!result)
        result = take_results(world, imap);
    if (!result && mproc_imap_next(imap, NULL, NULL, MPROC_FOREVER) != MPROC_CLOSED)
        result = -ERANGE;
    if (!result)
        mproc_imap_free(imap);
    done(world, result ? result : !are_results(world->out));
}

static void close_and_join(void *arg)
{
    struct pool_world *world = arg;
    int result = mproc_pool_close(world->pool);
    done(world, result ? result : mproc_pool_join(world->pool, MPROC_FOREVER));
}

static void free_pool(void *arg)
{
    struct pool_world *world = arg;
    mproc_pool_free(world->pool);
    done(world, 0);
}

static const char *check_host(void *arg, bool finished)
{
    struct pool_world *world = arg;
    if ((finished || atomic_load(&world->done)) && atomic_load(&world->result))
        return "the operation fails";
    if (!other_works())
        return "another pool of the family does not go on";
    return survivors_balance(mproc_usable_size(world));
}

const struct crash_case pool_cases[] = {
    {.operation = "pool_create",
     .state = "forked",
     .build = build_forked,
     .operate = create,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_create",
     .state = "spawned",
     .build = build_spawned,
     .operate = create,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_submit",
     .state = "idle",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = submit,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_submit",
     .state = "and get",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = submit_get_free,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_map",
     .state = "shared arrays",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = map_shared,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_map",
     .state = "private arrays",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = map_private,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_resize",
     .state = "one more",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = resize,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_map_async",
     .state = "and get",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = map_get_free,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_map_async",
     .state = "between others",
     .build = build_forked,
     .prepare = prepare_queued,
     .operate = map_between,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_run_on_all",
     .state = "idle",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = call_all,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_imap",
     .state = "all inputs",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = run_inputs,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_on_end",
     .state = "and hear",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = submit_and_hear,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_cancel",
     .state = "a task that runs",
     .build = build_forked,
     .prepare = prepare_busy_pool,
     .operate = cancel_wait_free,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_stats",
     .state = "idle",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = ask,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_resize",
     .state = "one less",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = resize_down,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_close",
     .state = "and join",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = close_and_join,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_free",
     .state = "idle",
     .build = build_forked,
     .prepare = prepare_pool,
     .operate = free_pool,
     .check = check_host,
     .destroy = destroy},
    {.operation = "pool_free",
     .state = "with a post-mortem",
     .build = build_forked,
     .prepare = prepare_deadly,
     .operate = read_and_free,
     .check = check_host,
     .destroy = destroy},
    {0},
};
