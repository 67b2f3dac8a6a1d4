/* waitid(), and what stands in for it where a filter refuses it: wait4() and /proc. Called by pidfd.c and supervise.c.
 */
#ifndef MPROC_OS_WAITID_H
#define MPROC_OS_WAITID_H

#include <sys/resource.h>
#include <sys/wait.h>

/* As waitid(), for WEXITED; with the usage, unless that is NULL. 0, or -1 with errno. WNOWAIT goes with P_PID and P_PIDFD
 * alone, and with WNOHANG. */
int os_waitid(idtype_t type, id_t id, siginfo_t *info, int options, struct rusage *usage);

#endif
