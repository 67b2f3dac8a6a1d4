/* Three processes sleep for 3, 2 and 1 seconds. All are started before the first is joined, so they run at the same
 * time. Run it as `join_order one-by-one` to see the mistake: a join after each start lets only one run at a time. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

static int fun(void *arg)
{
    int seconds = *(int *)arg;
    printf("starting fun with %d s\n", seconds);
    sleep((unsigned)seconds);
    printf("finishing fun with %d s\n", seconds);
    return 0;
}

int main(int argc, char **argv)
{
    bool one_by_one = argc > 1;
    int seconds[] = {3, 2, 1};
    mproc_process *processes[3] = {NULL};
    int result = 0;
    (void)argv;

    /* Print each line at once, also into a file or a pipe, so that the order of the lines is the order of events. */
    setvbuf(stdout, NULL, _IOLBF, 0);

    for (int i = 0; i < 3 && result == 0; i++) {
        result = mproc_process_start(&processes[i], fun, &seconds[i], NULL);
        if (result == 0 && one_by_one)
            result = mproc_process_join(processes[i], MPROC_FOREVER);
    }
    for (int i = 0; i < 3 && result == 0; i++)
        result = mproc_process_join(processes[i], MPROC_FOREVER);
    if (result) {
        fprintf(stderr, "join_order: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("finished main\n");

    for (int i = 0; i < 3; i++)
        mproc_process_free(processes[i]);
    return 0;
}
