/* The smallest program with a process of its own: start it, wait for its end. */
#include <mproc.h>
#include <stdio.h>

static int worker(void *arg)
{
    (void)arg;
    printf("Starting process\n");
    /* Do some work. */
    printf("Exiting process\n");
    return 0;
}

int main(void)
{
    mproc_process *process = NULL;
    int result;

    if ((result = mproc_process_start(&process, worker, NULL, NULL)) ||
        (result = mproc_process_join(process, MPROC_FOREVER))) {
        fprintf(stderr, "start_and_exit: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(process);
    return 0;
}
