/* Each child runs a function of its own, whose line test_coverage.sh looks for among those that were counted. */
#include <mproc.h>
#include <unistd.h>

static int forked(void *arg)
{
    return arg != NULL; /* COUNTED */
}

static int spawned(void *arg)
{
    return arg != NULL; /* COUNTED */
}

static int served(void *arg)
{
    return arg != NULL; /* COUNTED */
}

static int pooled(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    return ctx != NULL; /* COUNTED */
}

static int grandchild(void *arg);

static int run(mproc_target *target, enum mproc_start_method method)
{
    mproc_process *process;
    int code = -1;

    if (mproc_process_start(&process, target, NULL, &(mproc_process_options){.method = method}) ||
        mproc_process_join(process, MPROC_SEC(60)) || mproc_process_exitcode(process, &code))
        return 1;
    mproc_process_free(process);
    return code;
}

static int leave_by_exit(void *arg)
{
    return run(grandchild, MPROC_START_FORK) || arg != NULL; /* COUNTED */
}

static int grandchild(void *arg)
{
    return arg != NULL; /* COUNTED */
}

static int run_pool(enum mproc_start_method method)
{
    mproc_pool *pool;

    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = method}))
        return 1;
    int result = mproc_pool_call(pool, pooled, NULL, NULL, 0, NULL, 0, MPROC_SEC(60));
    mproc_pool_close(pool);
    mproc_pool_join(pool, MPROC_SEC(60));
    mproc_pool_free(pool);
    return result;
}

int main(void)
{
    mproc_init();
    return run(forked, MPROC_START_FORK) || run(spawned, MPROC_START_SPAWN) || run(served, MPROC_START_FORKSERVER) ||
           run(leave_by_exit, MPROC_START_SPAWN) || run_pool(MPROC_START_FORK) || run_pool(MPROC_START_SPAWN);
}
