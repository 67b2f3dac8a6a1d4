/* How the pool and its peers are measured at tasks that take a CPU for a while: see the pool works in
 * docs/benchmarks.md.
 *
 *     PROGRAM even [TASKS [LOOPS]]       prints how many times as fast as in this process alone
 *     PROGRAM uneven [TASKS [LOOPS]]     prints the milliseconds of a loop over all tasks
 *
 * even: each task takes about 1 ms. uneven: from about 10 us to 10 ms, most of them short, with a heavy tail: a Pareto
 * distribution between these bounds with the exponent 1/2, whose mean is 0.3 ms. The order is random and always the
 * same. A task is so many steps, not so long a time, so that all programs do the same work. */
#ifndef BENCH_TASKS_H
#define BENCH_TASKS_H

#include "measure.h"

#include <stdint.h>
#include <string.h>

/* Of about a microsecond: each step needs the result of the one before. */
#define STEPS_PER_US 750

static inline int walk(void *ctx, const void *in, void *out)
{
    uint64_t x = 1;

    (void)ctx;
    for (uint64_t left = *(const uint64_t *)in; left > 0; left--)
        x = x * 6364136223846793005U + 1442695040888963407U;
    *(uint64_t *)out = x;
    return 0;
}

/* A number from 0 to 1, below 1. */
static inline double next_random(uint64_t *state)
{
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    return (double)(*state >> 11) / 9007199254740992.0;
}

static inline void choose_steps(bool even, uint64_t *steps, size_t count)
{
    const double shortest = 10, longest = 10000, root = 0.0316227766; /* of shortest / longest */
    uint64_t state = 20240229;

    for (size_t i = 0; i < count; i++) {
        double divisor = 1 - next_random(&state) * (1 - root);
        double us = even ? 1000 : shortest / (divisor * divisor);
        steps[i] = (uint64_t)((us < longest ? us : longest) * STEPS_PER_US);
    }
}

struct tasks {
    uint64_t *in;
    uint64_t *out;
    size_t count;
};

/* What is measured: where the arrays come from, and a function that runs the task on each input. */
struct runner {
    void *(*take)(size_t size);
    void (*run)(bench_task *task, const struct tasks *tasks);
};

static inline double seconds_alone(bench_task *task, const struct tasks *tasks)
{
    double begin = seconds_now();

    for (size_t i = 0; i < tasks->count; i++)
        task(NULL, &tasks->in[i], &tasks->out[i]);
    return seconds_now() - begin;
}

static inline double seconds_shared(const struct runner *runner, const struct tasks *tasks)
{
    double begin = seconds_now();

    runner->run(opaque(walk), tasks);
    return seconds_now() - begin;
}

/* The loop in this process and the shared one take turns. A first shared one, of a few tasks, is outside the time. */
static inline int measure_tasks(int argc, char **argv, const struct runner *runner)
{
    bool even = argc < 2 || !strcmp(argv[1], "even");
    size_t count = argument(argc, argv, 2, even ? 100 : 1000);
    size_t loops = argument(argc, argv, 3, even ? 3 : 2);
    size_t size = count * sizeof(uint64_t);
    struct tasks tasks = {(uint64_t *)runner->take(size), (uint64_t *)runner->take(size), count};
    struct tasks few = {tasks.in, tasks.out, count < 20 ? count : 20};
    struct tasks own = {tasks.in, (uint64_t *)malloc(size), count};
    double alone = 0, shared = 0;

    must(tasks.in && tasks.out && own.out, "memory for the arrays");
    must(even || !strcmp(argv[1], "uneven"), "even or uneven");
    choose_steps(even, tasks.in, count);
    seconds_shared(runner, &few);
    for (size_t i = 0; i < loops; i++) {
        if (even || i == 0)
            alone += seconds_alone(opaque(walk), &own);
        memset(tasks.out, 0, size);
        shared += seconds_shared(runner, &tasks);
        must(!memcmp(tasks.out, own.out, size), "a result is wrong");
    }
    report(even ? alone / shared : shared * 1e3 / (double)loops);
    free(own.out);
    return 0;
}

#endif
