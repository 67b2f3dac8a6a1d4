/* A parallel map in which one item kills its worker: that item says so, and all the others are done. */
#include <mproc.h>
#include <signal.h>
#include <stdio.h>

static int square(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    if (x == 3)
        raise(SIGKILL);
    *(long *)out = x * x;
    return 0;
}

int main(void)
{
    long numbers[] = {0, 1, 2, 3, 4, 5}, squares[6] = {0};
    mproc_item_status status[6] = {{0}};
    mproc_pool *pool = NULL;

    int result = mproc_pool_create(&pool, NULL); /* a worker for each CPU */
    if (result == 0)
        result = mproc_pool_map(pool, square, NULL,
                                &(mproc_map){.count = 6,
                                             .in = numbers,
                                             .in_size = sizeof numbers[0],
                                             .out = squares,
                                             .out_size = sizeof squares[0],
                                             .status = status},
                                MPROC_FOREVER);
    mproc_pool_free(pool);
    if (result && result != MPROC_WORKER_DIED) {
        fprintf(stderr, "squares: %s\n", mproc_strerror(result));
        return 1;
    }
    for (int i = 0; i < 6; i++) {
        if (status[i].result)
            printf("%ld: %s (code %d)\n", numbers[i], mproc_strerror(status[i].result), status[i].code);
        else
            printf("%ld: %ld\n", numbers[i], squares[i]);
    }
    return 0;
}
