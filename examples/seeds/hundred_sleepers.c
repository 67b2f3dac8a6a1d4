/* Ten processes, and then a hundred, each sleep for a second and print a square. The time that all of them take is
 * hardly longer than that of one. */
#include <mproc.h>
#include <stdio.h>
#include <time.h>
#include <unistd.h>

static int long_square(void *arg)
{
    int n = *(int *)arg;
    sleep(1);
    printf("Square of %d is %d\n", n, n * n);
    return 0;
}

/* Each process gets a copy of its number, of arg_size bytes, because the original goes on to the next.
 * Start all before waiting for the first: a join right after each start would run them one by one. */
static int run(int count)
{
    mproc_process *processes[100];
    mproc_process_options options = {.arg_size = sizeof(int)};
    int result = 0, started = 0;

    while (result == 0 && started < count) {
        result = mproc_process_start(&processes[started], long_square, &started, &options);
        if (result == 0)
            started++;
    }
    for (int i = 0; i < started; i++) {
        int joined = mproc_process_join(processes[i], MPROC_FOREVER);
        if (result == 0)
            result = joined;
        mproc_process_free(processes[i]);
    }
    return result;
}

int main(void)
{
    const int counts[] = {10, 100};

    for (int i = 0; i < 2; i++) {
        struct timespec begin, end;
        clock_gettime(CLOCK_MONOTONIC, &begin);
        int result = run(counts[i]);
        if (result) {
            fprintf(stderr, "hundred_sleepers: %s\n", mproc_strerror(result));
            return 1;
        }
        clock_gettime(CLOCK_MONOTONIC, &end);
        double seconds = (double)(end.tv_sec - begin.tv_sec) + (double)(end.tv_nsec - begin.tv_nsec) / 1e9;
        printf("%d processes that sleep 1 s each took %.2f s\n", counts[i], seconds);
    }
    return 0;
}
