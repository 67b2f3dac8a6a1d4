/* Three processes share eight tasks: each takes the next from one queue until it is empty, and writes what it did to a
 * second queue, which the parent prints at the end. */
#include <mproc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

enum {
    TASKS = 8,
    WORKERS = 3
};

/* In shared memory. Queues need no lock: any number of processes may put and get. */
struct work {
    mproc_queue *tasks_to_perform;
    mproc_queue *complete_tasks;
};

static int do_job(void *arg)
{
    struct work *work = arg;
    char task[32], line[128];
    int result;

    /* With MPROC_NOWAIT an empty queue says MPROC_TIMEOUT at once. */
    while ((result = mproc_queue_get(work->tasks_to_perform, task, sizeof task, NULL, MPROC_NOWAIT)) == 0) {
        printf("%s\n", task);
        snprintf(line, sizeof line, "%s is done by %s", task, mproc_process_name(mproc_current_process()));
        if (mproc_queue_put(work->complete_tasks, line, strlen(line) + 1, MPROC_FOREVER))
            return 1;
        usleep(500000);
    }
    return result == MPROC_TIMEOUT ? 0 : 1;
}

static int put_tasks(mproc_queue *queue)
{
    char task[32];
    int result = 0;

    for (int i = 0; i < TASKS && result == 0; i++) {
        snprintf(task, sizeof task, "Task no %d", i);
        result = mproc_queue_put(queue, task, strlen(task) + 1, MPROC_FOREVER);
    }
    return result;
}

/* A group is several processes as one: wait_all tells whether each of them returned 0. */
static int run_workers(struct work *work)
{
    mproc_group *group = NULL;
    int result = mproc_group_create(&group, NULL);

    for (int i = 0; i < WORKERS && result == 0; i++)
        result = mproc_group_start(group, NULL, do_job, work, NULL);
    if (result == 0)
        result = mproc_group_wait_all(group, MPROC_FOREVER);
    mproc_group_free(group);
    return result;
}

int main(void)
{
    struct work *work = mproc_calloc(1, sizeof *work);
    char line[128];
    int result;

    if (!work) {
        perror("task_log");
        return 1;
    }
    if ((result = mproc_queue_create(&work->tasks_to_perform, NULL)) ||
        (result = mproc_queue_create(&work->complete_tasks, NULL)) || (result = put_tasks(work->tasks_to_perform)) ||
        (result = run_workers(work))) {
        fprintf(stderr, "task_log: %s\n", mproc_strerror(result));
        return 1;
    }
    while (mproc_queue_get(work->complete_tasks, line, sizeof line, NULL, MPROC_NOWAIT) == 0)
        printf("%s\n", line);

    mproc_queue_free(work->tasks_to_perform);
    mproc_queue_free(work->complete_tasks);
    mproc_free(work);
    return 0;
}
