/* One connection of a client to a server, as client_connection.h says: requests out, answers in, and what is done when
 * it is lost.
 *
 * A lost connection is made again by the leader, as long as somebody waits or when somebody next calls. If the server
 * still knows this client, every request without an answer is sent again: the server does each once. If it does not, or
 * is another one, nobody can say what became of those that were sent, and their callers are told MPROC_SERVER_DIED. */
#include "manager/client/client_connection.h"

#include "os/allocate.h"
#include "os/fork.h"
#include "os/poll.h"
#include "os/random.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <limits.h>
#include <mproc/log.h>
#include <poll.h>
#include <string.h>

#define PARTS     64
#define READ      ((size_t)1 << 16)
#define RECONNECT OS_SEC(5) /* for all that making a connection again takes */
#define FAILURES  20        /* without an answer in between: the server does not want what we send */
#define GRACE     OS_SEC(5) /* for a server to say that the time of a request is over */

/* ---- calls ---- */

static void free_call(struct client_call *call)
{
    mproc_value_free(&call->value);
    free(call->frame);
    free(call);
}

static void settle(struct client_call *call, int status)
{
    call->is_done = true;
    call->status = status;
    if (--call->waiter->left == 0 && call->waiter->sleeps)
        pthread_cond_signal(&call->waiter->wake);
}

static void unlink_call(struct client_connection *connection, struct client_call *call)
{
    struct client_call **at = &connection->calls;
    while (*at && *at != call)
        at = &(*at)->next;
    if (!*at)
        return;
    *at = call->next;
    if (connection->calls_end == &call->next)
        connection->calls_end = at;
    if (connection->next_out == call)
        connection->next_out = call->next;
}

/* All that wait are told so, or all of which the server may have heard. */
static void fail_all(struct client_connection *connection, int status, bool if_sent)
{
    struct client_call *next;
    for (struct client_call *call = connection->calls; call; call = next) {
        next = call->next;
        if (if_sent && call->sent == 0)
            continue;
        unlink_call(connection, call);
        if (call->waiter)
            settle(call, status);
        else
            free_call(call);
    }
}

static void add_call(struct client_connection *connection, struct client_call *call)
{
    call->number = ++connection->number;
    wire_fill_in(call->frame, call->number, connection->received);
    call->next = NULL;
    *connection->calls_end = call;
    connection->calls_end = &call->next;
    if (!connection->next_out)
        connection->next_out = call;
}

/* ---- the connection ---- */

static void close_lost(struct client_connection *connection)
{
    channel_close(&connection->channel);
    connection->in_size = 0;
}

/* A leader that waits at the socket closes it when it wakes: the number of a descriptor that is closed under its feet
 * might be another file's. Until then the buffer is its own as well. */
static void lose(struct client_connection *connection)
{
    if (connection->is_watched)
        channel_shut(&connection->channel);
    else
        close_lost(connection);
    connection->is_connected = false;
    connection->failures++;
}

static int renew(struct client_connection *connection)
{
    connection->received = 0;
    connection->was_connected = false;
    return os_random(connection->identity, WIRE_IDENTITY);
}

/* A connection was made. */
static void begin(struct client_connection *connection, const struct client_handshake_result *meeting)
{
    bool is_same = memcmp(connection->instance, meeting->instance, WIRE_IDENTITY) == 0;
    connection->channel = meeting->channel;
    connection->may_wait = channel_set_wait(&connection->channel, OS_TICK) == 0;
    connection->is_connected = true;
    connection->received = meeting->received;
    if (!is_same) {
        fail_all(connection, MPROC_SERVER_DIED, false);
        connection->epoch++;
    } else if (!connection->was_connected) {
        fail_all(connection, MPROC_SERVER_DIED, true);
    }
    memcpy(connection->instance, meeting->instance, WIRE_IDENTITY);
    connection->next_out = connection->calls;
    for (struct client_call *call = connection->calls; call; call = call->next) {
        call->sent = 0;
        wire_fill_in(call->frame, call->number, connection->received);
    }
    if (is_same && !connection->was_connected && connection->renewed)
        connection->renewed(connection);
    connection->was_connected = true;
}

/* Make a connection, without the mutex meanwhile. To be called by the leader. */
static int meet(struct client_connection *connection, int64_t deadline)
{
    struct client_handshake_result meeting;
    unsigned char identity[WIRE_IDENTITY];
    int result;

    for (int i = 0; i < 2; i++) {
        bool resumes = connection->was_connected;
        uint64_t received = connection->received;
        memcpy(identity, connection->identity, sizeof identity);
        pthread_mutex_unlock(&connection->mutex);
        result = client_handshake(&connection->way, identity, resumes, received, &meeting, deadline);
        pthread_mutex_lock(&connection->mutex);
        if (result != MPROC_NOT_FOUND || !resumes)
            break;
        result = renew(connection);
        if (result)
            return result;
    }
    if (!result)
        begin(connection, &meeting);
    return result == MPROC_NOT_FOUND ? link_stranger() : result;
}

/* The way is lost: make it again, or give up for all that wait. One that is lost while it is made is tried again, by
 * the next call of this. */
static void meet_again(struct client_connection *connection, int64_t deadline)
{
    int64_t latest = os_now() + RECONNECT;
    int result = meet(connection, deadline < latest ? deadline : latest);
    if (result == 0 || (result == MPROC_TIMEOUT && deadline < latest))
        return;
    if ((result == MPROC_CLOSED || result == -ECONNRESET) && ++connection->failures <= FAILURES)
        return;
    mproc_log(MPROC_LOG_INFO, "manager: %s cannot be reached: %s", connection->way.text, mproc_strerror(result));
    fail_all(connection, MPROC_SERVER_DIED, false);
    connection->failures = 0;
}

/* ---- out and in ---- */

void client_flush(struct client_connection *connection)
{
    while (connection->is_connected && connection->next_out) {
        struct iovec parts[PARTS];
        int count = 0;
        for (struct client_call *call = connection->next_out; call && count < PARTS; call = call->next)
            parts[count++] = (struct iovec){call->frame + call->sent, call->size - call->sent};
        ssize_t sent = channel_send(&connection->channel, parts, count);
        if (sent == -EAGAIN)
            return;
        if (sent < 0 && sent != -EINTR) {
            lose(connection);
            return;
        }
        for (size_t left = sent > 0 ? (size_t)sent : 0; left;) {
            struct client_call *call = connection->next_out;
            size_t part = call->size - call->sent < left ? call->size - call->sent : left;
            call->sent += part;
            left -= part;
            if (call->sent == call->size)
                connection->next_out = call->next;
        }
    }
}

/* An answer has come: give it to whose it is. false: it is none. */
static bool deliver(struct client_connection *connection, const unsigned char *data, size_t size)
{
    mproc_value whole;
    uint64_t number;
    int status;

    if (mproc_value_decode(&whole, data, size))
        return false;
    if (!wire_read_answer(&whole, &number, &status)) {
        mproc_value_free(&whole);
        return false;
    }
    connection->received++;
    connection->failures = 0;
    struct client_call *call = connection->calls;
    while (call && call->number != number)
        call = call->next;
    int arrived =
        connection->arrived ? connection->arrived(connection, &whole, call && call->is_new && call->waiter) : 0;
    if (call)
        unlink_call(connection, call);
    if (call && call->waiter) {
        call->value = whole;
        call->is_answered = !arrived;
        settle(call, arrived ? arrived : status);
        return true;
    }
    mproc_value_free(&whole);
    if (call)
        free_call(call);
    return true;
}

/* Deliver the frames in the buffer. false: the server speaks nonsense. */
static bool deliver_all(struct client_connection *connection)
{
    size_t at = 0;
    while (connection->in_size - at >= WIRE_HEAD) {
        uint64_t frame = wire_get_size(connection->in + at);
        if (frame > connection->frame_most)
            return false;
        if (connection->in_size - at - WIRE_HEAD < frame)
            break;
        if (!deliver(connection, connection->in + at + WIRE_HEAD, frame))
            return false;
        at += WIRE_HEAD + frame;
    }
    if (at)
        memmove(connection->in, connection->in + at, connection->in_size - at);
    connection->in_size -= at;
    return true;
}

/* Memory grows with what came: there is room for one read beyond it. */
static bool make_room(struct client_connection *connection)
{
    if (connection->in_capacity - connection->in_size >= READ)
        return true;
    size_t capacity = connection->in_size + connection->in_size / 2 + READ;
    unsigned char *in = os_realloc(connection->in, capacity);
    if (!in)
        return false;
    connection->in = in;
    connection->in_capacity = capacity;
    return true;
}

/* What a receive into the buffer has given. Whether more may be there. */
static bool took(struct client_connection *connection, ssize_t got)
{
    bool may_be_more =
        got == (ssize_t)(connection->in_capacity - connection->in_size) || channel_holds(&connection->channel);
    if (got == -EINTR || got == -EAGAIN)
        return got == -EINTR;
    connection->in_size += got > 0 ? (size_t)got : 0;
    if (got <= 0 || !deliver_all(connection))
        lose(connection);
    return connection->is_connected && may_be_more;
}

static ssize_t receive(struct client_connection *connection)
{
    return channel_receive(&connection->channel, connection->in + connection->in_size,
                           connection->in_capacity - connection->in_size);
}

/* Take what has come, without waiting. */
static void receive_all(struct client_connection *connection)
{
    bool more = connection->is_connected;
    while (more) {
        if (make_room(connection)) {
            more = took(connection, receive(connection));
        } else {
            lose(connection);
            more = false;
        }
    }
}

/* ---- waiting ---- */

#define SOMETHING (-EINTR) /* look again, with the mutex */

/* What is there now. TLS is for one thread at a time, so there it is only asked whether something is there. */
static ssize_t probe(struct client_connection *connection)
{
    struct pollfd watched = {.fd = connection->channel.fd, .events = POLLIN};
    if (!connection->channel.tls)
        return receive(connection);
    return os_poll(&watched, 1, 0) > 0 ? SOMETHING : -EAGAIN;
}

/* Look for an answer without sleeping. */
static ssize_t look(struct client_connection *connection)
{
    int64_t end = spin_begin(&connection->spin);
    ssize_t got = -EAGAIN;
    if (!end)
        return got;
    while (got == -EAGAIN && os_now() < end)
        got = probe(connection);
    spin_end(&connection->spin, got != -EAGAIN);
    return got;
}

static ssize_t sleep_at_socket(struct client_connection *connection, bool has_output, int64_t deadline)
{
    struct pollfd watched = {.fd = connection->channel.fd, .events = POLLIN | (has_output ? POLLOUT : 0)};
    if (!has_output && connection->may_wait && os_until(deadline) >= OS_TICK)
        return channel_receive_first(&connection->channel, connection->in + connection->in_size,
                                     connection->in_capacity - connection->in_size);
    return os_poll(&watched, 1, os_nap(deadline)) > 0 ? SOMETHING : -EAGAIN;
}

/* Wait for the socket, without the mutex. The link's buffer is the leader's. Returns what was received. */
static ssize_t watch(struct client_connection *connection, int64_t deadline)
{
    bool has_output = connection->next_out != NULL;
    if (channel_holds(&connection->channel))
        return SOMETHING;
    connection->is_watched = true;
    pthread_mutex_unlock(&connection->mutex);
    ssize_t got = has_output ? -EAGAIN : look(connection);
    if (got == -EAGAIN)
        got = sleep_at_socket(connection, has_output, deadline);
    pthread_mutex_lock(&connection->mutex);
    connection->is_watched = false;
    return got;
}

static void server_socket(struct client_connection *connection, int64_t deadline)
{
    if (!make_room(connection)) {
        lose(connection);
        return;
    }
    ssize_t got = watch(connection, deadline);
    if (!connection->is_connected)
        close_lost(connection);
    else if (took(connection, got))
        receive_all(connection);
}

/* Wait at the socket for a while, and do what is to be done then. */
static void lead(struct client_connection *connection, int64_t deadline)
{
    connection->has_leader = true;
    if (connection->is_connected) {
        server_socket(connection, deadline);
    } else if (connection->failures > FAILURES) {
        fail_all(connection, MPROC_SERVER_DIED, false);
        connection->failures = 0;
    } else {
        meet_again(connection, deadline);
    }
    client_flush(connection);
    connection->has_leader = false;
}

/* The next one that waits becomes leader. */
static void pass_on(struct client_connection *connection)
{
    if (connection->has_leader)
        return;
    for (struct client_call *call = connection->calls; call; call = call->next) {
        if (call->waiter && call->waiter->sleeps) {
            pthread_cond_signal(&call->waiter->wake);
            return;
        }
    }
}

static void follow(struct client_connection *connection, struct client_waiter *waiter, int64_t deadline)
{
    int64_t end = os_now() + os_nap(deadline);
    struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    waiter->sleeps = true;
    uncancelled_pthread_cond_clockwait(&waiter->wake, &connection->mutex, CLOCK_MONOTONIC, &until);
    waiter->sleeps = false;
}

int client_await(struct client_connection *connection, struct client_waiter *waiter, int64_t deadline)
{
    int result = 0;
    client_flush(connection);
    while (!result && waiter->left) {
        if (!connection->has_leader)
            lead(connection, deadline);
        else
            follow(connection, waiter, deadline);
        if (waiter->left && os_until(deadline) == 0)
            result = MPROC_TIMEOUT;
    }
    pass_on(connection);
    return result;
}

/* ---- calling ---- */

int client_make(const struct client_connection *connection, const struct client_request *request,
                struct client_call **call)
{
    struct client_call *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (struct client_call){.is_new = request->is_new,
                                 .server_waits = request->server_waits,
                                 .has_object = request->object != 0 || request->has_objects,
                                 .epoch = request->epoch};
    int result =
        wire_encode_request(request->object, request->method, request->args, request->count, &made->frame, &made->size);
    if (!result && made->size - WIRE_HEAD > connection->frame_most)
        result = -EMSGSIZE;
    if (result)
        free_call(made);
    else
        *call = made;
    return result;
}

void client_begin(struct client_connection *connection, struct client_call *call, struct client_waiter *waiter)
{
    call->waiter = waiter;
    waiter->left++;
    if (call->has_object && call->epoch != connection->epoch)
        settle(call, MPROC_SERVER_DIED);
    else
        add_call(connection, call);
}

/* The result is part of the answer's block: that is what is to be freed with it. */
static void take_result(struct client_call *call, mproc_value *result)
{
    if (!result || call->value.kind != MPROC_LIST)
        return;
    *result = call->value.items[2];
    if (result->kind < MPROC_STRING || result->kind == MPROC_OBJECT)
        return; /* it has nothing in the block */
    result->memory = call->value.memory;
    call->value = mproc_nil();
}

/* What the server may still give to a call that nobody wants would be nobody's: the end of the connection gives it
 * back. */
static int abandon(struct client_connection *connection, struct client_call *call)
{
    bool ends = call->server_waits && call->sent;
    call->waiter->left--;
    call->waiter = NULL;
    if (call->sent == 0) {
        unlink_call(connection, call);
        free_call(call);
    }
    if (!ends)
        return MPROC_TIMEOUT;
    lose(connection);
    fail_all(connection, MPROC_SERVER_DIED, false);
    return MPROC_SERVER_DIED;
}

/* Note why the server says that it failed. Returns whether that was in place of a result. */
static bool note_refusal(const struct client_call *call)
{
    if (call->status >= 0 || !call->is_answered)
        return false;
    const mproc_value *cause = &call->value.items[2];
    bool is_told = cause->kind == MPROC_OPAQUE && cause->tag == WIRE_CAUSE;
    if (is_told)
        failure(call->status, "%.*s", (int)(cause->size & INT16_MAX), (const char *)cause->bytes);
    else
        failure(call->status, "the server says: %s", mproc_strerror(call->status));
    return is_told;
}

int client_end(struct client_connection *connection, struct client_call *call, mproc_value *result)
{
    if (call->waiter && !call->is_done)
        return abandon(connection, call);
    int status = call->status;
    if (!note_refusal(call))
        take_result(call, result);
    free_call(call);
    return status;
}

int client_call(struct client_connection *connection, const struct client_request *request, mproc_value *result,
                int64_t deadline)
{
    struct client_waiter waiter = {.wake = PTHREAD_COND_INITIALIZER};
    struct client_call *call;

    if (request->server_waits) /* the server cannot be told to give a wait up, so the check does not end it */
        deadline &= ~INT64_C(1);
    if (request->server_waits && deadline < OS_NEVER - GRACE)
        deadline = (deadline ? deadline : os_now()) + GRACE;
    if (os_until(deadline) == 0)
        return MPROC_TIMEOUT;
    int status = client_make(connection, request, &call);
    if (status)
        return status;
    pthread_mutex_lock(&connection->mutex);
    client_begin(connection, call, &waiter);
    (void)client_await(connection, &waiter, deadline);
    status = client_end(connection, call, result);
    pthread_mutex_unlock(&connection->mutex);
    pthread_cond_destroy(&waiter.wake);
    return status;
}

void client_tell(struct client_connection *connection, const char *method, const mproc_value *args, size_t count)
{
    const struct client_request request = {.method = method, .args = args, .count = count};
    struct client_call *call;
    if (!connection->is_connected || client_make(connection, &request, &call))
        return;
    add_call(connection, call);
    client_flush(connection);
}

/* ---- life ---- */

int client_open(struct client_connection *connection, int64_t deadline)
{
    int result = renew(connection);
    connection->calls_end = &connection->calls;
    connection->channel = (struct channel){.fd = -1};
    if (result)
        return result;
    pthread_mutex_lock(&connection->mutex);
    result = meet(connection, deadline);
    connection->epoch = 0;
    pthread_mutex_unlock(&connection->mutex);
    return result;
}

void client_close(struct client_connection *connection)
{
    fail_all(connection, MPROC_SERVER_DIED, false);
    channel_close(&connection->channel);
    free(connection->in);
    connection->in = NULL;
}

/* The threads that wait are not here. Their calls are; those that wait own them, so they are left. */
void client_forget(struct client_connection *connection)
{
    os_mutex_reset(&connection->mutex, true);
    channel_close(&connection->channel);
    connection->is_connected = connection->has_leader = connection->is_watched = false;
    connection->calls = connection->next_out = NULL;
    connection->calls_end = &connection->calls;
    connection->in_size = 0;
    connection->failures = 0;
    connection->forks++;
    (void)renew(connection);
}
