/* Microseconds for a bare fork of a child that leaves at once and the waitpid for it: fork [LOOPS [MEBIBYTES]]. The
 * host holds so many MiB of touched memory. */
#include "../measure.h"

#include <sys/wait.h>
#include <unistd.h>

static void fork_and_wait(void)
{
    int status;
    pid_t pid = fork();

    must(pid >= 0, "fork");
    if (pid == 0)
        _exit(0);
    must(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

int main(int argc, char **argv)
{
    size_t loops = argument(argc, argv, 1, 1000);

    pin_to_cpu(0);
    occupy_memory(argument(argc, argv, 2, 0));
    fork_and_wait();
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++)
        fork_and_wait();
    report((seconds_now() - begin) * 1e6 / (double)loops);
    return 0;
}
