/* Supervising children by their number. Not for a process of the user's, whose children and signals are its own. */
#include "os/supervise.h"

#include "os/clock.h"
#include "os/fault.h"
#include "os/waitid.h"
#include "util/failure.h"
#include <errno.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

int os_reap_any(struct os_end *end)
{
    struct rusage usage = {.ru_maxrss = 0};
    int fault = os_fault(OS_WAITID);
    if (fault)
        return fault;
    siginfo_t info = {.si_pid = 0};
    if (os_waitid(P_ALL, 0, &info, WEXITED | WNOHANG, &usage))
        return failed_call("waitid");
    if (info.si_pid == 0)
        return 0;
    *end = (struct os_end){.pid = info.si_pid,
                           .exit = info.si_code == CLD_EXITED ? info.si_status : -info.si_status,
                           .cpu = os_usage_time(&usage),
                           .peak_memory = (size_t)usage.ru_maxrss * 1024};
    return 1;
}

int os_signal_child(pid_t pid, int signal)
{
    int fault = os_fault(OS_KILL);
    if (fault)
        return fault;
    return kill(pid, signal) ? failed_call("kill") : 0;
}

int os_die_with_parent(pid_t parent)
{
    int fault = os_fault(OS_PRCTL);
    if (fault)
        return fault;
    if (prctl(PR_SET_PDEATHSIG, SIGKILL))
        return failed_call("prctl");
    return getppid() == parent ? 0 : -ESRCH; /* it may have ended before the kernel knew what to do then */
}

void os_on_child(void (*handler)(int signal))
{
    struct sigaction action = {.sa_handler = handler, .sa_flags = SA_NOCLDSTOP};
    sigaction(SIGCHLD, &action, NULL);
}

void os_forget_children(void)
{
    struct sigaction action = {.sa_handler = SIG_DFL};
    sigaction(SIGCHLD, &action, NULL);
}
