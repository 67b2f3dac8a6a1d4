/* Three workers compute the squares of five numbers. */
#include <mproc.h>
#include <stdio.h>

static int square(void *ctx, const void *in, void *out)
{
    int number = *(const int *)in;
    (void)ctx;
    *(int *)out = number * number;
    return 0;
}

int main(void)
{
    int numbers[] = {1, 2, 3, 4, 5}, squares[5];
    mproc_pool *pool = NULL;
    int result;

    if ((result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 3})) ||
        (result = mproc_pool_map(pool, square, NULL,
                                 &(mproc_map){.count = 5,
                                              .in = numbers,
                                              .in_size = sizeof numbers[0],
                                              .out = squares,
                                              .out_size = sizeof squares[0]},
                                 MPROC_FOREVER))) {
        fprintf(stderr, "five_squares: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_pool_free(pool);

    printf("Results: [%d, %d, %d, %d, %d]\n", squares[0], squares[1], squares[2], squares[3], squares[4]);
    return 0;
}
