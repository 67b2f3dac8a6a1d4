/* The limit of the works where a message goes there and back: a place in shared memory for one message each way, with a
 * bare futex. See ../exchange.h; a fifth argument says how it waits:
 *
 *     pingpong rtt [BYTES [LOOPS [PAUSE [sleep|spin|look]]]]
 *
 * sleep: whoever waits sleeps at once. look: it looks for 20 us before, as a queue does. spin: it looks for ever.
 * Nobody keeps an account of who lives. */
#include "../exchange.h"

#include <linux/futex.h>
#include <stdatomic.h>
#include <stdint.h>
#include <sys/syscall.h>

enum {
    PLACE_SIZE = 4096
};

/* word: the number of the last message, doubled; 1 more while the receiver sleeps. The release exchange that sends
 * pairs with the acquire load that finds the message. The answer to a message says that its place is free. */
struct way {
    _Alignas(64) _Atomic(uint32_t) word;
    _Alignas(64) unsigned char place[PLACE_SIZE];
};

static struct way *ways;
static struct way *in, *out;
static uint32_t sent, received;
static bool looks, spins;

static void open_ways(void)
{
    ways = shared_pages(2 * sizeof *ways);
}

static void enter(bool is_parent)
{
    in = &ways[!is_parent];
    out = &ways[is_parent];
}

static void relax(void)
{
#if defined __x86_64__ || defined __i386__
    __builtin_ia32_pause();
#endif
}

static bool has_come(uint32_t message)
{
    return atomic_load_explicit(&in->word, memory_order_acquire) >> 1 == message;
}

static bool look(uint32_t message)
{
    double end = spins ? 0 : seconds_now() + 20e-6;

    do {
        for (int i = 0; i < 16; i++) {
            if (has_come(message))
                return true;
            relax();
        }
    } while (spins || seconds_now() < end);
    return false;
}

static void receive_message(void *message, size_t size)
{
    uint32_t before = received++ << 1;

    if (!looks || !look(received)) {
        while (!has_come(received)) {
            uint32_t awake = before;
            if (atomic_compare_exchange_strong(&in->word, &awake, before | 1) || awake == (before | 1))
                syscall(SYS_futex, &in->word, FUTEX_WAIT, before | 1, NULL, NULL, 0);
        }
    }
    memcpy(message, in->place, size);
}

static void send_message(const void *message, size_t size)
{
    memcpy(out->place, message, size);
    if (atomic_exchange_explicit(&out->word, ++sent << 1, memory_order_acq_rel) & 1)
        must(syscall(SYS_futex, &out->word, FUTEX_WAKE, 1, NULL, NULL, 0) >= 0, "futex");
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {open_ways, enter, send_message, receive_message};

    must(argc < 2 || (!strcmp(argv[1], "rtt") && argument(argc, argv, 2, 64) <= PLACE_SIZE),
         "rtt, of 4096 bytes at most");
    spins = argc > 5 && !strcmp(argv[5], "spin");
    looks = spins || (argc > 5 && !strcmp(argv[5], "look"));
    must(argc <= 5 || looks || !strcmp(argv[5], "sleep"), "sleep, spin or look");
    return measure_exchange(argc, argv, &kind);
}
