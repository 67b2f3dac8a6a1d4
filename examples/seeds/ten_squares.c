/* Four workers compute the squares of ten numbers. */
#include <mproc.h>
#include <stdio.h>

/* A worker runs this for each item: it reads the number at `in` and writes its square to `out`. */
static int square(void *ctx, const void *in, void *out)
{
    int x = *(const int *)in;
    (void)ctx;
    *(int *)out = x * x;
    return 0;
}

int main(void)
{
    int numbers[10], squares[10];
    mproc_pool *pool = NULL;
    int result;

    for (int i = 0; i < 10; i++)
        numbers[i] = i;
    mproc_map map = {.count = 10, .in = numbers, .in_size = sizeof(int), .out = squares, .out_size = sizeof(int)};

    if ((result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 4})) ||
        (result = mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER))) {
        fprintf(stderr, "ten_squares: %s\n", mproc_strerror(result));
        return 1;
    }
    /* The results are in the order of the items, whichever worker was first. */
    for (int i = 0; i < 10; i++)
        printf("%s%d%s", i == 0 ? "[" : ", ", squares[i], i == 9 ? "]\n" : "");

    mproc_pool_free(pool);
    return 0;
}
