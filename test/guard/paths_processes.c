/* What takes another process: processes, pools, a manager's server. */
#include "paths.h"

#include <errno.h>
#include <limits.h>
#include <sched.h>
#include <signal.h>
#include <spawn.h>
#include <stdint.h>
#include <stdio.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- process ---- */

static int leave(void *arg)
{
    (void)arg;
    return 0;
}

static void process_fork(void *object, size_t i)
{
    mproc_process *process;
    (void)object;
    (void)i;
    check(mproc_process_start(&process, leave, NULL, NULL), "mproc_process_start");
    check(mproc_process_join(process, MPROC_FOREVER), "mproc_process_join");
    mproc_process_free(process);
}

/* ---- pool ---- */

enum {
    ITEMS = 1000
};

static int square(void *ctx, const void *in, void *out)
{
    (void)ctx;
    long x = *(const long *)in;
    *(long *)out = x * x;
    return 0;
}

static void *make_pool(void)
{
    mproc_pool *pool;
    check(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}), "mproc_pool_create");
    return pool;
}

static void *make_threads(void)
{
    mproc_pool *pool;
    check(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .threads = true}), "mproc_pool_create");
    return pool;
}

static void end_pool(void *object)
{
    check(mproc_pool_close(object), "mproc_pool_close");
    check(mproc_pool_join(object, MPROC_FOREVER), "mproc_pool_join");
    mproc_pool_free(object);
}

static void pool_submit(void *object, size_t i)
{
    mproc_future *future;
    long in = (long)i, out;
    check(mproc_pool_submit(object, &future, square, NULL, &in, sizeof in, sizeof out), "mproc_pool_submit");
    check(mproc_future_get(future, &out, MPROC_FOREVER), "mproc_future_get");
    mproc_future_free(future);
}

/* A step is an item: every ITEMS-th of them maps as many. */
static void pool_map(void *object, size_t i)
{
    static long *arrays;
    if (i % ITEMS)
        return;
    if (!arrays)
        arrays = shared(2 * ITEMS * sizeof *arrays);
    const mproc_map map = {.count = ITEMS,
                           .in = arrays,
                           .in_size = sizeof(long),
                           .out = arrays + ITEMS,
                           .out_size = sizeof(long),
                           .chunk = ITEMS};
    check(mproc_pool_map(object, square, NULL, &map, MPROC_FOREVER), "mproc_pool_map");
}

/* ---- manager ---- */

struct managed {
    pid_t server;
    mproc_manager *manager;
    mproc_dict *dict;
};

/* Under valgrind the handshake of a busy machine takes its time. */
static const mproc_manager_options options = {.key = "guard", .key_size = 5, .authentication_time = MPROC_SEC(100)};

/* A program of its own, for valgrind does not know a system call of the server. What valgrind runs may start what it
 * does not. */
int be_server(const char *address)
{
    prctl(PR_SET_PDEATHSIG, SIGKILL);
    return mproc_manager_serve(address, &options) ? 1 : 0;
}

static void *make_managed(void)
{
    static struct managed managed;
    static char address[64];
    char program[PATH_MAX] = "", role[] = "serve", *arguments[] = {program, role, address, NULL};
    int result = readlink("/proc/self/exe", program, sizeof program - 1) > 0 ? 0 : -errno;
    check(result, "readlink");
    snprintf(address, sizeof address, "unix:guard-%d", (int)getpid());
    check(-posix_spawn(&managed.server, program, NULL, NULL, arguments, NULL), "posix_spawn");
    while ((result = mproc_manager_connect(&managed.manager, address, &options, MPROC_FOREVER)) == -ENOENT ||
           result == -ECONNREFUSED)
        sched_yield();
    check(result, "mproc_manager_connect");
    check(mproc_manager_dict(managed.manager, &managed.dict, NULL, MPROC_FOREVER), "mproc_manager_dict");
    check(mproc_dict_set(managed.dict, mproc_int(1), mproc_int(1), MPROC_FOREVER), "mproc_dict_set");
    return &managed;
}

static void manager_get(void *object, size_t i)
{
    const struct managed *managed = object;
    mproc_value value;
    (void)i;
    check(mproc_dict_get(managed->dict, mproc_int(1), &value, MPROC_FOREVER), "mproc_dict_get");
    mproc_value_free(&value);
}

static void end_managed(void *object)
{
    const struct managed *managed = object;
    check(mproc_manager_shutdown(managed->manager, MPROC_FOREVER), "mproc_manager_shutdown");
    mproc_manager_free(managed->manager);
    waitpid(managed->server, NULL, 0);
}

const struct path process_paths[] = {
    {"process_fork", NULL, process_fork, NULL, NO_INSTRUCTIONS, 5, 10, 0, 5},
    {"pool_submit", make_pool, pool_submit, end_pool, NO_INSTRUCTIONS, 20, 100, 0, 30},
    {"pool_submit_thread", make_threads, pool_submit, end_pool, NULL, 20, 100, 10, 30},
    {"pool_map_item", make_threads, pool_map, end_pool, "loop_run", ITEMS, 10 * ITEMS, 3, 0},
    {"manager_get", make_managed, manager_get, end_managed, NULL, 20, 100, 10, 10},
    {0},
};
