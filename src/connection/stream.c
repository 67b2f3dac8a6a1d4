/* Bytes through sockets and pipes, as stream.h says. */
#include "connection/stream.h"

#include "arena/member.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/listen.h"
#include "os/pipe.h"
#include "os/poll.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>

#define ASK_PEER OS_SEC(1)

void stream_init(struct stream *stream, int fd, enum os_stream_kind kind)
{
    stream->fd = fd;
    stream->kind = kind;
    atomic_init(&stream->ability, OS_PIPE_QUIET);
    atomic_init(&stream->waits, STREAM_WAITS_UNKNOWN);
    stream->silence = 0;
    atomic_init(&stream->asked_at, 0);
}

void stream_watch_peer(struct stream *stream, int64_t span)
{
    os_socket_watch_peer(stream->fd, span, false);
    stream->silence = span > 0 ? span : 0;
}

/* The kernel asks a peer that is silent, but not while it has bytes on the way to it; then it sends these again, for a
 * quarter of an hour. TCP_USER_TIMEOUT would end that, and also the connection with a peer that is there and does not
 * read. */
void stream_look_at_peer(struct stream *stream)
{
    if (!stream->silence)
        return;
    int64_t now = os_now(), before = load_relaxed(&stream->asked_at);
    if (now - before < ASK_PEER)
        return;
    store_relaxed(&stream->asked_at, now);
    if (os_socket_is_silent(stream->fd, stream->silence))
        os_socket_shut(stream->fd);
}

/* After a pipe said -EOPNOTSUPP: go down a step. False when there is none. */
static bool lower(struct stream *stream, int ability, int next)
{
    if (ability == OS_PIPE_POLLED)
        return false;
    store_relaxed(&stream->ability, next);
    return true;
}

/* Where the program has closed the descriptor, a file of its own may be there by now: the calls for pipes would write
 * to it. Those for sockets refuse a file. */
static ssize_t pipe_send(struct stream *stream, const struct iovec *parts, int count)
{
    if (!os_is_kept(stream->fd))
        return failure(-EBADF, "the program has closed the descriptor of connection");
    for (;;) {
        int ability = load_relaxed(&stream->ability);
        ssize_t sent = os_pipe_write(stream->fd, parts, count, (enum os_pipe_ability)ability);
        if (sent != -EOPNOTSUPP || !lower(stream, ability, ability + 1))
            return sent;
    }
}

static ssize_t pipe_receive(struct stream *stream, void *buffer, size_t size)
{
    if (!os_is_kept(stream->fd))
        return failure(-EBADF, "the program has closed the descriptor of connection");
    for (;;) {
        int ability = load_relaxed(&stream->ability);
        ssize_t got = os_pipe_read(stream->fd, buffer, size, (enum os_pipe_ability)ability);
        if (got != -EOPNOTSUPP || !lower(stream, ability, OS_PIPE_POLLED))
            return got;
    }
}

ssize_t stream_send(struct stream *stream, const struct iovec *parts, int count)
{
    if (stream->kind == OS_STREAM_PIPE)
        return pipe_send(stream, parts, count);
    ssize_t sent = os_socket_send(stream->fd, parts, count);
    return sent < 0 && os_is_gone((int)sent) ? -EPIPE : sent;
}

ssize_t stream_receive(struct stream *stream, void *buffer, size_t size, int *passed)
{
    ssize_t got;

    if (passed)
        *passed = OS_PASSED_NONE;
    if (stream->kind == OS_STREAM_PIPE)
        return pipe_receive(stream, buffer, size);
    if (passed && stream->kind == OS_STREAM_UNIX)
        got = os_socket_receive_descriptor(stream->fd, buffer, size, passed);
    else
        got = os_socket_receive(stream->fd, buffer, size);
    return got < 0 && os_is_gone((int)got) ? 0 : got;
}

/* Whether a receive on the socket may wait: it wakes after a tick. */
static bool can_wait(struct stream *stream)
{
    int waits = load_relaxed(&stream->waits);
    if (waits == STREAM_WAITS_UNKNOWN) {
        waits = os_socket_set_wait(stream->fd, OS_TICK) ? STREAM_WAITS_NOT : STREAM_WAITS;
        store_relaxed(&stream->waits, waits);
    }
    return waits == STREAM_WAITS;
}

ssize_t stream_receive_first(struct stream *stream, void *buffer, size_t size, int *passed, int64_t deadline)
{
    if (stream->kind == OS_STREAM_PIPE || os_until(deadline) < OS_TICK || !can_wait(stream))
        return stream_receive(stream, buffer, size, passed);
    if (passed)
        *passed = OS_PASSED_NONE;
    ssize_t got = os_socket_receive_first(stream->fd, buffer, size, stream->kind == OS_STREAM_UNIX ? passed : NULL);
    return got < 0 && os_is_gone((int)got) ? 0 : got;
}

int stream_nap(struct stream *stream, short events, int64_t deadline)
{
    struct pollfd watch = {.fd = stream->fd, .events = events};
    int64_t nap = os_nap(deadline);

    int ready = os_poll(&watch, 1, nap);
    if (ready > 0)
        return watch.revents & POLLNVAL ? -EBADF : 0;
    if (ready < 0 && ready != -EINTR)
        return ready;
    if (ready == 0 && nap == OS_TICK) {
        member_tick();
        stream_look_at_peer(stream);
    }
    return os_until(deadline) == 0 ? MPROC_TIMEOUT : -EAGAIN;
}

int stream_await(struct stream *stream, short events, int64_t deadline)
{
    int result;

    while ((result = stream_nap(stream, events, deadline)) == -EAGAIN) {
    }
    return result;
}

int stream_again(struct stream *stream, ssize_t result, short events, int64_t deadline)
{
    if (result == -EINTR)
        return 0;
    if (result != -EAGAIN)
        return (int)result;
    if (os_until(deadline) == 0)
        return MPROC_TIMEOUT;
    return stream_await(stream, events, deadline);
}
