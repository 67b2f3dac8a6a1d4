/* What every measured program needs: the clock, a CPU to sit on, arguments, and one number to print. Included by the
 * programs in bench/ and bench/peers/, those in C++ too; it knows nothing of mproc, so that peers do not depend on it.
 */
#ifndef BENCH_MEASURE_H
#define BENCH_MEASURE_H

#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <time.h>

/* Leave with a message unless the condition holds. A program that fails prints no number. */
static inline void must(bool condition, const char *what)
{
    if (condition)
        return;
    perror(what);
    exit(1);
}

static inline double seconds_now(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}

static inline void sleep_us(size_t us)
{
    struct timespec span = {.tv_sec = (time_t)(us / 1000000), .tv_nsec = (long)(us % 1000000) * 1000};

    if (us > 0)
        nanosleep(&span, NULL);
}

/* The argument at this place as a whole number, or the preset where there are fewer arguments. */
static inline size_t argument(int argc, char **argv, int place, size_t preset)
{
    char *end;

    if (place >= argc)
        return preset;
    size_t value = strtoul(argv[place], &end, 10);
    must(*argv[place] && !*end, argv[place]);
    return value;
}

static inline void report(double value)
{
    printf("%.3f\n", value);
}

/* What a pool calls for an item, and its peers too. */
typedef int bench_task(void *ctx, const void *in, void *out);

/* The same function, in a way that the compiler cannot follow: a pool must call it so. */
static inline bench_task *opaque(bench_task *task)
{
    bench_task *volatile hidden = task;

    return hidden;
}

/* Stay on the nth of the CPUs that this process may use, counted round and round. With BENCH_PIN=0 in the environment
 * the kernel chooses instead. scripts/bench knows by that name in a program's file which programs pin themselves. */
static inline void pin_to_cpu(size_t nth)
{
    cpu_set_t allowed, chosen;
    const char *pin = getenv("BENCH_PIN");

    if (pin && strcmp(pin, "0") == 0)
        return;
    must(!sched_getaffinity(0, sizeof allowed, &allowed), "sched_getaffinity");
    nth %= (size_t)CPU_COUNT(&allowed);
    CPU_ZERO(&chosen);
    for (int cpu = 0; cpu < CPU_SETSIZE; cpu++) {
        if (CPU_ISSET(cpu, &allowed) && nth-- == 0)
            CPU_SET(cpu, &chosen);
    }
    must(!sched_setaffinity(0, sizeof chosen, &chosen), "sched_setaffinity");
}

/* Zeroed memory that children share. */
static inline void *shared_pages(size_t size)
{
    void *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);

    must(pages != MAP_FAILED, "mmap");
    return pages;
}

/* Make this process large: so many MiB of small pages, each touched, at once where the kernel can. */
static inline void occupy_memory(size_t mebibytes)
{
    size_t size = mebibytes << 20;

    if (size == 0)
        return;
    char *pages = (char *)mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    must(pages != MAP_FAILED, "mmap");
    must(!madvise(pages, size, MADV_NOHUGEPAGE), "madvise");
    if (!madvise(pages, size, MADV_POPULATE_WRITE))
        return;
    for (size_t i = 0; i < size; i += 4096)
        pages[i] = 1;
}

#endif
