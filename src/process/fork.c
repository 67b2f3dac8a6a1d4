/* The start method fork: the child is a copy of this process. Called by start.c. */
#include "os/process.h"
#include "os/signal.h"
#include "process/child.h"
#include "process/streams.h"

pid_t start_fork(const struct start *start)
{
    sigset_t before;
    os_signals_block(&before); /* no handler of the parent's may run in the child */
    streams_flush();
    pid_t pid = os_fork();
    if (pid == 0)
        child_run(start);
    os_signals_restore(&before);
    return pid;
}
