/* Reaching an address, whoever is there: what connect.c does for connections, and src/manager for its links. */
#ifndef MPROC_IPC_REACH_H
#define MPROC_IPC_REACH_H

#include "ipc/stream.h"
#include "os/listen.h"

/* Connect a socket, which the stream has. 0, MPROC_TIMEOUT, -errno. */
int reach(const struct stream *stream, const struct os_address *place, int64_t deadline);

/* Whether the peer of a unix socket is a process of this user: 0, -EPERM, -errno. */
int reach_check_user(const struct stream *stream);

#endif
