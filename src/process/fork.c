/* The start method fork: the child is a copy of this process. Called by start.c. */
#include "os/fork.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/process.h"
#include "os/signal.h"
#include "process/child.h"
#include "process/streams.h"
#include <errno.h>
#include <string.h>

/* Before any handler may run: whoever has children reaped by one has a gate. */
static void open_child(struct start *start, pid_t pid)
{
    if (pid <= 0 || start->gate >= 0)
        return;
    os_close_at_once(start->sentinel); /* and so there is a descriptor for the pidfd */
    start->sentinel = -1;
    start->pidfd = os_pidfd_open(pid);
}

/* Where there is no gate SIGCHLD has its default action. */
static OS_FORK_PATH pid_t fork_child(struct start *start)
{
    sigset_t before;
    streams_flush();           /* this may wait, and should be interruptible */
    os_signals_block(&before); /* no handler of the parent's may run in the child */
    streams_flush();           /* of what a handler has written meanwhile */
    uint64_t caught = os_signals_caught();
    pid_t pid = os_fork();
    if (pid == 0)
        child_run(start, start->gate < 0 ? caught : os_signals_with_children(caught));
    open_child(start, pid);
    os_signals_restore(&before);
    return pid;
}

OS_FORK_PATH pid_t start_fork(struct start *start)
{
    if (start->arg_size == 0)
        return fork_child(start);
    void *arg = start->arg, *copy = os_malloc(start->arg_size);
    if (!copy)
        return -ENOMEM;
    memcpy(copy, arg, start->arg_size); /* what it points to may be shared, and changed by others */
    start->arg = copy;
    pid_t pid = fork_child(start);
    start->arg = arg;
    free(copy);
    return pid;
}
