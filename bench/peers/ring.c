/* The limit of the queue works: a bare ring in shared memory for one producer and one consumer, which spin and never
 * sleep, keep no account of who lives, and know one size of message. See messages.h. */
#include "../messages.h"

#include <stdatomic.h>

enum {
    SLOTS = 1024,
    SLOT_SIZE = 64
};

/* head is written by the consumer alone and tail by the producer alone; both only grow. A slot between them belongs to
 * the consumer, any other to the producer. The release store of one pairs with the acquire load of the other. Each side
 * keeps its last look at the other's index, so that the cache line moves only when the look is used up. */
struct ring {
    struct {
        _Alignas(64) atomic_size_t tail;
        size_t head_seen;
    } producer;
    struct {
        _Alignas(64) atomic_size_t head;
        size_t tail_seen;
    } consumer;
    _Alignas(64) unsigned char slots[SLOTS][SLOT_SIZE];
};

static void *open_ring(size_t size)
{
    must(size == SLOT_SIZE, "messages of 64 bytes");
    return shared_pages(sizeof(struct ring));
}

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static void put(void *channel, const void *message, size_t size)
{
    struct ring *ring = channel;
    size_t tail = atomic_load_explicit(&ring->producer.tail, memory_order_relaxed);

    (void)size;
    while (tail - ring->producer.head_seen == SLOTS) {
        ring->producer.head_seen = atomic_load_explicit(&ring->consumer.head, memory_order_acquire);
        if (tail - ring->producer.head_seen == SLOTS)
            relax();
    }
    memcpy(ring->slots[tail % SLOTS], message, SLOT_SIZE);
    atomic_store_explicit(&ring->producer.tail, tail + 1, memory_order_release);
}

static void get(void *channel, void *message, size_t size)
{
    struct ring *ring = channel;
    size_t head = atomic_load_explicit(&ring->consumer.head, memory_order_relaxed);

    (void)size;
    while (head == ring->consumer.tail_seen) {
        ring->consumer.tail_seen = atomic_load_explicit(&ring->producer.tail, memory_order_acquire);
        if (head == ring->consumer.tail_seen)
            relax();
    }
    memcpy(message, ring->slots[head % SLOTS], SLOT_SIZE);
    atomic_store_explicit(&ring->consumer.head, head + 1, memory_order_release);
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_ring, put, get};

    must(argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1, "one producer and one consumer");
    return measure_messages(argc, argv, &kind);
}
