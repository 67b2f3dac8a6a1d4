/* Listeners, and connecting to them: what multiprocessing.connection.Listener and Client are in Python, whose programs
 * may stand at either end. What both make is an ordinary mproc_connection.
 *
 *     mproc_listener *listener;
 *     mproc_listener_create(&listener, "tcp::0", &(mproc_listener_options){ .key = key, .key_size = size });
 *     printf("%s\n", mproc_listener_address(listener));              // tcp:127.0.0.1:43127
 *     while (mproc_listener_accept(listener, &connection, MPROC_FOREVER) == 0)
 *         serve(connection);                                         // which frees it
 *
 *     mproc_connect(&connection, "tcp:127.0.0.1:43127",
 *                   &(mproc_connect_options){ .key = key, .key_size = size }, MPROC_SEC(5));
 *
 * Addresses:
 *     unix:PATH        a unix socket. Only processes of the same user get through, unless any_user says otherwise. A
 *                      path may be as long as the system's paths are; above 107 bytes it needs /proc.
 *     unix:            of a listener: a socket in a new folder that nobody else may enter, in $TMPDIR, or in /tmp where
 *                      that is not set or cannot be used
 *     tcp:HOST:PORT    a name, an IPv4 address or an IPv6 address in brackets; no HOST is 127.0.0.1. Port 0 of a
 *                      listener: one that is free. TCP needs a key.
 *
 * With a key each side proves to the other that it has it, and neither tells it. Without a key there is no such
 * handshake, as in Python without an authkey, and both sides must go without. The key of the family, which
 * mproc_authkey_get() gives, is not used by itself: pass it as the key. The handshake guards the beginning only: what
 * is sent afterwards is neither encrypted nor sealed, so TCP is for networks that you trust.
 *
 * A TCP peer whose host is gone without a word (its power, its network) is found out by the kernel's keepalive and by
 * what it does not acknowledge, within about silence_time, in whole seconds and at least 4: receiving and sending are
 * MPROC_CLOSED then. MPROC_FOREVER leaves it to the kernel, which may take hours, and a quarter of an hour while it has
 * data to send. What was not acknowledged is found out in calls that wait, of this library; poll() on the descriptor
 * does not show it. A peer that is there and does not read, or is stopped, stays.
 *
 * A name with several addresses is connected to by all of them: the next one is tried when one has failed, or has not
 * answered for 250 ms, and the first that answers is taken. The timeout is for all of them together.
 *
 * A listener belongs to the process that made it. A forked child has no listeners: it closes its copies, and every call
 * on them is -EBADF, but for mproc_listener_address() and mproc_listener_free(). */
#ifndef MPROC_LISTENER_H
#define MPROC_LISTENER_H

#include <mproc/connection.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_listener mproc_listener;

/* The longest key, and the room that any text of an address needs. */
#define MPROC_KEY_MAX     4096
#define MPROC_ADDRESS_MAX 4104

typedef struct mproc_listener_options {
    const void *key;           /* 1 to MPROC_KEY_MAX bytes, copied; NULL: no handshake */
    size_t key_size;           /* of key */
    int backlog;               /* how many may wait for accept; 0: 128 */
    mproc_time handshake_time; /* how long a peer may take for its handshake; 0: 10 seconds */
    size_t handshakes;         /* how many peers may be at their handshake at a time; 0: 64 */
    bool allow_md5;            /* also let in what knows nothing better than MD5: Python up to 3.11 */
    bool any_user;             /* unix: let in processes of other users; needs a key */
    mproc_time silence_time;   /* tcp: when a peer's host that is gone without a word is known to be; 0: 30 s */
    uint64_t reserved[7];      /* must be 0: room for fields to come, see mproc/base.h */
} mproc_listener_options;

/* Listen at an address. options may be NULL. unix:PATH: a socket that an ended listener left there is replaced, any
 * other file is not. -EINVAL: no address as above, bad options, TCP or any_user without a key. -EADDRINUSE: somebody
 * listens there, or it is a file. -EADDRNOTAVAIL, -EACCES, -ENOENT: not here. -EHOSTUNREACH: HOST has no address.
 * -ENAMETOOLONG: PATH is no path, or is longer than 107 bytes and there is no /proc. -ENOMEM, -EMFILE. -ELIBACC: there
 * is a key, for which OpenSSL's libssl and libcrypto are loaded, and they are not there; a process that did not find
 * them once does not look again. Waits for the name service where HOST is a name. */
MPROC_API int mproc_listener_create(mproc_listener **listener, const char *address,
                                    const mproc_listener_options *options);

/* Accept a connection whose peer has passed the handshake. A peer that does not is logged and dropped, and the wait
 * goes on; one that is slow holds up nobody. Handshakes go on only in calls of this function, and what they have come
 * to is kept for the next call. MPROC_TIMEOUT: nobody has passed. -EMFILE, -ENFILE, -ENOMEM: there is nothing left for
 * the next peer, who goes on waiting. -EBADF: a forked child's copy. Several threads take turns. */
MPROC_API int mproc_listener_accept(mproc_listener *listener, mproc_connection **connection, mproc_time timeout);

/* The address as peers connect to it, with what was chosen: the port, the path. Valid until the listener is freed. NULL
 * for NULL. */
MPROC_API const char *mproc_listener_address(const mproc_listener *listener);

/* Where the last accepted connection came from, as a text that ends in NUL: "tcp:HOST:PORT", or "unix:". At most
 * MPROC_ADDRESS_MAX bytes. MPROC_NOT_FOUND: none was accepted. MPROC_TOO_SMALL: capacity is. */
MPROC_API int mproc_listener_last_accepted(mproc_listener *listener, char *address, size_t capacity);

/* A descriptor for poll(), which belongs to the listener. It can be read when accept has something to do, which need
 * not end in a connection: call accept with MPROC_NOWAIT. While as many peers as may be are at their handshake it is
 * silent until one of them goes on; call accept from time to time, for only that ends those that are late. -EINVAL for
 * NULL. -EBADF: a forked child's copy. */
MPROC_API int mproc_listener_fileno(const mproc_listener *listener);

/* Stop listening, drop who has not been accepted, and return NULL. NULL is ignored. The process that made the listener
 * also removes its socket file, and the folder of "unix:"; so does its end by exit() or quick_exit(), or by return from
 * main() or from a process's function. A process that ends otherwise leaves them: the next listener at that path
 * replaces the file, and the next process that listens at "unix:" removes the folder. */
MPROC_API mproc_listener *mproc_listener_free(mproc_listener *listener);

typedef struct mproc_connect_options {
    const void *key; /* as that of the listener */
    size_t key_size;
    bool allow_md5;          /* also answer a listener that knows nothing better than MD5: Python up to 3.11 */
    bool any_user;           /* unix: the listener may be of another user; needs a key */
    mproc_time silence_time; /* tcp: as that of the listener */
    uint64_t reserved[7];    /* must be 0: room for fields to come, see mproc/base.h */
} mproc_connect_options;

/* Connect to a listener. options may be NULL. The timeout is for all of it, but for the name service where HOST is a
 * name. MPROC_AUTH: one of the two did not prove that it has the key, or only by MD5, or the peer is no listener of
 * this kind. MPROC_CLOSED: the peer closed in the middle of the handshake. MPROC_TIMEOUT. -ENOENT, -ECONNREFUSED:
 * nobody listens there. -EPERM: the listener is of another user. -EINVAL: as for mproc_listener_create(), also for port
 * 0 and "unix:" without a path. -EHOSTUNREACH, -ENETUNREACH, -ETIMEDOUT, -EACCES, -EMFILE, -ENOMEM,
 * -ELIBACC: as for mproc_listener_create(). */
MPROC_API int mproc_connect(mproc_connection **connection, const char *address, const mproc_connect_options *options,
                            mproc_time timeout);

/* Read a key: all bytes of a file, but for one newline at its end. It must be a regular file of this user's that nobody
 * else may read or write, or MPROC_KEY_EXPOSED. *size is the key's; MPROC_TOO_SMALL when capacity is less. -EINVAL: no
 * byte, or more than MPROC_KEY_MAX. -EISDIR, -ENOENT, -EACCES, -EMFILE. Keys do not belong in arguments or the environment,
 * which others on the machine may read. */
MPROC_API int mproc_key_from_file(const char *path, void *key, size_t capacity, size_t *size);

/* The same from a descriptor, whatever it is, up to its end of file. It stays open. Waits for what is written to it. */
MPROC_API int mproc_key_from_fd(int fd, void *key, size_t capacity, size_t *size);

#ifdef __cplusplus
}
#endif

#endif
