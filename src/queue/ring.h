/* The store of a queue: records in rings of bytes, which are linked when one is not enough. It does no waiting: that is
 * in queue.c and queue_get.c. The protocol that lets any process die at any time:
 *
 * One process at a time puts, under put.lock, and one at a time gets, under get.lock; the two sides run side by side. A
 * side's truth is one word, [messages so far : 62 | closed : 1 | which : 1]: which tells the one of its two positions
 * that counts. A put writes its records beyond the put position, where nobody looks, then the other position, and then
 * the word: that is the commit, of the messages and of the position at once. A get reads the records, writes the other
 * position and then its word: that is the commit too. A process that takes a lock over from a dead one finds the truth
 * as it was before or after a commit. It has nothing to mend except a segment that was taken and not linked
 * (put.incoming), or unlinked and not freed (get.retired).
 *
 * Each truth is written by plain stores, for its writer holds the lock: a put does not wait for the cache lines that it
 * writes to, as it would if it committed by an atomic operation. Closing goes through the put lock too: the store to
 * closing is the wish, after which every put is refused; the closed bit seals the word, and no message can come any
 * more. Whoever has the put lock and sees the wish seals; getters look for it when the queue is empty.
 *
 * A segment's ring holds records at multiples of 16 bytes: DATA with its bytes; PAD, the rest of the ring is skipped;
 * LINK, the next record is the first of the next segment. There is always room for a LINK. */
#ifndef MPROC_QUEUE_RING_H
#define MPROC_QUEUE_RING_H

#include "arena/heap.h"
#include "arena/owner_lock.h"
#include "os/copy.h"
#include "os/cpu.h"
#include "sync/wait_cell.h"
#include "util/atomic.h"
#include <mproc/queue.h>

struct segment {
    size_t capacity;                     /* bytes in ring, a multiple of 16; constant */
    _Atomic(struct segment *) next;      /* the putting side, before the LINK is committed */
    _Alignas(64) _Atomic(uint64_t) head; /* bytes that were got; the getting side, after its commit: for the other side
                                            a bound that may lag */
    _Alignas(64) unsigned char ring[];
};

struct position {
    struct segment *segment;
    uint64_t offset; /* bytes of records since the segment began */
    size_t at;       /* where that is in its ring */
};

/* What a side does between two calls: a reservation or a peek. Under its lock. */
struct hold {
    const void *thread;       /* an address that tells the threads of the owner apart; NULL: nothing is held */
    struct position position; /* of the record */
    size_t size;
};

struct put_side {
    struct owner_lock lock;
    struct position position[2]; /* under lock */
    uint64_t head_seen;          /* under lock: segment's head when last looked */
    uint64_t gets_seen;          /* under lock: messages got when last looked */
    heap_place incoming;         /* under lock: a segment of the heap on its way into the chain */
    struct hold hold;
    _Alignas(64) _Atomic(uint64_t) word; /* by stores under lock */
};

/* Whether a getter that finds the queue empty lets the putter get ahead before it looks. One that always takes each
 * message at once has to fetch the putter's cache lines for every one, and holds the putter up by that. */
struct letting {
    bool was_let;      /* the last time */
    unsigned refrains; /* how many times not to do it again: it was of no use */
    unsigned span;     /* the number that refrains was set to last */
    uint64_t got;      /* messages that were got then */
};

struct get_side {
    struct owner_lock lock;
    struct position position[2]; /* under lock */
    uint64_t puts_seen;          /* under lock: messages put when last looked */
    heap_place retired;          /* under lock: a segment on its way out of the chain */
    struct hold hold;
    struct letting let;                  /* under lock: hints only */
    _Atomic(int) large_got_on;           /* 1 + the CPU where the last large message was got; 0: there was none */
    _Alignas(64) _Atomic(uint64_t) word; /* by stores under lock */
};

struct mproc_queue {
    uint64_t magic;
    size_t maxsize;                         /* constant; SIZE_MAX: no bound */
    _Atomic(uint32_t) closing;              /* 1: to be closed; by anybody, never taken back */
    _Alignas(64) struct wait_cell messages; /* getters wait for a message */
    struct wait_cell room;                  /* putters wait for room; bounded queues only */
    struct wait_cell done;                  /* join waits for dones */
    _Atomic(uint64_t) dones;                /* by compare-and-swap */
    _Alignas(64) struct put_side put;
    _Alignas(64) struct get_side get;
    _Alignas(64) struct segment base; /* the first segment; used again when the queue is drained */
};

#define RING_AHEAD   ((size_t)512)  /* bytes */
#define RING_BLOCK   ((size_t)8192) /* a queue with its base segment */
#define RING_LARGEST ((uint64_t)1 << 47)
#define RING_HEADER  ((size_t)16)

/* Segments grow up to RING_GROWN, and further for messages that would not fit a few times: to touch new memory takes
 * longer than to copy a message there, so a ring of large messages must go round. With that they are no larger than
 * RING_KEPT, unless a message is. A drained queue keeps one of these, for a busy queue is drained again and again, and
 * gives a larger one back at once; a getter in whose sleep no message came gives back what is larger than RING_IDLE. */
#define RING_GROWN ((size_t)512 << 10)
#define RING_KEPT  ((size_t)8 << 20)
#define RING_FEW   4
#define RING_IDLE  REGION_CHUNK

/* From this size on the CPUs of putter and getter make a difference, see ring_copy_in(). */
#define RING_LARGE_MESSAGE ((size_t)512 << 10)

enum record_kind {
    RECORD_DATA = 1,
    RECORD_PAD = 2,
    RECORD_LINK = 3
};

/* What stands before each message in a ring. */
struct record {
    uint64_t size;
    uint64_t kind;
};

static inline uint64_t ring_count(uint64_t word)
{
    return word >> 2;
}

static inline bool ring_is_closed(uint64_t word)
{
    return word >> 1 & 1;
}

void ring_init(mproc_queue *queue);

/* Free all segments but the base. */
void ring_drop(mproc_queue *queue);

/* ---- both sides ---- */

static inline struct record *ring_record(const struct position *position)
{
    return (struct record *)(void *)(position->segment->ring + position->at);
}

/* The bytes of the record at this position. */
static inline void *ring_data(const struct position *position)
{
    return position->segment->ring + position->at + RING_HEADER;
}

/* The bytes that a record takes in the ring whose message has size bytes. */
static inline size_t ring_record_size(size_t size)
{
    return RING_HEADER + ((size + RING_HEADER - 1) & ~(RING_HEADER - 1));
}

/* Go behind a record whose message has size bytes. */
static inline void ring_pass(struct position *position, size_t size)
{
    size_t bytes = ring_record_size(size);
    position->offset += bytes;
    position->at += bytes;
    if (position->at == position->segment->capacity)
        position->at = 0;
}

/* ---- the putting side, under its lock ---- */

void ring_mend_put(mproc_queue *queue);

/* Take the lock, mending what a dead holder left. 0, MPROC_TIMEOUT, -errno. */
static inline int ring_lock_put(mproc_queue *queue, nanoseconds timeout)
{
    int result = owner_lock_acquire(&queue->put.lock, timeout);
    if (__builtin_expect(result != MPROC_OWNER_DIED, 1))
        return result;
    ring_mend_put(queue);
    return 0;
}

static inline struct position ring_put_position(mproc_queue *queue)
{
    return queue->put.position[load_relaxed(&queue->put.word) & 1];
}

static inline bool ring_fits(mproc_queue *queue, const struct position *position, size_t bytes)
{
    return position->offset - queue->put.head_seen + bytes + RING_HEADER <= position->segment->capacity;
}

int ring_make_room_slow(mproc_queue *queue, struct position *position, size_t bytes, size_t remaining);

/* Make room for a record of size bytes at *position and move it there, skipping or linking as needed; remaining: bytes
 * of this and all later records of the same commit. 0 or -ENOMEM; call ring_abandon() then. */
static inline int ring_make_room(mproc_queue *queue, struct position *position, size_t size, size_t remaining)
{
    size_t need = ring_record_size(size);
    if (__builtin_expect(need <= position->segment->capacity - position->at && ring_fits(queue, position, need), 1))
        return 0;
    return ring_make_room_slow(queue, position, need, remaining);
}

/* Write the message of the record here. A large one goes past the caches where it is to be got on another CPU.
 * data may be NULL where size is 0. */
static inline void ring_copy_in(mproc_queue *queue, const struct position *position, const void *data, size_t size)
{
    int got_on = 0;
    if (__builtin_expect(size >= RING_LARGE_MESSAGE, 0))
        got_on = load_relaxed(&queue->get.large_got_on);
    if (__builtin_expect(got_on && got_on != os_cpu_current() + 1, 0))
        os_copy_past_caches(ring_data(position), data, size);
    else if (size)
        memcpy(ring_data(position), data, size);
}

/* The lines that records will be written to soon were read by the other side one round ago. To fetch one takes as long
 * as several puts, and the next atomic operation waits for it: so it is asked for that long before. */
static inline void ring_fetch_ahead(const struct position *position)
{
    size_t ahead = position->at + RING_AHEAD;
    if (ahead >= position->segment->capacity)
        ahead -= position->segment->capacity;
    os_cpu_prefetch_to_write(position->segment->ring + ahead);
    os_cpu_prefetch_to_write(position->segment->ring + ahead + 64);
}

/* Write the record's header, and move behind it. */
static inline void ring_finish(struct position *position, size_t size)
{
    *ring_record(position) = (struct record){.size = size, .kind = RECORD_DATA};
    ring_pass(position, size);
    ring_fetch_ahead(position);
}

/* Commit count messages up to this position. */
static inline void ring_commit_put(mproc_queue *queue, const struct position *position, uint64_t count)
{
    uint64_t word = load_relaxed(&queue->put.word);
    queue->put.position[~word & 1] = *position;
    store_release(&queue->put.word, (word + (count << 2)) ^ 1);
    if (__builtin_expect(load_relaxed(&queue->put.incoming) != 0, 0))
        store_release(&queue->put.incoming, 0);
}

/* No message comes any more. */
static inline void ring_seal(mproc_queue *queue)
{
    uint64_t word = load_relaxed(&queue->put.word);
    store_release(&queue->put.word, word | 2);
}

/* Forget what was made since the last commit. */
void ring_abandon(mproc_queue *queue);

/* ---- the getting side, under its lock ---- */

void ring_mend_get(mproc_queue *queue);

static inline int ring_lock_get(mproc_queue *queue, nanoseconds timeout)
{
    int result = owner_lock_acquire(&queue->get.lock, timeout);
    if (__builtin_expect(result != MPROC_OWNER_DIED, 1))
        return result;
    ring_mend_get(queue);
    return 0;
}

static inline struct position ring_get_position(mproc_queue *queue)
{
    return queue->get.position[load_relaxed(&queue->get.word) & 1];
}

/* How many messages there are to get. */
static inline uint64_t ring_available(mproc_queue *queue)
{
    uint64_t got = ring_count(load_relaxed(&queue->get.word));
    if (queue->get.puts_seen <= got)
        queue->get.puts_seen = ring_count(load_acquire(&queue->put.word));
    return queue->get.puts_seen - got;
}

bool ring_next_slow(mproc_queue *queue, struct position *position, bool may_cross);

/* Find the record of the next message, of which there must be one, at or behind *position, and its size. When it is in
 * the next segment, leave this one, if may_cross says that *position is the committed one; else false: commit first. */
static inline bool ring_next(mproc_queue *queue, struct position *position, bool may_cross, size_t *size)
{
    if (__builtin_expect(ring_record(position)->kind != RECORD_DATA, 0) && !ring_next_slow(queue, position, may_cross))
        return false;
    *size = ring_record(position)->size;
    if (__builtin_expect(*size >= RING_LARGE_MESSAGE, 0))
        store_relaxed(&queue->get.large_got_on, os_cpu_current() + 1);
    return true;
}

/* Take count messages up to this position out of the queue. */
static inline void ring_store_get(mproc_queue *queue, const struct position *position, uint64_t count)
{
    uint64_t word = load_relaxed(&queue->get.word);
    queue->get.position[~word & 1] = *position;
    store_release(&queue->get.word, (word + (count << 2)) ^ 1);
    store_release(&position->segment->head, position->offset);
}

void ring_shrink(mproc_queue *queue);

/* The queue was empty all the time that a getter slept. */
static inline void ring_go_idle(mproc_queue *queue)
{
    if (ring_get_position(queue).segment->capacity > RING_IDLE)
        ring_shrink(queue);
}

/* The same, and back to the base segment when the queue is drained and very large. */
static inline void ring_commit_get(mproc_queue *queue, const struct position *position, uint64_t count)
{
    ring_store_get(queue, position, count);
    if (__builtin_expect(position->segment->capacity > RING_KEPT, 0) && ring_available(queue) == 0)
        ring_shrink(queue);
}

#endif
