/* The crash cases of pools that grow and shrink: a worker that was idle for long gives up its place, one that finds
 * more work than there are workers has the pool grow, and the server starts and buries as the pool is resized. */
#include "crash.h"
#include "named.h"
#include "survivors.h"
#include "worker_world.h"
#include <mproc/memory.h>
#include <stdlib.h>

enum {
    FULL = 2,
    LAST = FULL - 1 /* the worker that gives up its place */
};

/* Workers have patience, for now. */
static struct worker_world *build(void)
{
    const mproc_pool_options options = {.workers = FULL, .idle_time = MPROC_SEC(1000)};
    return worker_world_build(sizeof(struct worker_world), &options);
}

static void *build_full(void)
{
    return build();
}

static bool is_small(void *arg)
{
    const struct worker_world *world = arg;
    return pool_wanted(world->shared) == 1 && !atomic_load(&world->shared->workers[LAST].word);
}

static void let_shrink(struct worker_world *world)
{
    world->workers = 1;
    world->shared->idle_time = 1;
}

/* All but one have ended. */
static void *build_small(void)
{
    const mproc_pool_options options = {.workers = FULL, .idle_time = MPROC_MS(1)};
    struct worker_world *world = worker_world_build(sizeof *world, &options);
    let_shrink(world);
    if (!within_time(is_small, world))
        abort();
    return world;
}

static void *build_fixed(unsigned workers)
{
    struct worker_world *world =
        worker_world_build(sizeof *world, &(mproc_pool_options){.workers = workers, .max_workers = FULL});
    world->server_dies = true;
    return world;
}

static void *build_to_grow(void)
{
    return build_fixed(1);
}

static void *build_to_shrink(void)
{
    return build_fixed(FULL);
}

/* ---- what must hold ---- */

static bool shrinks(void *arg)
{
    host_look(((struct worker_world *)arg)->pool);
    return is_small(arg);
}

/* A worker that gives up its place has not died. */
static const char *check_statistics(struct worker_world *world, unsigned most_died)
{
    mproc_pool_statistics statistics;
    mproc_worker_stats workers[FULL];
    int alive = mproc_pool_stats(world->pool, &statistics, workers, FULL);
    if (alive != (int)statistics.alive || statistics.workers != world->workers || alive != (int)world->workers)
        return "the statistics tell another number of workers";
    if (statistics.deaths > most_died || statistics.starts < statistics.alive + statistics.deaths)
        return "the statistics tell other deaths";
    return NULL;
}

/* It does its work in whatever size, and then is as small as its idle workers make it. */
static const char *check_elastic(void *arg, bool finished)
{
    struct worker_world *world = arg;
    const char *wrong = worker_world_check(world, finished ? 0 : 1);
    if (!wrong && !within_time(shrinks, world))
        wrong = "a worker does not give up its place";
    if (!wrong)
        wrong = worker_world_go_on(world);
    if (!wrong && !within_time(shrinks, world))
        wrong = "a worker does not give up its place again";
    if (!wrong)
        wrong = check_statistics(world, 1);
    worker_world_end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

static const char *check_resized(void *world, bool finished)
{
    (void)finished;
    return worker_world_finish(world, 0);
}

/* ---- a worker that gives up its place ---- */

static bool only_victim_is_called(void *arg)
{
    const struct worker_world *world = arg;
    return !atomic_load(&world->shared->workers[0].job) &&
           job_chunk_state(atomic_load(&world->map->chunks[0])) == JOB_DONE;
}

/* It answers a call, and finds then that it has waited long enough. */
static void prepare_impatient(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_worker(world, LAST), 0);
    let_shrink(world);
    worker_world_map(world, FULL, true);
    if (!within_time(only_victim_is_called, world))
        abort();
    victim_name(worker_world_worker(world, LAST), NULL, world, false);
}

/* ---- a worker that has the pool grow ---- */

static bool first_is_done(void *arg)
{
    const struct worker_world *world = arg;
    const struct job *job = atomic_load(&world->shared->workers[0].job);
    return mproc_future_is_done(world->task) && (!job || job == world->map);
}

/* Whoever gave it the jobs, one after the other, took it for idle. */
static void prepare_busy(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_worker(world, 0), 0);
    worker_world_submit(world);
    worker_world_map(world, 1, false);
    victim_name(worker_world_worker(world, 0), first_is_done, world, false);
}

/* ---- a server that resizes ---- */

static bool has_grown(void *arg)
{
    return atomic_load(&((struct worker_world *)arg)->shared->workers[LAST].ready) == 1;
}

static void resize(struct worker_world *world, unsigned workers, bool (*over)(void *world))
{
    victim_seize(worker_world_server(world), 0);
    world->workers = workers;
    if (mproc_pool_resize(world->pool, workers))
        abort();
    victim_name(worker_world_server(world), over, world, true);
}

static void prepare_growth(void *world)
{
    resize(world, FULL, has_grown);
}

static void prepare_burial(void *world)
{
    resize(world, 1, is_small);
}

const struct crash_case elastic_cases[] = {
    {.operation = "pool_worker",
     .state = "giving up its place",
     .build = build_full,
     .prepare = prepare_impatient,
     .check = check_elastic,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "having the pool grow",
     .build = build_small,
     .prepare = prepare_busy,
     .check = check_elastic,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "starting one more",
     .build = build_to_grow,
     .prepare = prepare_growth,
     .check = check_resized,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "burying one given up",
     .build = build_to_shrink,
     .prepare = prepare_burial,
     .check = check_resized,
     .destroy = worker_world_destroy},
    {0},
};
