/* The start of a process, whatever the method: checks what was asked for, prepares what can fail, and makes the handle.
 * The child itself is made by fork.c, spawn.c and forkserver.c. */
#include "process/start.h"

#include "connection/connection.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/leave.h"
#include "os/pidfd.h"
#include "os/signal.h"
#include "process/authkey.h"
#include "process/coverage.h"
#include "process/group.h"
#include "process/parent_tie.h"
#include "process/process_lock.h"
#include "process/process_postmortem.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static _Atomic(int) default_method = MPROC_START_FORK;

int mproc_start_method_set(enum mproc_start_method method)
{
    if ((int)method < MPROC_START_DEFAULT)
        return refuse(__func__, "method is no start method");
    if (method > MPROC_START_FORKSERVER)
        return refuse(__func__, "method is no start method");
    store_relaxed(&default_method, method == MPROC_START_DEFAULT ? MPROC_START_FORK : method);
    return 0;
}

enum mproc_start_method mproc_start_method_get(void)
{
    return (enum mproc_start_method)load_relaxed(&default_method);
}

/* Groups are inherited; a group's own members get its mark too. */
static void describe_groups(struct start *start, struct mproc_group *group)
{
    start->group = member_identity.group;
    snprintf(start->groups, GROUPS_SIZE, "%s", self.groups);
    if (group)
        group_mark(group, start);
}

static int check_connections(const mproc_process_options *options)
{
    if (options->connection_count > CONNECTION_INHERITED)
        return failure(-EINVAL, "options.connection_count is above %d", CONNECTION_INHERITED);
    if (options->connection_count && !options->connections)
        return failure(-EINVAL, "options.connections is NULL, but options.connection_count is not 0");
    for (size_t i = 0; i < options->connection_count; i++)
        if (!connection_is_open(options->connections[i]))
            return failure(-EINVAL, "options.connections[%zu] is NULL or closed", i);
    return 0;
}

static int check(mproc_target *fn, const void *arg, const mproc_process_options *options)
{
    if (!fn)
        return failure(-EINVAL, "fn is NULL");
    if ((int)options->method < MPROC_START_DEFAULT || options->method > MPROC_START_FORKSERVER)
        return failure(-EINVAL, "options.method is no start method");
    if (options->arg_size && !arg)
        return failure(-EINVAL, "arg is NULL, but options.arg_size is not 0");
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return failure(-EINVAL, "a word of options.reserved is not 0");
    if (self.process.daemon && !options->daemon)
        return failure(-EPERM, "a daemon starts daemons only: set options.daemon");
    return check_connections(options);
}

/* The program's end is the end of its children, see process.h. A child that the library started leaves before its
 * copies of the program's handlers are run; one that the program forked has no children of ours. */
static void end_with_program(void)
{
    os_leave(handle_end_all);
}

static void watch_exit(void)
{
    static bool watching;
    process_lock();
    if (!watching)
        watching = atexit(end_with_program) == 0;
    process_unlock();
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
    start->ignore_interrupt = options->ignore_interrupt;
    start->arg_size = options->arg_size;
    start->connections = options->connections;
    start->connection_count = options->connection_count;
    start->connections_listed = options->connections != NULL;
    start->parent = member_current();
}

/* The process that started the program may have ignored SIGCHLD, and an ignored signal is inherited. Then the end of a
 * child could not be known. It stays ignored where the kernel tells the end all the same, and where the program itself
 * has chosen so. */
static bool was_ignored;

static void look_at_children(void)
{
    was_ignored = os_children_are_ignored();
}

/* Before main(); or at the first start, where the library is used before that. */
__attribute__((constructor)) static void note_signals(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, look_at_children);
}

static void heed_children(void)
{
    note_signals();
    if (was_ignored && os_children_are_ignored() && !os_pidfd_tells_end())
        os_heed_children();
    was_ignored = false;
}

/* A child that may be reaped at once does not begin before its parent has a descriptor of it. */
static int make_gate(struct start *start)
{
    if (!os_children_may_vanish())
        return 0;
    start->gate = os_eventfd_create();
    return start->gate < 0 ? start->gate : 0;
}

/* Everything that can fail and can be had before there is a child. */
static int prepare(struct start *start, const mproc_process_options *options, struct mproc_group *group)
{
    describe(start, options);
    describe_groups(start, group);
    start->sentinel = start->forks ? life_sentinel_of_fork() : parent_tie_sentinel();
    if (start->sentinel < 0)
        return start->sentinel;
    start->parent_pid = life_pid();
    if (start->daemon) {
        int result = parent_tie_begin(&start->leash, &start->tie);
        if (result)
            return result;
    }
    int result = make_gate(start);
    if (!result && options->postmortem)
        result = process_postmortem_prepare(start);
    return result ? result : authkey_settle();
}

static void release(struct start *start)
{
    if (start->sentinel >= 0 && !start->forks)
        os_close(start->sentinel);
    if (start->leash >= 0)
        os_close(start->leash);
    if (start->words_file >= 0)
        os_close(start->words_file);
}

static void open_gate(struct start *start)
{
    if (start->gate < 0)
        return;
    os_eventfd_ring(start->gate);
    os_close(start->gate);
}

static void untie(struct mproc_process *handle)
{
    process_lock();
    if (handle->tie >= 0)
        parent_tie_end(handle->tie);
    handle->tie = -1;
    process_unlock();
}

static pid_t run_method(struct start *start, enum mproc_start_method method, int *condition)
{
    switch (method) {
    case MPROC_START_SPAWN:
        return start_spawn(start, condition);
    case MPROC_START_FORKSERVER:
        return start_by_server(start, condition);
    default:
        return start_fork(start);
    }
}

static int start_into(struct mproc_process *handle, struct start *start, enum mproc_start_method method)
{
    int condition = 0;
    pid_t pid = run_method(start, method, &condition);
    release(start); /* and so there is a descriptor for the pidfd */
    if (pid <= 0)
        return pid ? pid : condition;
    memcpy(handle->name, start->name, PROCESS_NAME_SIZE);
    handle->daemon = start->daemon;
    handle->parent = start->parent;
    int result = start->pidfd == -1 ? handle_attach(handle, pid) : handle_attach_by(handle, pid, start->pidfd);
    if (handle->state != HANDLE_RUNNING)
        untie(handle);
    return result;
}

int start_process(mproc_process **process, mproc_target *fn, const void *arg, const mproc_process_options *options,
                  struct mproc_group *group)
{
    static const mproc_process_options defaults;
    options = options ? options : &defaults;
    *process = NULL;
    int result = check(fn, arg, options);
    if (result)
        return result;
    heed_children();
    handle_reap_freed();
    coverage_look();
    watch_exit();
    enum mproc_start_method method = options->method ? options->method : mproc_start_method_get();
    struct start start = {.fn = fn,
                          .arg = (void *)arg,
                          .forks = method == MPROC_START_FORK,
                          .sentinel = -1,
                          .pidfd = -1,
                          .leash = -1,
                          .tie = -1,
                          .gate = -1,
                          .words_file = -1};
    struct mproc_process *handle = handle_new();
    if (!handle)
        return -ENOMEM;
    handle->group = group;
    result = prepare(&start, options, group);
    handle->tie = start.tie;
    handle->words = start.words;
    handle->started_at = os_now();
    if (result)
        release(&start);
    else
        result = start_into(handle, &start, method);
    open_gate(&start);
    if (result) {
        untie(handle);
        handle_discard(handle);
        return result;
    }
    handle_list(handle);
    *process = handle;
    return 0;
}

int mproc_process_start(mproc_process **process, mproc_target *fn, const void *arg,
                        const mproc_process_options *options)
{
    return outcome(__func__,
                   process ? start_process(process, fn, arg, options, NULL) : failure(-EINVAL, "process is NULL"));
}
