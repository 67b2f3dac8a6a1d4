/* A user's program, valid as C and as C++: what it takes from an installed mproc must work. */
#include <mproc.h>
#include <stdio.h>
#include <string.h>

static int double_it(void *arg)
{
    long *number = (long *)arg;
    *number *= 2;
    return 3;
}

int main(void)
{
    int exitcode = 0;
    mproc_process *process;
    long *number = (long *)mproc_calloc(1, sizeof *number);

    if (!number)
        return 1;
    *number = 21;
    int result = mproc_process_start(&process, double_it, number, NULL);
    if (result) {
        fprintf(stderr, "start: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_join(process, MPROC_FOREVER);
    if (mproc_process_exitcode(process, &exitcode) || exitcode != 3 || *number != 42)
        return 1;
    process = mproc_process_free(process);
    mproc_free(number);
    char version[32];
    snprintf(version, sizeof version, "%d.%d.%d", MPROC_VERSION_MAJOR, MPROC_VERSION_MINOR, MPROC_VERSION_PATCH);
    puts(mproc_version());
    return strcmp(mproc_version(), version) != 0;
}
