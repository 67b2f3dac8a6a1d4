/* The start of a process, whatever the method: checks what was asked for, prepares what can fail, and makes the handle.
 * The child itself is made by fork.c, spawn.c and forkserver.c. */
#include "process/start.h"

#include "ipc/connection.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/pidfd.h"
#include "process/life.h"
#include "process/local.h"
#include <errno.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static _Atomic(int) default_method = MPROC_START_FORK;

int mproc_set_start_method(enum mproc_start_method method)
{
    if ((int)method < MPROC_START_DEFAULT || method > MPROC_START_FORKSERVER)
        return -EINVAL;
    atomic_store_explicit(&default_method, method == MPROC_START_DEFAULT ? MPROC_START_FORK : method,
                          memory_order_relaxed);
    return 0;
}

enum mproc_start_method mproc_get_start_method(void)
{
    return (enum mproc_start_method)atomic_load_explicit(&default_method, memory_order_relaxed);
}

static int check_connections(const mproc_process_options *options)
{
    if (options->connection_count > CONNECTION_INHERITED || (options->connection_count && !options->connections))
        return -EINVAL;
    for (size_t i = 0; i < options->connection_count; i++)
        if (!connection_is_open(options->connections[i]))
            return -EINVAL;
    return 0;
}

static int check(mproc_target *fn, const void *arg, const mproc_process_options *options)
{
    if (!fn || (int)options->method < MPROC_START_DEFAULT || options->method > MPROC_START_FORKSERVER ||
        (options->arg_size && !arg))
        return -EINVAL;
    if (self.process.daemon && !options->daemon)
        return -EPERM;
    return check_connections(options);
}

/* The program's end is the end of its children, see process.h. A child that the library started leaves before its
 * copies of the program's handlers are run; one that the program forked has no children of ours. */
static void end_with_program(void)
{
    handle_end_all();
}

static void watch_exit(void)
{
    static bool watching;
    local_lock();
    if (!watching)
        watching = atexit(end_with_program) == 0;
    local_unlock();
}

/* A private copy of the argument for a forked child: what it points to may be shared, and changed by others. */
static int copy_argument(struct start *start, const mproc_process_options *options)
{
    if (options->arg_size == 0)
        return 0;
    void *copy = os_malloc(options->arg_size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, start->arg, options->arg_size);
    start->arg = copy;
    start->arg_size = options->arg_size;
    return 0;
}

static void describe(struct start *start, const mproc_process_options *options)
{
    self_next_line(start->line);
    if (options->name)
        self_copy_name(start->name, options->name);
    else
        snprintf(start->name, PROCESS_NAME_SIZE, "Process-%.50s", start->line);
    memcpy(start->parent_name, self.process.name, PROCESS_NAME_SIZE);
    start->daemon = options->daemon;
    start->connections = options->connections;
    start->connection_count = options->connection_count;
    start->connections_listed = options->connections != NULL;
    start->parent_pid = getpid();
    start->parent = member_current();
}

/* Everything that can fail and can be had before there is a child. */
static int prepare(struct start *start, const mproc_process_options *options)
{
    describe(start, options);
    start->sentinel = life_sentinel();
    if (start->sentinel < 0)
        return start->sentinel;
    if (start->daemon) {
        start->leash = life_leash();
        if (start->leash < 0)
            return start->leash;
    }
    return copy_argument(start, options);
}

static void release(struct start *start)
{
    if (start->sentinel >= 0)
        os_close(start->sentinel);
    if (start->leash >= 0)
        os_close(start->leash);
    if (start->arg_size)
        free(start->arg);
}

static pid_t run_method(const struct start *start, enum mproc_start_method method, int *condition)
{
    (void)condition;
    switch (method == MPROC_START_DEFAULT ? mproc_get_start_method() : method) {
    case MPROC_START_SPAWN:
    case MPROC_START_FORKSERVER:
        return -ENOSYS;
    default:
        return start_fork(start);
    }
}

/* A descriptor that is readable: the sentinel of a process that was gone before it could get one. */
static int open_ended(void)
{
    int fd = os_eventfd_create();
    if (fd >= 0)
        os_eventfd_ring(fd);
    return fd;
}

/* Give a handle its child. The child is not reaped before that, unless the program does so with all its children. */
static int attach(struct mproc_process *handle, pid_t pid)
{
    handle->pid = pid;
    handle->pidfd = os_pidfd_open(pid);
    if (handle->pidfd == -ESRCH) {
        handle->state = HANDLE_LOST;
        handle->pidfd = open_ended();
    }
    if (handle->pidfd >= 0)
        return 0;
    int result = handle->pidfd;
    kill(pid, SIGKILL);
    os_reap(pid);
    return result;
}

static int start_into(struct mproc_process *handle, struct start *start, const mproc_process_options *options)
{
    int condition = 0;
    pid_t pid = run_method(start, options->method, &condition);
    release(start); /* and so there is a descriptor for the pidfd */
    if (pid <= 0)
        return pid ? pid : condition;
    memcpy(handle->name, start->name, PROCESS_NAME_SIZE);
    handle->daemon = start->daemon;
    handle->parent = start->parent;
    return attach(handle, pid);
}

int start_process(mproc_process **process, mproc_target *fn, void *arg, const mproc_process_options *options,
                  struct mproc_group *group)
{
    static const mproc_process_options defaults;
    options = options ? options : &defaults;
    *process = NULL;
    int result = check(fn, arg, options);
    if (result)
        return result;
    handle_reap_freed();
    watch_exit();
    struct start start = {.fn = fn, .arg = arg, .sentinel = -1, .leash = -1};
    struct mproc_process *handle = handle_new();
    if (!handle)
        return -ENOMEM;
    handle->group = group;
    result = prepare(&start, options);
    if (result)
        release(&start);
    else
        result = start_into(handle, &start, options);
    if (result) {
        handle_discard(handle);
        return result;
    }
    handle_list(handle);
    *process = handle;
    return 0;
}

int mproc_process_start(mproc_process **process, mproc_target *fn, void *arg, const mproc_process_options *options)
{
    return process ? start_process(process, fn, arg, options, NULL) : -EINVAL;
}
