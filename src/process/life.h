/* How a child knows of its parent's life: descriptors that it gets from the parent, by whatever method it is started.
 */
#ifndef MPROC_PROCESS_LIFE_H
#define MPROC_PROCESS_LIFE_H

/* A pidfd of this process, for a child; the caller closes it. -errno. */
int life_sentinel(void);

/* What ties a daemon to this process; the caller closes it. -errno. */
int life_leash(void);

/* In a daemon: be killed by the kernel when the process that gave the leash is gone. The descriptor belongs to the
 * leash from then on. 0 or -errno. */
int life_wear(int leash);

/* In the child of a fork: drop what is the parent's. Async-signal-safe; the local lock is held. */
void life_forget(void);

#endif
