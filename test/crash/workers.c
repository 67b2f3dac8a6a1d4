/* The crash cases of pools whose worker or server is the victim, at work in a pool of the tester. A worker's death
 * costs the item that it was at and no other; a server's death costs those that its workers were at. Nothing runs
 * twice, all the rest is done, and the pool goes on with as many workers as before. */
#include "crash.h"
#include "named.h"
#include "worker_world.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/ptrace.h>
#include <sys/wait.h>

static struct worker_world *build(unsigned workers, size_t chunk, bool has_deadly)
{
    struct worker_world *world = worker_world_build(sizeof *world, &(mproc_pool_options){.workers = workers});
    world->chunk = chunk;
    world->has_deadly = has_deadly;
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

static void *build_at_home(void)
{
    struct worker_world *world = build(1, 1, false);
    world->runs = true;
    return world;
}

static void *build_for_server(void)
{
    struct worker_world *world = build(2, 1, false);
    world->server_dies = true;
    return world;
}

static void *build_deadly(void)
{
    struct worker_world *world = build(2, WORKER_ITEMS, true);
    world->server_dies = true;
    return world;
}

static void submit(struct worker_world *world)
{
    worker_world_map(world, WORKER_ITEMS, false);
    worker_world_submit(world);
}

/* ---- victims ---- */

static bool worker_is_through(void *arg)
{
    const struct worker_world *world = arg;
    return worker_world_is_settled(arg) && !atomic_load(&world->shared->workers[0].job);
}

static void prepare_worker(void *arg)
{
    struct worker_world *world = arg;
    pid_t worker = worker_world_worker(world, 0);
    victim_seize(worker, 0);
    submit(world);
    atomic_store(&world->shared->spinner, 1); /* as if it looked without sleeping: on one CPU none does */
    victim_name(worker, worker_is_through, world, false);
}

/* The worker dies; the one that is made in its place is traced from its birth on. */
static void prepare_next_worker(void *arg)
{
    struct worker_world *world = arg;
    pid_t server = worker_world_server(world);
    unsigned long child;
    int status = 0;
    victim_seize(server, PTRACE_O_TRACEFORK);
    kill(worker_world_worker(world, 0), SIGKILL);
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

static void prepare_server(void *arg)
{
    struct worker_world *world = arg;
    pid_t server = worker_world_server(world);
    victim_seize(server, 0);
    submit(world);
    victim_name(server, worker_world_is_mended, world, true);
}

/* The server dies; the one that the host makes in its place is traced from its first instruction on. */
static void prepare_next_server(void *arg)
{
    struct worker_world *world = arg;
    pid_t before = worker_world_server(world);
    kill(before, SIGKILL);
    victim_stop_next_fork(true);
    while (worker_world_server(world) == before)
        host_nap(world->pool);
    victim_stop_next_fork(false);
    victim_await_stop(worker_world_server(world));
    submit(world);
    victim_name(worker_world_server(world), worker_world_is_mended, world, true);
}

/* ---- what must hold ---- */

static const char *check_worker(void *arg, bool finished)
{
    return worker_world_finish(arg, finished ? 0 : 1);
}

/* Its two workers die with it. */
static const char *check_server(void *arg, bool finished)
{
    struct worker_world *world = arg;
    bool had_deadly = world->has_deadly;
    (void)finished;
    const char *wrong = worker_world_finish(world, 3);
    if (!wrong && had_deadly && world->status[WORKER_SPECIAL].result != MPROC_WORKER_DIED)
        wrong = "the item that kills its worker is told as done";
    return wrong;
}

const struct crash_case worker_cases[] = {
    {.operation = "pool_worker",
     .state = "at work, pairs",
     .build = build_pairs,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "at work, singles",
     .build = build_singles,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "at work, at home",
     .build = build_at_home,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "at work, with a limit",
     .build = build_limited,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "at work, tried again",
     .build = build_retried,
     .prepare = prepare_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "taking a dead one's place",
     .build = build_singles,
     .prepare = prepare_next_worker,
     .check = check_worker,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "taking a dead one's place",
     .build = build_for_server,
     .prepare = prepare_next_server,
     .check = check_server,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "replacing a worker",
     .build = build_deadly,
     .prepare = prepare_server,
     .check = check_server,
     .destroy = worker_world_destroy},
    {0},
};
