/* Pipes and FIFOs: bytes through them without waiting and without SIGPIPE. The flag O_NONBLOCK is neither needed nor
 * touched, for it belongs to every process that has the descriptor. */
#ifndef MPROC_OS_PIPE_H
#define MPROC_OS_PIPE_H

#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

/* How far the kernel helps with one pipe. A call with more than it can is -EOPNOTSUPP; the caller then goes down one
 * step, for good. Every kernel can the last one. */
enum os_pipe_ability {
    OS_PIPE_QUIET,  /* reads and writes that do not wait, writes that raise no signal (pipes since Linux 6.18) */
    OS_PIPE_NOWAIT, /* reads and writes that do not wait (pipes since Linux 6.4) */
    OS_PIPE_POLLED  /* none: poll() first. Where another process takes what poll() saw, a call waits after all. */
};

/* A pipe, close-on-exec: fds[0] is read, fds[1] is written. */
int os_pipe(int fds[2]);

/* Write bytes; how many, or -errno: -EAGAIN, -EPIPE. */
ssize_t os_pipe_write(int fd, const struct iovec *parts, int count, enum os_pipe_ability ability);

/* write() to any descriptor, which waits where write() does, but raises no signal: how many bytes, or -errno. */
ssize_t os_write_quietly(int fd, const void *data, size_t size);

/* Read up to size bytes; how many, 0 at the end of file, or -errno. */
ssize_t os_pipe_read(int fd, void *buffer, size_t size, enum os_pipe_ability ability);

#endif
