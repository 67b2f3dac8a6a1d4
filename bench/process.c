/* Microseconds from the start of a process that returns at once until it is joined.
 *
 *     process fork|spawn|forkserver [LOOPS [MEBIBYTES]]
 *
 * The host holds so many MiB of touched memory and stays on one CPU, its children too. One process is started before
 * the clock, so that the server is warm. */
#include "check.h"
#include "measure.h"

#include <mproc/process.h>
#include <string.h>

static int return_at_once(void *arg)
{
    (void)arg;
    return 0;
}

static enum mproc_start_method method_named(const char *name)
{
    if (!strcmp(name, "fork"))
        return MPROC_START_FORK;
    if (!strcmp(name, "spawn"))
        return MPROC_START_SPAWN;
    must(!strcmp(name, "forkserver"), name);
    return MPROC_START_FORKSERVER;
}

static void start_and_join(enum mproc_start_method method)
{
    mproc_process *process;
    int exitcode = -1;

    check(mproc_process_start(&process, return_at_once, NULL, &(mproc_process_options){.method = method}),
          "mproc_process_start");
    check(mproc_process_join(process, MPROC_FOREVER), "mproc_process_join");
    check(mproc_process_exitcode(process, &exitcode), "mproc_process_exitcode");
    must(exitcode == 0, "the process failed");
    mproc_process_free(process);
}

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");
    pin_to_cpu(0); /* and with it the children */

    enum mproc_start_method method = method_named(argc > 1 ? argv[1] : "fork");
    size_t loops = argument(argc, argv, 2, 1000);
    occupy_memory(argument(argc, argv, 3, 0));
    start_and_join(method);
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++)
        start_and_join(method);
    report((seconds_now() - begin) * 1e6 / (double)loops);
    return 0;
}
