/* Waiting for descriptors. */
#ifndef MPROC_OS_POLL_H
#define MPROC_OS_POLL_H

#include <poll.h>
#include <stddef.h>
#include <stdint.h>

/* Wait until one of the descriptors is ready, at most so many nanoseconds. How many are, 0, or -errno (-EINTR). */
int os_poll(struct pollfd *watches, size_t count, int64_t nanoseconds);

/* A descriptor that becomes readable each time fd has become so once more, which nobody needs to read for that: it
 * watches fd edge-triggered. -errno. Close-on-exec. */
int os_edge_create(int fd);

/* Make it unreadable until the next time. 0 or -errno. */
int os_edge_clear(int edge);

/* A descriptor that is readable while any of a set of descriptors has what it is watched for (POLLIN, POLLOUT, and
 * always the end of file). -errno. Close-on-exec. One that another process has a copy of must be removed before it is
 * closed. */
int os_set_create(void);
int os_set_add(int set, int fd, short events);
int os_set_change(int set, int fd, short events);
void os_set_remove(int set, int fd);

#endif
