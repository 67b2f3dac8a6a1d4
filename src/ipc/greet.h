/* A handshake over a stream. Called by listener.c, many at a time, and by connect.c. */
#ifndef MPROC_IPC_GREET_H
#define MPROC_IPC_GREET_H

#include "ipc/handshake.h"
#include "ipc/stream.h"

/* Go on as far as it goes without waiting. 0: both have proved that they have the key; MPROC_AUTH; MPROC_CLOSED: the
 * peer has gone before that; -EAGAIN: wait for greet_events(); -errno. */
int greet(struct handshake *handshake, struct stream *stream);

/* What it waits for: POLLIN or POLLOUT. */
short greet_events(const struct handshake *handshake);

#endif
