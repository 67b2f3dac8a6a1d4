/* Each process has an id of its own; the id of their parent is the same for both. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

static int fun(void *arg)
{
    (void)arg;
    printf("--------------------------\n");
    printf("calling fun\n");
    printf("parent process id: %d\n", mproc_process_pid(mproc_parent_process()));
    printf("process id: %d\n", getpid());
    return 0;
}

int main(void)
{
    printf("main fun\n");
    printf("process id: %d\n", getpid());

    for (int i = 0; i < 2; i++) {
        mproc_process *process = NULL;
        int result;
        if ((result = mproc_process_start(&process, fun, NULL, NULL)) ||
            (result = mproc_process_join(process, MPROC_FOREVER))) {
            fprintf(stderr, "process_ids: %s\n", mproc_strerror(result));
            return 1;
        }
        mproc_process_free(process);
    }
    return 0;
}
