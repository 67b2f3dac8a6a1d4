/* A handshake over a stream. It never waits, so that a listener can have many under way. */
#ifndef MPROC_CONNECTION_HANDSHAKE_IO_H
#define MPROC_CONNECTION_HANDSHAKE_IO_H

#include "connection/handshake.h"
#include "connection/stream.h"

/* Go on as far as it goes without waiting. 0: both have proved that they have the key; MPROC_AUTH; MPROC_CLOSED: the
 * peer has gone before that; -EAGAIN: wait for handshake_events(); -errno. */
int handshake_advance(struct handshake *handshake, struct stream *stream);

/* What it waits for: POLLIN or POLLOUT. */
short handshake_events(const struct handshake *handshake);

#endif
