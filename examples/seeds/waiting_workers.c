/* A pool of two workers for four items that take 5, 2, 1 and 3 seconds: whichever worker is done first takes the next
 * item, so that all is over after 6 seconds instead of 11. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

struct item {
    char name;
    unsigned seconds;
};

static int work_log(void *ctx, const void *in, void *out)
{
    const struct item *item = in;
    (void)ctx;
    (void)out;
    printf("Process name is %c waiting time is %u seconds\n", item->name, item->seconds);
    sleep(item->seconds);
    printf("Process %c Executed.\n", item->name);
    return 0;
}

int main(void)
{
    const struct item items[] = {{'V', 5}, {'X', 2}, {'Y', 1}, {'Z', 3}};
    mproc_map map = {.count = 4, .in = items, .in_size = sizeof items[0], .chunk = 1};
    mproc_pool *pool = NULL;
    int result;

    /* Print each line at once, also into a file or a pipe. The workers are forked after this and do the same. */
    setvbuf(stdout, NULL, _IOLBF, 0);

    if ((result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2})) ||
        (result = mproc_pool_map(pool, work_log, NULL, &map, MPROC_FOREVER))) {
        fprintf(stderr, "waiting_workers: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_pool_free(pool);
    return 0;
}
