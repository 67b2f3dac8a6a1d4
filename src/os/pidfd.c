/* Processes by descriptor. Nothing here reaps a process that the caller did not name. */
#define _GNU_SOURCE
#include "os/pidfd.h"

#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fault.h"
#include "os/poll.h"
#include "os/proc.h"
#include "os/process.h"
#include "os/procfd.h"
#include "os/refused.h"
#include "os/signal.h"
#include "os/uncancelled.h"
#include "os/waitid.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/resource.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

int os_pidfd_open(pid_t pid)
{
    int fault = os_fault(OS_PIDFD_OPEN);
    if (fault)
        return fault;
    int fd = (int)syscall(SYS_pidfd_open, pid, 0);
    if (fd >= 0)
        return os_keep_typeless(fd);
    int error = errno;
    int result = failed_call("pidfd_open");
    fd = os_is_refused(error) ? os_procfd_open(pid) : result;
    return fd == -ENOSYS ? result : fd;
}

bool os_pidfd_is_refused(void)
{
    static _Atomic(int) known; /* 1: no; 2: yes */
    int answer = load_relaxed(&known);
    if (answer)
        return answer == 2;
    int fd = (int)syscall(SYS_pidfd_open, getpid(), 0);
    answer = fd < 0 && os_is_refused(errno) ? 2 : 1;
    if (fd >= 0)
        uncancelled_close(fd);
    store_relaxed(&known, answer);
    return answer == 2;
}

bool os_pidfd_is_pollable(int fd)
{
    return !os_procfd_is(fd);
}

/* The number of a process that was not reaped. */
static int number_of(int fd, pid_t *pid)
{
    if (os_procfd_is(fd))
        return os_procfd_number(fd, pid);
    return os_proc_is_ours() ? os_proc_number(fd, pid) : -ENOSYS;
}

/* Between the look and the signal the process may be reaped and its number given to another, if that is not up to the
 * caller: numbers come again only after all others. */
static int signal_by_number(int fd, int signal, int refusal)
{
    pid_t pid;
    int result = number_of(fd, &pid);
    if (result)
        return result == -ESRCH ? result : refusal;
    return kill(pid, signal) ? failed_call("kill") : 0;
}

int os_pidfd_of_child(pid_t pid)
{
    siginfo_t info;
    int fault = os_fault(OS_WAITID);
    if (fault)
        return fault;
    if (os_waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL))
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
    if (syscall(SYS_pidfd_send_signal, fd, signal, NULL, 0) == 0)
        return 0;
    return os_is_refused(errno) ? signal_by_number(fd, signal, -errno) : failed_call("pidfd_send_signal");
}

/* How often a process is looked at that cannot be polled. */
#define LOOK_TIME OS_MS(5)

static int wait_by_looking(int fd, int64_t span)
{
    int64_t deadline = os_now() + span;
    for (;;) {
        if (os_procfd_has_ended(fd))
            return 1;
        int64_t left = deadline - os_now();
        if (left <= 0)
            return 0;
        const struct timespec nap = {.tv_nsec = left < LOOK_TIME ? left : LOOK_TIME};
        if (uncancelled_nanosleep(&nap))
            return failed_call("nanosleep");
    }
}

int os_pidfd_wait(int fd, int64_t span)
{
    if (os_procfd_is(fd)) {
        int fault = os_fault(OS_POLL);
        return fault ? fault : wait_by_looking(fd, span);
    }
    struct pollfd end = {.fd = fd, .events = POLLIN};
    return os_poll(&end, 1, span);
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

/* The end of a process that is no child, or no longer one: the kernel reports it once it was reaped. */
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
    while (os_waitid(P_PIDFD, (id_t)fd, &(siginfo_t){.si_pid = 0}, WEXITED | __WALL, NULL) < 0 && errno == EINTR) {
    }
    told = end_by_descriptor(fd, &exitcode);
    os_close(fd);
    return told == 1;
}

bool os_pidfd_tells_end(void)
{
    static _Atomic(int) known; /* 1: no; 2: yes */
    int answer = load_relaxed(&known);
    if (!answer) {
        answer = 1 + (!os_pidfd_is_refused() && try_end_by_descriptor());
        store_relaxed(&known, answer);
    }
    return answer == 2;
}

/* What waitid() is to wait for. A child keeps its number until it is reaped. */
struct wanted {
    idtype_t type;
    id_t id;
};

static struct wanted wanted_of(int fd)
{
    pid_t pid;
    if (!os_procfd_is(fd))
        return (struct wanted){P_PIDFD, (id_t)fd};
    return (struct wanted){P_PID, os_procfd_number(fd, &pid) == 0 ? (id_t)pid : (id_t)getpid()}; /* no child */
}

int os_pidfd_reap(int fd, int *exitcode)
{
    struct os_end end;
    int result = os_pidfd_reap_end(fd, &end);
    if (result == 1)
        *exitcode = end.exit;
    return result;
}

int os_pidfd_reap_end(int fd, struct os_end *end)
{
    siginfo_t info = {.si_pid = 0};
    struct rusage usage = {.ru_maxrss = 0};
    int result;
    *end = (struct os_end){.pid = 0};
    if (!os_is_kept(fd))
        return -EBADF;
    struct wanted wanted = wanted_of(fd);
    do {
        result = os_fault(OS_WAITID);
        if (!result && os_waitid(wanted.type, wanted.id, &info, WEXITED | WNOHANG | __WALL, &usage))
            result = failed_call("waitid");
    } while (result == -EINTR);
    if (result == -ECHILD)
        return end_by_descriptor(fd, &end->exit);
    if (result)
        return result;
    if (info.si_pid == 0)
        return 0;
    *end = (struct os_end){.pid = info.si_pid,
                           .exit = exitcode_of(&info),
                           .cpu = os_usage_time(&usage),
                           .peak_memory = (size_t)usage.ru_maxrss * 1024};
    return 1;
}

static bool is_child(idtype_t type, id_t id)
{
    siginfo_t info;
    return os_waitid(type, id, &info, WEXITED | WNOHANG | WNOWAIT | __WALL, NULL) == 0;
}

bool os_pidfd_is_child(int fd)
{
    struct wanted wanted = wanted_of(fd);
    return is_child(wanted.type, wanted.id);
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
    return os_waitid(P_PID, (id_t)pid, &info, WEXITED | WNOHANG | WNOWAIT, NULL) ? errno == ECHILD : info.si_pid == pid;
}

int os_reap(pid_t pid, int *exitcode)
{
    siginfo_t info = {.si_pid = 0};
    int result;
    do {
        result = os_fault(OS_WAITID);
        if (!result && os_waitid(P_PID, (id_t)pid, &info, WEXITED, NULL))
            result = failed_call("waitid");
    } while (result == -EINTR);
    if (!result && exitcode)
        *exitcode = exitcode_of(&info);
    return result;
}
