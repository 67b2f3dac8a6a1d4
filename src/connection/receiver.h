/* The receiving side of a connection: takes a stream apart into messages. One thread at a time may use it; only
 * receiver_is_ready() may be called at any time.
 *
 * It reads ahead, so that many small messages cost one system call; a message that does not fit into what is read ahead
 * goes from the kernel to where it is to be. Whatever ends a call early, the bytes that came are kept, in ahead or in
 * the stash, and the next call goes on from there. */
#ifndef MPROC_CONNECTION_RECEIVER_H
#define MPROC_CONNECTION_RECEIVER_H

#include "connection/stream.h"
#include "util/atomic.h"

#define RECEIVER_AHEAD ((size_t)16384)

/* Written by the thread whose turn it is. Invariant: the stream's next bytes are ahead[start..end), then what the
 * kernel has. Between messages, the next one begins at start. Within a large message (large is set), its header is
 * gone, its first have bytes are in the stash, and the others follow at start. */
struct receiver {
    size_t start;
    size_t end;
    int passed;  /* the descriptor that came with ahead[end - 1], or OS_PASSED_NONE or OS_PASSED_LOST */
    bool broken; /* nothing can be received any more */
    bool idle;   /* the last read ahead found nothing: wait before the next, which saves a call */
    bool large;
    uint64_t size; /* of the large message */
    size_t have;
    size_t room; /* of the stash */
    unsigned char *stash;
    _Atomic(bool) ready; /* whether a call would return without asking the kernel; a copy, for other threads */
    unsigned char ahead[RECEIVER_AHEAD];
};

void receiver_init(struct receiver *receiver);

/* Give up what was kept. */
void receiver_close(struct receiver *receiver);

/* Close what was kept and leave the memory. Async-signal-safe. */
void receiver_abandon(struct receiver *receiver);

/* These have the results of the public functions of connection.h; the deadline is one of os/clock.h. */
int receiver_get(struct receiver *receiver, struct stream *stream, void *buffer, size_t capacity, size_t *size,
                 int64_t deadline);
int receiver_get_new(struct receiver *receiver, struct stream *stream, void **data, size_t *size, int64_t deadline);
int receiver_get_descriptor(struct receiver *receiver, struct stream *stream, int *fd, int64_t deadline);

static inline bool receiver_is_ready(const struct receiver *receiver)
{
    return load_acquire(&receiver->ready);
}

/* What was kept, as bytes for another process: their number, the bytes, and back again. receiver_load() takes an
 * initialized receiver: 0, -EINVAL when these are no such bytes, -ENOMEM. A descriptor is not among them. */
size_t receiver_saved_size(const struct receiver *receiver);
void receiver_save(const struct receiver *receiver, void *bytes);
int receiver_load(struct receiver *receiver, const void *bytes, size_t count);

#endif
