/* The crash cases of pools whose host is the victim: it dies with its server and its workers, and a sweep takes back
 * all that it had in shared memory; another pool of the family goes on. Workers and servers as victims are in
 * workers.c. */
#include "crash.h"
#include "survivors.h"
#include <mproc/base.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define ITEMS ((size_t)8)

struct pool_world {
    enum mproc_start_method method;
    mproc_pool *pool;    /* of the victim */
    _Atomic(bool) done;  /* the operation has returned, */
    _Atomic(int) result; /* with this */
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
    {0},
};
