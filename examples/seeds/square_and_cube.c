/* Two processes run two functions on the same number. */
#include <mproc.h>
#include <stdio.h>

static int cube(void *arg)
{
    int n = *(int *)arg;
    printf("The Cube is: %d\n", n * n * n);
    return 0;
}

static int square(void *arg)
{
    int n = *(int *)arg;
    printf("The Square is: %d\n", n * n);
    return 0;
}

int main(void)
{
    int five = 5;
    mproc_process *squaring = NULL, *cubing = NULL;
    int result;

    /* With arg_size the process gets a copy of so many bytes: then it does not matter what becomes of the original, and
     * the process may be started by any method. */
    mproc_process_options options = {.arg_size = sizeof five};
    if ((result = mproc_process_start(&squaring, square, &five, &options)) ||
        (result = mproc_process_start(&cubing, cube, &five, &options)) ||
        (result = mproc_process_join(squaring, MPROC_FOREVER)) ||
        (result = mproc_process_join(cubing, MPROC_FOREVER))) {
        fprintf(stderr, "square_and_cube: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("Both processes are finished\n");

    mproc_process_free(squaring);
    mproc_process_free(cubing);
    return 0;
}
