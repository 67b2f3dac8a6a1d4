/* For the programs that measure mproc: leave with the library's own sentence when a call did not succeed. */
#ifndef BENCH_CHECK_H
#define BENCH_CHECK_H

#include <mproc/base.h>
#include <stdio.h>
#include <stdlib.h>

static inline void check(int result, const char *what)
{
    if (result == 0)
        return;
    fprintf(stderr, "%s: %s\n", what, mproc_strerror(result));
    exit(1);
}

#endif
