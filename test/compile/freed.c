/* A use of shared memory after it was freed, by the process that freed it, or none: freed [use]. test_sanitizers.sh
 * builds it with AddressSanitizer and the library without. */
#include <errno.h>
#include <mproc.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static char *block;

/* What one process has freed and another takes is nobody's fault. */
static int use_what_others_freed(void *queue)
{
    for (int i = 0; i < 1000; i++) {
        char *mine = mproc_alloc(100);
        if (!mine)
            return 1;
        memset(mine, i, 100);
        if (mproc_queue_put(queue, &mine, sizeof mine, MPROC_SEC(60)))
            return 2;
    }
    return 0;
}

static int free_what_others_made(mproc_queue *queue)
{
    for (int i = 0; i < 1000; i++) {
        char *other = NULL;
        if (mproc_queue_get(queue, &other, sizeof other, NULL, MPROC_SEC(60)))
            return 3;
        if (other[99] != (char)i || mproc_free(other))
            return 4;
    }
    return 0;
}

int main(int count, char **arguments)
{
    mproc_queue *queue;
    mproc_process *process;
    (void)arguments;

    block = mproc_alloc(100);
    if (!block || mproc_free(block) || mproc_free(block) != -EINVAL || mproc_usable_size(block) != 0)
        return 5;
    if (count > 1)
        return block[50];
    pid_t child = fork(); /* the parent's to free, and the child's to use when it gets it */
    if (child == 0)
        _exit(0);
    if (waitpid(child, NULL, 0) != child)
        return 6;
    if (mproc_queue_create(&queue, NULL) || mproc_process_start(&process, use_what_others_freed, queue, NULL))
        return 7;
    int result = free_what_others_made(queue);
    int code = 0;
    if (mproc_process_join(process, MPROC_SEC(60)) || mproc_process_exitcode(process, &code) || code)
        return 8;
    mproc_process_free(process);
    mproc_queue_free(queue);
    return result;
}
