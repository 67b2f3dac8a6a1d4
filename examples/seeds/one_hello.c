/* One process says hello. */
#include <mproc.h>
#include <stdio.h>

static int show(void *arg)
{
    (void)arg;
    printf("Hello !! Welcome to Python Tutorial\n");
    return 0;
}

int main(void)
{
    mproc_process *process = NULL;
    int result;

    if ((result = mproc_process_start(&process, show, NULL, NULL)) ||
        (result = mproc_process_join(process, MPROC_FOREVER))) {
        fprintf(stderr, "one_hello: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(process);
    return 0;
}
