/* The store of a queue: records in linked rings of bytes. Called by queue.c with the lock of the side in question; the
 * protocol stands in ring.h. */
#include "ipc/ring.h"

#include <string.h>

#define HEADER       ((size_t)16)
#define CHUNK        REGION_CHUNK
#define GROW_LARGEST ((size_t)512 << 10) /* grown segments are no larger, so that the heap may keep their pages */
#define KEEP_LARGEST (CHUNK)             /* a drained queue gives a larger segment back */

enum record_kind {
    RECORD_DATA = 1,
    RECORD_PAD = 2,
    RECORD_LINK = 3
};

struct record {
    uint64_t size;
    uint64_t kind;
};

static struct record *record_at(const struct position *position)
{
    return (struct record *)(void *)(position->segment->ring + position->at);
}

void *ring_data(const struct position *position)
{
    return position->segment->ring + position->at + HEADER;
}

size_t ring_record_size(size_t size)
{
    return HEADER + ((size + HEADER - 1) & ~(HEADER - 1));
}

static void init_segment(struct segment *segment, size_t block_size)
{
    segment->capacity = (block_size - offsetof(struct segment, ring)) & ~(HEADER - 1);
    atomic_store_explicit(&segment->next, NULL, memory_order_relaxed);
    atomic_store_explicit(&segment->head, 0, memory_order_relaxed);
}

void ring_init(mproc_queue *queue)
{
    init_segment(&queue->base, RING_BLOCK - offsetof(struct mproc_queue, base));
    queue->put.position[0].segment = &queue->base;
    queue->get.position[0].segment = &queue->base;
}

static uint64_t put_word(mproc_queue *queue)
{
    return atomic_load_explicit(&queue->put.word, memory_order_acquire);
}

static uint64_t get_word(mproc_queue *queue)
{
    return atomic_load_explicit(&queue->get.word, memory_order_acquire);
}

struct position ring_put_position(mproc_queue *queue)
{
    return queue->put.position[put_word(queue) & 1];
}

struct position ring_get_position(mproc_queue *queue)
{
    return queue->get.position[get_word(queue) & 1];
}

void ring_drop(mproc_queue *queue)
{
    struct segment *last = ring_put_position(queue).segment;
    struct segment *segment = ring_get_position(queue).segment;
    for (;;) {
        struct segment *next = atomic_load_explicit(&segment->next, memory_order_relaxed);
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
    if (atomic_load_explicit(&queue->put.incoming, memory_order_relaxed) == (uintptr_t)current)
        atomic_store_explicit(&queue->put.incoming, 0, memory_order_release);
    else
        heap_free_from(&queue->put.incoming);
    queue->put.head_seen = atomic_load_explicit(&current->head, memory_order_acquire);
    queue->put.hold.thread = NULL;
}

int ring_lock_put(mproc_queue *queue, mproc_time timeout)
{
    int result = owner_lock_acquire(&queue->put.lock, timeout);
    if (__builtin_expect(result == MPROC_OWNER_DIED, 0)) {
        ring_abandon(queue);
        queue->put.gets_seen = 0;
        return 0;
    }
    return result;
}

static size_t grown_block(const struct segment *segment, size_t remaining)
{
    size_t block = segment->capacity * 2;
    if (block > GROW_LARGEST)
        block = GROW_LARGEST;
    size_t least = offsetof(struct segment, ring) + remaining + HEADER;
    if (block < least)
        block = least;
    return (block + CHUNK - 1) & ~(CHUNK - 1);
}

/* Go on in this segment, which nobody else knows yet. */
static void link_to(struct position *position, struct segment *next)
{
    *record_at(position) = (struct record){.kind = RECORD_LINK};
    atomic_store_explicit(&position->segment->next, next, memory_order_relaxed);
    *position = (struct position){.segment = next};
}

static bool fits(mproc_queue *queue, const struct position *position, size_t bytes)
{
    uint64_t used = position->offset - queue->put.head_seen;
    return used + bytes + HEADER <= position->segment->capacity;
}

int ring_make_room(mproc_queue *queue, struct position *position, size_t size, size_t remaining)
{
    size_t need = ring_record_size(size);
    size_t to_end = position->segment->capacity - position->at;
    size_t bytes = need <= to_end ? need : to_end + need;
    if (!fits(queue, position, bytes)) {
        if (position->segment == ring_put_position(queue).segment)
            queue->put.head_seen = atomic_load_explicit(&position->segment->head, memory_order_acquire);
        if (!fits(queue, position, bytes)) {
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
    }
    if (need > to_end) {
        *record_at(position) = (struct record){.kind = RECORD_PAD};
        position->offset += to_end;
        position->at = 0;
    }
    return 0;
}

static void move(struct position *position, size_t bytes)
{
    position->offset += bytes;
    position->at += bytes;
    if (position->at == position->segment->capacity)
        position->at = 0;
}

void ring_finish(struct position *position, size_t size)
{
    *record_at(position) = (struct record){.size = size, .kind = RECORD_DATA};
    move(position, ring_record_size(size));
}

/* The swap is sequentially consistent, so that the look for sleepers which follows it needs no fence. */
static bool commit_put(mproc_queue *queue, const struct position *position, uint64_t word, uint64_t count)
{
    queue->put.position[~word & 1] = *position;
    uint64_t next = (word + (count << 2)) ^ 1;
    if (!atomic_compare_exchange_strong_explicit(&queue->put.word, &word, next, memory_order_seq_cst,
                                                 memory_order_relaxed))
        return false;
    if (atomic_load_explicit(&queue->put.incoming, memory_order_relaxed))
        atomic_store_explicit(&queue->put.incoming, 0, memory_order_release);
    return true;
}

bool ring_commit_put(mproc_queue *queue, const struct position *position, uint64_t count)
{
    uint64_t word = put_word(queue);
    return !ring_is_closed(word) && commit_put(queue, position, word, count);
}

/* ---- getting ---- */

static void free_retired(mproc_queue *queue)
{
    if (atomic_load_explicit(&queue->get.retired, memory_order_relaxed) == (uintptr_t)&queue->base)
        atomic_store_explicit(&queue->get.retired, 0, memory_order_release);
    else
        heap_free_from(&queue->get.retired);
}

int ring_lock_get(mproc_queue *queue, mproc_time timeout)
{
    int result = owner_lock_acquire(&queue->get.lock, timeout);
    if (__builtin_expect(result != MPROC_OWNER_DIED, 1))
        return result;
    struct position position = ring_get_position(queue);
    if (atomic_load_explicit(&queue->get.retired, memory_order_relaxed) == (uintptr_t)position.segment)
        atomic_store_explicit(&queue->get.retired, 0, memory_order_release); /* it was not left */
    else
        free_retired(queue);
    atomic_store_explicit(&position.segment->head, position.offset, memory_order_release);
    queue->get.puts_seen = 0;
    queue->get.hold.thread = NULL;
    return 0;
}

uint64_t ring_available(mproc_queue *queue)
{
    uint64_t got = ring_count(get_word(queue));
    if (queue->get.puts_seen <= got)
        queue->get.puts_seen = ring_count(put_word(queue));
    return queue->get.puts_seen - got;
}

static void commit_get(mproc_queue *queue, const struct position *position, uint64_t count)
{
    uint64_t word = atomic_load_explicit(&queue->get.word, memory_order_relaxed);
    queue->get.position[~word & 1] = *position;
    uint64_t next = (word + (count << 2)) ^ 1;
    if (queue->maxsize == SIZE_MAX)
        atomic_store_explicit(&queue->get.word, next, memory_order_release);
    else /* putters may wait: the look for them that follows needs no fence */
        atomic_exchange_explicit(&queue->get.word, next, memory_order_seq_cst);
    atomic_store_explicit(&position->segment->head, position->offset, memory_order_release);
}

/* Leave a segment whose messages were all got, for the next one. */
static void cross(mproc_queue *queue, struct position *position)
{
    struct segment *left = position->segment;
    *position = (struct position){.segment = atomic_load_explicit(&left->next, memory_order_relaxed)};
    atomic_store_explicit(&queue->get.retired, (uintptr_t)left, memory_order_release);
    commit_get(queue, position, 0);
    free_retired(queue);
}

bool ring_next(mproc_queue *queue, struct position *position, bool may_cross, size_t *size)
{
    for (;;) {
        const struct record *record = record_at(position);
        if (record->kind == RECORD_DATA) {
            *size = record->size;
            return true;
        }
        if (record->kind == RECORD_PAD) {
            position->offset += position->segment->capacity - position->at;
            position->at = 0;
        } else if (may_cross) {
            cross(queue, position);
        } else {
            return false;
        }
    }
}

void ring_pass(struct position *position, size_t size)
{
    move(position, ring_record_size(size));
}

/* A drained queue goes back into its base segment, and gives the large one away. */
static void shrink(mproc_queue *queue)
{
    int result = owner_lock_acquire(&queue->put.lock, MPROC_NOWAIT);
    if (result == MPROC_OWNER_DIED)
        ring_abandon(queue);
    else if (result)
        return;
    uint64_t word = put_word(queue);
    struct position position = ring_put_position(queue);
    if (ring_count(word) == ring_count(get_word(queue)) && position.segment != &queue->base &&
        position.segment == ring_get_position(queue).segment) {
        struct position from = position;
        init_segment(&queue->base, RING_BLOCK - offsetof(struct mproc_queue, base));
        link_to(&position, &queue->base);
        if (commit_put(queue, &position, word, 0)) {
            queue->put.head_seen = 0;
            cross(queue, &from);
        }
    }
    owner_lock_release(&queue->put.lock);
}

void ring_commit_get(mproc_queue *queue, const struct position *position, uint64_t count)
{
    commit_get(queue, position, count);
    if (position->segment->capacity > KEEP_LARGEST && ring_available(queue) == 0)
        shrink(queue);
}
