/* The host's side of the fork server. */
#ifndef MPROC_PROCESS_FORKSERVER_H
#define MPROC_PROCESS_FORKSERVER_H

#include <sys/types.h>

/* The server's pid, or 0 when there is none. */
pid_t forkserver_pid(void);

/* Around a fork() of this process: the child is given a whole state, and drops it. */
void forkserver_before_fork(void);
void forkserver_after_fork_in_parent(void);
void forkserver_after_fork_in_child(void);

#endif
