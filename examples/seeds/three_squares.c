/* Five workers for three numbers: a pool may be larger than the work, then some workers have nothing to do. */
#include <mproc.h>
#include <stdio.h>

static int square(void *ctx, const void *in, void *out)
{
    int x = *(const int *)in;
    (void)ctx;
    *(int *)out = x * x;
    return 0;
}

int main(void)
{
    int numbers[] = {1, 2, 3}, squares[3];
    mproc_map map = {.count = 3, .in = numbers, .in_size = sizeof(int), .out = squares, .out_size = sizeof(int)};
    mproc_pool *pool = NULL;
    int result;

    if ((result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 5})) ||
        (result = mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER))) {
        fprintf(stderr, "three_squares: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("[%d, %d, %d]\n", squares[0], squares[1], squares[2]);

    mproc_pool_free(pool);
    return 0;
}
