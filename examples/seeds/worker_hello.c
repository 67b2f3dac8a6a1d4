/* A worker process says hello, and the main process goes on when it has ended. */
#include <mproc.h>
#include <stdio.h>

static int worker(void *arg)
{
    (void)arg;
    printf("Worker process started\n");
    printf("Hello from the worker process!\n");
    return 0;
}

int main(void)
{
    mproc_process *process = NULL;
    int result;

    if ((result = mproc_process_start(&process, worker, NULL, NULL)) ||
        (result = mproc_process_join(process, MPROC_FOREVER))) {
        fprintf(stderr, "worker_hello: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("Main process finished\n");

    mproc_process_free(process);
    return 0;
}
