/* The crash cases of calls to all workers, mproc_pool_run_on_all(): each worker answers once, its successor does what
 * it left, and what belongs to a worker that the pool gives up is cancelled. */
#include "crash.h"
#include "named.h"
#include "survivors.h"
#include "worker_world.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdlib.h>

enum {
    VICTIM = 1 /* the worker that dies, or that the server buries; its item is WORKER_SPECIAL */
};

static struct worker_world *build(unsigned workers)
{
    return worker_world_build(sizeof(struct worker_world), &(mproc_pool_options){.workers = workers});
}

static void *build_one(void)
{
    return build(1);
}

static void *build_two(void)
{
    return build(2);
}

/* Its worker dies at the call's item, and the item is to be tried again. */
static void *build_for_server(void)
{
    struct worker_world *world = build(2);
    world->server_dies = true;
    world->hangs = true;
    world->retries = 1;
    return world;
}

static enum job_chunk_state state_of_call(const struct worker_world *world)
{
    return job_chunk_state(atomic_load(&world->map->chunks[VICTIM]));
}

/* ---- a worker that answers ---- */

static bool is_through(void *arg)
{
    const struct worker_world *world = arg;
    return worker_world_is_settled(arg) && !atomic_load(&world->shared->workers[0].job);
}

/* The call comes before a task that is in the list already. */
static void prepare_answer(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_worker(world, 0), 0);
    worker_world_submit(world);
    worker_world_map(world, 1, true);
    victim_name(worker_world_worker(world, 0), is_through, world, false);
}

static const char *check_answer(void *world, bool finished)
{
    return worker_world_finish(world, finished ? 0 : 1);
}

/* ---- a worker that the pool gives up before it has answered ---- */

static void prepare_surplus(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_worker(world, VICTIM), 0);
    worker_world_map(world, 2, true);
    world->workers = 1;
    if (mproc_pool_resize(world->pool, 1))
        abort();
    victim_name(worker_world_worker(world, VICTIM), NULL, world, false);
}

static bool victim_is_buried(void *arg)
{
    const struct worker_world *world = arg;
    return !atomic_load(&world->shared->workers[VICTIM].word) && worker_world_is_settled(arg);
}

static bool others_bury(void *world)
{
    host_look(((struct worker_world *)world)->pool);
    return victim_is_buried(world);
}

/* Its item is cancelled, which status does not say. */
static const char *check_cancelled(struct worker_world *world, unsigned begun)
{
    if (!within_time(others_bury, world))
        return "the call of a worker given up is not settled";
    if (state_of_call(world) != JOB_CANCELLED || atomic_load(&world->begun[WORKER_SPECIAL]) != begun)
        return "the item of a worker given up is not cancelled";
    world->count = 1;
    return worker_world_check(world, 1);
}

/* The pool is made as large as before, and is called once more. */
static const char *call_again(struct worker_world *world)
{
    const mproc_map map = {.in = world->in, .in_size = sizeof(long), .out = world->out, .out_size = sizeof(long)};
    world->hangs = false;
    world->workers = 2;
    if (mproc_pool_resize(world->pool, 2))
        return "the pool cannot be resized";
    int result = mproc_pool_run_on_all(world->pool, worker_world_task, world, &map, MPROC_MS(SURVIVORS_MS));
    if (result == MPROC_WORKER_DIED && world->server_dies)
        result = mproc_pool_run_on_all(world->pool, worker_world_task, world, &map, MPROC_MS(SURVIVORS_MS));
    if (result || world->out[0] != 100 || world->out[1] != 101)
        return "the next call fails";
    return NULL;
}

static const char *finish_surplus(struct worker_world *world, unsigned begun)
{
    const char *wrong = check_cancelled(world, begun);
    if (!wrong)
        wrong = call_again(world);
    if (!wrong)
        wrong = worker_world_go_on(world);
    worker_world_end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

static const char *check_surplus(void *world, bool finished)
{
    (void)finished;
    return finish_surplus(world, 0);
}

/* ---- a server that buries a worker which was at the call ---- */

static bool victim_is_at_call(void *arg)
{
    const struct worker_world *world = arg;
    return atomic_load(&world->begun[WORKER_SPECIAL]) == 1 && !atomic_load(&world->shared->workers[0].job) &&
           job_chunk_state(atomic_load(&world->map->chunks[0])) == JOB_DONE;
}

static void begin_burial(struct worker_world *world, unsigned workers, bool (*over)(void *world))
{
    pid_t server = worker_world_server(world);
    worker_world_map(world, 2, true);
    if (!within_time(victim_is_at_call, world))
        abort();
    world->workers = workers;
    if (mproc_pool_resize(world->pool, workers))
        abort();
    victim_seize(server, 0);
    kill(worker_world_worker(world, VICTIM), SIGKILL);
    victim_name(server, over, world, true);
}

static bool successor_has_answered(void *arg)
{
    const struct worker_world *world = arg;
    return worker_world_is_settled(arg) && !atomic_load(&world->shared->workers[VICTIM].job);
}

static void prepare_burial(void *world)
{
    begin_burial(world, 2, successor_has_answered);
}

static void prepare_last_burial(void *world)
{
    begin_burial(world, 1, victim_is_buried);
}

/* The successor may die with the server, at the same item. */
static const char *check_burial(void *world, bool finished)
{
    (void)finished;
    return worker_world_finish(world, 1);
}

static const char *check_last_burial(void *world, bool finished)
{
    (void)finished;
    return finish_surplus(world, 1);
}

const struct crash_case call_cases[] = {
    {.operation = "pool_worker",
     .state = "answering a call",
     .build = build_one,
     .prepare = prepare_answer,
     .check = check_answer,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "given up before a call",
     .build = build_two,
     .prepare = prepare_surplus,
     .check = check_surplus,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "replacing one at a call",
     .build = build_for_server,
     .prepare = prepare_burial,
     .check = check_burial,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "burying one at a call",
     .build = build_for_server,
     .prepare = prepare_last_burial,
     .check = check_last_burial,
     .destroy = worker_world_destroy},
    {0},
};
