/* An eventfd: a descriptor that wakes those that poll it. */
#ifndef MPROC_OS_EVENTFD_H
#define MPROC_OS_EVENTFD_H

/* Close-on-exec and non-blocking, at 0. The descriptor or -errno. */
int os_eventfd_create(void);

/* Add one, which makes it readable. */
int os_eventfd_ring(int fd);

#endif
