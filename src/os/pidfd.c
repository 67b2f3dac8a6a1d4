/* Processes by descriptor. Called by src/process. It never reaps a process that it was not asked for by name. */
#define _GNU_SOURCE
#include "os/pidfd.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/poll.h"
#include "os/process.h"
#include "os/signal.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

int os_pidfd_open(pid_t pid)
{
    int fault = os_fault(OS_PIDFD_OPEN);
    if (fault)
        return fault;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    return fd < 0 ? failed_call("pidfd_open") : os_keep(fd);
}

int os_pidfd_of_child(pid_t pid)
{
    siginfo_t info;
    int fault = os_fault(OS_WAITID);
    if (fault)
        return fault;
    if (waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL))
        return failed_call("waitid");
    return os_pidfd_open(pid);
}

int os_pidfd_signal(int fd, int signal)
{
    int fault = os_fault(OS_PIDFD_SIGNAL);
    if (fault)
        return fault;
    if (!os_is_kept(fd))
        return -EBADF;
    return syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) < 0 ? failed_call("pidfd_send_signal") : 0;
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

/* The ioctl of newer kernels' <linux/pidfd.h>. */
struct pidfd_info {
    uint64_t mask;
    uint64_t cgroup;
    uint32_t ids[11];
    int32_t exit; /* as wait() tells it */
};

#define PIDFD_GET_INFO  _IOWR(0xFF, 11, struct pidfd_info)
#define PIDFD_INFO_EXIT (UINT64_C(1) << 3)

/* The end of a process that is no child, or no longer: its end is told as soon as it was reaped. */
static int end_by_descriptor(int fd, int *exitcode)
{
    struct pidfd_info info = {.mask = PIDFD_INFO_EXIT};
    int fault = os_fault(OS_IOCTL);
    if (fault || ioctl(fd, PIDFD_GET_INFO, &info))
        return -ECHILD;
    if (!(info.mask & PIDFD_INFO_EXIT))
        return 0;
    *exitcode = WIFEXITED(info.exit) ? WEXITSTATUS(info.exit) : -WTERMSIG(info.exit);
    return 1;
}

static bool try_end_by_descriptor(void)
{
    sigset_t before;
    int fd = -1, exitcode, told = -1;
    os_signals_block(&before);
    pid_t pid = os_fork_bare(&fd);
    if (pid == 0)
        _exit(0);
    os_signals_restore(&before);
    if (pid < 0)
        return false;
    while (waitid(P_PIDFD, (id_t)fd, &(siginfo_t){.si_pid = 0}, WEXITED | __WALL) < 0 && errno == EINTR) {
    }
    told = end_by_descriptor(fd, &exitcode);
    os_close(fd);
    return told == 1;
}

bool os_pidfd_tells_end(void)
{
    static _Atomic(int) known; /* 1: no; 2: yes */
    int answer = atomic_load_explicit(&known, memory_order_relaxed);
    if (!answer)
        atomic_store_explicit(&known, answer = 1 + try_end_by_descriptor(), memory_order_relaxed);
    return answer == 2;
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
            result = failed_call("waitid");
    } while (result == -EINTR);
    if (result == -ECHILD)
        return end_by_descriptor(fd, exitcode);
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
            result = failed_call("waitid");
    } while (result == -EINTR);
    if (!result && exitcode)
        *exitcode = exitcode_of(&info);
    return result;
}
