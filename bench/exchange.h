/* How connections and their peers are measured: two processes that send each other messages.
 *
 *     PROGRAM rtt [BYTES [LOOPS [PAUSE]]]    prints the microseconds of a message there and back
 *     PROGRAM bulk [BYTES [MESSAGES]]        prints the gigabytes per second that one process gets from the other
 *
 * Making the processes is outside the time, and so are the first messages. The processes sit on two CPUs. With a pause,
 * in microseconds, each process sleeps so long before it sends, outside the time: the other has stopped looking and
 * sleeps by then, so that each way needs a wake-up. */
#ifndef BENCH_EXCHANGE_H
#define BENCH_EXCHANGE_H

#include "measure.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* open is called before there are two processes, enter in each of them. send and receive move one message, wait as long
 * as it takes, and leave by must() when they cannot. */
struct exchange {
    void (*open)(void);
    void (*enter)(bool is_parent);
    void (*send)(const void *message, size_t size);
    void (*receive)(void *message, size_t size);
};

enum {
    WARM_UP = 10
};

/* Sleep, and add to a sum how long it took. */
static inline void take_pause(size_t us, double *paused)
{
    if (us == 0)
        return;
    double begin = seconds_now();
    sleep_us(us);
    *paused += seconds_now() - begin;
}

/* The pauses after the first messages are added up in *paused. */
static inline void answer(const struct exchange *kind, unsigned char *message, size_t size, size_t loops, size_t pause,
                          double *paused)
{
    for (size_t i = 0; i < loops; i++) {
        kind->receive(message, size);
        if (i == WARM_UP)
            *paused = 0;
        take_pause(pause, paused);
        kind->send(message, size);
    }
    kind->receive(message, 1); /* a library with threads may still have the last answer */
}

static inline double ask(const struct exchange *kind, unsigned char *message, size_t size, size_t loops, size_t pause,
                         const double *paused_there)
{
    double begin = 0, paused = 0;

    for (size_t i = 0; i < loops; i++) {
        if (i == WARM_UP) {
            begin = seconds_now();
            paused = 0;
        }
        message[0] = (unsigned char)i;
        take_pause(pause, &paused);
        kind->send(message, size);
        kind->receive(message, size);
        must(message[0] == (unsigned char)i && message[size - 1] == 'x', "another message came back");
    }
    double seconds = seconds_now() - begin - paused - *paused_there;
    kind->send(message, 1);
    return seconds * 1e6 / (double)(loops - WARM_UP);
}

static inline void pour(const struct exchange *kind, unsigned char *message, size_t size, size_t loops)
{
    for (size_t i = 0; i < loops; i++) {
        message[0] = (unsigned char)i;
        kind->send(message, size);
    }
    kind->receive(message, 1); /* until it has all */
}

static inline double drink(const struct exchange *kind, unsigned char *message, size_t size, size_t loops)
{
    double begin = 0;

    for (size_t i = 0; i < loops; i++) {
        if (i == WARM_UP)
            begin = seconds_now();
        kind->receive(message, size);
        must(message[0] == (unsigned char)i && message[size - 1] == 'x', "another message came");
    }
    double seconds = seconds_now() - begin;
    kind->send(message, 1);
    return (double)size * (double)(loops - WARM_UP) / seconds / 1e9;
}

static inline int measure_exchange(int argc, char **argv, const struct exchange *kind)
{
    bool rtt = argc < 2 || !strcmp(argv[1], "rtt");
    size_t size = argument(argc, argv, 2, rtt ? 64 : 1 << 20);
    size_t loops = argument(argc, argv, 3, rtt ? 50000 : 2000) + WARM_UP;
    size_t pause = rtt ? argument(argc, argv, 4, 0) : 0;
    unsigned char *message = malloc(size);
    double *paused = shared_pages(sizeof *paused);
    int status;

    must(message && size > 0 && (rtt || !strcmp(argv[1], "bulk")), "rtt or bulk");
    memset(message, 'x', size);
    kind->open();
    pid_t child = fork();
    must(child >= 0, "fork");
    pin_to_cpu(child == 0);
    kind->enter(child != 0);
    if (child == 0) {
        if (rtt)
            answer(kind, message, size, loops, pause, paused);
        else
            pour(kind, message, size, loops);
        _exit(0);
    }
    report(rtt ? ask(kind, message, size, loops, pause, paused) : drink(kind, message, size, loops));
    must(waitpid(child, &status, 0) == child && status == 0, "the other process");
    free(message);
    return 0;
}

#endif
