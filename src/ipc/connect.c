/* Connecting to a listener. Called by users. The descriptor belongs to a connection from its first moment, so that a
 * forked child knows of it; but nobody gets that connection before it is good. */
#include "ipc/connection.h"
#include "ipc/greet.h"
#include "ipc/key.h"
#include "ipc/reach.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "util/reserved.h"
#include <errno.h>
#include <poll.h>

#define HOST_ADDRESSES ((size_t)16)

static int open_socket(mproc_connection **connection, const struct os_address *place)
{
    connection_hold_forks();
    int result = os_socket_create(place);
    if (result >= 0) {
        int fd = result;
        result = connection_take(connection, fd, os_address_is_local(place));
        if (result)
            os_close(fd);
    }
    connection_let_forks();
    return result;
}

static int shake_hands(struct stream *stream, const struct handshake_key *key, int64_t deadline)
{
    struct handshake handshake;

    int result = handshake_begin(&handshake, HANDSHAKE_CLIENT, key);
    while (!result && (result = greet(&handshake, stream)) == -EAGAIN)
        result = stream_await(stream, greet_events(&handshake), deadline);
    mac_forget(&handshake, sizeof handshake);
    return result;
}

static int connect_to(mproc_connection **connection, const struct os_address *place,
                      const mproc_connect_options *options, int64_t deadline)
{
    const struct handshake_key key = {options->key, options->key_size, options->allow_md5};
    mproc_connection *made;

    int result = open_socket(&made, place);
    if (result)
        return result;
    struct stream *stream = connection_stream(made);
    result = reach(stream, place, deadline);
    if (!result && os_address_is_local(place) && !options->any_user)
        result = reach_check_user(stream);
    if (!result && key.bytes)
        result = shake_hands(stream, &key, deadline);
    if (result)
        mproc_connection_free(made);
    else
        *connection = made;
    return result;
}

static int connect_unix(mproc_connection **connection, const struct address *address,
                        const mproc_connect_options *options, int64_t deadline)
{
    struct os_address place;

    if (!address->path[0])
        return -EINVAL;
    int result = os_address_of_path(&place, address->path);
    return result ? result : connect_to(connection, &place, options, deadline);
}

/* One after the other, until one of them leads to somebody. */
static int connect_tcp(mproc_connection **connection, const struct address *address,
                       const mproc_connect_options *options, int64_t deadline)
{
    struct os_address places[HOST_ADDRESSES];

    if (address->port == 0)
        return -EINVAL;
    int count = os_address_of_host(places, HOST_ADDRESSES, address->host, address->port);
    int result = count < 0 ? count : -EHOSTUNREACH;
    for (int i = 0; i < count; i++) {
        result = connect_to(connection, &places[i], options, deadline);
        if (result >= 0)
            break;
    }
    return result;
}

int mproc_connect(mproc_connection **connection, const char *address, const mproc_connect_options *options,
                  mproc_time timeout)
{
    static const mproc_connect_options defaults;
    struct address parsed;

    if (!options)
        options = &defaults;
    if (!connection || !reserved_is_zero(options->reserved, sizeof options->reserved) || !os_timeout_is_valid(timeout))
        return -EINVAL;
    int result = address_parse(&parsed, address);
    if (!result)
        result = key_check(&(struct handshake_key){options->key, options->key_size, false}, &parsed, options->any_user);
    if (result)
        return result;
    int64_t deadline = os_deadline(timeout);
    result = parsed.scheme == ADDRESS_UNIX ? connect_unix(connection, &parsed, options, deadline)
                                           : connect_tcp(connection, &parsed, options, deadline);
    return os_outcome(result, timeout);
}
