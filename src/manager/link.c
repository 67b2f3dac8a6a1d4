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
    if (--call->waiter->left == 0 && call->waiter->sleeps)
        pthread_cond_signal(&call->waiter->wake);
}

static void unlink_call(struct link *link, struct link_call *call)
{
    struct link_call **at = &link->calls;
    while (*at && *at != call)
        at = &(*at)->next;
    if (!*at)
        return;
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
        if (call->waiter)
            settle(call, status);
        else
            free_call(call);
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

static void close_lost(struct link *link)
{
    channel_close(&link->channel);
    link->in_size = 0;
}

/* A leader that waits at the socket closes it when it wakes: the number of a descriptor that is closed under its feet
 * might be another file's. Until then the buffer is its own as well. */
static void lose(struct link *link)
{
    if (link->is_watched)
        channel_shut(&link->channel);
    else
        close_lost(link);
    link->is_connected = false;
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
    link->may_wait = channel_set_wait(&link->channel, OS_TICK) == 0;
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
    return result == MPROC_NOT_FOUND ? link_stranger() : result;
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

void link_flush(struct link *link)
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
    int arrived = link->arrived ? link->arrived(link, &whole, call && call->is_new && call->waiter) : 0;
    if (call)
        unlink_call(link, call);
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

/* What a receive into the buffer has given. Whether more may be there. */
static bool took(struct link *link, ssize_t got)
{
    bool may_be_more = got == (ssize_t)(link->in_capacity - link->in_size) || channel_holds(&link->channel);
    if (got == -EINTR || got == -EAGAIN)
        return got == -EINTR;
    link->in_size += got > 0 ? (size_t)got : 0;
    if (got <= 0 || !deliver_all(link))
        lose(link);
    return link->is_connected && may_be_more;
}

static ssize_t receive(struct link *link)
{
    return channel_receive(&link->channel, link->in + link->in_size, link->in_capacity - link->in_size);
}

/* Take what has come, without waiting. */
static void receive_all(struct link *link)
{
    bool more = link->is_connected;
    while (more) {
        if (make_room(link)) {
            more = took(link, receive(link));
        } else {
            lose(link);
            more = false;
        }
    }
}

/* ---- waiting ---- */

#define SOMETHING (-EINTR) /* look again, with the mutex */

/* What is there now. TLS is for one thread at a time, so there it is only asked whether something is there. */
static ssize_t probe(struct link *link)
{
    struct pollfd watched = {.fd = link->channel.fd, .events = POLLIN};
    if (!link->channel.tls)
        return receive(link);
    return os_poll(&watched, 1, 0) > 0 ? SOMETHING : -EAGAIN;
}

/* Look for an answer without sleeping. */
static ssize_t look(struct link *link)
{
    int64_t end = spin_begin(&link->spin);
    ssize_t got = -EAGAIN;
    if (!end)
        return got;
    while (got == -EAGAIN && os_now() < end)
        got = probe(link);
    spin_end(&link->spin, got != -EAGAIN);
    return got;
}

static ssize_t sleep_at_socket(struct link *link, bool has_output, int64_t deadline)
{
    struct pollfd watched = {.fd = link->channel.fd, .events = POLLIN | (has_output ? POLLOUT : 0)};
    if (!has_output && link->may_wait && os_until(deadline) >= OS_TICK)
        return channel_receive_first(&link->channel, link->in + link->in_size, link->in_capacity - link->in_size);
    return os_poll(&watched, 1, os_nap(deadline)) > 0 ? SOMETHING : -EAGAIN;
}

/* Wait for the socket, without the mutex. The link's buffer is the leader's. Returns what was received. */
static ssize_t watch(struct link *link, int64_t deadline)
{
    bool has_output = link->next_out != NULL;
    if (channel_holds(&link->channel))
        return SOMETHING;
    link->is_watched = true;
    pthread_mutex_unlock(&link->mutex);
    ssize_t got = has_output ? -EAGAIN : look(link);
    if (got == -EAGAIN)
        got = sleep_at_socket(link, has_output, deadline);
    pthread_mutex_lock(&link->mutex);
    link->is_watched = false;
    return got;
}

static void serve_socket(struct link *link, int64_t deadline)
{
    if (!make_room(link)) {
        lose(link);
        return;
    }
    ssize_t got = watch(link, deadline);
    if (!link->is_connected)
        close_lost(link);
    else if (took(link, got))
        receive_all(link);
}

/* Wait at the socket for a while, and do what is to be done then. */
static void lead(struct link *link, int64_t deadline)
{
    link->has_leader = true;
    if (link->is_connected) {
        serve_socket(link, deadline);
    } else if (link->failures > FAILURES) {
        fail_all(link, MPROC_SERVER_DIED, false);
        link->failures = 0;
    } else {
        meet_again(link, deadline);
    }
    link_flush(link);
    link->has_leader = false;
}

/* The next one that waits becomes leader. */
static void pass_on(struct link *link)
{
    if (link->has_leader)
        return;
    for (struct link_call *call = link->calls; call; call = call->next) {
        if (call->waiter && call->waiter->sleeps) {
            pthread_cond_signal(&call->waiter->wake);
            return;
        }
    }
}

static void follow(struct link *link, struct link_waiter *waiter, int64_t deadline)
{
    int64_t end = os_now() + os_nap(deadline);
    struct timespec until = {.tv_sec = end / 1000000000, .tv_nsec = end % 1000000000};
    waiter->sleeps = true;
    uncancelled_pthread_cond_clockwait(&waiter->wake, &link->mutex, CLOCK_MONOTONIC, &until);
    waiter->sleeps = false;
}

int link_await(struct link *link, struct link_waiter *waiter, int64_t deadline)
{
    int result = 0;
    link_flush(link);
    while (!result && waiter->left) {
        if (!link->has_leader)
            lead(link, deadline);
        else
            follow(link, waiter, deadline);
        if (waiter->left && os_until(deadline) == 0)
            result = MPROC_TIMEOUT;
    }
    pass_on(link);
    return result;
}

/* ---- calling ---- */

int link_make(const struct link *link, const struct link_request *request, struct link_call **call)
{
    struct link_call *made = os_malloc(sizeof *made);
    if (!made)
        return -ENOMEM;
    *made = (struct link_call){.is_new = request->is_new,
                               .server_waits = request->server_waits,
                               .has_object = request->object != 0 || request->has_objects,
                               .epoch = request->epoch};
    int result =
        wire_encode_request(request->object, request->method, request->args, request->count, &made->frame, &made->size);
    if (!result && made->size - WIRE_HEAD > link->frame_most)
        result = -EMSGSIZE;
    if (result)
        free_call(made);
    else
        *call = made;
    return result;
}

void link_begin(struct link *link, struct link_call *call, struct link_waiter *waiter)
{
    call->waiter = waiter;
    waiter->left++;
    if (call->has_object && call->epoch != link->epoch)
        settle(call, MPROC_SERVER_DIED);
    else
        add_call(link, call);
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

/* What the server may still give to a call that nobody wants would be nobody's: the end of the connection gives it
 * back. */
static int abandon(struct link *link, struct link_call *call)
{
    bool ends = call->server_waits && call->sent;
    call->waiter->left--;
    call->waiter = NULL;
    if (call->sent == 0) {
        unlink_call(link, call);
        free_call(call);
    }
    if (!ends)
        return MPROC_TIMEOUT;
    lose(link);
    fail_all(link, MPROC_SERVER_DIED, false);
    return MPROC_SERVER_DIED;
}

/* Note why the server says that it failed. Returns whether that was in place of a result. */
static bool note_refusal(const struct link_call *call)
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

int link_end(struct link *link, struct link_call *call, mproc_value *result)
{
    if (call->waiter && !call->is_done)
        return abandon(link, call);
    int status = call->status;
    if (!note_refusal(call))
        take_result(call, result);
    free_call(call);
    return status;
}

int link_call(struct link *link, const struct link_request *request, mproc_value *result, int64_t deadline)
{
    struct link_waiter waiter = {.wake = PTHREAD_COND_INITIALIZER};
    struct link_call *call;

    if (request->server_waits) /* the server cannot be told to give a wait up, so the check does not end it */
        deadline &= ~INT64_C(1);
    if (request->server_waits && deadline < OS_NEVER - GRACE)
        deadline = (deadline ? deadline : os_now()) + GRACE;
    if (os_until(deadline) == 0)
        return MPROC_TIMEOUT;
    int status = link_make(link, request, &call);
    if (status)
        return status;
    pthread_mutex_lock(&link->mutex);
    link_begin(link, call, &waiter);
    (void)link_await(link, &waiter, deadline);
    status = link_end(link, call, result);
    pthread_mutex_unlock(&link->mutex);
    pthread_cond_destroy(&waiter.wake);
    return status;
}

void link_tell(struct link *link, const char *method, const mproc_value *args, size_t count)
{
    const struct link_request request = {.method = method, .args = args, .count = count};
    struct link_call *call;
    if (!link->is_connected || link_make(link, &request, &call))
        return;
    add_call(link, call);
    link_flush(link);
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
    link->is_connected = link->has_leader = link->is_watched = false;
    link->calls = link->next_out = NULL;
    link->calls_end = &link->calls;
    link->in_size = 0;
    link->failures = 0;
    link->forks++;
    (void)renew(link);
}
