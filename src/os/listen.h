/* Sockets that listen, and sockets that connect to them. Nothing here waits. Every descriptor that is made is
 * close-on-exec. */
#ifndef MPROC_OS_LISTEN_H
#define MPROC_OS_LISTEN_H

#include "os/address.h"
#include "os/clock.h"
#include <sys/types.h>

/* A stream socket for such an address. The descriptor or -errno. */
int os_socket_create(const struct os_address *address);

/* Give it this address, and let it listen there. 0 or -errno; -EADDRINUSE: the address is taken. */
int os_socket_bind(int fd, const struct os_address *address);
int os_socket_listen(int fd, int backlog);

/* The address that it has. */
int os_socket_address(int fd, struct os_address *address);

/* The address of whom it is connected to. */
int os_socket_peer_address(int fd, struct os_address *address);

/* The next peer: a connected socket, and where it comes from. -EAGAIN: there is none; -ECONNABORTED: it has gone. */
int os_socket_accept(int fd, struct os_address *from);

/* Connect. 0; -EINPROGRESS: wait until it can be written, and ask os_socket_error(); -EAGAIN: the listener has no room
 * at the moment, call again; -errno. */
int os_socket_connect(int fd, const struct os_address *address);
int os_socket_error(int fd);

/* Let the kernel find out, within about that span, that the host of a TCP peer is gone without a word: a receive or
 * send is -ETIMEDOUT then, or another error of os_is_gone(). OS_FOREVER: it does not. with_data: also while it has data
 * of ours that it does not acknowledge, and so also where it acknowledges them and does not read for so long. Where
 * that cannot be set nothing is found out. */
void os_socket_watch_peer(int fd, nanoseconds span, bool with_data);

/* Whether there are bytes on the way to a TCP peer, and nothing has been acknowledged by it for that span. */
bool os_socket_is_silent(int fd, nanoseconds span);

/* The span that options say: 0 is the default. */
nanoseconds os_silence(mproc_time option);

/* Whether an error of a connected socket says that the peer, its host or the way there is no more. */
bool os_is_gone(int result);

/* Whether the process at the other end of a unix socket had the effective user of this one when it began to listen or
 * connected: 0, -EPERM, -errno. */
int os_socket_check_user(int fd);

#endif
