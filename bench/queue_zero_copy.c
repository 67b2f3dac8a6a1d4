/* Messages per second through an mproc_queue with default options, without copies: reserve and commit, peek and
 * release. See messages.h. A message is written once, in place, every word of it, and read once, in place, and every
 * word must be the message's number. So there is no memcpy at all, where the programs that copy do two; but all of a
 * message is made and used here, and there only its ends. Sizes are multiples of 64. */
#include "check.h"
#include "messages.h"

#include <mproc/queue.h>

enum {
    LINE_WORDS = 8
};

static void *open_queue(size_t size)
{
    mproc_queue *queue;

    must(size % (LINE_WORDS * sizeof(uint64_t)) == 0, "a multiple of 64 bytes");
    check(mproc_queue_create(&queue, NULL), "mproc_queue_create");
    return queue;
}

/* By lines of constant length, which the compiler turns into vectors. */
static void fill(uint64_t *words, size_t size, uint64_t number)
{
    for (size_t line = 0; line < size / sizeof *words; line += LINE_WORDS) {
        for (size_t i = 0; i < LINE_WORDS; i++)
            words[line + i] = number;
    }
}

static bool all_are(const uint64_t *words, size_t size, uint64_t number)
{
    uint64_t differences[LINE_WORDS] = {0};
    uint64_t all = 0;

    for (size_t line = 0; line < size / sizeof *words; line += LINE_WORDS) {
        for (size_t i = 0; i < LINE_WORDS; i++)
            differences[i] |= words[line + i] ^ number;
    }
    for (size_t i = 0; i < LINE_WORDS; i++)
        all |= differences[i];
    return all == 0;
}

static void put(void *channel, const void *message, size_t size)
{
    uint64_t number;
    void *place;

    memcpy(&number, message, sizeof number);
    check(mproc_queue_reserve(channel, &place, size, MPROC_FOREVER), "mproc_queue_reserve");
    fill(place, size, number);
    check(mproc_queue_commit(channel, size), "mproc_queue_commit");
}

static void get(void *channel, void *message, size_t size)
{
    const void *place;
    size_t got;

    check(mproc_queue_peek(channel, &place, &got, MPROC_FOREVER), "mproc_queue_peek");
    uint64_t number = *(const uint64_t *)place;
    must(got == size && all_are(place, size, number), "a message is damaged");
    check(mproc_queue_release(channel, true), "mproc_queue_release");
    memcpy(message, &number, sizeof number);
    memcpy((char *)message + size - sizeof number, &number, sizeof number);
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    return measure_messages(argc, argv, &kind);
}
