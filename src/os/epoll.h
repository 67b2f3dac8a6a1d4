/* Waiting for many descriptors, level-triggered: what a server's loop stands on. */
#ifndef MPROC_OS_EPOLL_H
#define MPROC_OS_EPOLL_H

#include <stdint.h>
#include <sys/epoll.h>

/* Close-on-exec. The descriptor or -errno. */
int os_epoll_create(void);

/* Watch a descriptor, watch it for other events, and no longer. 0 or -errno. */
int os_epoll_add(int epoll, int fd, uint32_t events, void *data);
int os_epoll_change(int epoll, int fd, uint32_t events, void *data);
int os_epoll_remove(int epoll, int fd);

/* Wait at most so many nanoseconds; rounded up to milliseconds where the kernel counts in these. How many events there
 * are, or -errno (-EINTR). */
int os_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds);

#endif
