/* Pi from random points: montecarlo_pi [POINTS]. The points are divided into blocks, each with random numbers of its
 * own, so the result is the same whatever the number of workers. */
#include "common.h"
#include <mproc.h>
#include <stdint.h>
#include <stdio.h>

#define BLOCK ((long)1 << 20)

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

static int count_all(long points, long *inside)
{
    size_t count = (size_t)((points - 1) / BLOCK + 1);
    struct block *blocks = mproc_alloc(count * sizeof *blocks);
    long *results = mproc_alloc(count * sizeof *results);
    mproc_pool *pool = NULL;
    int result = blocks && results ? mproc_pool_create(&pool, NULL) : -ENOMEM;

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
    int result = mproc_init(); /* first of all: the pool's processes begin here too */
    long points = argc > 1 ? atol(argv[1]) : 100000000;
    long inside = 0;

    if (points < 1) {
        fprintf(stderr, "usage: montecarlo_pi [POINTS]\n");
        return EXIT_FAILURE;
    }
    if (result == 0)
        result = count_all(points, &inside);
    if (result) {
        fprintf(stderr, "montecarlo_pi: %s\n", mproc_strerror(result));
        return EXIT_FAILURE;
    }
    printf("%.6f from %ld points\n", 4.0 * (double)inside / (double)points, points);
    return EXIT_SUCCESS;
}
