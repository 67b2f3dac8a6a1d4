/* A process, its exit code, and what becomes of one that crashes. */
#include <mproc.h>
#include <stdio.h>

static int worker(void *arg)
{
    (void)arg;
    printf("Hello from %s\n", mproc_process_name(mproc_current_process()));
    return 42;
}

static int bad_worker(void *arg)
{
    int *volatile nowhere = arg;
    return *nowhere;
}

int main(void)
{
    mproc_target *targets[] = {worker, bad_worker};

    for (int i = 0; i < 2; i++) {
        mproc_process *process = NULL;
        int result, exitcode;
        if ((result = mproc_process_start(&process, targets[i], NULL, NULL)) ||
            (result = mproc_process_join(process, MPROC_FOREVER)) ||
            (result = mproc_process_exitcode(process, &exitcode))) {
            fprintf(stderr, "hello: %s\n", mproc_strerror(result));
            return 1;
        }
        printf("%s ended with %d\n", mproc_process_name(process), exitcode);
        mproc_process_free(process);
    }
    return 0;
}
