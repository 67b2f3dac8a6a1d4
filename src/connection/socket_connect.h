/* Connecting to the listener at one of several addresses: for connections (connect.c) and for the links of managers.
 *
 *     socket_connect_begin(&attempt, places, count);
 *     do {
 *         result = socket_connect_next(&attempt, deadline, take, arg);    // and what else must succeed with this one
 *     } while (result < 0 && !socket_connect_is_over(&attempt));
 *     socket_connect_end(&attempt);
 */
#ifndef MPROC_CONNECTION_SOCKET_CONNECT_H
#define MPROC_CONNECTION_SOCKET_CONNECT_H

#include "connection/address.h"
#include "connection/stream.h"
#include "os/listen.h"

#define SOCKET_CONNECT_MAX ((size_t)16)

/* next and fds are changed while forks are held; a forked child closes its copies. */
struct attempt {
    struct attempt *next;
    const struct os_address *places;
    size_t count;
    size_t begun;                /* how many of the places were tried, or are */
    int64_t next_at;             /* when to begin with the next one, though none has failed */
    int64_t room_at;             /* when to ask the one listener again that had no room */
    int result;                  /* of the last one that failed */
    int fds[SOCKET_CONNECT_MAX]; /* of those that are being tried, by place; -1: none */
};

/* The places of an address: those of a host in the order in which they are to be tried, or a path. How many, or an
 * error. */
int socket_connect_places(struct os_address places[SOCKET_CONNECT_MAX], const struct address *address);

/* places are at most SOCKET_CONNECT_MAX, and must stay. They are tried in their order; one that does not answer holds
 * up the others for a moment only. */
void socket_connect_begin(struct attempt *attempt, const struct os_address *places, size_t count);

/* Connect to the next one that answers. take gets the socket while forks are held, and owns it where it returns 0. 0;
 * what take has returned; MPROC_TIMEOUT; -errno, of the last one that failed. */
int socket_connect_next(struct attempt *attempt, int64_t deadline,
                        int (*take)(void *arg, int fd, const struct os_address *place), void *arg);

/* Whether nothing is left to be tried. */
bool socket_connect_is_over(const struct attempt *attempt);

void socket_connect_end(struct attempt *attempt);

#endif
