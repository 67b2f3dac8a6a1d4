/* A process waits at a queue for something to do. */
#include <mproc.h>
#include <stdio.h>

static int worker(void *arg)
{
    mproc_queue *queue = arg;
    char item[64];
    int result = mproc_queue_get(queue, item, sizeof item, NULL, MPROC_FOREVER);
    if (result)
        return 1;
    printf("Worker got %s\n", item);
    return 0;
}

int main(void)
{
    mproc_queue *queue = NULL;
    mproc_process *process = NULL;
    int result, exitcode;

    if ((result = mproc_queue_create(&queue, NULL)) || (result = mproc_process_start(&process, worker, queue, NULL)) ||
        (result = mproc_queue_put(queue, "Hello", sizeof "Hello", MPROC_FOREVER)) ||
        (result = mproc_process_join(process, MPROC_FOREVER)) ||
        (result = mproc_process_exitcode(process, &exitcode))) {
        fprintf(stderr, "queue_worker: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(process);
    mproc_queue_free(queue);
    return exitcode;
}
