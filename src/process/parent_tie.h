/* How a child notices the end of its parent: descriptors that it gets from the parent, whatever the start method. */
#ifndef MPROC_PROCESS_PARENT_TIE_H
#define MPROC_PROCESS_PARENT_TIE_H

#include <sys/types.h>

/* A pidfd of this process, or what is readable as one when it has ended, for a child; the caller closes it. -errno. */
int parent_tie_sentinel(void);

/* The same for a child that will be forked, which finds it by life_take_parent(): the caller leaves it open. */
int life_sentinel_of_fork(void);

/* In the child of a fork: its copy of that, which belongs to the caller from then on. */
int life_take_parent(void);

/* The number of the process that has a sentinel. */
pid_t life_pid(void);

/* Tie a daemon that is about to be started to this process: *leash is for the daemon, and the caller closes it; *end
 * stands for what this process keeps. 0 or -errno. */
int parent_tie_begin(int *leash, int *end);

/* Give up what is kept for a daemon that has ended, or was not started. With the process lock. */
void parent_tie_end(int end);

/* In a daemon: be killed by the kernel when the process that gave the leash is gone. The descriptor belongs to the
 * leash from then on. 0 or -errno. */
int parent_tie_take(int leash);

/* In a daemon that must end in good order: get this signal then, and not be killed. -ECHILD: it is no daemon; -errno.
 */
int parent_tie_loosen(int signal);

/* The leash that this process wears: at its end of file when the process that gave it is gone. -1: it is no daemon. */
int parent_tie_taken(void);

/* In the child of a fork: drop what is the parent's. Async-signal-safe; the process lock is held. */
void parent_tie_forget(void);

#endif
