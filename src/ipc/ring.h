/* The store of a queue: records in rings of bytes, which are linked when one is not enough. For queue.c, which has the
 * waiting. The protocol that lets any process die at any time:
 *
 * One process at a time puts, under put.lock, and one at a time gets, under get.lock; the two sides run side by side. A
 * side's truth is one word, [messages so far : 62 | closed : 1 | which : 1]: which tells the one of its two positions
 * that counts. A put writes its records beyond the put position, where nobody looks, then the other position, and then
 * the word: that is the commit, of the messages and of the position at once. A get reads the records, writes the other
 * position and then its word: that is the commit too. Who takes a lock over from a dead process finds the truth as it
 * was before or after a commit, and has nothing to mend but a segment that was taken and not linked (put.incoming), or
 * unlinked and not freed (get.retired).
 *
 * A segment's ring holds records at multiples of 16 bytes: DATA with its bytes; PAD, the rest of the ring is skipped;
 * LINK, the next record is the first of the next segment. There is always room for a LINK. */
#ifndef MPROC_IPC_RING_H
#define MPROC_IPC_RING_H

#include "arena/heap.h"
#include "arena/owner_lock.h"
#include "sync/cell.h"
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
    _Alignas(64) _Atomic(uint64_t) word; /* by compare-and-swap under lock; closed: by anybody */
};

struct get_side {
    struct owner_lock lock;
    struct position position[2]; /* under lock */
    uint64_t puts_seen;          /* under lock: messages put when last looked */
    heap_place retired;          /* under lock: a segment on its way out of the chain */
    struct hold hold;
    _Alignas(64) _Atomic(uint64_t) word; /* by stores under lock */
};

struct mproc_queue {
    uint64_t magic;
    size_t maxsize;            /* constant; SIZE_MAX: no bound */
    _Atomic(uint64_t) dones;   /* by compare-and-swap */
    struct wait_cell messages; /* getters wait for a message */
    struct wait_cell room;     /* putters wait for room; bounded queues only */
    struct wait_cell done;     /* join waits for dones */
    _Alignas(64) struct put_side put;
    _Alignas(64) struct get_side get;
    _Alignas(64) struct segment base; /* the first segment; used again when the queue is drained */
};

#define RING_BLOCK   ((size_t)8192) /* a queue with its base segment */
#define RING_LARGEST ((uint64_t)1 << 47)

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

/* Take a side's lock, mending what a dead holder left. 0, MPROC_TIMEOUT, -errno. */
int ring_lock_put(mproc_queue *queue, mproc_time timeout);
int ring_lock_get(mproc_queue *queue, mproc_time timeout);

/* Where the next record would be put. */
struct position ring_put_position(mproc_queue *queue);

/* Make room for a record of size bytes at *position and move it there, skipping or linking as needed; remaining: bytes
 * of this and all later records of the same commit. 0 or -ENOMEM; call ring_abandon() then. */
int ring_make_room(mproc_queue *queue, struct position *position, size_t size, size_t remaining);

/* The bytes of a record at this position; the bytes that a record of a size takes. */
void *ring_data(const struct position *position);
size_t ring_record_size(size_t size);

/* Write the record's header, and move behind it. */
void ring_finish(struct position *position, size_t size);

/* Commit count messages up to this position. False when the queue was closed meanwhile: nothing was put. */
bool ring_commit_put(mproc_queue *queue, const struct position *position, uint64_t count);

/* Forget what was made since the last commit. */
void ring_abandon(mproc_queue *queue);

/* How many messages there are to get, under the get lock. */
uint64_t ring_available(mproc_queue *queue);

/* Find the record of the next message, of which there must be one, at or behind *position, and its size. When it is in
 * the next segment, leave this one, if may_cross says that *position is the committed one; else false: commit first. */
bool ring_next(mproc_queue *queue, struct position *position, bool may_cross, size_t *size);
struct position ring_get_position(mproc_queue *queue);
void ring_pass(struct position *position, size_t size);

/* Take count messages up to this position out of the queue. */
void ring_commit_get(mproc_queue *queue, const struct position *position, uint64_t count);

#endif
