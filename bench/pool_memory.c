/* KiB of memory for an idle worker of a pool, as the kernel shares them out: the mean of the proportional set sizes:
 * pool_memory [WORKERS]. Each worker has run some tasks before. */
#include "check.h"
#include "footprint.h"

#include <mproc/pool.h>
#include <mproc/process.h>

enum {
    MOST_WORKERS = 64
};

static int rest(void *ctx, const void *in, void *out)
{
    (void)ctx, (void)in, (void)out;
    sleep_us(1000);
    return 0;
}

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");

    unsigned workers = (unsigned)argument(argc, argv, 1, 8);
    mproc_map map = {.count = (size_t)workers * 10, .chunk = 1};
    pid_t pids[MOST_WORKERS];
    mproc_pool *pool;
    double sum = 0;

    must(workers > 0 && workers <= MOST_WORKERS, "1 to 64 workers");
    check(mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers}), "mproc_pool_create");
    check(mproc_pool_map(pool, rest, NULL, &map, MPROC_FOREVER), "mproc_pool_map");
    sleep_us(10000);
    must(mproc_pool_workers(pool, pids, MOST_WORKERS) == (int)workers, "all workers");
    for (unsigned i = 0; i < workers; i++)
        sum += kibibytes_of(pids[i]);
    report(sum / workers);
    mproc_pool_free(pool);
    return 0;
}
