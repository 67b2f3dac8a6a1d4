/* Listeners: the handles, the list of them, and the peers that are on their way to become connections.
 *
 * A listener has a set of descriptors: its socket, and those of the peers at their handshake. Accepting is to go
 * through all of them without waiting, and to sleep until one of the set is ready; so one that is slow holds up nobody.
 * What a peer has come to is kept in its struct, and a call that ends early loses nothing.
 *
 * A child must get none of these descriptors. They are made and closed while forks are held (connection/connection.h),
 * and by the time forks are let again each is in a listener of the list. */
#include "arena/member.h"
#include "connection/auth_key.h"
#include "connection/connection.h"
#include "connection/endpoint.h"
#include "connection/handshake_io.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/listen.h"
#include "os/poll.h"
#include "os/thread.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

#define BACKLOG        128
#define HANDSHAKES     ((size_t)64)
#define HANDSHAKE_TIME OS_SEC(10)

/* Changed by the thread whose turn it is; stream and next while forks are held. */
struct peer {
    struct peer *next;
    struct stream stream;
    struct os_address from;
    int64_t deadline;
    bool user_is_checked;
    bool has_begun;
    short watched; /* the events of it in the set; 0: it is not in there */
    struct handshake handshake;
};

struct mproc_listener {
    struct mproc_listener *next; /* while forks are held */
    struct endpoint endpoint;    /* constant, except that a forked child closes it */
    struct stream set;           /* the descriptor of the set */
    pthread_mutex_t turn;        /* to accept */
    struct peer *peers;          /* the oldest first */
    size_t peer_count;
    bool socket_is_watched; /* in the set, as long as there is room for a peer */
    bool has_accepted;      /* with last_accepted, while forks are held */
    bool any_user;
    size_t most;
    nanoseconds handshake_time;
    nanoseconds silence_time;
    struct handshake_key key;
    char address[MPROC_ADDRESS_MAX];
    char last_accepted[ADDRESS_GIVEN_MAX];
    unsigned char key_bytes[]; /* of key */
};

static struct mproc_listener *list;

/* ---- forks ---- */

static OS_FORK_PATH void close_copy(struct stream *stream)
{
    if (stream->fd >= 0)
        os_close(stream->fd);
    stream->fd = -1;
}

/* The file is the parent's to remove. */
static OS_FORK_PATH void listener_after_fork_in_child(void)
{
    for (struct mproc_listener *listener = list; listener; listener = listener->next) {
        for (struct peer *peer = listener->peers; peer; peer = peer->next)
            close_copy(&peer->stream);
        close_copy(&listener->set);
        os_mutex_reset(&listener->turn, false);
    }
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = listener_after_fork_in_child;

/* ---- making and closing ---- */

static void listener_enlist(mproc_listener *listener)
{
    connection_hold_forks();
    listener->next = list;
    list = listener;
    connection_let_forks();
}

static void listener_delist(const mproc_listener *listener)
{
    connection_hold_forks();
    struct mproc_listener **place = &list;
    while (*place && *place != listener)
        place = &(*place)->next;
    if (*place)
        *place = listener->next;
    connection_let_forks();
}

static int make_set(mproc_listener *listener)
{
    connection_hold_forks();
    int set = os_set_create();
    listener->set.fd = set < 0 ? -1 : set;
    connection_let_forks();
    if (set < 0)
        return set;
    int result = os_set_add(set, listener->endpoint.fd, POLLIN);
    listener->socket_is_watched = !result;
    return result;
}

static mproc_listener *listener_make(const mproc_listener_options *options)
{
    mproc_listener *listener = os_malloc(sizeof *listener + options->key_size);

    if (!listener)
        return NULL;
    memset(listener, 0, sizeof *listener);
    pthread_mutex_init(&listener->turn, NULL);
    listener->endpoint.fd = listener->endpoint.lock = -1;
    stream_init(&listener->set, -1, OS_STREAM_SOCKET);
    listener->any_user = options->any_user;
    listener->most = options->handshakes ? options->handshakes : HANDSHAKES;
    listener->handshake_time =
        options->handshake_time.nanoseconds ? options->handshake_time.nanoseconds : HANDSHAKE_TIME;
    listener->silence_time = os_silence(options->silence_time);
    listener->key = (struct handshake_key){NULL, options->key_size, options->allow_md5};
    if (options->key) {
        memcpy(listener->key_bytes, options->key, options->key_size);
        listener->key.bytes = listener->key_bytes;
    }
    return listener;
}

/* A descriptor may be in a set that another process has a copy of. */
static void close_peer(const mproc_listener *listener, struct peer *peer)
{
    if (peer->watched)
        os_set_remove(listener->set.fd, peer->stream.fd);
    if (peer->stream.fd >= 0)
        os_close(peer->stream.fd);
    peer->stream.fd = -1;
}

static void unlink_peer(mproc_listener *listener, const struct peer *peer)
{
    struct peer **place = &listener->peers;
    while (*place != peer)
        place = &(*place)->next;
    *place = peer->next;
    listener->peer_count--;
}

static void drop_peer(mproc_listener *listener, struct peer *peer)
{
    connection_hold_forks();
    unlink_peer(listener, peer);
    close_peer(listener, peer);
    connection_let_forks();
    mac_forget(&peer->handshake, sizeof peer->handshake);
    free(peer);
}

mproc_listener *mproc_listener_free(mproc_listener *listener)
{
    if (!listener)
        return NULL;
    failure_hold();
    while (listener->peers)
        drop_peer(listener, listener->peers);
    if (listener->socket_is_watched && listener->set.fd >= 0)
        os_set_remove(listener->set.fd, listener->endpoint.fd);
    endpoint_close(&listener->endpoint);
    connection_hold_forks();
    close_copy(&listener->set);
    connection_let_forks();
    listener_delist(listener);
    pthread_mutex_destroy(&listener->turn);
    mac_forget(listener->key_bytes, listener->key.size);
    free(listener);
    failure_release();
    return NULL;
}

static int open_listener(mproc_listener *listener, const struct address *address, int backlog)
{
    int result = endpoint_open(&listener->endpoint, address, backlog, listener->any_user);
    if (!result)
        result = make_set(listener);
    if (!result)
        address_write(&listener->endpoint.address, listener->address);
    return result;
}

int mproc_listener_create(mproc_listener **listener, const char *address, const mproc_listener_options *options)
{
    static const mproc_listener_options defaults;
    struct address parsed;

    if (!options)
        options = &defaults;
    if (!listener)
        return refuse(__func__, "listener is NULL");
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return refuse(__func__, "a word of options.reserved is not 0");
    if (options->backlog < 0)
        return refuse(__func__, "options.backlog is negative");
    if (!os_option_is_valid(options->handshake_time))
        return refuse(__func__, "options.handshake_time is under 100 us: its unit is missing");
    if (options->handshake_time.nanoseconds < 0)
        return refuse(__func__, "options.handshake_time is negative");
    if (!os_option_is_valid(options->silence_time))
        return refuse(__func__, "options.silence_time is negative, or under 100 us: its unit is missing");
    int result = address_parse(&parsed, address);
    if (!result)
        result =
            auth_key_check(&(struct handshake_key){options->key, options->key_size, false}, &parsed, options->any_user);
    if (result)
        return outcome(__func__, result);
    mproc_listener *made = listener_make(options);
    if (!made)
        return outcome(__func__, -ENOMEM);
    listener_enlist(made);
    result = open_listener(made, &parsed, options->backlog ? options->backlog : BACKLOG);
    if (result) {
        mproc_listener_free(made);
        return outcome(__func__, result);
    }
    *listener = made;
    return 0;
}

/* ---- peers ---- */

/* Errors of the machine and not of the peer: the caller gets the error, and the peer stays. */
static bool is_shortage(int result)
{
    return result == -ENOMEM || result == -ENOBUFS || result == -EMFILE || result == -ENFILE;
}

/* 0, -EPERM, -errno. */
static int check_user(const mproc_listener *listener, struct peer *peer)
{
    if (peer->user_is_checked || listener->any_user || listener->endpoint.address.scheme != ADDRESS_UNIX)
        return 0;
    int result = os_socket_check_user(peer->stream.fd);
    peer->user_is_checked = result == 0;
    return result;
}

static int watch_peer(const mproc_listener *listener, struct peer *peer)
{
    short events = handshake_events(&peer->handshake);

    if (peer->watched == events)
        return 0;
    int result = peer->watched ? os_set_change(listener->set.fd, peer->stream.fd, events)
                               : os_set_add(listener->set.fd, peer->stream.fd, events);
    if (!result)
        peer->watched = events;
    return result;
}

/* Go on with a peer. 0: it has passed; -EAGAIN: it has not yet; -ETIMEDOUT: it is late; other results, except
 * a shortage, say how it failed. */
static int advance(const mproc_listener *listener, struct peer *peer)
{
    int result = check_user(listener, peer);
    if (!result && !listener->key.bytes)
        return 0;
    if (!result && !peer->has_begun) {
        result = handshake_begin(&peer->handshake, HANDSHAKE_LISTENER, &listener->key);
        peer->has_begun = !result;
        if (result == -EAGAIN) /* there is nothing that could be waited for */
            return -EIO;
    }
    if (!result)
        result = handshake_advance(&peer->handshake, &peer->stream);
    if (result != -EAGAIN)
        return result;
    if (os_until(peer->deadline) == 0)
        return -ETIMEDOUT;
    result = watch_peer(listener, peer);
    return result ? result : -EAGAIN;
}

static void tell_failure(const mproc_listener *listener, const struct peer *peer, int result)
{
    char from[ADDRESS_GIVEN_MAX];

    address_write_peer(&peer->from, from);
    mproc_log(MPROC_LOG_WARNING, "%s: a peer from %s was not let in: %s", listener->address, from,
              mproc_strerror(result));
}

static int listener_hand_over(mproc_listener *listener, struct peer *peer, mproc_connection **connection)
{
    connection_hold_forks();
    int result = connection_take(connection, peer->stream.fd, peer->stream.kind == OS_STREAM_UNIX);
    if (!result) {
        if (listener->endpoint.address.scheme == ADDRESS_TCP)
            stream_watch_peer(connection_stream(*connection), listener->silence_time);
        if (peer->watched)
            os_set_remove(listener->set.fd, peer->stream.fd);
        peer->watched = 0;
        peer->stream.fd = -1;
        address_write_peer(&peer->from, listener->last_accepted);
        listener->has_accepted = true;
    }
    connection_let_forks();
    if (!result)
        drop_peer(listener, peer);
    return result;
}

/* Go on with a peer, and hand it over or drop it where it has come to its end. 0: here is the connection; -EAGAIN: not
 * from this one, which may be gone; else a shortage. */
static int listener_settle(mproc_listener *listener, struct peer *peer, mproc_connection **connection)
{
    int result = advance(listener, peer);
    if (!result)
        return listener_hand_over(listener, peer, connection);
    if (result == -EAGAIN || is_shortage(result))
        return result;
    tell_failure(listener, peer, result);
    drop_peer(listener, peer);
    return -EAGAIN;
}

/* ---- accepting ---- */

/* The next one in the kernel's queue becomes a peer. 0, -EAGAIN, or a shortage: then it stays in the queue. */
static int take_peer(mproc_listener *listener, struct peer **peer)
{
    struct peer *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    memset(made, 0, sizeof *made);
    made->deadline = os_after(listener->handshake_time);
    connection_hold_forks();
    int fd = os_socket_accept(listener->endpoint.fd, &made->from);
    if (fd >= 0) {
        bool is_local = listener->endpoint.address.scheme == ADDRESS_UNIX;
        stream_init(&made->stream, fd, is_local ? OS_STREAM_UNIX : OS_STREAM_SOCKET);
        struct peer **place = &listener->peers;
        while (*place)
            place = &(*place)->next;
        *place = made;
        listener->peer_count++;
    }
    connection_let_forks();
    if (fd < 0)
        free(made);
    else
        *peer = made;
    return fd < 0 ? fd : 0;
}

/* An error other than a shortage concerns a peer that went before it was accepted. The number of attempts is limited,
 * so that the peers at their handshake are looked at again however many come and go. */
static int take_peers(mproc_listener *listener, mproc_connection **connection)
{
    for (size_t i = 0; i < listener->most && listener->peer_count < listener->most; i++) {
        struct peer *peer;
        int result = take_peer(listener, &peer);
        if (result == -EAGAIN || is_shortage(result))
            return result;
        if (!result)
            result = listener_settle(listener, peer, connection);
        if (!result || is_shortage(result))
            return result;
    }
    return -EAGAIN;
}

static int go_through(mproc_listener *listener, mproc_connection **connection)
{
    for (struct peer *peer = listener->peers, *next; peer; peer = next) {
        next = peer->next;
        int result = listener_settle(listener, peer, connection);
        if (result != -EAGAIN)
            return result;
    }
    return take_peers(listener, connection);
}

/* A peer that comes while there is no room for it waits in the kernel, and wakes nobody. */
static int watch_socket(mproc_listener *listener)
{
    bool has_room = listener->peer_count < listener->most;

    if (has_room == listener->socket_is_watched)
        return 0;
    int result = 0;
    if (has_room)
        result = os_set_add(listener->set.fd, listener->endpoint.fd, POLLIN);
    else
        os_set_remove(listener->set.fd, listener->endpoint.fd);
    if (!result)
        listener->socket_is_watched = has_room;
    return result;
}

/* Sleep until there is something to do: a descriptor is ready, or a peer is late. */
static int listener_nap(mproc_listener *listener, int64_t deadline)
{
    int64_t until = deadline;

    for (const struct peer *peer = listener->peers; peer; peer = peer->next)
        if (peer->deadline < until)
            until = peer->deadline;
    int result = stream_nap(&listener->set, POLLIN, until);
    return result == MPROC_TIMEOUT && os_until(deadline) > 0 ? 0 : result;
}

/* The caller has the turn. */
static int accept_next(mproc_listener *listener, mproc_connection **connection, int64_t deadline)
{
    for (;;) {
        int result = go_through(listener, connection);
        int watched = watch_socket(listener);
        if (result != -EAGAIN)
            return result;
        if (watched)
            return watched;
        if (os_until(deadline) == 0)
            return MPROC_TIMEOUT;
        result = listener_nap(listener, deadline);
        if (result && result != -EAGAIN)
            return result;
    }
}

int mproc_listener_accept(mproc_listener *listener, mproc_connection **connection, mproc_time timeout)
{
    if (!listener)
        return refuse(__func__, "listener is NULL");
    if (!connection)
        return refuse(__func__, "connection is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (listener->endpoint.fd < 0)
        return outcome(__func__, failure(-EBADF, "listener is of a process that this one was forked from, or closed"));
    int64_t deadline = os_deadline(timeout);
    int result = os_mutex_take(&listener->turn, deadline);
    if (result)
        return outcome(__func__, os_outcome(result, timeout));
    result = accept_next(listener, connection, deadline);
    pthread_mutex_unlock(&listener->turn);
    return outcome(__func__, os_outcome(result, timeout));
}

/* ---- what is known ---- */

const char *mproc_listener_address(const mproc_listener *listener)
{
    return listener ? listener->address : NULL;
}

int mproc_listener_fileno(const mproc_listener *listener)
{
    if (!listener)
        return refuse(__func__, "listener is NULL");
    return outcome_count(__func__, listener->set.fd >= 0 ? listener->set.fd : failure(-EBADF, "listener is closed"));
}

int mproc_listener_last_accepted(mproc_listener *listener, char *address, size_t capacity)
{
    if (!listener)
        return refuse(__func__, "listener is NULL");
    if (!address)
        return refuse(__func__, "address is NULL");
    connection_hold_forks();
    size_t size = strlen(listener->last_accepted) + 1;
    int result = listener->has_accepted ? 0 : MPROC_NOT_FOUND;
    if (!result && size > capacity)
        result = MPROC_TOO_SMALL;
    if (!result)
        memcpy(address, listener->last_accepted, size);
    connection_let_forks();
    return outcome(__func__, result);
}
