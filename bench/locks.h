/* How locks are measured, and what peers use as locks.
 *
 *     PROGRAM alone [LOOPS]                       nanoseconds for an acquire and a release that nobody else wants
 *     PROGRAM rate [PROCESSES [MILLISECONDS]]     acquisitions per second of so many processes that want one lock
 *     PROGRAM least [PROCESSES [MILLISECONDS]]    acquisitions of the one that got the fewest, divided by the mean
 *     PROGRAM most [PROCESSES [MILLISECONDS]]     the same of the one that got the most
 *
 * Who has the lock adds one to a few words, gives it up, and wants it again at once. Process i sits on CPU i, counted
 * round and round. All start together, and each ends by the clock, which it looks at now and then. What the words say
 * in the end must be the sum of all acquisitions. */
#ifndef BENCH_LOCKS_H
#define BENCH_LOCKS_H

#include "measure.h"

#include <pthread.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

/* open makes a lock that children share. acquire and release leave by must() when they fail. */
struct lock_kind {
    void *(*open)(void);
    void (*acquire)(void *lock);
    void (*release)(void *lock);
};

enum {
    MOST_CONTENDERS = 64,
    GUARDED_WORDS = 4,
    LOOKS_AT_CLOCK = 16 /* an acquisition in so many */
};

/* Each process writes its own. */
struct contender {
    double begin, end;
    size_t count;
} __attribute__((aligned(64)));

/* Shared by the processes. words is guarded by the lock; the parent reads all when the processes have ended. */
struct contest {
    pthread_barrier_t start;
    size_t words[GUARDED_WORDS] __attribute__((aligned(64)));
    struct contender contenders[MOST_CONTENDERS];
};

/* The loops are inlined into each program, so that no peer pays for an indirect call. */
static inline __attribute__((always_inline)) double measure_alone(const struct lock_kind *kind, size_t loops)
{
    void *lock = kind->open();
    double begin = seconds_now();

    for (size_t i = 0; i < loops; i++) {
        kind->acquire(lock);
        kind->release(lock);
    }
    return (seconds_now() - begin) * 1e9 / (double)loops;
}

static inline __attribute__((always_inline)) void contend(const struct lock_kind *kind, void *lock,
                                                          struct contest *contest, struct contender *me, double seconds)
{
    me->begin = me->end = seconds_now();
    while (me->end < me->begin + seconds) {
        for (int i = 0; i < LOOKS_AT_CLOCK; i++) {
            kind->acquire(lock);
            for (int word = 0; word < GUARDED_WORDS; word++)
                contest->words[word]++;
            kind->release(lock);
        }
        me->count += LOOKS_AT_CLOCK;
        me->end = seconds_now();
    }
}

static inline double judge(const struct contest *contest, size_t processes, const char *what)
{
    const struct contender *first = &contest->contenders[0];
    double begin = first->begin, end = first->end;
    size_t least = first->count, most = first->count, sum = 0;

    for (size_t i = 0; i < processes; i++) {
        const struct contender *contender = &contest->contenders[i];
        begin = contender->begin < begin ? contender->begin : begin;
        end = contender->end > end ? contender->end : end;
        least = contender->count < least ? contender->count : least;
        most = contender->count > most ? contender->count : most;
        sum += contender->count;
    }
    for (int word = 0; word < GUARDED_WORDS; word++)
        must(contest->words[word] == sum, "two had the lock at the same time");
    if (!strcmp(what, "rate"))
        return (double)sum / (end - begin);
    double mean = (double)sum / (double)processes;
    return (double)(!strcmp(what, "least") ? least : most) / mean;
}

static inline void open_contest(struct contest *contest, size_t processes)
{
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    must(!pthread_barrier_init(&contest->start, &attributes, (unsigned)processes), "pthread_barrier_init");
}

static inline __attribute__((always_inline)) double measure_contest(const struct lock_kind *kind, const char *what,
                                                                    size_t processes, size_t milliseconds)
{
    struct contest *contest = (struct contest *)shared_pages(sizeof *contest);
    void *lock = kind->open();

    must(processes > 0 && processes <= MOST_CONTENDERS, "1 to 64 processes");
    open_contest(contest, processes);
    for (size_t i = 0; i < processes; i++) {
        pid_t pid = fork();
        must(pid >= 0, "fork");
        if (pid > 0)
            continue;
        pin_to_cpu(i);
        kind->acquire(lock); /* once before the start, for what the first use of a process costs */
        kind->release(lock);
        pthread_barrier_wait(&contest->start);
        contend(kind, lock, contest, &contest->contenders[i], (double)milliseconds / 1e3);
        _exit(0);
    }
    for (size_t i = 0; i < processes; i++) {
        int status;
        must(wait(&status) > 0 && status == 0, "a contender failed");
    }
    return judge(contest, processes, what);
}

static inline __attribute__((always_inline)) int measure_lock(int argc, char **argv, const struct lock_kind *kind)
{
    const char *what = argc > 1 ? argv[1] : "alone";

    if (!strcmp(what, "alone")) {
        report(measure_alone(kind, argument(argc, argv, 2, 10000000)));
        return 0;
    }
    must(!strcmp(what, "rate") || !strcmp(what, "least") || !strcmp(what, "most"), "alone, rate, least or most");
    report(measure_contest(kind, what, argument(argc, argv, 2, 4), argument(argc, argv, 3, 500)));
    return 0;
}

#endif
