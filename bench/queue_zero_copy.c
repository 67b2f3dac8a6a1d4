/* Messages per second through an mproc_queue with default options, without copies: reserve and commit, peek and
 * release. See messages.h. As in the programs that copy, the producer writes the ends of a message, and the consumer
 * reads them: what is between is as it was. With a fifth argument, "whole", every word is written once, in place, and
 * read once, in place, and must be the message's number: then all of a message is made and used, which no program that
 * copies does. Sizes are multiples of 64. */
#include "check.h"
#include "messages.h"

#include <mproc/queue.h>

enum {
    LINE_WORDS = 8
};

static bool whole;

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
    if (whole)
        fill(place, size, number);
    memcpy(place, &number, sizeof number);
    memcpy((char *)place + size - sizeof number, &number, sizeof number);
    check(mproc_queue_commit(channel, size), "mproc_queue_commit");
}

static void get(void *channel, void *message, size_t size)
{
    const void *place;
    size_t got;

    check(mproc_queue_peek(channel, &place, &got, MPROC_FOREVER), "mproc_queue_peek");
    uint64_t number = *(const uint64_t *)place;
    must(got == size && memcmp((const char *)place + size - sizeof number, &number, sizeof number) == 0 &&
             (!whole || all_are(place, size, number)),
         "a message is damaged");
    check(mproc_queue_release(channel, true), "mproc_queue_release");
    memcpy(message, &number, sizeof number);
    memcpy((char *)message + size - sizeof number, &number, sizeof number);
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    whole = argc > 5;
    return measure_messages(argc, argv, &kind);
}
