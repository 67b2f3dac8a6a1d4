/* The worlds of workers and servers, see worker_world.h. */
#include "worker_world.h"

#include "crash.h"
#include "pool/shared/job_postmortem.h"
#include "survivors.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

int worker_world_task(void *ctx, const void *in, void *out)
{
    struct worker_world *world = ctx;
    long item = *(const long *)in;
    unsigned before = atomic_fetch_add(&world->begun[item], 1);
    if (item == WORKER_SPECIAL && world->has_deadly)
        raise(SIGKILL);
    while (item == WORKER_SPECIAL && world->hangs && before == 0)
        pause();
    *(long *)out = item + 100;
    return 0;
}

/* ---- its life ---- */

void *worker_world_build(size_t size, const mproc_pool_options *options)
{
    survivors_note();
    struct worker_world *world = world_alloc(size);
    world->workers = options->workers;
    world->chunk = 1;
    for (long i = 0; i <= WORKER_ITEMS; i++)
        world->in[i] = i;
    mproc_pool_options wish = *options;
    wish.method = MPROC_START_FORK;
    if (mproc_pool_create(&world->pool, &wish))
        abort();
    world->shared = world->pool->shared;
    return world;
}

void worker_world_end(struct worker_world *world)
{
    if (!world->pool)
        return;
    mproc_pool_terminate(world->pool);
    mproc_future_free(world->task);
    world->pool = mproc_pool_free(world->pool);
}

void worker_world_destroy(void *world)
{
    worker_world_end(world);
    mproc_free(world);
}

void worker_world_map(struct worker_world *world, size_t count, bool is_call)
{
    const struct host_job map = {.task = worker_world_task,
                                 .ctx = world,
                                 .in = world->in,
                                 .in_size = sizeof *world->in,
                                 .out = world->out,
                                 .out_size = sizeof *world->out,
                                 .status = world->status,
                                 .item_timeout = world->limit.nanoseconds,
                                 .retries = world->retries,
                                 .retry_on = MPROC_RETRY_DEATH,
                                 .count = count,
                                 .chunk = world->chunk,
                                 .runs = world->runs,
                                 .is_call = is_call};
    world->count = count;
    if (host_make_job(world->pool, &map, count, &world->map) ||
        host_launch(world->pool, world->map, &map, 0, count, false))
        abort();
}

void worker_world_submit(struct worker_world *world)
{
    if (mproc_pool_submit(world->pool, &world->task, worker_world_task, world, &world->in[WORKER_ITEMS],
                          sizeof *world->in, sizeof(long)))
        abort();
}

bool worker_world_is_settled(void *arg)
{
    const struct worker_world *world = arg;
    size_t from = 0;
    return (!world->map || job_is_settled(world->map, &from)) && (!world->task || mproc_future_is_done(world->task));
}

/* As one that waits for the pool looks after it. */
bool worker_world_settles(void *world)
{
    host_look(((struct worker_world *)world)->pool);
    return worker_world_is_settled(world);
}

pid_t worker_world_worker(const struct worker_world *world, unsigned index)
{
    return atomic_load(&world->shared->workers[index].pid);
}

pid_t worker_world_server(const struct worker_world *world)
{
    return mproc_process_pid(world->pool->server);
}

bool worker_world_is_mended(void *arg)
{
    const struct worker_world *world = arg;
    struct pool *pool = world->shared;
    bool is = atomic_load(&pool->serial) > 1 + world->workers && worker_world_is_settled(arg);
    for (unsigned i = 0; i < world->workers; i++)
        is = is && pool_word_is_owner(atomic_load(&pool->workers[i].word)) && !atomic_load(&pool->workers[i].ended);
    return is;
}

/* ---- what must hold ---- */

/* Of an item of the map, and of one that is tried as often as these are. */
static unsigned tries_of(const struct worker_world *world, size_t item)
{
    return item < WORKER_ITEMS ? 1 + world->retries : 1;
}

static const char *check_item(const struct worker_world *world, size_t item, int *died)
{
    const mproc_item_status *status = &world->status[item];
    unsigned begun = atomic_load(&world->begun[item]);
    if (begun > tries_of(world, item))
        return "an item runs too often";
    if (status->result == MPROC_WORKER_DIED) {
        if (tries_of(world, item) > 1 && !world->server_dies)
            return "an item is not tried again";
        ++*died;
        return status->code == -SIGKILL ? NULL : "a worker's death is told as another one";
    }
    if (status->result == MPROC_LATE && item < WORKER_ITEMS && world->limit.nanoseconds && world->hangs)
        return NULL;
    if (status->result || begun == 0 || world->out[item] != (long)item + 100)
        return "an item is lost, or has another result";
    return NULL;
}

/* Each worker that died at an item of the map has left one post-mortem, of that item. */
static const char *check_postmortems(const struct worker_world *world)
{
    unsigned told[WORKER_ITEMS] = {0};
    mproc_postmortem death;
    for (size_t i = 0; job_postmortem_read(world->map, i, 0, &death); i++) {
        bool was_ended = death.cause == MPROC_CAUSE_LATE && death.exit == -SIGTERM;
        if (death.index >= world->map->count || (death.exit != -SIGKILL && !was_ended))
            return "a post-mortem is of no death";
        told[death.index]++;
    }
    for (size_t item = 0; item < world->count; item++) {
        unsigned begun = atomic_load(&world->begun[item]);
        unsigned most = world->server_dies ? tries_of(world, item) : 1;
        bool has_died = world->status[item].result == MPROC_WORKER_DIED || world->status[item].result == MPROC_LATE;
        if (told[item] > most || (has_died && told[item] == 0) || told[item] + 1 < begun)
            return "a death is not told, or told twice";
        if (told[item] && !has_died && begun == 0)
            return "a death is told of an item that did not begin";
    }
    return NULL;
}

static const char *check_task(struct worker_world *world, int *died)
{
    if (mproc_future_status(world->task, &world->status[WORKER_ITEMS]))
        return "the submitted task does not end";
    mproc_future_get(world->task, &world->out[WORKER_ITEMS], MPROC_NOWAIT);
    return check_item(world, WORKER_ITEMS, died);
}

const char *worker_world_check(struct worker_world *world, int most_died)
{
    const char *wrong = NULL;
    int died = 0;
    if (!within_time(worker_world_settles, world))
        return "the work is not settled";
    for (size_t item = 0; item < world->count && !wrong; item++)
        wrong = check_item(world, item, &died);
    if (!wrong && world->task)
        wrong = check_task(world, &died);
    if (!wrong && died > most_died)
        wrong = "more items died than a worker was at";
    if (!wrong && world->map)
        wrong = check_postmortems(world);
    return wrong;
}

static bool has_all_workers(void *arg)
{
    const struct worker_world *world = arg;
    return mproc_pool_workers(world->pool, NULL, 0) == (int)world->workers;
}

/* What is dealt out stays in the list until a worker looks. */
static bool list_is_empty(void *arg)
{
    return !job_list_first(&((struct worker_world *)arg)->shared->list);
}

static int map_all(struct worker_world *world)
{
    const mproc_map map = {.count = WORKER_ITEMS,
                           .in = world->in,
                           .in_size = sizeof *world->in,
                           .out = world->out,
                           .out_size = sizeof *world->out};
    memset(world->out, 0, sizeof world->out);
    int result = mproc_pool_map(world->pool, worker_world_task, world, &map, MPROC_MS(SURVIVORS_MS));
    for (long i = 0; i < WORKER_ITEMS && !result; i++)
        result = world->out[i] != i + 100;
    return result;
}

/* Those of a server that was killed this moment may have begun the map and die in it. */
const char *worker_world_go_on(struct worker_world *world)
{
    world->has_deadly = false;
    world->hangs = false;
    int result = map_all(world);
    if (result == MPROC_WORKER_DIED && world->server_dies)
        result = map_all(world);
    if (result)
        return result == MPROC_TIMEOUT ? "the pool does not go on" : "the next map fails";
    if (!within_time(has_all_workers, world))
        return "the pool has another number of workers";
    if (!within_time(list_is_empty, world))
        return "a job stays in the list";
    return atomic_load(&world->shared->spinner) ? "a dead worker is taken for one that looks for work" : NULL;
}

const char *worker_world_finish(struct worker_world *world, int most_died)
{
    const char *wrong = worker_world_check(world, most_died);
    if (!wrong)
        wrong = worker_world_go_on(world);
    worker_world_end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}
