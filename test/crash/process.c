/* The crash cases of processes: of the one that starts another, by each method, of the one that is started, from its
 * first instruction to its last, and of the fork server. */
#include "arena/heap.h"
#include "arena/member.h"
#include "crash.h"
#include "named.h"
#include "process/forkserver.h"
#include "survivors.h"
#include <mproc/base.h>
#include <mproc/memory.h>
#include <mproc/process.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <sys/personality.h>
#include <sys/ptrace.h>
#include <unistd.h>

#define EXIT_CODE 7

struct process_world {
    enum mproc_start_method method;
    bool daemon;
    mproc_lock lock;
    heap_place place;        /* of a block, with the lock */
    _Atomic(unsigned) begun; /* processes that came to their function, */
    _Atomic(unsigned) ended; /* and to its end */
    _Atomic(bool) may_end;
    _Atomic(bool) returned; /* the start has returned, */
    _Atomic(int) result;    /* with this */
    pid_t server;           /* the fork server, when that is the victim */
    mproc_process *process; /* of the tester, when the victim is what it has started */
};

static bool has_begun(void *arg)
{
    return atomic_load(&((struct process_world *)arg)->begun) > 0;
}

static bool has_returned(void *arg)
{
    return atomic_load(&((struct process_world *)arg)->returned);
}

static bool may_end(void *arg)
{
    return atomic_load(&((struct process_world *)arg)->may_end);
}

/* What a process does that is not stepped itself: a daemon stays until it is killed. */
static int live(void *arg)
{
    struct process_world *world = *(struct process_world **)arg;
    atomic_fetch_add(&world->begun, 1);
    while (world->daemon)
        pause();
    within_time(may_end, world);
    atomic_fetch_add(&world->ended, 1);
    return EXIT_CODE;
}

static int start(struct process_world *world, mproc_process **process, mproc_target *target)
{
    const mproc_process_options options = {.method = world->method, .daemon = world->daemon, .arg_size = sizeof world};
    return mproc_process_start(process, target, &world, &options);
}

static struct process_world *build(enum mproc_start_method method, bool daemon)
{
    survivors_note();
    struct process_world *world = world_alloc(sizeof *world);
    world->method = method;
    world->daemon = daemon;
    mproc_lock_init(&world->lock);
    return world;
}

static void destroy(void *world)
{
    mproc_free(world);
}

/* ---- the one that starts ---- */

static void *build_fork(void)
{
    return build(MPROC_START_FORK, false);
}

static void *build_fork_daemon(void)
{
    return build(MPROC_START_FORK, true);
}

static void *build_spawn(void)
{
    return build(MPROC_START_SPAWN, false);
}

static void *build_spawn_daemon(void)
{
    return build(MPROC_START_SPAWN, true);
}

static void *build_forkserver(void)
{
    return build(MPROC_START_FORKSERVER, false);
}

static void *build_forkserver_daemon(void)
{
    return build(MPROC_START_FORKSERVER, true);
}

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

/* The library has its own things: descriptors that it keeps, and a fork server when the method is that one. */
static void warm_up(void *arg)
{
    const struct process_world *world = arg;
    const mproc_process_options options = {.method = world->method};
    mproc_process *process;
    if (mproc_process_start(&process, return_at_once, NULL, &options) || mproc_process_join(process, MPROC_FOREVER))
        abort();
    mproc_process_free(process);
}

static void start_it(void *arg)
{
    struct process_world *world = arg;
    mproc_process *process;
    atomic_store(&world->result, start(world, &process, live));
    atomic_store(&world->returned, true);
}

/* A process whose starter is dead runs to its own end, if it is no daemon; a daemon ends at once, and so does a fork
 * server. Whatever the moment, there is one process or none, and a started one is there. */
static const char *check_started(void *arg, bool finished)
{
    struct process_world *world = arg;
    bool started = finished || has_returned(world);
    if (started && atomic_load(&world->result))
        return "the start fails";
    if (started && !world->daemon && !within_time(has_begun, world))
        return "a process that was started does not run";
    atomic_store(&world->may_end, true);
    const char *wrong = survivors_balance(mproc_usable_size(world));
    if (wrong)
        return wrong;
    if (atomic_load(&world->begun) > 1)
        return "there are two processes";
    if (!world->daemon && atomic_load(&world->begun) != atomic_load(&world->ended))
        return "a process that was started does not come to its end";
    return NULL;
}

/* ---- the one that is started ---- */

/* Uses what makes it a member, and holds something for a while. */
static int use_family(void *arg)
{
    struct process_world *world = *(struct process_world **)arg;
    if (mproc_lock_acquire(&world->lock, MPROC_FOREVER) == 0) {
        void *block;
        heap_alloc(100, &world->place, &block);
        atomic_fetch_add(&world->begun, 1);
        heap_free_from(&world->place);
        mproc_lock_release(&world->lock);
    }
    return EXIT_CODE;
}

static void start_or_give_up(struct process_world *world)
{
    if (start(world, &world->process, use_family))
        abort();
}

static void name_child(struct process_world *world)
{
    pid_t pid = mproc_process_pid(world->process);
    victim_await_stop(pid);
    victim_name(pid, NULL, NULL, true);
}

static void prepare_forked_child(void *arg)
{
    struct process_world *world = arg;
    victim_stop_next_fork(true);
    start_or_give_up(world);
    victim_stop_next_fork(false);
    name_child(world);
}

/* The same addresses each time, so that the same steps can be found again. The first run of a program is waited for,
 * and the victim stands still at its begin: so it is not the first. */
static void prepare_spawned_child(void *arg)
{
    struct process_world *world = arg;
    warm_up(world);
    int before = personality(0xffffffff);
    setenv(VICTIM_VARIABLE, "1", 1);
    personality((unsigned long)before | ADDR_NO_RANDOMIZE);
    start_or_give_up(world);
    personality((unsigned long)before);
    unsetenv(VICTIM_VARIABLE);
    name_child(world);
}

/* ---- the fork server and its children ---- */

static pthread_t starter;
static bool starter_runs;

static void *start_in_thread(void *arg)
{
    struct process_world *world = arg;
    atomic_store(&world->result, start(world, &world->process, use_family));
    atomic_store(&world->returned, true);
    if (world->server)
        kill(world->server, SIGTRAP); /* it may sleep already, and whoever steps it wait for its next stop */
    return NULL;
}

/* Only the thread that traces may let the traced go on, so that another one has to ask the server. */
static void start_beside(struct process_world *world)
{
    if (pthread_create(&starter, NULL, start_in_thread, world))
        abort();
    starter_runs = true;
}

static void join_starter(void)
{
    if (starter_runs)
        pthread_join(starter, NULL);
    starter_runs = false;
}

static void *build_with_server(void)
{
    struct process_world first = {.method = MPROC_START_FORKSERVER};
    warm_up(&first);
    return build_forkserver();
}

static void prepare_server(void *arg)
{
    pid_t server = forkserver_pid();
    victim_seize(server, 0);
    ((struct process_world *)arg)->server = server;
    start_beside(arg);
    victim_name(server, has_returned, arg, true);
}

/* The child is traced from its birth on; the server is let go. */
static void prepare_served_child(void *arg)
{
    pid_t server = forkserver_pid();
    unsigned long child;
    victim_seize(server, PTRACE_O_TRACEFORK);
    start_beside(arg);
    ptrace(PTRACE_CONT, server, NULL, NULL);
    victim_await_stop(server);
    if (ptrace(PTRACE_GETEVENTMSG, server, NULL, &child))
        abort();
    victim_await_stop((pid_t)child);
    ptrace(PTRACE_DETACH, server, NULL, NULL);
    join_starter();
    victim_name((pid_t)child, NULL, NULL, true);
}

/* ---- what must hold of what was started ---- */

/* What it held is free as soon as it is joined, without any wait. */
static const char *check_joined(struct process_world *world)
{
    int result = mproc_lock_acquire(&world->lock, MPROC_NOWAIT);
    if (result != 0 && result != MPROC_OWNER_DIED)
        return "what the dead process held is not free when it is joined";
    heap_free_from(&world->place);
    mproc_lock_release(&world->lock);
    if (member_find(mproc_process_pid(world->process), member_self()))
        return "a slot stays used when its process is joined";
    world->process = mproc_process_free(world->process);
    return survivors_balance(mproc_usable_size(world));
}

static const char *check_child(void *arg, bool finished)
{
    struct process_world *world = arg;
    int code = 0;
    if (mproc_process_join(world->process, MPROC_MS(SURVIVORS_MS)))
        return "the join does not return";
    if (mproc_process_exitcode(world->process, &code))
        return "the exit code is not known";
    if (code != EXIT_CODE && (code != -SIGKILL || finished))
        return "the exit code is another one";
    if (code == EXIT_CODE && atomic_load(&world->begun) != 1)
        return "the process has not done its work";
    return check_joined(world);
}

/* Whether the server lives or not, the process is started, once. */
static const char *check_served(void *arg, bool finished)
{
    struct process_world *world = arg;
    (void)finished;
    if (!within_time(has_returned, world))
        return "the start does not return";
    join_starter();
    if (atomic_load(&world->result))
        return "the start fails";
    const char *wrong = check_child(world, true);
    if (!wrong && atomic_load(&world->begun) != 1)
        wrong = "there are two processes";
    warm_up(world); /* a server that died when all was done is replaced by now */
    return wrong;
}

const struct crash_case process_cases[] = {
    {.operation = "process_start",
     .state = "fork",
     .build = build_fork,
     .prepare = warm_up,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_start",
     .state = "fork, daemon",
     .build = build_fork_daemon,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_start",
     .state = "spawn",
     .build = build_spawn,
     .prepare = warm_up,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_start",
     .state = "spawn, daemon",
     .build = build_spawn_daemon,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_start",
     .state = "first by forkserver",
     .build = build_forkserver,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_start",
     .state = "forkserver, daemon",
     .build = build_forkserver_daemon,
     .prepare = warm_up,
     .operate = start_it,
     .check = check_started,
     .destroy = destroy},
    {.operation = "process_child",
     .state = "fork",
     .build = build_fork,
     .prepare = prepare_forked_child,
     .check = check_child,
     .destroy = destroy},
    {.operation = "process_child",
     .state = "spawn",
     .build = build_spawn,
     .prepare = prepare_spawned_child,
     .check = check_child,
     .destroy = destroy},
    {.operation = "process_child",
     .state = "forkserver",
     .build = build_with_server,
     .prepare = prepare_served_child,
     .check = check_child,
     .destroy = destroy},
    {.operation = "forkserver",
     .state = "making a process",
     .build = build_with_server,
     .prepare = prepare_server,
     .check = check_served,
     .destroy = destroy},
    {0},
};
