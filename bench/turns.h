/* How waking is measured: two processes, each on a CPU of its own, that take turns.
 *
 *     PROGRAM [LOOPS]        prints the microseconds of a turn of the one and a turn of the other
 *
 * Both count their turns in words that the other looks at, so a turn that came too early is found. */
#ifndef BENCH_TURNS_H
#define BENCH_TURNS_H

#include "measure.h"

#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* open makes what children share; the first turn is 0's. await waits for the turn of this one, pass gives it to the
 * other. Both leave by must() when they fail. */
struct turns_kind {
    void *(*open)(void);
    void (*await)(void *shared, unsigned me);
    void (*pass)(void *shared, unsigned me);
};

enum {
    WARM_UP_TURNS = 100
};

/* Each writes its own word, in its turn. */
struct turn_counts {
    size_t counts[2];
};

static inline __attribute__((always_inline)) void take_turns(const struct turns_kind *kind, void *shared,
                                                             struct turn_counts *turns, unsigned me, size_t loops)
{
    for (size_t i = 0; i < loops; i++) {
        kind->await(shared, me);
        must(turns->counts[!me] == turns->counts[me] + me, "a turn came when it was not due");
        turns->counts[me]++;
        kind->pass(shared, me);
    }
}

static inline __attribute__((always_inline)) int measure_turns(int argc, char **argv, const struct turns_kind *kind)
{
    size_t loops = argument(argc, argv, 1, 20000);
    struct turn_counts *turns = (struct turn_counts *)shared_pages(sizeof *turns);
    void *shared = kind->open();
    int status;

    pid_t other = fork();
    must(other >= 0, "fork");
    pin_to_cpu(other == 0);
    if (other == 0) {
        take_turns(kind, shared, turns, 1, WARM_UP_TURNS + loops + 1);
        _exit(0);
    }
    take_turns(kind, shared, turns, 0, WARM_UP_TURNS);
    double begin = seconds_now();
    take_turns(kind, shared, turns, 0, loops);
    report((seconds_now() - begin) * 1e6 / (double)loops);
    take_turns(kind, shared, turns, 0, 1); /* the answer to the last one that was measured came in time */
    must(waitpid(other, &status, 0) == other && status == 0, "the other process");
    return 0;
}

#endif
