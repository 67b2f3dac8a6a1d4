/* Two processes say hello, and the program waits for both. They run at the same time, so either may be first. */
#include <mproc.h>
#include <stdio.h>

static int worker(void *name)
{
    printf("Hello from %s\n", (const char *)name);
    return 0;
}

int main(void)
{
    char first_name[] = "Process 1", second_name[] = "Process 2";
    mproc_process *first = NULL, *second = NULL;
    int result;

    /* A call that went well gives 0. So the steps are done one after the other, up to the first that fails. */
    if ((result = mproc_process_start(&first, worker, first_name, NULL)) ||
        (result = mproc_process_start(&second, worker, second_name, NULL)) ||
        (result = mproc_process_join(first, MPROC_FOREVER)) || (result = mproc_process_join(second, MPROC_FOREVER))) {
        fprintf(stderr, "two_hellos: %s\n", mproc_strerror(result));
        return 1;
    }
    printf("All processes completed.\n");

    mproc_process_free(first);
    mproc_process_free(second);
    return 0;
}
