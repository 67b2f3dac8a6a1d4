/* The crash cases of results of any size: a worker, the server or the host dies at any instruction, and each block
 * belongs to the one item that it was taken for, to the caller, or to nobody. */
#include "arena/member.h"
#include "crash.h"
#include "named.h"
#include "survivors.h"
#include "worker_world.h"
#include <mproc/memory.h>
#include <stdlib.h>
#include <string.h>

#define SMALL ((size_t)600)
#define LARGE ((size_t)70000)

static size_t size_of(size_t item)
{
    return item % 2 ? LARGE : SMALL;
}

/* Take the result in two steps, and leave a text that is dropped. */
static int give(size_t item)
{
    unsigned char *result = mproc_task_result(16);
    if (!result)
        return 1;
    memset(result, (int)item + 1, 16);
    result = mproc_task_result(size_of(item));
    if (!result)
        return 1;
    result[size_of(item) - 1] = (unsigned char)(item + 1);
    mproc_task_fail("item %zu", item);
    return 0;
}

static const char *check_result(const void *data, size_t size, size_t item)
{
    const unsigned char *result = data;
    if (size != size_of(item) || result[15] != item + 1 || result[size - 1] != item + 1)
        return "an item has another result";
    return NULL;
}

/* ---- workers and servers ---- */

static int give_and_work(void *ctx, const void *in, void *out)
{
    return give((size_t) * (const long *)in) || worker_world_task(ctx, in, out);
}

static struct worker_world *build(unsigned workers, bool has_deadly)
{
    struct worker_world *world = worker_world_build(sizeof *world, &(mproc_pool_options){.workers = workers});
    world->chunk = 2;
    world->has_deadly = has_deadly;
    world->server_dies = has_deadly;
    return world;
}

static void *build_for_worker(void)
{
    return build(1, false);
}

static void *build_for_server(void)
{
    return build(1, true);
}

static void launch(struct worker_world *world)
{
    const struct host_job wish = {.task = give_and_work,
                                  .ctx = world,
                                  .in = world->in,
                                  .in_size = sizeof *world->in,
                                  .out = world->out,
                                  .out_size = sizeof *world->out,
                                  .zeroes_out = true,
                                  .status = world->status,
                                  .yields = WORKER_ITEMS,
                                  .takes_results = true,
                                  .takes_texts = true,
                                  .count = WORKER_ITEMS,
                                  .chunk = world->chunk};
    world->count = WORKER_ITEMS;
    if (host_make_job(world->pool, &wish, WORKER_ITEMS, &world->map) ||
        host_launch(world->pool, world->map, &wish, 0, WORKER_ITEMS, false))
        abort();
}

static bool worker_is_through(void *arg)
{
    const struct worker_world *world = arg;
    return worker_world_is_settled(arg) && !atomic_load(&world->shared->workers[0].job);
}

static void prepare_worker(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_worker(world, 0), 0);
    launch(world);
    victim_name(worker_world_worker(world, 0), worker_is_through, world, false);
}

/* One of its workers dies with a result. */
static void prepare_server(void *arg)
{
    struct worker_world *world = arg;
    victim_seize(worker_world_server(world), 0);
    launch(world);
    victim_name(worker_world_server(world), worker_world_is_mended, world, true);
}

static const char *check_items(const struct worker_world *world)
{
    const char *wrong = NULL;
    for (size_t item = 0; item < WORKER_ITEMS && !wrong; item++) {
        size_t size;
        const void *result = yield_result(&world->map->yields[item], &size);
        if (world->status[item].result == 0)
            wrong = result ? check_result(result, size, item) : "the result of an item is lost";
        else if (result)
            wrong = "an item whose worker died has a result";
        if (yield_text(&world->map->yields[item]))
            wrong = "an item that did not fail has a text";
    }
    return wrong;
}

static const char *check(struct worker_world *world, int most_died)
{
    const char *wrong = worker_world_check(world, most_died);
    if (!wrong)
        wrong = check_items(world);
    if (!wrong)
        wrong = worker_world_go_on(world);
    worker_world_end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

static const char *check_worker(void *arg, bool finished)
{
    return check(arg, finished ? 0 : 1);
}

static const char *check_server(void *arg, bool finished)
{
    (void)finished;
    return check(arg, 3);
}

/* ---- hosts ---- */

#define ITEMS ((size_t)4)

struct host_world {
    mproc_pool *pool; /* of the victim */
    long in[ITEMS];
    mproc_output results[ITEMS];
    char *errors[ITEMS];
    _Atomic(bool) done;
    _Atomic(bool) fails;
};

static int give_only(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    return give((size_t) * (const long *)in);
}

static void *build_host(void)
{
    survivors_note();
    struct host_world *world = world_alloc(sizeof *world);
    for (size_t i = 0; i < ITEMS; i++)
        world->in[i] = (long)i;
    return world;
}

static void map_inputs(void *arg)
{
    struct host_world *world = arg;
    mproc_input inputs[ITEMS];
    long numbers[ITEMS]; /* in private memory */
    for (size_t i = 0; i < ITEMS; i++) {
        numbers[i] = world->in[i];
        inputs[i] = (mproc_input){&numbers[i], sizeof numbers[i]};
    }
    const mproc_map map = {
        .count = ITEMS, .inputs = inputs, .results = world->results, .errors = world->errors, .chunk = 1};
    if (mproc_pool_map(world->pool, give_only, NULL, &map, MPROC_SEC(10)))
        atomic_store(&world->fails, true);
    atomic_store(&world->done, true);
}

static void free_results(struct host_world *world)
{
    for (size_t i = 0; i < ITEMS; i++) {
        mproc_free(world->results[i].data);
        world->results[i] = (mproc_output){0};
    }
}

static void prepare_host(void *arg)
{
    struct host_world *world = arg;
    if (mproc_pool_create(&world->pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK}))
        abort();
    map_inputs(world);
    if (atomic_load(&world->fails))
        abort();
    free_results(world);
    atomic_store(&world->done, false);
}

static void submit_and_free(void *arg)
{
    struct host_world *world = arg;
    mproc_future *future;
    int result = mproc_pool_submit(world->pool, &future, give_only, NULL, &world->in[1], sizeof(long), 0);
    if (!result)
        result = mproc_future_get(future, NULL, MPROC_FOREVER);
    if (result || check_result(mproc_future_result(future), mproc_future_result_size(future), 1))
        atomic_store(&world->fails, true);
    if (!result)
        mproc_future_free(future);
    atomic_store(&world->done, true);
}

static bool is_swept(void *unused)
{
    (void)unused;
    return !member_sweep_all();
}

/* What the map has handed over is the program's, and stays; what it has not goes with the host. So no block that the
 * array names is in use but the former. */
static const char *check_host(void *arg, bool finished)
{
    struct host_world *world = arg;
    const char *wrong = NULL;
    if ((finished || atomic_load(&world->done)) && atomic_load(&world->fails))
        return "the operation fails";
    if (!within_time(is_swept, NULL))
        return "the dead host is not swept";
    for (size_t i = 0; i < ITEMS && atomic_load(&world->done) && world->results[i].data && !wrong; i++)
        wrong = check_result(world->results[i].data, world->results[i].size, i);
    free_results(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

static void destroy_host(void *world)
{
    mproc_free(world);
}

const struct crash_case result_cases[] = {
    {.operation = "pool_worker",
     .state = "giving results of any size",
     .build = build_for_worker,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "settling a worker with a result",
     .build = build_for_server,
     .prepare = prepare_server,
     .check = check_server,
     .destroy = worker_world_destroy},
    {.operation = "pool_map",
     .state = "inputs and results of any size",
     .build = build_host,
     .prepare = prepare_host,
     .operate = map_inputs,
     .check = check_host,
     .destroy = destroy_host},
    {.operation = "pool_submit",
     .state = "a result of any size, and free",
     .build = build_host,
     .prepare = prepare_host,
     .operate = submit_and_free,
     .check = check_host,
     .destroy = destroy_host},
    {0},
};
