/* A pool with a worker for each CPU and the default chunk at tasks that take a CPU for a while: see tasks.h. */
#include "check.h"
#include "tasks.h"

#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/process.h>

static mproc_pool *pool;

static void run(bench_task *task, const struct tasks *tasks)
{
    mproc_map map = {.count = tasks->count,
                     .in = tasks->in,
                     .in_size = sizeof *tasks->in,
                     .out = tasks->out,
                     .out_size = sizeof *tasks->out};

    check(mproc_pool_map(pool, task, NULL, &map, MPROC_FOREVER), "mproc_pool_map");
}

int main(int argc, char **argv)
{
    static const struct runner runner = {mproc_alloc, run};

    check(mproc_init(), "mproc_init");
    check(mproc_pool_create(&pool, NULL), "mproc_pool_create");
    int result = measure_tasks(argc, argv, &runner);
    mproc_pool_free(pool);
    return result;
}
