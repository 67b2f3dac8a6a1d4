/* Handshakes over streams, as handshake_io.h says. */
#include "connection/handshake_io.h"
#include "util/failure.h"

#include <errno.h>
#include <mproc/base.h>
#include <poll.h>

/* The bytes that are moved, or what a call came to: -EAGAIN where it would wait. */
static ssize_t again(ssize_t result)
{
    return result == -EINTR ? 0 : result;
}

static int send_output(struct handshake *handshake, struct stream *stream)
{
    const void *bytes;
    size_t size;

    while ((size = handshake_output(handshake, &bytes)) > 0) {
        struct iovec part = {.iov_base = (void *)(uintptr_t)bytes, .iov_len = size};
        ssize_t sent = again(stream_send(stream, &part, 1));
        if (sent < 0)
            return sent == -EPIPE ? MPROC_CLOSED : (int)sent;
        handshake_sent(handshake, (size_t)sent);
    }
    return 0;
}

static int receive_input(struct handshake *handshake, struct stream *stream)
{
    void *place;

    size_t size = handshake_input(handshake, &place);
    if (size == 0)
        return 0;
    ssize_t got = stream_receive(stream, place, size, NULL);
    if (got == 0)
        return MPROC_CLOSED;
    got = again(got);
    if (got < 0)
        return (int)got;
    return got ? handshake_received(handshake, (size_t)got) : 0;
}

/* That the peer's answer was wrong is told it if that goes at once, and is what counts if not. */
int handshake_advance(struct handshake *handshake, struct stream *stream)
{
    int result = 0;

    while (!result && !handshake_is_over(handshake)) {
        result = send_output(handshake, stream);
        if (!result)
            result = receive_input(handshake, stream);
    }
    if (handshake->step == HANDSHAKE_FAILED && result >= 0)
        return failure(MPROC_AUTH, "the other side has another key, or none");
    return result;
}

short handshake_events(const struct handshake *handshake)
{
    const void *bytes;
    return handshake_output(handshake, &bytes) ? POLLOUT : POLLIN;
}
