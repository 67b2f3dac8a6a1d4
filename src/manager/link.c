/* One connection of a client to a server, as link.h says: requests out, answers in, and what is done when it is lost.
 *
 * A lost connection is made again by the leader, as long as somebody waits or when somebody next calls. If the server
 * still knows this client, every request without an answer is sent again: the server does each once. If it does not, or
 * is another one, nobody can say what became of those that were sent, and their callers are told MPROC_SERVER_DIED. */
#include "manager/link.h"

#include "os/allocate.h"
#include "os/fork.h"
#include "os/poll.h"
#include "os/random.h"
#include <errno.h>
#include <limits.h>
#include <mproc/log.h>
#include <poll.h>
#include <string.h>

#define PARTS     64
#define READ      ((size_t)1 << 16)
#define RECONNECT MPROC_SEC(5) /* for all that making a connection again takes */
#define FAILURES  20           /* without an answer in between: the server does not want what we send */
#define GRACE     MPROC_SEC(5) /* for a server to say that the time of a request is over */

/* ---- calls ---- */

static void free_call(struct link_call *call)
{
    mproc_value_free(&call->value);
    free(call->frame);
    free(call);
}

static void settle(struct link_call *call, int status)
{
    call->is_done = true;
    call->status = status;
    if (call->wake)
        pthread_cond_signal(call->wake);
}

static void unlink_call(struct link *link, struct link_call *call)
{
    struct link_call **at = &link->calls;
    while (*at != call)
        at = &(*at)->next;
    *at = call->next;
    if (link->calls_end == &call->next)
        link->calls_end = at;
    if (link->next_out == call)
        link->next_out = call->next;
}

/* All that wait are told so, or all of which the server may have heard. */
static void fail_all(struct link *link, int status, bool if_sent)
{
    struct link_call *next;
    for (struct link_call *call = link->calls; call; call = next) {
        next = call->next;
        if (if_sent && call->sent == 0)
            continue;
        unlink_call(link, call);
        if (call->is_abandoned)
            free_call(call);
        else
            settle(call, status);
    }
}

static void add_call(struct link *link, struct link_call *call)
{
    call->number = ++link->number;
    wire_fill_in(call->frame, call->number, link->received);
    call->next = NULL;
    *link->calls_end = call;
    link->calls_end = &call->next;
    if (!link->next_out)
        link->next_out = call;
}

/* ---- the connection ---- */

static void lose(struct link *link)
{
    channel_close(&link->channel);
    link->is_connected = false;
    link->in_size = 0;
    link->failures++;
}

static int renew(struct link *link)
{
    link->received = 0;
    link->was_connected = false;
    return os_random(link->identity, WIRE_IDENTITY);
}

/* A connection was made. */
static void begin(struct link *link, const struct link_meeting *meeting)
{
    bool is_same = memcmp(link->instance, meeting->instance, WIRE_IDENTITY) == 0;
    link->channel = meeting->channel;
    link->is_connected = true;
    link->received = meeting->received;
    if (!is_same) {
        fail_all(link, MPROC_SERVER_DIED, false);
        link->epoch++;
    } else if (!link->was_connected) {
        fail_all(link, MPROC_SERVER_DIED, true);
    }
    memcpy(link->instance, meeting->instance, WIRE_IDENTITY);
    link->next_out = link->calls;
    for (struct link_call *call = link->calls; call; call = call->next) {
        call->sent = 0;
        wire_fill_in(call->frame, call->number, link->received);
    }
    if (is_same && !link->was_connected && link->renewed)
        link->renewed(link);
    link->was_connected = true;
}

/* Make a connection, without the mutex meanwhile. To be called by the leader. */
static int meet(struct link *link, int64_t deadline)
{
    struct link_meeting meeting;
    unsigned char identity[WIRE_IDENTITY];
    int result;

    for (int i = 0; i < 2; i++) {
        bool resumes = link->was_connected;
        uint64_t received = link->received;
        memcpy(identity, link->identity, sizeof identity);
        pthread_mutex_unlock(&link->mutex);
        result = link_meet(&link->way, identity, resumes, received, &meeting, deadline);
        pthread_mutex_lock(&link->mutex);
        if (result != MPROC_NOT_FOUND || !resumes)
            break;
        result = renew(link);
        if (result)
            return result;
    }
    if (!result)
        begin(link, &meeting);
    return result == MPROC_NOT_FOUND ? MPROC_AUTH : result;
}

/* The way is lost: make it again, or give up for all that wait. One that is lost while it is made is tried again, by
 * the next call of this. */
static void meet_again(struct link *link, int64_t deadline)
{
    int64_t latest = os_now() + RECONNECT;
    int result = meet(link, deadline < latest ? deadline : latest);
    if (result == 0 || (result == MPROC_TIMEOUT && deadline < latest))
        return;
    if ((result == MPROC_CLOSED || result == -ECONNRESET) && ++link->failures <= FAILURES)
        return;
    mproc_log(MPROC_LOG_INFO, "manager: %s cannot be reached: %s", link->way.text, mproc_strerror(result));
    fail_all(link, MPROC_SERVER_DIED, false);
    link->failures = 0;
}

/* ---- out and in ---- */

/* Send what the socket takes. */
static void flush(struct link *link)
{
    while (link->is_connected && link->next_out) {
        struct iovec parts[PARTS];
        int count = 0;
        for (struct link_call *call = link->next_out; call && count < PARTS; call = call->next)
            parts[count++] = (struct iovec){call->frame + call->sent, call->size - call->sent};
        ssize_t sent = channel_send(&link->channel, parts, count);
        if (sent == -EAGAIN)
            return;
        if (sent < 0 && sent != -EINTR) {
            lose(link);
            return;
        }
        for (size_t left = sent > 0 ? (size_t)sent : 0; left;) {
            struct link_call *call = link->next_out;
            size_t part = call->size - call->sent < left ? call->size - call->sent : left;
            call->sent += part;
            left -= part;
            if (call->sent == call->size)
                link->next_out = call->next;
        }
    }
}

/* An answer has come: give it to whose it is. false: it is none. */
static bool deliver(struct link *link, const unsigned char *data, size_t size)
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
    link->received++;
    link->failures = 0;
    struct link_call *call = link->calls;
    while (call && call->number != number)
        call = call->next;
    int arrived = link->arrived ? link->arrived(link, &whole, call && call->is_new && !call->is_abandoned) : 0;
    if (call)
        unlink_call(link, call);
    if (call && !call->is_abandoned) {
        call->value = whole;
        settle(call, arrived ? arrived : status);
        return true;
    }
    mproc_value_free(&whole);
    if (call)
        free_call(call);
    return true;
}

/* Deliver the frames in the buffer. false: the server speaks nonsense. */
static bool deliver_all(struct link *link)
{
    size_t at = 0;
    while (link->in_size - at >= WIRE_HEAD) {
        uint64_t frame = wire_get_size(link->in + at);
        if (frame > link->frame_most)
            return false;
        if (link->in_size - at - WIRE_HEAD < frame)
            break;
        if (!deliver(link, link->in + at + WIRE_HEAD, frame))
            return false;
        at += WIRE_HEAD + frame;
    }
    if (at)
        memmove(link->in, link->in + at, link->in_size - at);
    link->in_size -= at;
    return true;
}

/* Memory grows with what came: there is room for one read beyond it. */
static bool make_room(struct link *link)
{
    if (link->in_capacity - link->in_size >= READ)
        return true;
    size_t capacity = link->in_size + link->in_size / 2 + READ;
    unsigned char *in = os_realloc(link->in, capacity);
    if (!in)
        return false;
    link->in = in;
    link->in_capacity = capacity;
    return true;
}

/* Take what has come, without waiting. Whether anything has. */
static bool receive(struct link *link)
{
    bool any = false;
    while (link->is_connected) {
        if (!make_room(link))
            break;
        ssize_t got = channel_receive(&link->channel, link->in + link->in_size, link->in_capacity - link->in_size);
        if (got == -EINTR)
            continue;
        if (got == -EAGAIN)
            return any;
        any = true;
        bool is_all = got > 0 && !link->channel.tls && (size_t)got < link->in_capacity - link->in_size;
        link->in_size += got > 0 ? (size_t)got : 0;
        if (got <= 0 || !deliver_all(link))
            break;
        if (is_all)
            return any;
    }
    if (link->is_connected)
        lose(link);
    return true;
}

/* ---- waiting ---- */

/* Wait at the socket for a while, and do what is to be done then. */
static void lead(struct link *link, int64_t deadline)
{
    link->has_leader = true;
    if (!link->is_connected && link->failures > FAILURES) {
        fail_all(link, MPROC_SERVER_DIED, false);
        link->failures = 0;
    } else if (!link->is_connected) {
        meet_again(link, deadline);
    } else {
        struct pollfd watch = {.fd = link->channel.fd, .events = POLLIN | (link->next_out ? POLLOUT : 0)};
        pthread_mutex_unlock(&link->mutex);
        int ready = os_poll(&watch, 1, os_nap(deadline));
        pthread_mutex_lock(&link->mutex);
        if (ready > 0)
            receive(link);
    }
    flush(link);
    link->has_leader = false;
}

/* The next one that waits becomes leader. */
static void pass_on(struct link *link)
{
    if (link->has_leader)
        return;
    for (struct link_call *call = link->calls; call; call = call->next) {
        if (call->wake) {
            pthread_cond_signal(call->wake);
            return;
        }
    }
}

static void follow(struct link *link, struct link_call *call, int64_t deadline)
{
    int64_t end = os_now() + os_nap(deadline);
    struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    pthread_cond_clockwait(call->wake, &link->mutex, CLOCK_MONOTONIC, &until);
}

/* Wait for the answer until the deadline: 0, or MPROC_TIMEOUT. */
static int await(struct link *link, struct link_call *call, int64_t deadline)
{
    flush(link);
    while (!call->is_done) {
        if (!link->has_leader)
            lead(link, deadline);
        else
            follow(link, call, deadline);
        if (!call->is_done && os_until(deadline) == 0)
            return MPROC_TIMEOUT;
    }
    return 0;
}

/* The caller goes without an answer. What was not sent at all is not sent any more. */
static void abandon(struct link *link, struct link_call *call)
{
    call->wake = NULL;
    call->is_abandoned = true;
    if (call->sent == 0) {
        unlink_call(link, call);
        free_call(call);
    }
}

/* ---- calling ---- */

static struct link_call *make_call(const struct link_request *request, size_t most, int *result)
{
    struct link_call *call = os_malloc(sizeof *call);
    *result = -ENOMEM;
    if (!call)
        return NULL;
    *call = (struct link_call){.is_new = request->is_new};
    *result =
        wire_encode_request(request->object, request->method, request->args, request->count, &call->frame, &call->size);
    if (!*result && call->size - WIRE_HEAD > most)
        *result = -EMSGSIZE;
    if (!*result)
        return call;
    free_call(call);
    return NULL;
}

/* The result is part of the answer's block: that is what is to be freed with it. */
static void take_result(struct link_call *call, mproc_value *result)
{
    if (!result || call->value.kind != MPROC_LIST)
        return;
    *result = call->value.items[2];
    if (result->kind < MPROC_STRING || result->kind == MPROC_OBJECT)
        return; /* it has nothing in the block */
    result->memory = call->value.memory;
    call->value = mproc_nil();
}

/* Nobody waits for this any more. What the server may still give to it would be nobody's: then the connection ends,
 * which gives it back. */
static int give_up(struct link *link, struct link_call *call, bool server_waits)
{
    abandon(link, call);
    if (!server_waits)
        return MPROC_TIMEOUT;
    lose(link);
    fail_all(link, MPROC_SERVER_DIED, false);
    return MPROC_SERVER_DIED;
}

static int call_and_wait(struct link *link, struct link_call *call, const struct link_request *request,
                         mproc_value *result, int64_t deadline)
{
    int status = MPROC_SERVER_DIED;
    if (request->object && request->epoch != link->epoch) {
        free_call(call);
        return status;
    }
    add_call(link, call);
    if (await(link, call, deadline)) {
        status = give_up(link, call, request->server_waits);
    } else {
        status = call->status;
        take_result(call, result);
        free_call(call);
    }
    pass_on(link);
    return status;
}

int link_call(struct link *link, const struct link_request *request, mproc_value *result, int64_t deadline)
{
    pthread_cond_t wake = PTHREAD_COND_INITIALIZER;
    int status;

    if (request->server_waits && deadline < OS_NEVER - GRACE)
        deadline = (deadline ? deadline : os_now()) + GRACE;
    if (os_until(deadline) == 0)
        return MPROC_TIMEOUT;
    struct link_call *call = make_call(request, link->frame_most, &status);
    if (!call)
        return status;
    call->wake = &wake;
    pthread_mutex_lock(&link->mutex);
    status = call_and_wait(link, call, request, result, deadline);
    pthread_mutex_unlock(&link->mutex);
    pthread_cond_destroy(&wake);
    return status;
}

void link_tell(struct link *link, const char *method, const mproc_value *args, size_t count)
{
    const struct link_request request = {.method = method, .args = args, .count = count};
    int result;
    struct link_call *call = link->is_connected ? make_call(&request, link->frame_most, &result) : NULL;
    if (!call)
        return;
    call->is_abandoned = true;
    add_call(link, call);
    flush(link);
}

/* ---- life ---- */

int link_open(struct link *link, int64_t deadline)
{
    int result = renew(link);
    link->calls_end = &link->calls;
    link->channel = (struct channel){.fd = -1};
    if (result)
        return result;
    pthread_mutex_lock(&link->mutex);
    result = meet(link, deadline);
    link->epoch = 0;
    pthread_mutex_unlock(&link->mutex);
    return result;
}

void link_close(struct link *link)
{
    fail_all(link, MPROC_SERVER_DIED, false);
    channel_close(&link->channel);
    free(link->in);
    link->in = NULL;
}

/* The threads that wait are not here. Their calls are; those that wait own them, so they are left. */
void link_forget(struct link *link)
{
    os_mutex_reset(&link->mutex, true);
    channel_close(&link->channel);
    link->is_connected = link->has_leader = false;
    link->calls = link->next_out = NULL;
    link->calls_end = &link->calls;
    link->in_size = 0;
    link->failures = 0;
    (void)renew(link);
}
