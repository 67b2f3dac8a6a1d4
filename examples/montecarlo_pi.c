/* Pi from random points: montecarlo_pi [POINTS [WORKERS]]. The points are divided into blocks, each with random numbers
 * of its own, so the result is the same whatever the number of workers. */
#include "common.h"
#include <mproc.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#define BLOCK ((long)1 << 20)

static const char usage[] = "usage: montecarlo_pi [POINTS [WORKERS]]\n"
                            "Estimate pi from so many random points, 1 to 1000000000000 (default 100000000), by so "
                            "many worker processes, 1 to\n"
                            "1024 (default: one for each CPU).\n";

struct block {
    uint64_t seed;
    long points;
};

/* How many points of a block are in the circle. */
static int count_inside(void *ctx, const void *in, void *out)
{
    const struct block *block = in;
    uint64_t state = block->seed;
    long inside = 0;

    (void)ctx;
    for (long i = 0; i < block->points; i++) {
        uint64_t number = next_random(&state);
        double x = (double)(number >> 32) / 4294967296.0;
        double y = (double)(number & UINT32_MAX) / 4294967296.0;
        inside += x * x + y * y < 1;
    }
    *(long *)out = inside;
    return 0;
}

static int count_all(long points, unsigned workers, long *inside)
{
    size_t count = (size_t)((points - 1) / BLOCK + 1);
    struct block *blocks = mproc_alloc(count * sizeof *blocks);
    long *results = mproc_alloc(count * sizeof *results);
    mproc_pool *pool = NULL;
    int result = blocks && results ? mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers}) : -ENOMEM;

    for (size_t i = 0; result == 0 && i < count; i++)
        blocks[i] = (struct block){.seed = scramble(i + 1), .points = i + 1 < count ? BLOCK : (points - 1) % BLOCK + 1};
    if (result == 0)
        result = mproc_pool_map(
            pool, count_inside, NULL,
            &(mproc_map){
                .count = count, .in = blocks, .in_size = sizeof *blocks, .out = results, .out_size = sizeof *results},
            MPROC_FOREVER);
    for (size_t i = 0; result == 0 && i < count; i++)
        *inside += results[i];
    mproc_pool_free(pool);
    mproc_free(results);
    mproc_free(blocks);
    return result;
}

int main(int argc, char **argv)
{
    mproc_init(); /* first of all: the pool's processes begin here too */
    bool help = argc == 2 && strcmp(argv[1], "--help") == 0;

    if (help || argc > 3) {
        fputs(usage, help ? stdout : stderr);
        return help ? 0 : 2;
    }
    long points = argc > 1 ? whole_number("POINTS", argv[1], 1, 1000000000000) : 100000000;
    long workers = argc > 2 ? whole_number("WORKERS", argv[2], 1, 1024) : 0; /* 0: as many as CPUs */
    long inside = 0;
    int result = count_all(points, (unsigned)workers, &inside);
    if (result)
        errx(1, "%s", mproc_strerror(result));
    printf("%.6f from %ld points\n", 4.0 * (double)inside / (double)points, points);
    return 0;
}
