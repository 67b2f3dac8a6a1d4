/* A pool with a limit of memory, in a program that test_sanitizers.sh builds with a sanitizer and the library without.
 * The exit code is 0 when its tasks were run. */
#include <mproc.h>
#include <stdlib.h>

static int use_memory(void *ctx, const void *in, void *out)
{
    unsigned char *memory = malloc(4 << 20);
    (void)ctx;
    if (!memory)
        return 1;
    memory[*(const int *)in] = 1;
    *(int *)out = memory[*(const int *)in];
    free(memory);
    return 0;
}

int main(void)
{
    mproc_pool *pool;
    int in = 5, out = 0;

    mproc_init();
    mproc_log_to_stderr(MPROC_LOG_WARNING);
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .memory_limit = 256 << 20}))
        return 2;
    int result = mproc_pool_call(pool, use_memory, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(60));
    mproc_pool_close(pool);
    int joined = mproc_pool_join(pool, MPROC_SEC(60));
    mproc_pool_free(pool);
    return result ? 10 + result : joined ? 3 : out != 1;
}
