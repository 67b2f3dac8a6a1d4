/* What the rest of the library knows of connections beyond <mproc/connection.h>: how they pass to a child, and how
 * mproc_wait() looks at them. */
#ifndef MPROC_CONNECTION_CONNECTION_H
#define MPROC_CONNECTION_CONNECTION_H

#include <mproc/connection.h>

/* Which ways a connection goes. */
enum connection_directions {
    CONNECTION_RECEIVES = 1,
    CONNECTION_SENDS = 2,
    CONNECTION_DUPLEX = 3
};

/* Whether this is a connection of this process that was not freed. Any pointer may be asked about, NULL too. */
bool connection_is_open(const mproc_connection *connection);

/* ---- to a forked child ---- */

/* In a forked child: close every connection but these count ones, which keep what they had read ahead, and make these
 * the list of mproc_inherited_connection() (defined in connection.c). The handles of the closed ones stay valid: every
 * call on them is -EBADF, and they may be freed. Takes no lock and no memory; async-signal-safe. count is at most
 * CONNECTION_INHERITED. */
#define CONNECTION_INHERITED 64
void connection_keep_only(mproc_connection *const *keep, size_t count);

/* ---- to a spawned child ----
 *
 * The parent lets the child inherit connection_fd() and sends it the description. The child adopts each, and then calls
 * connection_keep_only() with all of them. */

/* The descriptor, which belongs to the connection; -EBADF when it was closed. */
int connection_fd(const mproc_connection *connection);

/* Write what a child must be told: the directions, and the bytes that were read ahead. *size is what it needs (at least
 * a few bytes, mostly no more); MPROC_TOO_SMALL when capacity is less. -EBUSY: another thread receives at this
 * moment, or a descriptor was read ahead. */
int connection_describe(mproc_connection *connection, void *description, size_t capacity, size_t *size);

/* Make a connection of a descriptor and its description. On success the connection owns fd and makes it close-on-exec.
 * -EINVAL: not a description; -EBADF; -ENOMEM. */
int connection_adopt(mproc_connection **connection, int fd, const void *description, size_t size);

/* ---- for listeners, and those that connect ---- */

/* Have this file's handlers run at forks, if its constructor has not seen to that: the library may be used before. */
void connection_watch_forks(void);

/* Between these two no process is forked. A descriptor is made, given away and closed there, together with the note of
 * it by which a child finds and closes its copy. Nobody waits there. Not to be nested. */
void connection_hold_forks(void);
void connection_let_forks(void);

/* The same for a process that ends, when it takes no longer than that. */
bool connection_try_hold_forks(int64_t patience);

/* While forks are held: make a connection of a socket, a unix socket or another, that is connected or will be. On
 * success the connection owns fd. -ENOMEM. */
int connection_take(mproc_connection **connection, int fd, bool local);

/* For what goes before the messages. */
struct stream;
struct stream *connection_stream(mproc_connection *connection);

/* ---- for mproc_wait() ---- */

/* Whether a receive would return at once with what was read ahead; if not, the descriptor tells. */
bool connection_is_ready(const mproc_connection *connection);

/* The descriptor to watch for input; -EBADF when this end does not receive or was closed. */
int connection_watch_fd(const mproc_connection *connection);

#endif
