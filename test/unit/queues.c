/* As queues.h says. */
#include "queues.h"

#include "harness.h"
#include <sys/wait.h>
#include <unistd.h>

mproc_queue *make_queue(size_t maxsize)
{
    mproc_queue *queue;
    assert_int_equal(mproc_queue_create(&queue, &(mproc_queue_options){.maxsize = maxsize}), 0);
    return queue;
}

pid_t start_at_queue(int (*run)(mproc_queue *queue, int number), mproc_queue *queue, int number)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(run(queue, number));
    assert_true(pid > 0);
    return pid;
}

int finish_at_queue(pid_t pid)
{
    int status;
    if (waitpid(pid, &status, 0) != pid)
        return -1000;
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

int put_int(mproc_queue *queue, int value)
{
    return mproc_queue_put(queue, &value, sizeof value, MPROC_NOWAIT);
}

int get_int(mproc_queue *queue)
{
    int value = -1;
    size_t size;
    int result = mproc_queue_get(queue, &value, sizeof value, &size, MPROC_NOWAIT);
    return result ? -result : value;
}
