/* Making a connection to a server: reaching it, TLS, and the proofs of both sides. It waits, and
 * holds no lock. */
#include "manager/client/client_connection.h"

#include "connection/socket_connect.h"
#include "crypto/mac.h"
#include "os/listen.h"
#include "os/poll.h"
#include "os/random.h"
#include "util/failure.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

int link_stranger(void)
{
    return failure(MPROC_AUTH, "the server has another key, or is none");
}

static int await(int fd, short events, int64_t deadline)
{
    for (;;) {
        int64_t nap = os_nap(deadline);
        if (nap == 0)
            return MPROC_TIMEOUT;
        struct pollfd watch = {.fd = fd, .events = events};
        int ready = os_poll(&watch, 1, nap);
        if (ready > 0)
            return 0;
        if (ready < 0 && ready != -EINTR)
            return ready;
    }
}

/* ---- reaching it ---- */

static int take_socket(void *arg, int fd, const struct os_address *place)
{
    (void)place;
    *(struct channel *)arg = (struct channel){.fd = fd};
    return 0;
}

static int dial(const struct manager_address *way, struct channel *channel, int64_t deadline)
{
    struct os_address places[SOCKET_CONNECT_MAX];
    struct attempt attempt;
    bool is_local = way->address.scheme == ADDRESS_UNIX;

    int result = socket_connect_places(places, &way->address);
    if (result < 0)
        return result;
    socket_connect_begin(&attempt, places, (size_t)result);
    result = socket_connect_next(&attempt, deadline, take_socket, channel);
    socket_connect_end(&attempt);
    if (!result && is_local && !way->any_user)
        result = os_socket_check_user(channel->fd);
    else if (!result && !is_local)
        os_socket_watch_peer(channel->fd, way->silence_time, true);
    if (result)
        channel_close(channel);
    return result;
}

/* ---- speaking ---- */

static int ended(ssize_t result)
{
    return result == 0 || os_is_gone((int)result) ? MPROC_CLOSED : (int)result;
}

static int send_all(struct channel *channel, const void *data, size_t size, int64_t deadline)
{
    const unsigned char *at = data;
    while (size) {
        const struct iovec part = {(void *)(uintptr_t)at, size};
        ssize_t sent = channel_send(channel, &part, 1);
        int result = sent == -EAGAIN ? await(channel->fd, POLLOUT, deadline) : 0;
        if (result || (sent < 0 && sent != -EAGAIN && sent != -EINTR))
            return result ? result : ended(sent);
        at += sent > 0 ? sent : 0;
        size -= sent > 0 ? (size_t)sent : 0;
    }
    return 0;
}

static int receive_all(struct channel *channel, void *buffer, size_t size, int64_t deadline)
{
    unsigned char *at = buffer;
    while (size) {
        ssize_t got = channel_receive(channel, at, size);
        int result = got == -EAGAIN ? await(channel->fd, POLLIN, deadline) : 0;
        if (result || (got <= 0 && got != -EAGAIN && got != -EINTR))
            return result ? result : ended(got);
        at += got > 0 ? got : 0;
        size -= got > 0 ? (size_t)got : 0;
    }
    return 0;
}

/* A frame of just this size: another is another protocol. */
static int receive_frame(struct channel *channel, void *data, size_t size, int64_t deadline)
{
    unsigned char head[WIRE_HEAD];
    int result = receive_all(channel, head, sizeof head, deadline);
    if (result)
        return result;
    return wire_get_size(head) == size ? receive_all(channel, data, size, deadline) : link_stranger();
}

static int begin_tls(const struct manager_address *way, struct channel *channel, int64_t deadline)
{
    bool wants_output;
    int result;

    channel->tls = tls_new(channel->fd, way->key, way->key_size, false);
    if (!channel->tls)
        return -ENOMEM;
    while ((result = tls_handshake(channel->tls, &wants_output)) == -EAGAIN) {
        result = await(channel->fd, wants_output ? POLLOUT : POLLIN, deadline);
        if (result)
            return result;
    }
    return result == -EPROTO ? link_stranger() : result ? ended(result) : 0;
}

static int make_hello(struct wire_client_hello *hello, const unsigned char identity[WIRE_IDENTITY], bool resumes,
                      uint64_t received)
{
    memcpy(hello->identity, identity, WIRE_IDENTITY);
    hello->resumes = resumes;
    wire_put_size(hello->received, received);
    return os_random(hello->nonce, WIRE_NONCE);
}

static int judge(const struct wire_verdict *verdict, struct wire_transcript *transcript)
{
    if (verdict->refused == WIRE_UNKNOWN)
        return MPROC_NOT_FOUND;
    transcript->received = verdict->received;
    return verdict->refused == WIRE_WELCOME && wire_is_proof(transcript, verdict->proof) ? 0 : link_stranger();
}

/* The hello of the server is in: prove that we have the key, and see whether it has. */
static int prove(const struct manager_address *way, struct channel *channel, const struct wire_server_hello *server,
                 struct wire_client_hello *hello, uint64_t *received, int64_t deadline)
{
    unsigned char binding[TLS_BINDING], frame[WIRE_HEAD + sizeof *hello];
    char endpoint[ADDRESS_GIVEN_MAX];
    struct os_address place;
    struct wire_verdict verdict;
    struct wire_transcript transcript = {.key = way->key,
                                         .key_size = way->key_size,
                                         .server = server,
                                         .client = hello,
                                         .endpoint = endpoint,
                                         .binding = channel->tls ? binding : NULL};

    int result = os_socket_peer_address(channel->fd, &place);
    if (result)
        return result == -ENOTCONN ? MPROC_CLOSED : result;
    address_write_peer(&place, endpoint);
    if (channel->tls && tls_binding(channel->tls, binding))
        return link_stranger();
    result = wire_prove(&transcript, hello->proof);
    if (result)
        return result;
    wire_put_size(frame, sizeof *hello);
    memcpy(frame + WIRE_HEAD, hello, sizeof *hello);
    result = send_all(channel, frame, sizeof frame, deadline);
    if (!result)
        result = receive_frame(channel, &verdict, sizeof verdict, deadline);
    if (!result)
        result = judge(&verdict, &transcript);
    if (!result)
        *received = wire_get_size(verdict.received);
    return result;
}

int client_handshake(const struct manager_address *way, const unsigned char identity[WIRE_IDENTITY], bool resumes,
                     uint64_t received, struct client_handshake_result *meeting, int64_t deadline)
{
    struct wire_server_hello server;
    struct wire_client_hello hello;
    struct channel *channel = &meeting->channel;

    *channel = (struct channel){.fd = -1};
    int result = dial(way, channel, deadline);
    if (result)
        return result;
    if (way->tls)
        result = begin_tls(way, channel, deadline);
    if (!result)
        result = receive_frame(channel, &server, sizeof server, deadline);
    if (!result && memcmp(server.magic, WIRE_MAGIC, sizeof server.magic) != 0)
        result = link_stranger();
    if (!result)
        result = make_hello(&hello, identity, resumes, received);
    if (!result)
        result = prove(way, channel, &server, &hello, &meeting->received, deadline);
    memcpy(meeting->instance, server.instance, WIRE_IDENTITY);
    if (result)
        channel_close(channel);
    return result;
}
