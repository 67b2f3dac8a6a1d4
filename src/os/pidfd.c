/* Processes by descriptor. Called by src/process. It never reaps a process that it was not asked for by name. */
#define _GNU_SOURCE
#include "os/pidfd.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/poll.h"
#include <errno.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int os_pidfd_open(pid_t pid)
{
    int fault = os_fault(OS_PIDFD_OPEN);
    if (fault)
        return fault;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? -errno : os_keep(fd);
}

int os_pidfd_of_child(pid_t pid)
{
    siginfo_t info;
    int fault = os_fault(OS_WAITID);
    if (fault)
        return fault;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL))
        return -errno;
    return os_pidfd_open(pid);
}

int os_pidfd_signal(int fd, int signal)
{
    int fault = os_fault(OS_PIDFD_SIGNAL);
    if (fault)
        return fault;
    if (!os_is_kept(fd))
        return -EBADF;
    return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? -errno : 0;
}

int os_pidfd_wait(int fd, int64_t nanoseconds)
{
    struct pollfd end = {.fd = fd, .events = POLLIN};
    return os_poll(&end, 1, nanoseconds);
}

static int exitcode_of(const siginfo_t *info)
{
    return info->si_code == CLD_EXITED ? info->si_status : -info->si_status;
}

int os_pidfd_reap(int fd, int *exitcode)
{
    siginfo_t info = {.si_pid = 0};
    int result;
    if (!os_is_kept(fd))
        return -EBADF;
    do {
        result = os_fault(OS_WAITID);
        if (!result && waitid(P_PIDFD, (id_t)fd, &info, WEXITED | WNOHANG | __WALL))
            result = -errno;
    } while (result == -EINTR);
    if (result)
        return result;
    if (info.si_pid == 0)
        return 0;
    *exitcode = exitcode_of(&info);
    return 1;
}

static bool is_child(idtype_t type, id_t id)
{
    siginfo_t info;
    return waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT | __WALL) == 0;
}

bool os_pidfd_is_child(int fd)
{
    return is_child(P_PIDFD, (id_t)fd);
}

bool os_is_child(pid_t pid)
{
    return is_child(P_PID, (id_t)pid);
}

bool os_child_has_ended(pid_t pid)
{
    siginfo_t info = {.si_pid = 0};
    if (os_fault(OS_WAITID))
        return false;
    return waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT) ? errno == ECHILD : info.si_pid == pid;
}

int os_reap(pid_t pid, int *exitcode)
{
    siginfo_t info = {.si_pid = 0};
    int result;
    do {
        result = os_fault(OS_WAITID);
        if (!result && waitid(P_PID, (id_t)pid, &info, WEXITED))
            result = -errno;
    } while (result == -EINTR);
    if (!result && exitcode)
        *exitcode = exitcode_of(&info);
    return result;
}
