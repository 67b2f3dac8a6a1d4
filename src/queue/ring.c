/* The store of a queue: records in linked rings of bytes. Here is what happens seldom: growing, crossing from one ring
 * to the next, shrinking, and mending after a death. The protocol, and what happens at each message, stand in
 * ring.h. */
#include "queue/ring.h"

#include "util/atomic.h"
/* How a putter looks for room before it takes more memory: the pause between two looks, of about a microsecond; the
 * number of looks; the bytes of a message that add one look, which is far less than is copied in that time, but about
 * as much as a getter copies from memory that is new to it; and the number of looks while nobody is getting. */
#define LOOK_PAUSE  32
#define LOOKS       300u
#define LOOK_BYTES  ((size_t)256)
#define LOOKS_STILL 8u

static void init_segment(struct segment *segment, size_t block_size)
{
    segment->capacity = (block_size - offsetof(struct segment, ring)) & ~(RING_HEADER - 1);
    store_relaxed(&segment->next, NULL);
    store_relaxed(&segment->head, 0);
}

void ring_init(mproc_queue *queue)
{
    init_segment(&queue->base, RING_BLOCK - offsetof(struct mproc_queue, base));
    queue->put.position[0].segment = &queue->base;
    queue->get.position[0].segment = &queue->base;
}

void ring_drop(mproc_queue *queue)
{
    struct segment *last = ring_put_position(queue).segment;
    struct segment *segment = ring_get_position(queue).segment;
    for (;;) {
        struct segment *next = load_relaxed(&segment->next);
        bool more = segment != last;
        if (segment != &queue->base)
            heap_free(segment);
        if (!more)
            return;
        segment = next;
    }
}

/* ---- putting ---- */

void ring_abandon(mproc_queue *queue)
{
    struct segment *current = ring_put_position(queue).segment;
    if (load_relaxed(&queue->put.incoming) == (uintptr_t)current)
        store_release(&queue->put.incoming, 0);
    else
        heap_free_from(&queue->put.incoming);
    queue->put.head_seen = load_acquire(&current->head);
    queue->put.hold.thread = NULL;
}

void ring_mend_put(mproc_queue *queue)
{
    ring_abandon(queue);
    queue->put.gets_seen = 0;
}

static size_t grown_block(const struct segment *segment, size_t remaining)
{
    size_t block = segment->capacity * 2;
    if (block > RING_GROWN)
        block = RING_GROWN;
    size_t least = offsetof(struct segment, ring) + remaining + RING_HEADER;
    size_t few = least < RING_KEPT / RING_FEW ? least * RING_FEW : RING_KEPT;
    if (block < few)
        block = few;
    if (block < least)
        block = least;
    return (block + REGION_CHUNK - 1) & ~(REGION_CHUNK - 1);
}

/* Go on in this segment, which nobody else knows yet. */
static void link_to(struct position *position, struct segment *next)
{
    *ring_record(position) = (struct record){.kind = RECORD_LINK};
    store_relaxed(&position->segment->next, next);
    *position = (struct position){.segment = next};
}

/* A putter that is faster than the getters would fill new memory all the time, which takes longer than a getter takes
 * to make room in the old one, and every message would have left the caches before it is got. So while messages are
 * being got, and the segment cannot be larger, it looks for a while whether there is room soon: about as long as
 * getting the messages of one segment takes. */
static bool room_comes(mproc_queue *queue, const struct position *position, size_t bytes)
{
    struct segment *segment = position->segment;
    if (segment->capacity < RING_GROWN / 2 || segment->capacity < bytes + RING_HEADER ||
        segment != ring_put_position(queue).segment || !os_cpu_may_spin())
        return false;
    size_t wanted = bytes > segment->capacity / RING_FEW ? bytes : segment->capacity / RING_FEW;
    unsigned looks = LOOKS + (unsigned)(bytes / LOOK_BYTES);
    uint64_t got = load_relaxed(&queue->get.word);
    for (unsigned since = 0; looks > 0 && since < LOOKS_STILL; looks--, since++) {
        os_cpu_pause(LOOK_PAUSE);
        uint64_t now = load_relaxed(&queue->get.word);
        if (now != got || load_relaxed(&queue->get.lock.word) != 0)
            since = 0;
        got = now;
        queue->put.head_seen = load_acquire(&segment->head);
        if (ring_fits(queue, position, wanted))
            return true;
    }
    return ring_fits(queue, position, bytes);
}

static int ring_grow(mproc_queue *queue, struct position *position, size_t remaining)
{
    size_t block_size = grown_block(position->segment, remaining);
    void *block;
    int result = heap_alloc(block_size, &queue->put.incoming, &block);
    if (result)
        return result;
    init_segment(block, block_size);
    link_to(position, block);
    queue->put.head_seen = 0;
    return 0;
}

int ring_make_room_slow(mproc_queue *queue, struct position *position, size_t bytes, size_t remaining)
{
    size_t to_end = position->segment->capacity - position->at;
    bool skips = bytes > to_end;
    size_t total = skips ? to_end + bytes : bytes;
    if (!ring_fits(queue, position, total)) {
        if (position->segment == ring_put_position(queue).segment)
            queue->put.head_seen = load_acquire(&position->segment->head);
        if (!ring_fits(queue, position, total) && !room_comes(queue, position, total))
            return ring_grow(queue, position, remaining);
    }
    if (skips) {
        *ring_record(position) = (struct record){.kind = RECORD_PAD};
        position->offset += to_end;
        position->at = 0;
    }
    return 0;
}

/* ---- getting ---- */

static void free_retired(mproc_queue *queue)
{
    if (load_relaxed(&queue->get.retired) == (uintptr_t)&queue->base)
        store_release(&queue->get.retired, 0);
    else
        heap_free_from(&queue->get.retired);
}

void ring_mend_get(mproc_queue *queue)
{
    struct position position = ring_get_position(queue);
    if (load_relaxed(&queue->get.retired) == (uintptr_t)position.segment)
        store_release(&queue->get.retired, 0); /* it was not left */
    else
        free_retired(queue);
    store_release(&position.segment->head, position.offset);
    queue->get.puts_seen = 0;
    queue->get.hold.thread = NULL;
}

/* Leave a segment whose messages were all got, for the next one. */
static void cross(mproc_queue *queue, struct position *position)
{
    struct segment *left = position->segment;
    *position = (struct position){.segment = load_relaxed(&left->next)};
    store_release(&queue->get.retired, (uintptr_t)left);
    ring_store_get(queue, position, 0);
    free_retired(queue);
}

bool ring_next_slow(mproc_queue *queue, struct position *position, bool may_cross)
{
    while (ring_record(position)->kind != RECORD_DATA) {
        if (ring_record(position)->kind == RECORD_PAD) {
            position->offset += position->segment->capacity - position->at;
            position->at = 0;
        } else if (may_cross) {
            cross(queue, position);
        } else {
            return false;
        }
    }
    return true;
}

/* A drained queue goes back into its base segment, and frees the large one. Both sides' locks are needed. The caller
 * holds the get lock; where the put lock cannot be taken at once, nothing is done. */
void ring_shrink(mproc_queue *queue)
{
    int result = ring_lock_put(queue, OS_NOWAIT);
    if (result)
        return;
    uint64_t word = load_acquire(&queue->put.word);
    uint64_t got = ring_count(load_relaxed(&queue->get.word));
    struct position position = ring_put_position(queue);
    if (ring_count(word) == got && position.segment != &queue->base &&
        position.segment == ring_get_position(queue).segment) {
        struct position from = position;
        init_segment(&queue->base, RING_BLOCK - offsetof(struct mproc_queue, base));
        link_to(&position, &queue->base);
        ring_commit_put(queue, &position, 0);
        queue->put.head_seen = 0;
        cross(queue, &from);
    }
    owner_lock_release(&queue->put.lock);
}
