/* Many forked processes at the same time: see crowd.h. Each writes a byte into a pipe, and ends when another pipe has
 * no writer any more. */
#include "../crowd.h"

#include <sys/wait.h>
#include <unistd.h>

static pid_t pids[LARGEST_CROWD];
static int arrivals[2], leash[2];

static _Noreturn void attend(void)
{
    char byte = 'x';

    close(leash[1]);
    must(write(arrivals[1], &byte, 1) == 1, "write");
    must(read(leash[0], &byte, 1) == 0, "read");
    _exit(0);
}

static void gather(size_t count)
{
    char byte;

    must(!pipe(arrivals) && !pipe(leash), "pipe");
    for (size_t i = 0; i < count; i++) {
        pids[i] = fork();
        must(pids[i] >= 0, "fork");
        if (pids[i] == 0)
            attend();
    }
    for (size_t i = 0; i < count; i++)
        must(read(arrivals[0], &byte, 1) == 1, "read");
}

static pid_t pid_at(size_t place)
{
    return pids[place];
}

static void disperse(size_t count)
{
    close(leash[1]);
    for (size_t i = 0; i < count; i++) {
        int status;
        must(waitpid(pids[i], &status, 0) == pids[i] && status == 0, "waitpid");
    }
    close(leash[0]);
    close(arrivals[0]);
    close(arrivals[1]);
}

int main(int argc, char **argv)
{
    static const struct crowd_kind kind = {gather, pid_at, disperse};

    return measure_crowd(argc, argv, &kind);
}
