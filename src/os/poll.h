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

#endif
