/* A stream of bytes over whatever descriptor a connection has: moving bytes without waiting, and waiting until that can
 * go on. It knows nothing of messages. */
#ifndef MPROC_CONNECTION_STREAM_H
#define MPROC_CONNECTION_STREAM_H

#include "os/socket.h"
#include <mproc/base.h>
#include <stdatomic.h>

enum stream_waits {
    STREAM_WAITS_UNKNOWN = 0,
    STREAM_WAITS,
    STREAM_WAITS_NOT
};

struct stream {
    int fd; /* -1 once it was closed */
    enum os_stream_kind kind;
    _Atomic(int) ability; /* enum os_pipe_ability, of a pipe; only grows */
    _Atomic(int) waits;   /* of a socket: whether one can wait in a receive; enum stream_waits, set once */
    int64_t silence;      /* of TCP: when a peer that acknowledges nothing counts as gone; 0: never */
    _Atomic(int64_t) asked_at;
};

void stream_init(struct stream *stream, int fd, enum os_stream_kind kind);

/* Of a TCP socket that is connected: find out that the peer's host is gone, see os_socket_watch_peer(). */
void stream_watch_peer(struct stream *stream, int64_t span);

/* End the connection with a peer that has not acknowledged anything for the span. A thread that waits calls
 * it now and then; it asks the kernel once a second. */
void stream_look_at_peer(struct stream *stream);

/* Send bytes of up to two parts; how many, or -errno. A peer that is gone is -EPIPE, however it went. */
ssize_t stream_send(struct stream *stream, const struct iovec *parts, int count);

/* Receive up to size bytes; how many, or -errno. 0: end of file, also when the peer went without reading all of ours.
 * passed NULL: descriptors that come along are closed; else as os_socket_receive_descriptor(). */
ssize_t stream_receive(struct stream *stream, void *buffer, size_t size, int *passed);

/* The same, but wait for the first byte, at most a tick, if that is possible and the deadline is not before: it saves
 * asking first whether something is there. */
ssize_t stream_receive_first(struct stream *stream, void *buffer, size_t size, int *passed, int64_t deadline);

/* Wait until events (POLLIN, POLLOUT) or the end of file, at most a tick. 0: there it is; -EAGAIN: look again;
 * MPROC_TIMEOUT: the deadline has come; -errno. */
int stream_nap(struct stream *stream, short events, int64_t deadline);

/* The same in naps, until there it is. */
int stream_await(struct stream *stream, short events, int64_t deadline);

/* What to do after a call that returned result, an error: 0 means try again, perhaps after a wait; anything else is how
 * it ends. */
int stream_again(struct stream *stream, ssize_t result, short events, int64_t deadline);

#endif
