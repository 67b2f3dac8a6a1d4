/* Microseconds for a posix_spawn of this program, with an argument that makes it leave at once, and the waitpid for it:
 * posix_spawn [LOOPS [MEBIBYTES]]. The host holds so many MiB of touched memory. */
#include "../measure.h"

#include <spawn.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static void spawn_and_wait(void)
{
    char program[] = "/proc/self/exe", leave[] = "--leave";
    char *arguments[] = {program, leave, NULL};
    int status;
    pid_t pid;

    must(!posix_spawn(&pid, program, NULL, NULL, arguments, environ), "posix_spawn");
    must(waitpid(pid, &status, 0) == pid && status == 0, "waitpid");
}

int main(int argc, char **argv)
{
    if (argc > 1 && !strcmp(argv[1], "--leave"))
        return 0;

    size_t loops = argument(argc, argv, 1, 500);
    pin_to_cpu(0);
    occupy_memory(argument(argc, argv, 2, 0));
    spawn_and_wait();
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++)
        spawn_and_wait();
    report((seconds_now() - begin) * 1e6 / (double)loops);
    return 0;
}
