/* How every queue and its peers are measured: producers put messages, consumers get them, each in a process of its own.
 *
 *     PROGRAM [PRODUCERS [CONSUMERS [BYTES [MESSAGES]]]]            prints messages per second
 *
 * All start together. The time goes from the first producer's start to the last consumer's end; making the channel and
 * the processes is outside. Producer i sits on CPU i, consumer i on CPU i + 1, counted round and round, so one of each
 * never share a CPU where there are two. A message's first 8 bytes are a number, and so are its last 8; the sum that
 * arrives must be the sum that left. Each consumer takes an equal share. */
#ifndef BENCH_MESSAGES_H
#define BENCH_MESSAGES_H

#include "measure.h"

#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* Which of the processes one is. */
struct part {
    bool puts;
    unsigned nth; /* of the producers, or of the consumers */
    unsigned producers, consumers;
};

/* open makes the channel before the processes exist. put and get move one message, wait as long as it takes, and leave
 * by must() when they cannot. enter is for what each process must do for itself, and NULL where there is nothing; the
 * consumers enter first. Nobody leaves before the last message is got: a library may send what was put by a thread. */
struct channel {
    void *(*open)(size_t message_size);
    void (*put)(void *channel, const void *message, size_t size);
    void (*get)(void *channel, void *message, size_t size);
    void (*enter)(void *channel, const struct part *part);
};

enum {
    MOST_PROCESSES = 128,
    LARGEST_MESSAGE = 1 << 20
};

struct entry {
    double begin, end;
    uint64_t sum;
};

/* Shared by the processes. Each writes its own entry; the parent reads them when all have ended. */
struct books {
    pthread_barrier_t gate;
    struct entry entries[MOST_PROCESSES];
};

static inline void open_books(struct books *books, unsigned processes)
{
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    must(!pthread_barrier_init(&books->gate, &attributes, processes), "pthread_barrier_init");
}

/* The loops are inlined into each program, so that the compiler sees which put and get they call: no peer pays for an
 * indirect call. */
static inline __attribute__((always_inline)) void produce(const struct channel *kind, void *channel, size_t size,
                                                          size_t count, struct entry *entry)
{
    static unsigned char message[LARGEST_MESSAGE] __attribute__((aligned(64)));

    entry->begin = seconds_now();
    for (uint64_t number = 1; number <= count; number++) {
        memcpy(message, &number, sizeof number);
        memcpy(message + size - sizeof number, &number, sizeof number);
        kind->put(channel, message, size);
        entry->sum += number;
    }
    entry->end = seconds_now();
}

static inline __attribute__((always_inline)) void consume(const struct channel *kind, void *channel, size_t size,
                                                          size_t count, struct entry *entry)
{
    static unsigned char message[LARGEST_MESSAGE] __attribute__((aligned(64)));
    uint64_t number, last;

    entry->begin = seconds_now();
    for (size_t i = 0; i < count; i++) {
        kind->get(channel, message, size);
        memcpy(&number, message, sizeof number);
        memcpy(&last, message + size - sizeof last, sizeof last);
        must(number == last, "a message was torn");
        entry->sum += number;
    }
    entry->end = seconds_now();
}

/* Wait for all; when one fails, end the others, who would wait for it for ever. */
static inline void wait_for_all(const pid_t *pids, unsigned count)
{
    bool failed = false;

    for (unsigned left = count; left > 0; left--) {
        int status;
        must(wait(&status) > 0, "wait");
        if (status == 0 || failed)
            continue;
        failed = true;
        for (unsigned i = 0; i < count; i++)
            kill(pids[i], SIGKILL);
    }
    if (failed)
        exit(1);
}

static inline double messages_per_second(const struct books *books, unsigned producers, unsigned consumers,
                                         size_t count)
{
    double begin = books->entries[0].begin, end = 0;
    uint64_t put = 0, got = 0;

    for (unsigned i = 0; i < producers + consumers; i++) {
        const struct entry *entry = &books->entries[i];
        if (i < producers) {
            put += entry->sum;
            begin = entry->begin < begin ? entry->begin : begin;
        } else {
            got += entry->sum;
            end = entry->end > end ? entry->end : end;
        }
    }
    must(put == got, "messages were lost or damaged");
    return (double)count / (end - begin);
}

/* What one process does. */
static inline __attribute__((always_inline)) void take_part(const struct channel *kind, void *channel, size_t size,
                                                            size_t count, struct books *books, const struct part *part)
{
    struct entry *entry = &books->entries[part->puts ? part->nth : part->producers + part->nth];

    pin_to_cpu(part->puts ? part->nth : part->nth + 1);
    if (kind->enter && !part->puts)
        kind->enter(channel, part);
    pthread_barrier_wait(&books->gate);
    if (kind->enter && part->puts)
        kind->enter(channel, part);
    pthread_barrier_wait(&books->gate);
    if (part->puts)
        produce(kind, channel, size, count / part->producers, entry);
    else
        consume(kind, channel, size, count / part->consumers, entry);
    pthread_barrier_wait(&books->gate);
}

static inline __attribute__((always_inline)) double measure_rate(int argc, char **argv, const struct channel *kind)
{
    unsigned producers = (unsigned)argument(argc, argv, 1, 1);
    unsigned consumers = (unsigned)argument(argc, argv, 2, 1);
    size_t size = argument(argc, argv, 3, 64);
    size_t count = argument(argc, argv, 4, 1000000);
    struct books *books = (struct books *)shared_pages(sizeof *books);
    pid_t pids[MOST_PROCESSES];

    must(producers && consumers && producers + consumers <= MOST_PROCESSES, "1 to 128 processes");
    must(size >= sizeof(uint64_t) && size <= LARGEST_MESSAGE, "8 to 1048576 bytes");
    count -= count % ((size_t)producers * consumers);
    open_books(books, producers + consumers);
    void *channel = kind->open(size);
    for (unsigned i = 0; i < producers + consumers; i++) {
        struct part part = {i < producers, i < producers ? i : i - producers, producers, consumers};
        pids[i] = fork();
        must(pids[i] >= 0, "fork");
        if (pids[i] > 0)
            continue;
        take_part(kind, channel, size, count, books, &part);
        _exit(0);
    }
    wait_for_all(pids, producers + consumers);
    return messages_per_second(books, producers, consumers, count);
}

static inline __attribute__((always_inline)) int measure_messages(int argc, char **argv, const struct channel *kind)
{
    report(measure_rate(argc, argv, kind));
    return 0;
}

#endif
