/* One connection of the server: bytes that come become frames, authentication first, requests then; answers go out as
 * the client reads them. Called by server.c and by sessions that end it. What a client can do by what it sends, or does
 * not send, or does not read, is to lose its connection.
 *
 * Memory grows with the bytes that came: the buffer is never larger than twice that and what one read brings. */
#include "manager/server.h"

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

void peer_drop(struct peer *peer, const char *reason)
{
    if (peer->state == PEER_GONE)
        return;
    if (reason)
        mproc_log(MPROC_LOG_WARNING, "manager: %s is dropped: %s", peer->name, reason);
    if (peer->state != PEER_READY)
        peer->server->waiting_count--;
    peer->state = PEER_GONE;
    peer->server->gone_count++;
    os_epoll_remove(peer->server->epoll, peer->channel.fd);
    channel_close(&peer->channel);
    struct session *session = peer->session;
    peer->session = NULL;
    if (session)
        session_lose(peer->server, session);
    if (session && session->leaves)
        session_end(peer->server, session);
}

/* Free one that is gone. */
void peer_bury(struct peer *peer)
{
    struct server *server = peer->server;
    LIST_REMOVE(peer, entry);
    server->peer_count--;
    server->gone_count--;
    server->turn_count -= peer->has_turn;
    free(peer->in);
    free(peer);
}

/* ---- what is watched ---- */

static bool is_full(const struct peer *peer)
{
    return peer->session && peer->session->unread > SERVER_UNREAD;
}

static bool has_output(const struct peer *peer)
{
    return peer->out_sent < peer->out_size || (peer->session && peer->session->next_out);
}

static void set_turn(struct peer *peer, bool has_turn)
{
    peer->server->turn_count += (size_t)has_turn - (size_t)peer->has_turn;
    peer->has_turn = has_turn;
}

static void watch(struct peer *peer, bool output)
{
    uint32_t events = (peer->has_turn || is_full(peer) || peer->closes ? 0 : EPOLLIN) | (output ? EPOLLOUT : 0);
    if (peer->state == PEER_GONE || events == peer->events)
        return;
    if (os_epoll_change(peer->server->epoll, peer->channel.fd, events, peer))
        peer->doom = "it cannot be watched";
    peer->events = events;
}

/* ---- output ---- */

static ssize_t send_some(struct peer *peer)
{
    struct iovec parts[PARTS];
    int count = 0;

    if (peer->out_sent < peer->out_size) {
        parts[0] = (struct iovec){peer->out + peer->out_sent, peer->out_size - peer->out_sent};
        ssize_t sent = channel_send(&peer->channel, parts, 1);
        peer->out_sent += sent > 0 ? (size_t)sent : 0;
        return sent;
    }
    size_t offset = peer->session->out_offset;
    for (struct answer *answer = peer->session->next_out; answer && count < PARTS; answer = answer->next) {
        parts[count++] = (struct iovec){(unsigned char *)(answer + 1) + offset, answer->size - offset};
        offset = 0;
    }
    ssize_t sent = channel_send(&peer->channel, parts, count);
    if (sent > 0)
        session_sent(peer->session, (size_t)sent);
    return sent;
}

void peer_output(struct peer *peer)
{
    ssize_t sent = 1;
    while (peer->state != PEER_GONE && peer->state != PEER_TLS && has_output(peer)) {
        sent = send_some(peer);
        if (sent == -EINTR)
            continue;
        if (sent < 0)
            break;
        peer->out_deadline = peer->server->now + peer->server->limits.stall_time;
    }
    if (sent < 0 && sent != -EAGAIN)
        peer_drop(peer, NULL);
    if (peer->state == PEER_GONE)
        return;
    bool more = peer->state != PEER_TLS && has_output(peer);
    if (!more && peer->closes) {
        peer_drop(peer, NULL);
        return;
    }
    if (peer->is_held && !is_full(peer)) {
        peer->is_held = false;
        set_turn(peer, true);
    }
    if (!more)
        peer->out_deadline = OS_NEVER;
    else if (peer->out_deadline == OS_NEVER)
        peer->out_deadline = peer->server->now + peer->server->limits.stall_time;
    watch(peer, more);
}

void peer_wake(struct peer *peer)
{
    watch(peer, true);
}

static void put_frame(struct peer *peer, const void *data, size_t size)
{
    wire_put_size(peer->out, size);
    memcpy(peer->out + WIRE_HEAD, data, size);
    peer->out_size = WIRE_HEAD + size;
    peer->out_sent = 0;
}

/* ---- authentication ---- */

static void refuse_peer(struct peer *peer, unsigned char verdict_code, const char *reason)
{
    const struct wire_verdict verdict = {.refused = verdict_code};
    mproc_log(MPROC_LOG_WARNING, "manager: %s is refused: %s", peer->name, reason);
    put_frame(peer, &verdict, sizeof verdict);
    peer->closes = true;
}

static void send_hello(struct peer *peer)
{
    memcpy(peer->hello.magic, WIRE_MAGIC, sizeof peer->hello.magic);
    memcpy(peer->hello.instance, peer->server->instance, WIRE_IDENTITY);
    if (os_random(peer->hello.nonce, WIRE_NONCE))
        peer_drop(peer, "no random bytes");
    else
        put_frame(peer, &peer->hello, sizeof peer->hello);
    peer->state = peer->state == PEER_GONE ? PEER_GONE : PEER_HELLO;
}

static void welcome(struct peer *peer, const struct wire_transcript *of_client)
{
    struct wire_verdict verdict = {.refused = 0};
    const struct wire_client_hello *hello = of_client->client;
    struct wire_transcript transcript = *of_client;
    struct session *session = session_open(peer->server, hello);

    if (!session && !hello->resumes) {
        peer_drop(peer, "no memory");
        return;
    }
    if (!session) {
        refuse_peer(peer, WIRE_UNKNOWN, "it cannot go on where it was");
        return;
    }
    session->peer = peer;
    peer->session = session;
    wire_put_size(verdict.received, session->received);
    transcript.received = verdict.received;
    if (wire_prove(&transcript, verdict.proof)) {
        peer_drop(peer, "no memory");
        return;
    }
    put_frame(peer, &verdict, sizeof verdict);
    peer->state = PEER_READY;
    peer->deadline = OS_NEVER;
    peer->server->waiting_count--;
    mproc_log(MPROC_LOG_DEBUG, "manager: %s has connected", peer->name);
}

static void authenticate(struct peer *peer, const unsigned char *data, size_t size)
{
    struct wire_client_hello hello;
    unsigned char binding[TLS_BINDING];
    struct wire_transcript transcript = {.key = peer->server->key,
                                         .key_size = peer->server->key_size,
                                         .server = &peer->hello,
                                         .client = &hello,
                                         .endpoint = peer->endpoint,
                                         .binding = peer->channel.tls ? binding : NULL};
    if (size != sizeof hello) {
        refuse_peer(peer, WIRE_REFUSED, "it does not speak this protocol");
        return;
    }
    memcpy(&hello, data, sizeof hello);
    if (peer->channel.tls && tls_binding(peer->channel.tls, binding))
        peer_drop(peer, "TLS failed");
    else if (!wire_is_proof(&transcript, hello.proof))
        refuse_peer(peer, WIRE_REFUSED, "it does not have the key");
    else
        welcome(peer, &transcript);
}

static void shake_hands(struct peer *peer)
{
    bool wants_output = false;
    int result = tls_handshake(peer->channel.tls, &wants_output);
    if (result == -EAGAIN)
        watch(peer, wants_output);
    else if (result)
        peer_drop(peer, "the TLS handshake failed");
    else
        send_hello(peer);
}

/* ---- input ---- */

static void request(struct peer *peer, const unsigned char *data, size_t size)
{
    struct wire_request request;
    mproc_value value;

    int result = mproc_value_decode(&value, data, size);
    if (result)
        peer_drop(peer, result == -ENOMEM ? "no memory for a request" : "a frame is no value");
    else if (!wire_read_request(&value, &request))
        peer_drop(peer, "a frame is no request");
    else if (!session_acknowledge(peer->session, request.received))
        peer_drop(peer, "it claims answers that it was not sent");
    else
        request_do(peer->server, peer->session, &request);
    mproc_value_free(&value);
}

/* Look at the frames that begin at data, as many as one turn allows. Returns the bytes of those that were looked at. */
static size_t take_frames(struct peer *peer, const unsigned char *data, size_t size)
{
    size_t at = 0;
    set_turn(peer, false);
    for (int count = 0; peer->state != PEER_GONE && !peer->closes && size - at >= WIRE_HEAD; count++) {
        uint64_t frame = wire_get_size(data + at);
        if (frame > (peer->state == PEER_READY ? peer->server->limits.frame_most : WIRE_HELLO_MOST)) {
            peer_drop(peer, "a frame is too large");
            return at;
        }
        if (size - at - WIRE_HEAD < frame)
            return at;
        if (count == SERVER_ROUND || is_full(peer)) {
            peer->is_held = is_full(peer);
            set_turn(peer, !peer->is_held);
            return at;
        }
        if (peer->state == PEER_READY)
            request(peer, data + at + WIRE_HEAD, frame);
        else
            authenticate(peer, data + at + WIRE_HEAD, frame);
        at += WIRE_HEAD + frame;
    }
    return at;
}

/* Whether the part of a frame that is there has come fast enough is seen from its deadline. */
static void set_deadline(struct peer *peer, size_t before)
{
    if (peer->state != PEER_READY)
        return;
    bool is_frame = peer->in_size > 0 && !peer->has_turn && !is_full(peer);
    if (!is_frame)
        peer->deadline = OS_NEVER;
    else if (peer->deadline == OS_NEVER || before == 0)
        peer->deadline = peer->server->now + peer->server->limits.stall_time;
    if (is_frame && peer->in_size > before)
        peer->deadline += (int64_t)(peer->in_size - before) * (OS_SEC(1) / SLOWEST);
}

static int keep(struct peer *peer, const unsigned char *data, size_t size)
{
    if (peer->in_size == 0)
        peer->in_start = 0;
    if (peer->in_start + peer->in_size + size > peer->in_capacity) {
        if (peer->in_start)
            memmove(peer->in, peer->in + peer->in_start, peer->in_size);
        peer->in_start = 0;
    }
    if (peer->in_size + size > peer->in_capacity) {
        size_t capacity = peer->in_size + size + peer->in_size / 2;
        unsigned char *in = os_realloc(peer->in, capacity);
        if (!in)
            return -ENOMEM;
        peer->in = in;
        peer->in_capacity = capacity;
    }
    if (size)
        memcpy(peer->in + peer->in_start + peer->in_size, data, size);
    peer->in_size += size;
    return 0;
}

/* Look at what came: in the buffer of the server alone where no part of a frame is left from before. */
static void take(struct peer *peer, const unsigned char *data, size_t size)
{
    size_t before = peer->in_size;
    if (before == 0) {
        size_t taken = take_frames(peer, data, size);
        if (peer->state == PEER_GONE || taken == size)
            size = 0;
        if (size && keep(peer, data + taken, size - taken))
            peer_drop(peer, "no memory for a request");
    } else if (keep(peer, data, size)) {
        peer_drop(peer, "no memory for a request");
    } else {
        size_t taken = take_frames(peer, peer->in + peer->in_start, peer->in_size);
        peer->in_start += taken;
        peer->in_size -= taken;
        before = taken ? 0 : before;
    }
    if (peer->in_size == 0) {
        free(peer->in);
        peer->in = NULL;
        peer->in_capacity = 0;
    }
    set_deadline(peer, before);
}

/* Whether more of its input may be received. */
static bool is_open(const struct peer *peer)
{
    return peer->state != PEER_GONE && peer->state != PEER_TLS && !peer->has_turn && !is_full(peer) && !peer->closes;
}

void peer_work(struct peer *peer)
{
    set_turn(peer, false);
    if (peer->state != PEER_GONE && peer->in_size)
        take(peer, NULL, 0);
    if (is_open(peer) && channel_holds(&peer->channel))
        peer_input(peer);
    else
        peer_output(peer);
}

static const char *why_lost(const struct peer *peer, ssize_t got)
{
    if (got == 0)
        return peer->in_size ? "it ended inside a frame" : NULL;
    return got == -ECONNRESET || got == -EPIPE ? NULL : mproc_strerror((int)got);
}

void peer_input(struct peer *peer)
{
    struct server *server = peer->server;
    if (peer->state == PEER_TLS)
        shake_hands(peer);
    for (size_t all = 0; all < SERVER_READ && is_open(peer);) {
        ssize_t got = channel_receive(&peer->channel, server->scratch, sizeof server->scratch);
        if (got == -EINTR)
            continue;
        if (got == -EAGAIN)
            break;
        if (got <= 0) {
            peer_drop(peer, why_lost(peer, got));
            break;
        }
        all += (size_t)got;
        take(peer, server->scratch, (size_t)got);
        if ((size_t)got < sizeof server->scratch && !channel_holds(&peer->channel))
            break;
    }
    if (channel_holds(&peer->channel) && !peer->closes) { /* of which the kernel will not tell */
        peer->is_held = is_full(peer);
        set_turn(peer, !peer->is_held);
    }
    if (peer->state != PEER_TLS)
        peer_output(peer);
}

void peer_look(struct peer *peer)
{
    if (peer->state == PEER_GONE)
        return;
    if (peer->doom)
        peer_drop(peer, peer->doom);
    else if (peer->server->now >= peer->deadline)
        peer_drop(peer, peer->state == PEER_READY ? "a frame takes too long" : "its authentication takes too long");
    else if (peer->server->now >= peer->out_deadline)
        peer_drop(peer, "it does not read its answers");
}

/* ---- the beginning ---- */

static struct peer *make(struct server *server, int fd)
{
    struct peer *peer = os_malloc(sizeof *peer);
    if (!peer)
        return NULL;
    *peer = (struct peer){.server = server,
                          .channel = {.fd = fd},
                          .events = EPOLLIN,
                          .state = server->tls ? PEER_TLS : PEER_HELLO,
                          .deadline = server->now + server->limits.authentication_time,
                          .out_deadline = OS_NEVER};
    if (server->tls)
        peer->channel.tls = tls_new(fd, server->key, server->key_size, true);
    if ((server->tls && !peer->channel.tls) || os_epoll_add(server->epoll, fd, EPOLLIN, peer)) {
        tls_free(peer->channel.tls);
        free(peer);
        return NULL;
    }
    LIST_INSERT_HEAD(&server->peers, peer, entry);
    server->peer_count++;
    server->waiting_count++;
    return peer;
}

static bool is_allowed(const struct server *server, int fd)
{
    return server->endpoint.address.scheme != ADDRESS_UNIX || server->limits.any_user || os_socket_check_user(fd) == 0;
}

/* Accept one. -EAGAIN: there is none; others: try again later. */
int peer_accept(struct server *server)
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
    struct peer *peer = make(server, fd);
    if (!peer) {
        os_close(fd);
        return -ENOMEM;
    }
    address_write_peer(&from, peer->name);
    address_write_peer(&own, peer->endpoint);
    if (peer->state == PEER_HELLO) {
        send_hello(peer);
        peer_output(peer);
    }
    return 0;
}
