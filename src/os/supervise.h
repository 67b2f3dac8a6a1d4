/* What a process with one thread needs that forks children and is the only one to reap them. Until it reaps a child,
 * the child's number is the child's, so no pidfd is needed: there is no limit of descriptors, and nothing to inherit.
 */
#ifndef MPROC_OS_SUPERVISE_H
#define MPROC_OS_SUPERVISE_H

#include "os/pidfd.h"
#include <sys/types.h>

/* Reap any child that has ended, without waiting. 1; 0: no child has ended; -ECHILD: there is no child. */
int os_reap_any(struct os_end *end);

/* Send a signal to a child that was not reaped. */
int os_signal_child(pid_t pid, int signal);

/* In a child just forked: have the kernel send this process SIGKILL when its parent ends, whose number is given.
 * -ESRCH: it has ended. The parent must have only one thread, for it is the end of the forking thread that counts. */
int os_die_with_parent(pid_t parent);

/* Call this function at each end of a child, whatever this process did with SIGCHLD before; a system call that sleeps
 * then returns -EINTR. os_forget_children() goes back to the default. */
void os_on_child(void (*handler)(int signal));
void os_forget_children(void);

#endif
