/* Milliseconds of CPU time that a pool takes to write large images in shared memory, with what it takes to make and end
 * the pool:
 *
 *     pool_images [one|processes|threads|zeroed] [PASSES] [IMAGES] [KIB] [WORKERS]
 *
 * one: by the process that has filled them before, without a pool. zeroed: by processes, with out zeroed before each.
 */
#include "check.h"
#include "measure.h"

#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/process.h>
#include <sys/resource.h>

static int fill_image(void *ctx, const void *in, void *out)
{
    (void)in;
    memset(out, 7, *(const size_t *)ctx);
    return 0;
}

static double seconds_of(const struct timeval *time)
{
    return (double)time->tv_sec + (double)time->tv_usec / 1e6;
}

static double cpu_seconds(int of)
{
    struct rusage usage;
    getrusage(of, &usage);
    return seconds_of(&usage.ru_utime) + seconds_of(&usage.ru_stime);
}

static double cpu_seconds_now(void)
{
    return cpu_seconds(RUSAGE_SELF) + cpu_seconds(RUSAGE_CHILDREN);
}

static void run_pool(const mproc_pool_options *options, const mproc_map *map, size_t passes, size_t size)
{
    mproc_pool *pool;
    check(mproc_pool_create(&pool, options), "mproc_pool_create");
    for (size_t i = 0; i < passes; i++)
        check(mproc_pool_map(pool, fill_image, &size, map, MPROC_FOREVER), "mproc_pool_map");
    check(mproc_pool_close(pool), "mproc_pool_close");
    check(mproc_pool_join(pool, MPROC_FOREVER), "mproc_pool_join");
    mproc_pool_free(pool);
}

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");
    const char *mode = argc > 1 ? argv[1] : "processes";
    size_t passes = argument(argc, argv, 2, 1);
    size_t count = argument(argc, argv, 3, 200);
    size_t size = argument(argc, argv, 4, 4096) * 1024;
    const mproc_pool_options options = {.workers = (unsigned)argument(argc, argv, 5, 0),
                                        .threads = strcmp(mode, "threads") == 0};
    unsigned char *images = mproc_alloc(count * size);
    const mproc_map map = {.count = count,
                           .out = images,
                           .out_size = size,
                           .out_uninitialized = strcmp(mode, "zeroed") != 0,
                           .ctx_size = sizeof size};

    must(images, "mproc_alloc");
    memset(images, 1, count * size);
    double begin = cpu_seconds_now();
    if (strcmp(mode, "one") != 0)
        run_pool(&options, &map, passes, size);
    for (size_t i = 0; i < passes * count && strcmp(mode, "one") == 0; i++)
        fill_image(&size, NULL, images + i % count * size);
    report((cpu_seconds_now() - begin) * 1000);
    return 0;
}
