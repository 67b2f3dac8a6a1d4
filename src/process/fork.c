/* The start method fork: the child is a copy of this process. */
#include "os/fork.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/process.h"
#include "os/signal.h"
#include "process/child.h"
#include "process/parent_tie.h"
#include "process/streams.h"
#include <errno.h>
#include <stdatomic.h>
#include <string.h>

/* Whether this process had handlers for signals when it was looked last. */
static _Atomic(bool) had_handlers;

/* Have a descriptor for what the parent needs after the fork. Where the signals could be looked at there was one, and
 * nobody else has taken it since: there is no other thread, and no handler can run. Or -errno. */
static int fork_reserve(const struct start *start, struct os_signals signals)
{
    return signals.known && start->gate < 0 ? -1 : os_duplicate(start->sentinel);
}

/* Where there is no gate SIGCHLD has its default action. */
static OS_FORK_PATH _Noreturn void fork_be_child(struct start *start, struct os_signals signals, int room)
{
    start->sentinel = life_take_parent();
    if (room >= 0)
        os_close_at_once(room);
    child_run(start, start->gate < 0 ? signals : os_signals_with_children(signals));
}

/* No signal handler can run in the child. The pidfd is opened before one may run here; where a handler reaps children,
 * the start has a gate. */
static OS_FORK_PATH pid_t fork_quietly(struct start *start, struct os_signals signals)
{
    int room = fork_reserve(start, signals);
    if (room < -1)
        return room;
    pid_t pid = os_fork();
    if (pid == 0)
        fork_be_child(start, signals, room);
    if (room >= 0)
        os_close_at_once(room);
    if (pid > 0 && start->gate < 0)
        start->pidfd = os_pidfd_open(pid);
    return pid;
}

/* No handler of the parent's may run in the child. A process that has one blocks all signals, and then has the last
 * word of what its handlers have written, and of which there are. */
static OS_FORK_PATH pid_t fork_child(struct start *start)
{
    sigset_t before;
    bool expected = atomic_load_explicit(&had_handlers, memory_order_relaxed);
    streams_flush(); /* this may wait, and should be interruptible */
    if (!expected) {
        struct os_signals signals = os_signals_look();
        if (!signals.caught)
            return fork_quietly(start, signals);
    }
    os_signals_block(&before);
    streams_flush();
    struct os_signals signals = os_signals_look();
    if (expected != (signals.caught != 0))
        atomic_store_explicit(&had_handlers, !expected, memory_order_relaxed);
    signals.blocked = UINT64_MAX;
    pid_t pid = fork_quietly(start, signals);
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
