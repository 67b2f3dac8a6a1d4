/* Two processes each sleep for a second and then print a square. Both sleep at the same time. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

static int long_square(void *arg)
{
    int n = *(int *)arg;
    sleep(1);
    printf("Square of %d is %d\n", n, n * n);
    return 0;
}

int main(void)
{
    int two = 2, three = 3;
    mproc_process *first = NULL, *second = NULL;
    int result;

    /* A forked process has a copy of this one's memory, so a pointer to anything in it may be its argument. */
    if ((result = mproc_process_start(&first, long_square, &two, NULL)) ||
        (result = mproc_process_start(&second, long_square, &three, NULL)) ||
        (result = mproc_process_join(first, MPROC_FOREVER)) || (result = mproc_process_join(second, MPROC_FOREVER))) {
        fprintf(stderr, "two_sleepers: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(first);
    mproc_process_free(second);
    return 0;
}
