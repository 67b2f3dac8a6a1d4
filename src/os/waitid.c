/* waitid(), as waitid.h says. */
#define _GNU_SOURCE
#include "os/waitid.h"

#include "os/proc.h"
#include "os/procfd.h"
#include "os/refused.h"
#include "os/uncancelled.h"
#include <errno.h>
#include <sys/syscall.h>
#include <unistd.h>

/* The number to wait for; -1: of any child; 0 with errno: there is none. */
static pid_t number_of(idtype_t type, id_t id, int refusal)
{
    pid_t pid = type == P_ALL ? -1 : (pid_t)id;
    int result = 0;
    if (type == P_PIDFD)
        result = os_proc_is_ours() ? os_proc_number((int)id, &pid) : -refusal;
    if (!result)
        return pid;
    errno = result == -ESRCH ? ECHILD : -result;
    return 0;
}

/* Without reaping it, which wait4() cannot do. */
static int look(pid_t pid, siginfo_t *info, int refusal)
{
    struct os_proc proc = {.parent = 0};
    int result = os_proc_is_ours() ? os_proc_read(pid, &proc) : -refusal;
    if (result == -ENOENT || (!result && proc.parent != getpid()))
        result = -ESRCH;
    if (result) {
        errno = result == -ESRCH ? ECHILD : -result;
        return -1;
    }
    info->si_pid = proc.has_ended ? pid : 0;
    return 0;
}

static int reap(pid_t pid, siginfo_t *info, int options, struct rusage *usage)
{
    int status = 0;
    pid_t reaped = (pid_t)syscall(SYS_wait4, pid, &status, options & (WNOHANG | __WALL), usage);
    if (reaped < 0)
        return -1;
    info->si_pid = reaped;
    info->si_code = WIFEXITED(status) ? CLD_EXITED : CLD_KILLED;
    info->si_status = WIFEXITED(status) ? WEXITSTATUS(status) : WTERMSIG(status);
    return 0;
}

/* The library's waitid() does not ask for the usage, which the kernel tells too. */
int os_waitid(idtype_t type, id_t id, siginfo_t *info, int options, struct rusage *usage)
{
    int result =
        usage ? (int)syscall(SYS_waitid, type, id, info, options, usage) : uncancelled_waitid(type, id, info, options);
    if (result == 0 || !os_is_refused(errno))
        return result;
    int refusal = errno;
    pid_t pid = number_of(type, id, refusal);
    if (!pid)
        return -1;
    return options & WNOWAIT ? look(pid, info, refusal) : reap(pid, info, options, usage);
}
