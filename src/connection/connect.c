/* Connecting to a listener. The descriptor belongs to a connection from its first moment, so that a forked child can
 * close its copy. The caller gets the connection only when the handshake has passed. */
#include "connection/auth_key.h"
#include "connection/connection.h"
#include "connection/handshake_io.h"
#include "connection/socket_connect.h"
#include "os/clock.h"
#include "os/listen.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <poll.h>

static int connect_take_socket(void *arg, int fd, const struct os_address *place)
{
    return connection_take(arg, fd, os_address_is_local(place));
}

static int connect_shake_hands(struct stream *stream, const struct handshake_key *key, int64_t deadline)
{
    struct handshake handshake;

    int result = handshake_begin(&handshake, HANDSHAKE_CLIENT, key);
    while (!result && (result = handshake_advance(&handshake, stream)) == -EAGAIN)
        result = stream_await(stream, handshake_events(&handshake), deadline);
    mac_forget(&handshake, sizeof handshake);
    return result;
}

/* A connection is made: check that the peer has the key. */
static int connect_meet(mproc_connection *made, const mproc_connect_options *options, bool is_local, int64_t deadline)
{
    const struct handshake_key key = {options->key, options->key_size, options->allow_md5};
    struct stream *stream = connection_stream(made);
    int result = is_local && !options->any_user ? os_socket_check_user(stream->fd) : 0;
    if (!result && !is_local)
        stream_watch_peer(stream, os_silence(options->silence_time));
    return result || !key.bytes ? result : connect_shake_hands(stream, &key, deadline);
}

/* Those that answer, until one of them is what is looked for. */
static int connect_any(mproc_connection **connection, const struct address *address,
                       const mproc_connect_options *options, int64_t deadline)
{
    struct os_address places[SOCKET_CONNECT_MAX];
    mproc_connection *made;
    struct attempt attempt;

    int result = address_check_whole(address);
    if (!result)
        result = socket_connect_places(places, address);
    if (result < 0)
        return result;
    socket_connect_begin(&attempt, places, (size_t)result);
    do {
        result = socket_connect_next(&attempt, deadline, connect_take_socket, &made);
        if (result)
            continue;
        result = connect_meet(made, options, address->scheme == ADDRESS_UNIX, deadline);
        if (result)
            mproc_connection_free(made);
    } while (result < 0 && !socket_connect_is_over(&attempt));
    socket_connect_end(&attempt);
    if (!result)
        *connection = made;
    return result;
}

int mproc_connect(mproc_connection **connection, const char *address, const mproc_connect_options *options,
                  mproc_time timeout)
{
    static const mproc_connect_options defaults;
    struct address parsed;

    if (!options)
        options = &defaults;
    if (!connection)
        return refuse(__func__, "connection is NULL");
    if (!reserved_is_zero(options->reserved, sizeof options->reserved))
        return refuse(__func__, "a word of options.reserved is not 0");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (!os_option_is_valid(options->silence_time))
        return refuse(__func__, "options.silence_time is negative, or under 100 us: its unit is missing");
    int result = address_parse(&parsed, address);
    if (!result)
        result =
            auth_key_check(&(struct handshake_key){options->key, options->key_size, false}, &parsed, options->any_user);
    if (result)
        return outcome(__func__, result);
    return outcome(__func__, os_outcome(connect_any(connection, &parsed, options, os_deadline(timeout)), timeout));
}
