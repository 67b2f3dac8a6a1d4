/* Nanoseconds an item of a map of tiny tasks over a pool with a worker for each CPU.
 *
 *     pool shared|private [ITEMS [MAPS [CHUNK]]]
 *
 * The arrays are from mproc_alloc(), which the workers use in place, or from malloc(), which are copied there and back.
 * The chunk is the default one, or as given. Making the pool and a first map are outside the time. */
#include "check.h"
#include "squares.h"

#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/process.h>
#include <string.h>

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");

    bool shared = argc < 2 || !strcmp(argv[1], "shared");
    size_t count = argument(argc, argv, 2, 10000000);
    size_t maps = argument(argc, argv, 3, 5);
    void *(*take)(size_t) = shared ? mproc_alloc : malloc;
    long *in = take(count * sizeof *in), *out = take(count * sizeof *out);
    mproc_map map = {.count = count, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    map.chunk = argument(argc, argv, 4, 0);
    mproc_pool *pool;
    double begin = 0;

    must(in && out, "memory for the arrays");
    fill_numbers(in, count);
    check(mproc_pool_create(&pool, NULL), "mproc_pool_create");
    for (size_t i = 0; i <= maps; i++) {
        if (i == 1)
            begin = seconds_now();
        check(mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER), "mproc_pool_map");
    }
    report((seconds_now() - begin) * 1e9 / (double)count / (double)maps);
    must_be_squares(in, out, count);
    mproc_pool_free(pool);
    return 0;
}
