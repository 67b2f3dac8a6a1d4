/* One connection of the server: bytes that come become frames, authentication first, requests then; answers go out as
 * the client reads them. Called by server.c and by sessions that end it. What a client can do by what it sends, or does
 * not send, or does not read, is to lose its connection.
 *
 * Memory grows with the bytes that came: the buffer is never larger than twice that and what one read brings. */
#include "manager/server/server.h"

#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/epoll.h"
#include "os/listen.h"
#include "os/random.h"
#include "os/socket.h"
#include <errno.h>
#include <limits.h>
#include <mproc/log.h>
#include <string.h>

#define PARTS 64

/* A frame may take the stall time, and a second more for so many bytes of it. */
#define SLOWEST 65536

/* ---- the end ---- */

void server_connection_drop(struct server_connection *connection, const char *reason)
{
    if (connection->state == SERVER_CONNECTION_GONE)
        return;
    if (reason)
        mproc_log(MPROC_LOG_WARNING, "manager: %s is dropped: %s", connection->name, reason);
    if (connection->state != SERVER_CONNECTION_READY)
        connection->server->waiting_count--;
    connection->state = SERVER_CONNECTION_GONE;
    connection->server->gone_count++;
    os_epoll_remove(connection->server->epoll, connection->channel.fd);
    channel_close(&connection->channel);
    struct session *session = connection->session;
    connection->session = NULL;
    if (session)
        session_lose(connection->server, session);
    if (session && session->leaves)
        session_end(connection->server, session);
}

/* Free one that is gone. */
void server_connection_bury(struct server_connection *connection)
{
    struct server *server = connection->server;
    LIST_REMOVE(connection, entry);
    server->peer_count--;
    server->gone_count--;
    server->turn_count -= connection->has_turn;
    free(connection->in);
    free(connection);
}

/* ---- what is watched ---- */

static bool is_full(const struct server_connection *connection)
{
    return connection->session && connection->session->unread > SERVER_UNREAD;
}

static bool has_output(const struct server_connection *connection)
{
    return connection->out_sent < connection->out_size || (connection->session && connection->session->next_out);
}

static void set_turn(struct server_connection *connection, bool has_turn)
{
    connection->server->turn_count += (size_t)has_turn - (size_t)connection->has_turn;
    connection->has_turn = has_turn;
}

static void watch(struct server_connection *connection, bool output)
{
    uint32_t events =
        (connection->has_turn || is_full(connection) || connection->closes ? 0 : EPOLLIN) | (output ? EPOLLOUT : 0);
    if (connection->state == SERVER_CONNECTION_GONE || events == connection->events)
        return;
    if (os_epoll_change(connection->server->epoll, connection->channel.fd, events, connection))
        connection->doom = "it cannot be watched";
    connection->events = events;
}

/* ---- output ---- */

static ssize_t send_some(struct server_connection *connection)
{
    struct iovec parts[PARTS];
    int count = 0;

    if (connection->out_sent < connection->out_size) {
        parts[0] = (struct iovec){connection->out + connection->out_sent, connection->out_size - connection->out_sent};
        ssize_t sent = channel_send(&connection->channel, parts, 1);
        connection->out_sent += sent > 0 ? (size_t)sent : 0;
        return sent;
    }
    size_t offset = connection->session->out_offset;
    for (struct answer *answer = connection->session->next_out; answer && count < PARTS; answer = answer->next) {
        parts[count++] = (struct iovec){(unsigned char *)(answer + 1) + offset, answer->size - offset};
        offset = 0;
    }
    ssize_t sent = channel_send(&connection->channel, parts, count);
    if (sent > 0)
        session_sent(connection->session, (size_t)sent);
    return sent;
}

void server_connection_output(struct server_connection *connection)
{
    ssize_t sent = 1;
    while (connection->state != SERVER_CONNECTION_GONE && connection->state != SERVER_CONNECTION_TLS &&
           has_output(connection)) {
        sent = send_some(connection);
        if (sent == -EINTR)
            continue;
        if (sent < 0)
            break;
        connection->out_deadline = connection->server->now + connection->server->limits.stall_time;
    }
    if (sent < 0 && sent != -EAGAIN)
        server_connection_drop(connection, NULL);
    if (connection->state == SERVER_CONNECTION_GONE)
        return;
    bool more = connection->state != SERVER_CONNECTION_TLS && has_output(connection);
    if (!more && connection->closes) {
        server_connection_drop(connection, NULL);
        return;
    }
    if (connection->is_held && !is_full(connection)) {
        connection->is_held = false;
        set_turn(connection, true);
    }
    if (!more)
        connection->out_deadline = OS_NEVER;
    else if (connection->out_deadline == OS_NEVER)
        connection->out_deadline = connection->server->now + connection->server->limits.stall_time;
    watch(connection, more);
}

void server_connection_wake(struct server_connection *connection)
{
    watch(connection, true);
}

static void put_frame(struct server_connection *connection, const void *data, size_t size)
{
    wire_put_size(connection->out, size);
    memcpy(connection->out + WIRE_HEAD, data, size);
    connection->out_size = WIRE_HEAD + size;
    connection->out_sent = 0;
}

/* ---- authentication ---- */

static void refuse_peer(struct server_connection *connection, unsigned char verdict_code, const char *reason)
{
    const struct wire_verdict verdict = {.refused = verdict_code};
    mproc_log(MPROC_LOG_WARNING, "manager: %s is refused: %s", connection->name, reason);
    put_frame(connection, &verdict, sizeof verdict);
    connection->closes = true;
}

static void send_hello(struct server_connection *connection)
{
    memcpy(connection->hello.magic, WIRE_MAGIC, sizeof connection->hello.magic);
    memcpy(connection->hello.instance, connection->server->instance, WIRE_IDENTITY);
    if (os_random(connection->hello.nonce, WIRE_NONCE))
        server_connection_drop(connection, "no random bytes");
    else
        put_frame(connection, &connection->hello, sizeof connection->hello);
    connection->state = connection->state == SERVER_CONNECTION_GONE ? SERVER_CONNECTION_GONE : SERVER_CONNECTION_HELLO;
}

static void welcome(struct server_connection *connection, const struct wire_transcript *of_client)
{
    struct wire_verdict verdict = {.refused = 0};
    const struct wire_client_hello *hello = of_client->client;
    struct wire_transcript transcript = *of_client;
    struct session *session = session_open(connection->server, hello);

    if (!session && !hello->resumes) {
        server_connection_drop(connection, "no memory");
        return;
    }
    if (!session) {
        refuse_peer(connection, WIRE_UNKNOWN, "it cannot go on where it was");
        return;
    }
    session->connection = connection;
    connection->session = session;
    wire_put_size(verdict.received, session->received);
    transcript.received = verdict.received;
    if (wire_prove(&transcript, verdict.proof)) {
        server_connection_drop(connection, "no memory");
        return;
    }
    put_frame(connection, &verdict, sizeof verdict);
    connection->state = SERVER_CONNECTION_READY;
    connection->deadline = OS_NEVER;
    connection->server->waiting_count--;
    mproc_log(MPROC_LOG_DEBUG, "manager: %s has connected", connection->name);
}

static void authenticate(struct server_connection *connection, const unsigned char *data, size_t size)
{
    struct wire_client_hello hello;
    unsigned char binding[TLS_BINDING];
    struct wire_transcript transcript = {.key = connection->server->key,
                                         .key_size = connection->server->key_size,
                                         .server = &connection->hello,
                                         .client = &hello,
                                         .endpoint = connection->endpoint,
                                         .binding = connection->channel.tls ? binding : NULL};
    if (size != sizeof hello) {
        refuse_peer(connection, WIRE_REFUSED, "it does not speak this protocol");
        return;
    }
    memcpy(&hello, data, sizeof hello);
    if (connection->channel.tls && tls_binding(connection->channel.tls, binding))
        server_connection_drop(connection, "TLS failed");
    else if (!wire_is_proof(&transcript, hello.proof))
        refuse_peer(connection, WIRE_REFUSED, "it does not have the key");
    else
        welcome(connection, &transcript);
}

static void shake_hands(struct server_connection *connection)
{
    bool wants_output = false;
    int result = tls_handshake(connection->channel.tls, &wants_output);
    if (result == -EAGAIN)
        watch(connection, wants_output);
    else if (result)
        server_connection_drop(connection, "the TLS handshake failed");
    else
        send_hello(connection);
}

/* ---- input ---- */

static void request(struct server_connection *connection, const unsigned char *data, size_t size)
{
    struct wire_request request;
    mproc_value value;

    int result = mproc_value_decode(&value, data, size);
    if (result)
        server_connection_drop(connection, result == -ENOMEM ? "no memory for a request" : "a frame is no value");
    else if (!wire_read_request(&value, &request))
        server_connection_drop(connection, "a frame is no request");
    else if (!session_acknowledge(connection->session, request.received))
        server_connection_drop(connection, "it claims answers that it was not sent");
    else
        request_do(connection->server, connection->session, &request);
    mproc_value_free(&value);
}

/* Look at the frames that begin at data, as many as one turn allows. Returns the bytes of those that were looked at. */
static size_t take_frames(struct server_connection *connection, const unsigned char *data, size_t size)
{
    size_t at = 0;
    set_turn(connection, false);
    for (int count = 0; connection->state != SERVER_CONNECTION_GONE && !connection->closes && size - at >= WIRE_HEAD;
         count++) {
        uint64_t frame = wire_get_size(data + at);
        if (frame >
            (connection->state == SERVER_CONNECTION_READY ? connection->server->limits.frame_most : WIRE_HELLO_MOST)) {
            server_connection_drop(connection, "a frame is too large");
            return at;
        }
        if (size - at - WIRE_HEAD < frame)
            return at;
        if (count == SERVER_ROUND || is_full(connection)) {
            connection->is_held = is_full(connection);
            set_turn(connection, !connection->is_held);
            return at;
        }
        if (connection->state == SERVER_CONNECTION_READY)
            request(connection, data + at + WIRE_HEAD, frame);
        else
            authenticate(connection, data + at + WIRE_HEAD, frame);
        at += WIRE_HEAD + frame;
    }
    return at;
}

/* Whether the part of a frame that is there has come fast enough is seen from its deadline. */
static void set_deadline(struct server_connection *connection, size_t before)
{
    if (connection->state != SERVER_CONNECTION_READY)
        return;
    bool is_frame = connection->in_size > 0 && !connection->has_turn && !is_full(connection);
    if (!is_frame)
        connection->deadline = OS_NEVER;
    else if (connection->deadline == OS_NEVER || before == 0)
        connection->deadline = connection->server->now + connection->server->limits.stall_time;
    if (is_frame && connection->in_size > before)
        connection->deadline += (int64_t)(connection->in_size - before) * (OS_SEC(1) / SLOWEST);
}

static int keep(struct server_connection *connection, const unsigned char *data, size_t size)
{
    if (connection->in_size == 0)
        connection->in_start = 0;
    if (connection->in_start + connection->in_size + size > connection->in_capacity) {
        if (connection->in_start)
            memmove(connection->in, connection->in + connection->in_start, connection->in_size);
        connection->in_start = 0;
    }
    if (connection->in_size + size > connection->in_capacity) {
        size_t capacity = connection->in_size + size + connection->in_size / 2;
        unsigned char *in = os_realloc(connection->in, capacity);
        if (!in)
            return -ENOMEM;
        connection->in = in;
        connection->in_capacity = capacity;
    }
    if (size)
        memcpy(connection->in + connection->in_start + connection->in_size, data, size);
    connection->in_size += size;
    return 0;
}

/* Look at what came: in the buffer of the server alone where no part of a frame is left from before. */
static void take(struct server_connection *connection, const unsigned char *data, size_t size)
{
    size_t before = connection->in_size;
    if (before == 0) {
        size_t taken = take_frames(connection, data, size);
        if (connection->state == SERVER_CONNECTION_GONE || taken == size)
            size = 0;
        if (size && keep(connection, data + taken, size - taken))
            server_connection_drop(connection, "no memory for a request");
    } else if (keep(connection, data, size)) {
        server_connection_drop(connection, "no memory for a request");
    } else {
        size_t taken = take_frames(connection, connection->in + connection->in_start, connection->in_size);
        connection->in_start += taken;
        connection->in_size -= taken;
        before = taken ? 0 : before;
    }
    if (connection->in_size == 0) {
        free(connection->in);
        connection->in = NULL;
        connection->in_capacity = 0;
    }
    set_deadline(connection, before);
}

/* Whether more of its input may be received. */
static bool is_open(const struct server_connection *connection)
{
    return connection->state != SERVER_CONNECTION_GONE && connection->state != SERVER_CONNECTION_TLS &&
           !connection->has_turn && !is_full(connection) && !connection->closes;
}

void server_connection_work(struct server_connection *connection)
{
    set_turn(connection, false);
    if (connection->state != SERVER_CONNECTION_GONE && connection->in_size)
        take(connection, NULL, 0);
    if (is_open(connection) && channel_holds(&connection->channel))
        server_connection_input(connection);
    else
        server_connection_output(connection);
}

static const char *why_lost(const struct server_connection *connection, ssize_t got)
{
    if (got == 0)
        return connection->in_size ? "it ended inside a frame" : NULL;
    return got == -ECONNRESET || got == -EPIPE ? NULL : mproc_strerror((int)got);
}

void server_connection_input(struct server_connection *connection)
{
    struct server *server = connection->server;
    if (connection->state == SERVER_CONNECTION_TLS)
        shake_hands(connection);
    for (size_t all = 0; all < SERVER_READ && is_open(connection);) {
        ssize_t got = channel_receive(&connection->channel, server->scratch, sizeof server->scratch);
        if (got == -EINTR)
            continue;
        if (got == -EAGAIN)
            break;
        if (got <= 0) {
            server_connection_drop(connection, why_lost(connection, got));
            break;
        }
        all += (size_t)got;
        take(connection, server->scratch, (size_t)got);
        if ((size_t)got < sizeof server->scratch && !channel_holds(&connection->channel))
            break;
    }
    if (channel_holds(&connection->channel) && !connection->closes) { /* of which the kernel will not tell */
        connection->is_held = is_full(connection);
        set_turn(connection, !connection->is_held);
    }
    if (connection->state != SERVER_CONNECTION_TLS)
        server_connection_output(connection);
}

void server_connection_look(struct server_connection *connection)
{
    if (connection->state == SERVER_CONNECTION_GONE)
        return;
    if (connection->doom)
        server_connection_drop(connection, connection->doom);
    else if (connection->server->now >= connection->deadline)
        server_connection_drop(connection, connection->state == SERVER_CONNECTION_READY
                                               ? "a frame takes too long"
                                               : "its authentication takes too long");
    else if (connection->server->now >= connection->out_deadline)
        server_connection_drop(connection, "it does not read its answers");
}

/* ---- the beginning ---- */

static struct server_connection *make(struct server *server, int fd)
{
    struct server_connection *connection = os_malloc(sizeof *connection);
    if (!connection)
        return NULL;
    *connection = (struct server_connection){.server = server,
                                             .channel = {.fd = fd},
                                             .events = EPOLLIN,
                                             .state = server->tls ? SERVER_CONNECTION_TLS : SERVER_CONNECTION_HELLO,
                                             .deadline = server->now + server->limits.authentication_time,
                                             .out_deadline = OS_NEVER};
    if (server->tls)
        connection->channel.tls = tls_new(fd, server->key, server->key_size, true);
    if ((server->tls && !connection->channel.tls) || os_epoll_add(server->epoll, fd, EPOLLIN, connection)) {
        tls_free(connection->channel.tls);
        free(connection);
        return NULL;
    }
    LIST_INSERT_HEAD(&server->connections, connection, entry);
    server->peer_count++;
    server->waiting_count++;
    return connection;
}

static bool is_allowed(const struct server *server, int fd)
{
    return server->endpoint.address.scheme != ADDRESS_UNIX || server->limits.any_user || os_socket_check_user(fd) == 0;
}

/* Accept one. -EAGAIN: there is none; others: try again later. */
int server_connection_accept(struct server *server)
{
    struct os_address from, own;
    int fd = os_socket_accept(server->endpoint.fd, &from);
    if (fd < 0)
        return fd;
    if (!is_allowed(server, fd) || os_socket_address(fd, &own)) {
        mproc_log(MPROC_LOG_WARNING, "manager: a process of another user is refused");
        os_close(fd);
        return 0;
    }
    if (server->endpoint.address.scheme == ADDRESS_TCP)
        os_socket_watch_peer(fd, server->limits.silence_time, true);
    struct server_connection *connection = make(server, fd);
    if (!connection) {
        os_close(fd);
        return -ENOMEM;
    }
    address_write_peer(&from, connection->name);
    address_write_peer(&own, connection->endpoint);
    if (connection->state == SERVER_CONNECTION_HELLO) {
        send_hello(connection);
        server_connection_output(connection);
    }
    return 0;
}
