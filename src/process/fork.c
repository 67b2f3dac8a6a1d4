/* The start method fork: the child is a copy of this process. Called by start.c. */
#include "os/fork.h"
#include "os/allocate.h"
#include "os/process.h"
#include "os/signal.h"
#include "process/child.h"
#include "process/streams.h"
#include <errno.h>
#include <string.h>

static OS_FORK_PATH pid_t fork_child(const struct start *start)
{
    sigset_t before;
    streams_flush();           /* this may wait, and should be interruptible */
    os_signals_block(&before); /* no handler of the parent's may run in the child */
    streams_flush();           /* of what a handler has written meanwhile */
    uint64_t caught = os_signals_caught();
    pid_t pid = os_fork();
    if (pid == 0)
        child_run(start, caught);
    os_signals_restore(&before);
    return pid;
}

OS_FORK_PATH pid_t start_fork(const struct start *start)
{
    if (start->arg_size == 0)
        return fork_child(start);
    struct start with_copy = *start;
    with_copy.arg = os_malloc(start->arg_size);
    if (!with_copy.arg)
        return -ENOMEM;
    memcpy(with_copy.arg, start->arg, start->arg_size); /* what it points to may be shared, and changed by others */
    pid_t pid = fork_child(&with_copy);
    free(with_copy.arg);
    return pid;
}
