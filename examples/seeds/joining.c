/* join waits until a process has ended. Run it as `joining no-join` to see what happens without: the main function ends
 * first. The program as a whole still waits for its process before it exits. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

static int fun(void *arg)
{
    (void)arg;
    printf("starting fun\n");
    sleep(2);
    printf("finishing fun\n");
    return 0;
}

int main(int argc, char **argv)
{
    bool join = argc < 2;
    mproc_process *process = NULL;
    int result;
    (void)argv;

    /* Print each line at once, also into a file or a pipe, so that the order of the lines is the order of events. */
    setvbuf(stdout, NULL, _IOLBF, 0);

    printf("starting main\n");
    if ((result = mproc_process_start(&process, fun, NULL, NULL)) ||
        (join && (result = mproc_process_join(process, MPROC_FOREVER)))) {
        fprintf(stderr, "joining: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(process);
    printf("finishing main\n");
    return 0;
}
