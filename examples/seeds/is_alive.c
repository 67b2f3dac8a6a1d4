/* After a join a process is not alive any more. Run it as `is_alive no-join` to ask while it still runs. */
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

static int fun(void *arg)
{
    (void)arg;
    printf("calling fun\n");
    sleep(2);
    return 0;
}

int main(int argc, char **argv)
{
    bool join = argc < 2;
    mproc_process *process = NULL;
    int result;
    (void)argv;

    printf("main fun\n");
    if ((result = mproc_process_start(&process, fun, NULL, NULL)) ||
        (join && (result = mproc_process_join(process, MPROC_FOREVER)))) {
        fprintf(stderr, "is_alive: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("Process p is alive: %s\n", mproc_process_is_alive(process) ? "True" : "False");

    mproc_process_free(process);
    return 0;
}
