/* How barriers are measured: so many processes meet at one, again and again.
 *
 *     PROGRAM [PROCESSES [ROUNDS]]        prints the microseconds of a round
 *
 * Process i sits on CPU i, counted round and round. Each notes the round before it meets the others, and looks after it
 * whether the next one has noted it too. */
#ifndef BENCH_ROUNDS_H
#define BENCH_ROUNDS_H

#include "measure.h"

#include <sys/wait.h>
#include <unistd.h>

/* open makes the barrier that children share. meet waits for the others, and leaves by must() when it fails. */
struct rounds_kind {
    void *(*open)(unsigned parties);
    void (*meet)(void *barrier);
};

enum {
    MOST_PARTIES = 64,
    WARM_UP_ROUNDS = 100
};

/* Each process writes its own. */
struct party {
    _Alignas(64) volatile size_t round;
};

static inline void run_rounds(const struct rounds_kind *kind, void *barrier, struct party *parties, unsigned count,
                              unsigned me, size_t rounds)
{
    for (size_t i = 0; i < rounds; i++) {
        size_t round = ++parties[me].round;
        kind->meet(barrier);
        must(parties[(me + 1) % count].round >= round, "not all had come");
    }
}

static inline int measure_rounds(int argc, char **argv, const struct rounds_kind *kind)
{
    unsigned count = (unsigned)argument(argc, argv, 1, 4);
    size_t rounds = argument(argc, argv, 2, 10000);
    struct party *parties = (struct party *)shared_pages(MOST_PARTIES * sizeof *parties);
    unsigned me = 0;

    must(count > 0 && count <= MOST_PARTIES, "1 to 64 processes");
    void *barrier = kind->open(count);
    for (unsigned i = 1; i < count && me == 0; i++) {
        pid_t pid = fork();
        must(pid >= 0, "fork");
        me = pid == 0 ? i : 0;
    }
    pin_to_cpu(me);
    run_rounds(kind, barrier, parties, count, me, WARM_UP_ROUNDS);
    double begin = seconds_now();
    run_rounds(kind, barrier, parties, count, me, rounds);
    if (me > 0)
        _exit(0);
    report((seconds_now() - begin) * 1e6 / (double)rounds);
    for (unsigned i = 1; i < count; i++) {
        int status;
        must(wait(&status) > 0 && status == 0, "a party failed");
    }
    return 0;
}

#endif
