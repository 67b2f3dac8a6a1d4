/* Stream sockets: pairs of them, bytes and descriptors through them, and what kind of stream a descriptor is. Nothing
 * here waits: every call returns -EAGAIN where it would. The flag O_NONBLOCK is neither needed nor touched, for it
 * belongs to every process that has the descriptor. */
#ifndef MPROC_OS_SOCKET_H
#define MPROC_OS_SOCKET_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>
#include <sys/uio.h>

enum os_stream_kind {
    OS_STREAM_PIPE, /* a pipe or a FIFO */
    OS_STREAM_UNIX, /* a unix socket: descriptors can be sent */
    OS_STREAM_SOCKET
};

struct os_stream {
    enum os_stream_kind kind;
    bool input;
    bool output;
};

/* What a descriptor is. 0; -EBADF; -EINVAL when it is no connected stream socket, pipe or FIFO; -errno. */
int os_stream_identify(int fd, struct os_stream *stream);

/* Two unix stream sockets that are connected, close-on-exec. */
int os_socket_pair(int fds[2]);

/* Send bytes; how many, or -errno. -EPIPE raises no signal. */
ssize_t os_socket_send(int fd, const struct iovec *parts, int count);

/* Receive up to size bytes; how many, 0 at the end of file, or -errno. Descriptors that come along are closed. */
ssize_t os_socket_receive(int fd, void *buffer, size_t size);

/* As os_socket_receive() or, with passed, os_socket_receive_descriptor(), but wait for the first byte, where the socket
 * lets one wait: no longer than was set for it, then -EAGAIN. */
ssize_t os_socket_receive_first(int fd, void *buffer, size_t size, int *passed);

/* Set how long that is, for the socket in whatever process: 0 or -errno. */
int os_socket_set_wait(int fd, int64_t nanoseconds);

/* End both directions of a socket, and wake whoever waits for it. */
void os_socket_shut(int fd);

/* Send one byte, and a descriptor that goes with it, over a unix socket. 0 or -errno; -EBADF when passed is not open.
 */
int os_socket_send_descriptor(int fd, unsigned char byte, int passed);

#define OS_PASSED_NONE (-1)
#define OS_PASSED_LOST (-2)

/* As os_socket_receive(), and keep a descriptor that comes along: *passed is it, close-on-exec, or OS_PASSED_NONE, or
 * OS_PASSED_LOST when this process could not have another one. A descriptor ends the read: it came with the last of the
 * bytes returned (unix(7), ancillary data is a barrier). When several come with one byte the first is kept and the
 * others are closed. */
ssize_t os_socket_receive_descriptor(int fd, void *buffer, size_t size, int *passed);

#endif
