/* How many processes at the same time are measured.
 *
 *     PROGRAM time [PROCESSES [LOOPS]]        prints the microseconds for each of so many processes
 *     PROGRAM memory [PROCESSES]              prints the KiB of a process: the mean of the proportional set sizes
 *
 * The time goes from the start of the first to the end of the last: each says that it is there, and waits until it is
 * told to end. It is told when all are there, and not before, so all live at the same time. */
#ifndef BENCH_CROWD_H
#define BENCH_CROWD_H

#include "footprint.h"

#include <string.h>

enum {
    LARGEST_CROWD = 4000
};

/* gather returns when all have said that they are there, disperse when all have ended. */
struct crowd_kind {
    void (*gather)(size_t count);
    pid_t (*pid)(size_t place);
    void (*disperse)(size_t count);
};

static inline double crowd_time(const struct crowd_kind *kind, size_t count, size_t loops)
{
    kind->gather(1); /* once before the clock, for what the first costs */
    kind->disperse(1);
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        kind->gather(count);
        kind->disperse(count);
    }
    return (seconds_now() - begin) * 1e6 / (double)loops / (double)count;
}

static inline double crowd_memory(const struct crowd_kind *kind, size_t count)
{
    double sum = 0;

    kind->gather(count);
    for (size_t i = 0; i < count; i++)
        sum += kibibytes_of(kind->pid(i));
    kind->disperse(count);
    return sum / (double)count;
}

static inline int measure_crowd(int argc, char **argv, const struct crowd_kind *kind)
{
    bool time = argc < 2 || !strcmp(argv[1], "time");
    size_t count = argument(argc, argv, 2, 100);
    size_t loops = argument(argc, argv, 3, 1);

    must(time || !strcmp(argv[1], "memory"), "time or memory");
    must(count > 0 && count <= LARGEST_CROWD && loops > 0, "1 to 4000 processes");
    report(time ? crowd_time(kind, count, loops) : crowd_memory(kind, count));
    return 0;
}

#endif
