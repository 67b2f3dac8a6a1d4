/* Taking a stream apart into messages, as receiver.h says. */
#include "connection/receiver.h"

#include "connection/frame.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <poll.h>
#include <string.h>

#define STASH_FIRST ((size_t)65536)

/* What the stream goes on with. */
enum front {
    FRONT_PART,       /* too little to tell, or a small message that is not complete */
    FRONT_SMALL,      /* a complete message in what was read ahead */
    FRONT_LARGE,      /* a message that goes past it */
    FRONT_DESCRIPTOR, /* the message that is a descriptor */
    FRONT_BROKEN
};

void receiver_init(struct receiver *receiver)
{
    receiver->start = receiver->end = 0;
    receiver->passed = OS_PASSED_NONE;
    receiver->broken = receiver->idle = receiver->large = false;
    receiver->size = 0;
    receiver->have = receiver->room = 0;
    receiver->stash = NULL;
    atomic_init(&receiver->ready, false);
}

static void drop_stash(struct receiver *receiver)
{
    free(receiver->stash);
    receiver->stash = NULL;
    receiver->have = receiver->room = 0;
    receiver->large = false;
}

/* Close the descriptor that came with a byte which was no message of its own. */
static void drop_passed(struct receiver *receiver)
{
    if (receiver->passed >= 0)
        os_close(receiver->passed);
    receiver->passed = OS_PASSED_NONE;
}

void receiver_abandon(struct receiver *receiver)
{
    drop_passed(receiver);
}

void receiver_close(struct receiver *receiver)
{
    drop_passed(receiver);
    drop_stash(receiver);
}

static size_t ahead_count(const struct receiver *receiver)
{
    return receiver->end - receiver->start;
}

static void consume(struct receiver *receiver, size_t count)
{
    receiver->start += count;
    if (receiver->start < receiver->end)
        return;
    receiver->start = receiver->end = 0;
    drop_passed(receiver);
}

/* See what is next. A large message is entered by it: its header is consumed. */
static enum front receiver_look(struct receiver *receiver, struct frame *frame)
{
    size_t count = ahead_count(receiver);
    const unsigned char *bytes = receiver->ahead + receiver->start;

    if (receiver->broken)
        return FRONT_BROKEN;
    if (receiver->large)
        return FRONT_LARGE;
    if (count == 1 && receiver->passed != OS_PASSED_NONE && *bytes == FRAME_DESCRIPTOR)
        return FRONT_DESCRIPTOR;
    int result = frame_decode(frame, bytes, count);
    if (result == -EPROTO) {
        receiver->broken = true;
        return FRONT_BROKEN;
    }
    if (result)
        return FRONT_PART;
    if (frame->header + frame->size <= RECEIVER_AHEAD)
        return count >= frame->header + frame->size ? FRONT_SMALL : FRONT_PART;
    receiver->large = true;
    receiver->size = frame->size;
    consume(receiver, frame->header);
    return FRONT_LARGE;
}

/* After each call: note for other threads whether the next would find something here. */
static int note_ready(struct receiver *receiver, int result)
{
    struct frame frame;
    enum front front = receiver_look(receiver, &frame);

    bool ready = front != FRONT_PART && front != FRONT_LARGE;
    if (load_relaxed(&receiver->ready) != ready)
        store_release(&receiver->ready, ready);
    return result;
}

/* Read ahead some more. 0: something came. */
static int read_ahead(struct receiver *receiver, struct stream *stream, int64_t deadline)
{
    size_t count = ahead_count(receiver);

    drop_passed(receiver);
    memmove(receiver->ahead, receiver->ahead + receiver->start, count);
    receiver->start = 0;
    receiver->end = count;
    int result = receiver->idle && stream->kind == OS_STREAM_PIPE ? stream_await(stream, POLLIN, deadline) : 0;
    receiver->idle = result != 0;
    while (!result) {
        ssize_t got =
            stream_receive_first(stream, receiver->ahead + count, RECEIVER_AHEAD - count, &receiver->passed, deadline);
        if (got > 0) {
            receiver->end += (size_t)got;
            return 0;
        }
        if (got == 0) {
            receiver->broken = count > 0;
            return receiver->broken ? MPROC_BROKEN : MPROC_CLOSED;
        }
        receiver->idle = got == -EAGAIN;
        result = stream_again(stream, got, POLLIN, deadline);
    }
    return result;
}

/* Wait until it is known what is next. */
static int await_front(struct receiver *receiver, struct stream *stream, struct frame *frame, enum front *front,
                       int64_t deadline)
{
    while ((*front = receiver_look(receiver, frame)) == FRONT_PART) {
        int result = read_ahead(receiver, stream, deadline);
        if (result)
            return result;
    }
    return *front == FRONT_BROKEN ? MPROC_BROKEN : 0;
}

/* Wait for the next message, which is no descriptor, and tell its size. */
static int await_message(struct receiver *receiver, struct stream *stream, struct frame *frame, enum front *front,
                         int64_t deadline)
{
    int result = await_front(receiver, stream, frame, front, deadline);
    if (result)
        return result;
    if (*front == FRONT_DESCRIPTOR)
        return -EPROTO;
    if (*front == FRONT_LARGE)
        frame->size = receiver->size;
    return 0;
}

static void take_small(struct receiver *receiver, const struct frame *frame, void *buffer)
{
    if (frame->size)
        memcpy(buffer, receiver->ahead + receiver->start + frame->header, (size_t)frame->size);
    consume(receiver, frame->header + (size_t)frame->size);
}

/* ---- large messages ---- */

/* Bytes of the large message: first those that were read ahead. */
static ssize_t receiver_pull(struct receiver *receiver, struct stream *stream, unsigned char *to, size_t size,
                             int64_t deadline)
{
    size_t count = ahead_count(receiver);

    if (count == 0)
        return stream_receive_first(stream, to, size, NULL, deadline);
    if (count > size)
        count = size;
    memcpy(to, receiver->ahead + receiver->start, count);
    consume(receiver, count);
    return (ssize_t)count;
}

/* Receive until *have bytes are end bytes. */
static int pull_all(struct receiver *receiver, struct stream *stream, unsigned char *to, size_t *have, size_t end,
                    int64_t deadline)
{
    int result = 0;

    while (!result && *have < end) {
        size_t missing = end - *have;
        bool drains = ahead_count(receiver) == 0 && stream->kind == OS_STREAM_PIPE;
        ssize_t got = receiver_pull(receiver, stream, to + *have, missing, deadline);
        if (got == 0)
            return MPROC_BROKEN;
        if (got < 0) {
            result = stream_again(stream, got, POLLIN, deadline);
            continue;
        }
        *have += (size_t)got;
        if (drains && (size_t)got < missing) /* then there is no more at the moment */
            result = stream_await(stream, POLLIN, deadline);
    }
    return result;
}

static void receiver_give_up(struct receiver *receiver)
{
    drop_stash(receiver);
    receiver->broken = true;
}

static int receiver_make_room(struct receiver *receiver, size_t room)
{
    if (room <= receiver->room)
        return 0;
    unsigned char *stash = os_realloc(receiver->stash, room);
    if (!stash)
        return -ENOMEM;
    receiver->stash = stash;
    receiver->room = room;
    return 0;
}

/* Receive the large message into the stash, which grows as bytes arrive and never by what the header claims. */
static int receive_stash(struct receiver *receiver, struct stream *stream, int64_t deadline)
{
    size_t size = (size_t)receiver->size;
    int result = 0;

    while (!result && receiver->have < size) {
        if (receiver->have == receiver->room) {
            size_t room = receiver->room ? receiver->room : STASH_FIRST / 2;
            result = receiver_make_room(receiver, room > size / 2 ? size : room * 2);
        }
        if (!result)
            result = pull_all(receiver, stream, receiver->stash, &receiver->have,
                              receiver->room < size ? receiver->room : size, deadline);
    }
    if (result == MPROC_BROKEN)
        receiver_give_up(receiver);
    return result;
}

/* Receive the large message where the caller wants it. So that a timeout loses nothing, the place to keep what came is
 * there before the first byte is taken. */
static int receive_straight(struct receiver *receiver, struct stream *stream, unsigned char *buffer, int64_t deadline)
{
    size_t have = 0;
    size_t size = (size_t)receiver->size;

    int result = deadline >= OS_NEVER ? 0 : receiver_make_room(receiver, size);
    if (result)
        return result;
    result = pull_all(receiver, stream, buffer, &have, size, deadline);
    if (!result) {
        drop_stash(receiver);
        return 0;
    }
    if (result == MPROC_BROKEN || receiver_make_room(receiver, have)) {
        receiver_give_up(receiver);
        return result;
    }
    if (have)
        memcpy(receiver->stash, buffer, have);
    receiver->have = have;
    return result;
}

/* A message of which a part is in the stash already is completed there, so that a caller that comes often with short
 * timeouts does not copy it each time. */
static int receive_large(struct receiver *receiver, struct stream *stream, void *buffer, int64_t deadline)
{
    if (receiver->have == 0)
        return receive_straight(receiver, stream, buffer, deadline);
    int result = receive_stash(receiver, stream, deadline);
    if (result)
        return result;
    memcpy(buffer, receiver->stash, receiver->have);
    drop_stash(receiver);
    return 0;
}

/* ---- the calls ---- */

int receiver_get(struct receiver *receiver, struct stream *stream, void *buffer, size_t capacity, size_t *size,
                 int64_t deadline)
{
    struct frame frame;
    enum front front;

    int result = await_message(receiver, stream, &frame, &front, deadline);
    if (result)
        return note_ready(receiver, result);
    if (frame.size > capacity)
        result = MPROC_TOO_SMALL;
    else if (front == FRONT_SMALL)
        take_small(receiver, &frame, buffer);
    else
        result = receive_large(receiver, stream, buffer, deadline);
    if (result == 0 || result == MPROC_TOO_SMALL)
        *size = (size_t)frame.size;
    return note_ready(receiver, result);
}

int receiver_get_new(struct receiver *receiver, struct stream *stream, void **data, size_t *size, int64_t deadline)
{
    struct frame frame;
    enum front front;

    int result = await_message(receiver, stream, &frame, &front, deadline);
    if (result)
        return note_ready(receiver, result);
    if (front == FRONT_SMALL) {
        void *block = os_malloc(frame.size ? (size_t)frame.size : 1);
        if (!block)
            return note_ready(receiver, -ENOMEM);
        take_small(receiver, &frame, block);
        *data = block;
    } else {
        result = receive_stash(receiver, stream, deadline);
        if (result)
            return note_ready(receiver, result);
        *data = receiver->stash;
        receiver->stash = NULL;
        drop_stash(receiver);
    }
    *size = (size_t)frame.size;
    return note_ready(receiver, 0);
}

int receiver_get_descriptor(struct receiver *receiver, struct stream *stream, int *fd, int64_t deadline)
{
    struct frame frame;
    enum front front = receiver_look(receiver, &frame);

    while (front == FRONT_PART && ahead_count(receiver) == 0) {
        int result = read_ahead(receiver, stream, deadline);
        if (result)
            return note_ready(receiver, result);
        front = receiver_look(receiver, &frame);
    }
    if (front != FRONT_DESCRIPTOR)
        return note_ready(receiver, front == FRONT_BROKEN ? MPROC_BROKEN : -EPROTO);
    int passed = receiver->passed;
    receiver->passed = OS_PASSED_NONE;
    consume(receiver, 1);
    if (passed >= 0)
        *fd = passed;
    return note_ready(receiver, passed >= 0 ? 0 : -EMFILE);
}

/* ---- to another process ---- */

/* The bytes begin with this, then come have bytes of the stash and what was read ahead. */
struct saved {
    uint64_t broken;
    uint64_t large;
    uint64_t size;
    uint64_t have;
    uint64_t ahead;
};

size_t receiver_saved_size(const struct receiver *receiver)
{
    return sizeof(struct saved) + receiver->have + ahead_count(receiver);
}

void receiver_save(const struct receiver *receiver, void *bytes)
{
    struct saved saved = {
        .broken = receiver->broken,
        .large = receiver->large,
        .size = receiver->size,
        .have = receiver->have,
        .ahead = ahead_count(receiver),
    };
    unsigned char *to = bytes;

    memcpy(to, &saved, sizeof saved);
    if (receiver->have)
        memcpy(to + sizeof saved, receiver->stash, receiver->have);
    memcpy(to + sizeof saved + receiver->have, receiver->ahead + receiver->start, ahead_count(receiver));
}

int receiver_load(struct receiver *receiver, const void *bytes, size_t count)
{
    struct saved saved;
    const unsigned char *from = bytes;

    if (count < sizeof saved)
        return failure(-EINVAL, "what a connection has received is cut off");
    memcpy(&saved, from, sizeof saved);
    count -= sizeof saved;
    if (saved.have > count || saved.ahead != count - saved.have || saved.ahead > RECEIVER_AHEAD ||
        saved.size > FRAME_SIZE_MAX || saved.have > saved.size || (saved.have && !saved.large))
        return failure(-EINVAL, "what a connection has received is damaged");
    if (receiver_make_room(receiver, (size_t)saved.have))
        return -ENOMEM;
    from += sizeof saved;
    if (saved.have)
        memcpy(receiver->stash, from, (size_t)saved.have);
    memcpy(receiver->ahead, from + saved.have, (size_t)saved.ahead);
    receiver->end = (size_t)saved.ahead;
    receiver->broken = saved.broken;
    receiver->large = saved.large;
    receiver->size = saved.size;
    receiver->have = (size_t)saved.have;
    return note_ready(receiver, 0);
}
