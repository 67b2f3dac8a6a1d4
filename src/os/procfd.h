/* What stands in for a pidfd where pidfd_open() is refused: a descriptor of the process's folder in /proc. The folder
 * is that process's for ever: once it is reaped nothing in it can be opened any more, whoever has its number then.
 * Unlike a pidfd it cannot be polled. Only pidfd.c makes one; others ask which of the two a descriptor is. */
#ifndef MPROC_OS_PROCFD_H
#define MPROC_OS_PROCFD_H

#include <stdbool.h>
#include <sys/types.h>

/* -ESRCH when there is no process with that number; -ENOSYS where /proc is missing, or another pid namespace's. */
int os_procfd_open(pid_t pid);

/* Whether it is one of these. */
bool os_procfd_is(int fd);

/* The number of the process. 0; -ESRCH when it was reaped. */
int os_procfd_number(int fd, pid_t *pid);

/* Whether it has ended, reaped or not. */
bool os_procfd_has_ended(int fd);

/* Whether /proc shows the pid namespace of this process, so that its numbers are the kernel's. */
bool os_proc_is_ours(void);

#endif
