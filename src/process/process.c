/* What a program can ask of a process that it started, of itself, and of the process that started it. */
#include "os/clock.h"
#include "os/pidfd.h"
#include "process/process_lock.h"
#include "process/self.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>
#include <unistd.h>

#define PARENT "process is the caller's parent, which is no child of its own"

static bool is_self(const mproc_process *process)
{
    return (const void *)process == &self.process;
}

static bool is_parent(const mproc_process *process)
{
    return (const void *)process == &self.parent && self.has_parent;
}

int mproc_process_join(mproc_process *process, mproc_time timeout)
{
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (is_self(process))
        return outcome(__func__, failure(-EDEADLK, "process is the caller itself"));
    if (is_parent(process))
        return outcome(__func__, failure(-ECHILD, PARENT));
    int64_t deadline = os_deadline(timeout);
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return refuse(__func__, "process is NULL, or no handle that is in use");
    int result = handle_is_own(handle) ? handle_wait(handle, deadline) : handle_foreign();
    handle_put(handle);
    return outcome(__func__, os_outcome(result, timeout));
}

static int process_exitcode_of(struct mproc_process *handle, int *exitcode)
{
    if (!handle_is_own(handle))
        return handle_foreign();
    switch (handle_look(handle)) {
    case HANDLE_RUNNING:
        return MPROC_RUNNING;
    case HANDLE_LOST:
        return failure(-ECHILD, "somebody else reaped process, and the kernel does not tell its exit code");
    default:
        *exitcode = handle->exitcode; /* does not change any more */
        return 0;
    }
}

int mproc_process_exitcode(mproc_process *process, int *exitcode)
{
    if (!exitcode)
        return refuse(__func__, "exitcode is NULL");
    if (is_self(process))
        return MPROC_RUNNING;
    if (is_parent(process))
        return outcome(__func__, failure(-ECHILD, PARENT));
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return refuse(__func__, "process is NULL, or no handle that is in use");
    int result = process_exitcode_of(handle, exitcode);
    handle_put(handle);
    return outcome(__func__, result);
}

static bool runs(int pidfd)
{
    int ended;
    do {
        ended = os_pidfd_wait(pidfd, 0);
    } while (ended == -EINTR);
    return ended != 1;
}

bool mproc_process_is_alive(mproc_process *process)
{
    if (is_self(process))
        return true;
    if (is_parent(process))
        return runs(self.parent.pidfd);
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return false;
    bool alive = handle_is_own(handle) ? handle_look(handle) == HANDLE_RUNNING : runs(handle->pidfd);
    handle_put(handle);
    return alive;
}

pid_t mproc_process_pid(const mproc_process *process)
{
    if (is_self(process))
        return getpid();
    if (is_parent(process))
        return self.parent.pid;
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return refuse(__func__, "process is NULL, or no handle that is in use");
    pid_t pid = handle->pid;
    handle_put(handle);
    return pid;
}

const char *mproc_process_name(const mproc_process *process)
{
    if (is_self(process))
        return self.process.name;
    if (is_parent(process))
        return self.parent.name;
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return NULL;
    const char *name = handle->name;
    handle_put(handle);
    return name;
}

bool mproc_process_is_daemon(const mproc_process *process)
{
    if (is_self(process))
        return self.process.daemon;
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return false;
    bool daemon = handle->daemon;
    handle_put(handle);
    return daemon;
}

int mproc_process_sentinel(const mproc_process *process)
{
    if (is_parent(process))
        return self.parent.pidfd;
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return refuse(__func__, "process is NULL, or no handle that is in use");
    process_lock();
    int fd = handle_sentinel(handle);
    process_unlock();
    handle_put(handle);
    return fd;
}

static int process_send(mproc_process *process, int signal)
{
    if (is_self(process) || is_parent(process))
        return failure(-ECHILD, is_self(process) ? "process is the caller itself" : PARENT);
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return failure(-EINVAL, "process is NULL, or no handle that is in use");
    int result = 0;
    if (!handle_is_own(handle) || handle_look(handle) == HANDLE_RUNNING)
        result = os_pidfd_signal(handle->pidfd, signal);
    if (signal == SIGKILL && result == 0)
        handle->was_killed = true;
    handle_put(handle);
    return result == -ESRCH ? 0 : result;
}

int mproc_process_terminate(mproc_process *process)
{
    return outcome(__func__, process_send(process, SIGTERM));
}

int mproc_process_kill(mproc_process *process)
{
    return outcome(__func__, process_send(process, SIGKILL));
}

int mproc_process_interrupt(mproc_process *process)
{
    return outcome(__func__, process_send(process, SIGINT));
}

mproc_process *mproc_process_free(mproc_process *process)
{
    struct mproc_process *handle = handle_get(process);
    if (!handle)
        return NULL;
    failure_hold();
    if (!handle->group)
        handle_free(handle);
    handle_put(handle);
    failure_release();
    return NULL;
}

mproc_process *mproc_current_process(void)
{
    return (mproc_process *)(void *)&self.process;
}

mproc_process *mproc_parent_process(void)
{
    return self.has_parent ? (mproc_process *)(void *)&self.parent : NULL;
}

int mproc_active_children(mproc_process **children, size_t capacity)
{
    if (!children && capacity)
        return refuse(__func__, "children is NULL, but capacity is not 0");
    return (int)handle_active(children, capacity);
}
