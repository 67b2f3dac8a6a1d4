/* Who is ready and waits for a CPU, by what the kernel says in /proc: on a loaded machine that takes most of the time,
 * and says nothing about the code under test. Only system calls, so that the alarm's handler may ask. */
#include "crash.h"
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    TEXT_SIZE = 1024,
    DEPTH = 6 /* of the tree of processes */
};

/* All of a small file, as a string; empty where there is none. */
static void read_file(char text[TEXT_SIZE], const char *path)
{
    int file = open(path, O_RDONLY | O_CLOEXEC);
    ssize_t length = file < 0 ? -1 : read(file, text, TEXT_SIZE - 1);
    if (file >= 0)
        close(file);
    text[length > 0 ? length : 0] = 0;
}

/* The second number of schedstat: nanoseconds. */
static double starved_of(pid_t pid)
{
    char path[64], text[TEXT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/schedstat", (int)pid);
    read_file(text, path);
    const char *second = strchr(text, ' ');
    return second ? strtod(second, NULL) / 1e9 : 0;
}

static bool is_ready(pid_t pid)
{
    char path[64], text[TEXT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    read_file(text, path);
    const char *name_end = strrchr(text, ')');
    return name_end && strncmp(name_end, ") R", 3) == 0;
}

struct look {
    double starved;
    bool ready;
};

/* At the children of a process's first thread, and theirs. */
static void look_below(struct look *look, pid_t parent, int depth)
{
    char path[64], text[TEXT_SIZE];
    snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)parent, (int)parent);
    read_file(text, path);
    char *end = text;
    for (long pid = strtol(text, &end, 10); pid > 0; pid = strtol(end, &end, 10)) {
        look->starved += starved_of((pid_t)pid);
        look->ready = look->ready || is_ready((pid_t)pid);
        if (depth > 1)
            look_below(look, (pid_t)pid, depth - 1);
    }
}

double starved_seconds(void)
{
    return starved_of(getpid());
}

double family_starved_seconds(void)
{
    struct look look = {.starved = starved_seconds()};
    look_below(&look, getpid(), DEPTH);
    return look.starved;
}

bool somebody_starves(void)
{
    struct look look = {.ready = false};
    look_below(&look, getpid(), DEPTH);
    return look.ready;
}
