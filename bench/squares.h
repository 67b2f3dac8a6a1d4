/* The task of the pool work: the square of a long, called through a pointer that the compiler cannot follow, as a pool
 * must call it. Shared by the pool and its peers. */
#ifndef BENCH_SQUARES_H
#define BENCH_SQUARES_H

#include "measure.h"

static inline int square(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;

    (void)ctx;
    *(long *)out = x * x;
    return 0;
}

static inline void fill_numbers(long *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        in[i] = (long)i;
}

static inline void must_be_squares(const long *in, const long *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        must(out[i] == in[i] * in[i], "a square is wrong");
}

#endif
