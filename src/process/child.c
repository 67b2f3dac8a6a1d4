/* What a child does. It never returns to the code that made the child.
 *
 * The child ends by exit(), so that handlers which its target registered are run; the first that is registered, and so
 * the last that is run, is ours, and leaves before those of the parent. */
#include "process/child.h"

#include "arena/quarantine.h"
#include "arena/trace.h"
#include "base/log.h"
#include "connection/connection.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/poll.h"
#include "os/proc.h"
#include "os/say.h"
#include "os/signal.h"
#include "process/coverage.h"
#include "process/parent_tie.h"
#include "process/process_postmortem.h"
#include "process/streams.h"
#include "util/atomic.h"
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define CANNOT_RUN 127

_Static_assert(PROCESS_NAME_SIZE == MEMBER_NAME_SIZE, "a name fits its place");

static OS_FORK_PATH void child_leave(int status, void *unused)
{
    (void)unused;
    os_leave(handle_end_all);
    streams_flush();
    os_leave(quarantine_empty);
    os_leave(trace_report);
    os_leave(member_leave);
    coverage_save();
    _exit(status);
}

_Noreturn void child_fail(const char *name, const char *reason)
{
    os_say("mproc: %s cannot run: %s\n", name, reason);
    _exit(CANNOT_RUN);
}

static OS_FORK_PATH void take_identity(const struct start *start)
{
    if (self.has_parent)
        os_close(self.parent.pidfd);
    memcpy(self.process.name, start->name, PROCESS_NAME_SIZE);
    memcpy(self.line, start->line, PROCESS_NAME_SIZE);
    self.groups = start->groups; /* which stays: child_run() does not return */
    memcpy(self.parent.name, start->parent_name, PROCESS_NAME_SIZE);
    self.process.daemon = start->daemon;
    self.parent.pid = start->parent_pid;
    self.parent.pidfd = start->sentinel;
    self.has_parent = true;
    log_set_process_name(start->name);
    self_show_name();
    store_relaxed(&self.children, 0);
}

/* What the family will see of this process when it first uses a shared object. One of a group is to be found there even
 * if it never does. */
static OS_FORK_PATH void child_introduce(const struct start *start)
{
    memcpy(member_identity.name, start->name, MEMBER_NAME_SIZE);
    member_identity.parent = start->parent;
    member_identity.group = start->group;
    if (!start->group)
        return;
    setenv(GROUPS_VARIABLE, start->groups, 1);
    os_set_lock_limit(start->group); /* where it may not, the other marks are left */
    member_join();
}

/* Until the parent has a descriptor of this process, or is gone. */
static OS_FORK_PATH void await_gate(const struct start *start)
{
    struct pollfd watches[2] = {{.fd = start->gate, .events = POLLIN}, {.fd = start->sentinel, .events = POLLIN}};
    int result;
    do {
        result = os_poll(watches, 2, OS_TICK);
    } while (result == 0 || result == -EINTR);
    os_close(start->gate);
}

_Noreturn OS_FORK_PATH void child_run(const struct start *start, struct os_signals signals)
{
    if (start->leash >= 0 && parent_tie_take(start->leash))
        child_fail(start->name, "it cannot be tied to its parent");
    if (start->gate >= 0)
        await_gate(start);
    os_signals_reset(signals);
    if (start->ignore_interrupt)
        os_signal_ignore(SIGINT);
    take_identity(start);
    if (start->words_file >= 0)
        process_postmortem_listen(start, __builtin_frame_address(0));
    if (start->connections_listed)
        connection_keep_only(start->connections, start->connection_count);
    child_introduce(start);
    if (on_exit(child_leave, NULL))
        child_fail(start->name, "there is no memory");
    exit(start->fn(start->arg));
}
