/* The crash cases of pools whose worker or server is the victim, at work in a pool of the tester. A worker's death
 * costs the item that it was at and no other; a server's death costs those that its workers were at. Nothing runs
 * twice, all the rest is done, and the pool goes on with as many workers as before. */
#include "crash.h"
#include "named.h"
#include "pool/host.h"
#include "pool/postmortem.h"
#include "survivors.h"
#include <mproc/base.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    ITEMS = 4, /* of a map; one more is submitted after it */
    DEADLY = 1 /* the item that kills its worker, where one does */
};

struct worker_world {
    mproc_pool *pool;
    unsigned workers;
    size_t chunk;
    bool has_deadly;
    bool server_dies;
    mproc_time limit; /* of an item of the map, or 0 */
    unsigned retries; /* after a death, of an item of the map */
    struct job *map;
    mproc_future *task;
    _Atomic(unsigned) begun[ITEMS + 1];
    long in[ITEMS + 1], out[ITEMS + 1];
    mproc_item_status status[ITEMS + 1];
};

static int work(void *ctx, const void *in, void *out)
{
    struct worker_world *world = ctx;
    long item = *(const long *)in;
    atomic_fetch_add(&world->begun[item], 1);
    if (item == DEADLY && world->has_deadly)
        raise(SIGKILL);
    *(long *)out = item + 100;
    return 0;
}

static struct worker_world *build(unsigned workers, size_t chunk, bool has_deadly)
{
    survivors_note();
    struct worker_world *world = world_alloc(sizeof *world);
    world->workers = workers;
    world->chunk = chunk;
    world->has_deadly = has_deadly;
    for (long i = 0; i <= ITEMS; i++)
        world->in[i] = i;
    if (mproc_pool_create(&world->pool, &(mproc_pool_options){.workers = workers, .method = MPROC_START_FORK}))
        abort();
    return world;
}

static void *build_pairs(void)
{
    return build(1, 2, false);
}

/* No item comes near its limit. */
static void *build_limited(void)
{
    struct worker_world *world = build(1, 2, false);
    world->limit = MPROC_SEC(60);
    return world;
}

static void *build_retried(void)
{
    struct worker_world *world = build(1, 2, false);
    world->retries = 1;
    return world;
}

static void *build_singles(void)
{
    return build(1, 1, false);
}

static void *build_for_server(void)
{
    struct worker_world *world = build(2, 1, false);
    world->server_dies = true;
    return world;
}

static void *build_deadly(void)
{
    struct worker_world *world = build(2, ITEMS, true);
    world->server_dies = true;
    return world;
}

/* A map, without waiting for it, and a task after it. */
static void submit(struct worker_world *world)
{
    const struct host_job map = {.task = work,
                                 .ctx = world,
                                 .in = world->in,
                                 .in_size = sizeof *world->in,
                                 .out = world->out,
                                 .out_size = sizeof *world->out,
                                 .status = world->status,
                                 .item_timeout = world->limit,
                                 .retries = world->retries,
                                 .retry_on = MPROC_RETRY_DEATH,
                                 .count = ITEMS,
                                 .chunk = world->chunk};
    if (host_make_job(world->pool, &map, ITEMS, &world->map) ||
        host_launch(world->pool, world->map, &map, 0, ITEMS, false) ||
        mproc_pool_submit(world->pool, &world->task, work, world, &world->in[ITEMS], sizeof *world->in, sizeof(long)))
        abort();
}

static bool is_settled(void *arg)
{
    const struct worker_world *world = arg;
    size_t from = 0;
    return job_is_settled(world->map, &from) && mproc_future_is_done(world->task);
}

/* As one that waits for the pool looks after it. */
static bool settles(void *arg)
{
    host_look(((struct worker_world *)arg)->pool);
    return is_settled(arg);
}

/* ---- victims ---- */

static pid_t pid_of_worker(const struct worker_world *world)
{
    return atomic_load(&world->pool->shared->workers[0].pid);
}

static pid_t pid_of_server(const struct worker_world *world)
{
    return mproc_process_pid(world->pool->server);
}

static bool worker_is_through(void *arg)
{
    const struct worker_world *world = arg;
    return is_settled(arg) && !atomic_load(&world->pool->shared->workers[0].job);
}

static void prepare_worker(void *arg)
{
    struct worker_world *world = arg;
    pid_t worker = pid_of_worker(world);
    victim_seize(worker, 0);
    submit(world);
    atomic_store(&world->pool->shared->spinner, 1); /* as if it looked without sleeping: on one CPU none does */
    victim_name(worker, worker_is_through, world, false);
}

/* The worker dies; the one that is made in its place is traced from its birth on. */
static void prepare_next_worker(void *arg)
{
    struct worker_world *world = arg;
    pid_t server = pid_of_server(world);
    unsigned long child;
    int status = 0;
    victim_seize(server, PTRACE_O_TRACEFORK);
    kill(pid_of_worker(world), SIGKILL);
    submit(world);
    while (status >> 8 != (SIGTRAP | PTRACE_EVENT_FORK << 8)) {
        long signal = WIFSTOPPED(status) && WSTOPSIG(status) != SIGTRAP ? WSTOPSIG(status) : 0;
        if (ptrace(PTRACE_CONT, server, NULL, signal) || waitpid(server, &status, __WALL) != server)
            abort();
    }
    if (ptrace(PTRACE_GETEVENTMSG, server, NULL, &child))
        abort();
    victim_await_stop((pid_t)child);
    ptrace(PTRACE_DETACH, server, NULL, NULL);
    victim_name((pid_t)child, worker_is_through, world, false);
}

/* The dead worker is replaced: server and two workers were started before, and the next one lives. */
static bool server_is_through(void *arg)
{
    const struct worker_world *world = arg;
    struct pool *pool = world->pool->shared;
    bool through = atomic_load(&pool->serial) > 1 + world->workers && is_settled(arg);
    for (unsigned i = 0; i < world->workers; i++)
        through =
            through && pool_word_is_owner(atomic_load(&pool->workers[i].word)) && !atomic_load(&pool->workers[i].ended);
    return through;
}

static void prepare_server(void *arg)
{
    struct worker_world *world = arg;
    pid_t server = pid_of_server(world);
    victim_seize(server, 0);
    submit(world);
    victim_name(server, server_is_through, world, true);
}

/* The server dies; the one that the host makes in its place is traced from its first instruction on. */
static void prepare_next_server(void *arg)
{
    struct worker_world *world = arg;
    pid_t before = pid_of_server(world);
    kill(before, SIGKILL);
    victim_stop_next_fork(true);
    while (pid_of_server(world) == before)
        host_nap(world->pool);
    victim_stop_next_fork(false);
    victim_await_stop(pid_of_server(world));
    submit(world);
    victim_name(pid_of_server(world), server_is_through, world, true);
}

/* ---- what must hold ---- */

static const char *check_item(const struct worker_world *world, long item, int *died)
{
    const mproc_item_status *status = &world->status[item];
    unsigned begun = atomic_load(&world->begun[item]);
    unsigned tries = item < ITEMS ? 1 + world->retries : 1;
    if (begun > tries)
        return "an item runs too often";
    if (status->result == MPROC_WORKER_DIED) {
        if (tries > 1)
            return "an item is not tried again";
        ++*died;
        return status->code == -SIGKILL ? NULL : "a worker's death is told as another one";
    }
    if (status->result || begun == 0 || world->out[item] != item + 100)
        return "an item is lost, or has another result";
    return NULL;
}

/* Each worker that died at an item of the map has left one post-mortem, of that item. */
static const char *check_postmortems(const struct worker_world *world)
{
    unsigned told[ITEMS] = {0};
    mproc_postmortem death;
    for (size_t i = 0; postmortem_read(world->map, i, 0, &death); i++) {
        if (death.index >= ITEMS || death.exit != -SIGKILL)
            return "a post-mortem is of no death";
        told[death.index]++;
    }
    for (long item = 0; item < ITEMS; item++) {
        unsigned begun = atomic_load(&world->begun[item]);
        bool has_died = world->status[item].result == MPROC_WORKER_DIED;
        if (told[item] > 1 || (has_died && told[item] == 0) || (begun > 1 && told[item] != begun - 1))
            return "a death is not told, or told twice";
        if (told[item] && !has_died && begun == 0)
            return "a death is told of an item that did not begin";
    }
    return NULL;
}

static const char *check_outcomes(struct worker_world *world, int *died)
{
    const char *wrong = NULL;
    if (mproc_future_status(world->task, &world->status[ITEMS]))
        return "the submitted task does not end";
    mproc_future_get(world->task, &world->out[ITEMS], MPROC_NOWAIT);
    *died = 0;
    for (long item = 0; item <= ITEMS && !wrong; item++)
        wrong = check_item(world, item, died);
    return wrong;
}

static bool has_all_workers(void *arg)
{
    const struct worker_world *world = arg;
    return mproc_pool_workers(world->pool, NULL, 0) == (int)world->workers;
}

static int map_all(struct worker_world *world)
{
    const mproc_map map = {.count = ITEMS,
                           .in = world->in,
                           .in_size = sizeof *world->in,
                           .out = world->out,
                           .out_size = sizeof *world->out};
    memset(world->out, 0, sizeof world->out);
    int result = mproc_pool_map(world->pool, work, world, &map, MPROC_MS(SURVIVORS_MS));
    for (long i = 0; i < ITEMS && !result; i++)
        result = world->out[i] != i + 100;
    return result;
}

/* The pool does another map, and has its workers. Those of a server that was killed this moment may have begun it and
 * die in it. */
static const char *go_on(struct worker_world *world)
{
    world->has_deadly = false;
    int result = map_all(world);
    if (result == MPROC_WORKER_DIED && world->server_dies)
        result = map_all(world);
    if (result)
        return result == MPROC_TIMEOUT ? "the pool does not go on" : "the next map fails";
    return within_time(has_all_workers, world) ? NULL : "a worker is not replaced";
}

static void end(struct worker_world *world)
{
    if (!world->pool)
        return;
    mproc_pool_terminate(world->pool);
    mproc_future_free(world->task);
    world->pool = mproc_pool_free(world->pool);
}

static const char *check(struct worker_world *world, int most_died)
{
    int died = 0;
    if (!within_time(settles, world))
        return "the work is not settled";
    const char *wrong = check_outcomes(world, &died);
    if (!wrong && died > most_died)
        wrong = "more items died than a worker was at";
    if (!wrong)
        wrong = check_postmortems(world);
    if (!wrong && world->has_deadly && world->status[DEADLY].result != MPROC_WORKER_DIED)
        wrong = "the item that kills its worker is told as done";
    if (!wrong)
        wrong = go_on(world);
    if (!wrong && list_first(&world->pool->shared->list))
        wrong = "a job stays in the list";
    if (!wrong && atomic_load(&world->pool->shared->spinner))
        wrong = "a dead worker is taken for one that looks for work";
    end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

static const char *check_worker(void *arg, bool finished)
{
    return check(arg, finished ? 0 : 1);
}

/* Its two workers die with it. */
static const char *check_server(void *arg, bool finished)
{
    (void)finished;
    return check(arg, 3);
}

static void destroy(void *arg)
{
    end(arg);
    mproc_free(arg);
}

const struct crash_case worker_cases[] = {
    {.operation = "pool_worker",
     .state = "at work, pairs",
     .build = build_pairs,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = destroy},
    {.operation = "pool_worker",
     .state = "at work, singles",
     .build = build_singles,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = destroy},
    {.operation = "pool_worker",
     .state = "at work, with a limit",
     .build = build_limited,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = destroy},
    {.operation = "pool_worker",
     .state = "at work, tried again",
     .build = build_retried,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = destroy},
    {.operation = "pool_worker",
     .state = "taking a dead one's place",
     .build = build_singles,
     .prepare = prepare_next_worker,
     .check = check_worker,
     .destroy = destroy},
    {.operation = "pool_server",
     .state = "taking a dead one's place",
     .build = build_for_server,
     .prepare = prepare_next_server,
     .check = check_server,
     .destroy = destroy},
    {.operation = "pool_server",
     .state = "replacing a worker",
     .build = build_deadly,
     .prepare = prepare_server,
     .check = check_server,
     .destroy = destroy},
    {0},
};
