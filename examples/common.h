/* What several examples need and no library is worth: numbers from the command line, the time, random numbers. */
#ifndef COMMON_H
#define COMMON_H

#include <err.h>
#include <errno.h>
#include <stdint.h>
#include <stdlib.h>
#include <time.h>

/* The whole number in text, from least to most. If it is none, the program ends with a message and status 2. name is
 * the option or argument. */
static inline long whole_number(const char *name, const char *text, long least, long most)
{
    char *end;
    errno = 0;
    long value = strtol(text, &end, 10);
    if (end == text || *end || errno || value < least || value > most)
        errx(2, "%s needs a whole number from %ld to %ld, not '%s'; see --help", name, least, most, text);
    return value;
}

/* The same for any number. */
static inline double real_number(const char *name, const char *text, double least, double most)
{
    char *end;
    double value = strtod(text, &end);
    if (end == text || *end || !(value >= least && value <= most))
        errx(2, "%s needs a number from %g to %g, not '%s'; see --help", name, least, most, text);
    return value;
}

/* Without memory there is no way on. In a worker that is a death like any other, which costs it its item. */
static inline void *must(void *memory)
{
    if (!memory)
        err(1, NULL);
    return memory;
}

/* Seconds since some moment. */
static inline double now(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return (double)time.tv_sec + (double)time.tv_nsec / 1e9;
}

/* splitmix64 (Steele, Lea and Flood 2014): each state gives an independent number. */
static inline uint64_t scramble(uint64_t state)
{
    state = (state ^ state >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    state = (state ^ state >> 27) * UINT64_C(0x94d049bb133111eb);
    return state ^ state >> 31;
}

static inline uint64_t next_random(uint64_t *state)
{
    return scramble(*state += UINT64_C(0x9e3779b97f4a7c15));
}

#endif
