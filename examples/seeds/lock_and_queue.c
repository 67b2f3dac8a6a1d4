/* A process does something under a lock and puts its result into a queue, where the parent finds it. */
#include <mproc.h>
#include <stdio.h>

/* What parent and child share: it lives in shared memory, so that both see the same lock. */
struct shared {
    mproc_lock lock;
    mproc_queue *queue;
};

static int worker(void *arg)
{
    struct shared *shared = arg;
    int result = mproc_lock_acquire(&shared->lock, MPROC_FOREVER);
    if (result)
        return 1;
    printf("Task executed\n");
    mproc_lock_release(&shared->lock);
    return mproc_queue_put(shared->queue, "Data", sizeof "Data", MPROC_FOREVER) ? 1 : 0;
}

int main(void)
{
    struct shared *shared = mproc_alloc(sizeof *shared);
    mproc_process *process = NULL;
    char data[16];
    int result;

    if (!shared) {
        perror("lock_and_queue");
        return 1;
    }
    /* When put has returned, the message is in the queue, whatever becomes of the process that put it. So there is no
     * need to wait for it after the join. */
    if ((result = mproc_lock_init(&shared->lock)) || (result = mproc_queue_create(&shared->queue, NULL)) ||
        (result = mproc_process_start(&process, worker, shared, NULL)) ||
        (result = mproc_process_join(process, MPROC_FOREVER)) ||
        (result = mproc_queue_get(shared->queue, data, sizeof data, NULL, MPROC_NOWAIT))) {
        fprintf(stderr, "lock_and_queue: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("%s\n", data);

    mproc_process_free(process);
    mproc_queue_free(shared->queue);
    mproc_free(shared);
    return 0;
}
