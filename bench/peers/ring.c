/* The limit of the queue works: a bare ring in shared memory for one producer and one consumer, which spin and never
 * sleep, keep no account of who lives, and know one size of message. See messages.h. */
#include "../../src/os/copy.h"
#include "../messages.h"

#include <stdatomic.h>

/* The ring is as large as is best for each size: slots of small messages fill it quickly, and those of large ones are
 * to stay in the caches. */
enum {
    SMALL_SLOTS = 1024,
    SLOT_BYTES = 1 << 20,
    PAST_CACHES = 512 << 10, /* so large ones are written by stores that fetch no lines */
    LEAST_SLOTS = 4
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
    _Alignas(64) unsigned char slots[];
};

/* Constant after open; a power of two. */
static size_t slots;

static void *open_ring(size_t size)
{
    slots = SMALL_SLOTS;
    while (slots > LEAST_SLOTS && slots * size > SLOT_BYTES)
        slots /= 2;
    return shared_pages(sizeof(struct ring) + slots * size);
}

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static inline __attribute__((always_inline)) void put_sized(struct ring *ring, const void *message, size_t size)
{
    size_t tail = atomic_load_explicit(&ring->producer.tail, memory_order_relaxed);

    while (tail - ring->producer.head_seen == slots) {
        ring->producer.head_seen = atomic_load_explicit(&ring->consumer.head, memory_order_acquire);
        if (tail - ring->producer.head_seen == slots)
            relax();
    }
    if (size >= PAST_CACHES)
        os_copy_past_caches(ring->slots + (tail & (slots - 1)) * size, message, size);
    else
        memcpy(ring->slots + (tail & (slots - 1)) * size, message, size);
    atomic_store_explicit(&ring->producer.tail, tail + 1, memory_order_release);
}

static inline __attribute__((always_inline)) void get_sized(struct ring *ring, void *message, size_t size)
{
    size_t head = atomic_load_explicit(&ring->consumer.head, memory_order_relaxed);

    while (head == ring->consumer.tail_seen) {
        ring->consumer.tail_seen = atomic_load_explicit(&ring->producer.tail, memory_order_acquire);
        if (head == ring->consumer.tail_seen)
            relax();
    }
    memcpy(message, ring->slots + (head & (slots - 1)) * size, size);
    atomic_store_explicit(&ring->consumer.head, head + 1, memory_order_release);
}

/* The compiler copies small messages of a size that it knows without a call. */
static void put_8(void *channel, const void *message, size_t size)
{
    (void)size;
    put_sized(channel, message, 8);
}

static void get_8(void *channel, void *message, size_t size)
{
    (void)size;
    get_sized(channel, message, 8);
}

static void put_64(void *channel, const void *message, size_t size)
{
    (void)size;
    put_sized(channel, message, 64);
}

static void get_64(void *channel, void *message, size_t size)
{
    (void)size;
    get_sized(channel, message, 64);
}

static void put_any(void *channel, const void *message, size_t size)
{
    put_sized(channel, message, size);
}

static void get_any(void *channel, void *message, size_t size)
{
    get_sized(channel, message, size);
}

int main(int argc, char **argv)
{
    static const struct channel kind_8 = {open_ring, put_8, get_8, NULL};
    static const struct channel kind_64 = {open_ring, put_64, get_64, NULL};
    static const struct channel kind_any = {open_ring, put_any, get_any, NULL};
    size_t size = argument(argc, argv, 3, 64);

    must(argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1, "one producer and one consumer");
    if (size == 8)
        return measure_messages(argc, argv, &kind_8);
    if (size == 64)
        return measure_messages(argc, argv, &kind_64);
    return measure_messages(argc, argv, &kind_any);
}
