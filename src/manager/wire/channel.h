/* The way between a client and a server of a manager: a socket that does not wait, plain or under TLS. Called by both
 * sides; it knows nothing of frames. */
#ifndef MPROC_MANAGER_WIRE_CHANNEL_H
#define MPROC_MANAGER_WIRE_CHANNEL_H

#include "crypto/tls.h"
#include <stdint.h>
#include <sys/uio.h>

struct channel {
    int fd; /* -1: none */
    struct tls *tls;
};

/* Both close what they were given, or NULL it. */
void channel_close(struct channel *channel);

/* End it without closing it: whoever waits for it wakes. */
void channel_shut(const struct channel *channel);

/* As os_socket_send() and os_socket_receive(). */
ssize_t channel_send(struct channel *channel, const struct iovec *parts, int count);
ssize_t channel_receive(struct channel *channel, void *buffer, size_t size);

/* Set how long channel_receive_first() may wait: 0; -EOPNOTSUPP under TLS; -errno. */
int channel_set_wait(const struct channel *channel, int64_t nanoseconds);

/* As os_socket_receive_first(), where a time was set. */
ssize_t channel_receive_first(const struct channel *channel, void *buffer, size_t size);

/* Whether bytes have come of which the kernel knows no more: before the socket is waited for they must be received. */
bool channel_holds(const struct channel *channel);

#endif
