/* What the processes of the storm are at while a call takes too long: for each thread of this process, of the pool's
 * server and of its workers its state, for how long it has run and has waited for a CPU, and where in the kernel it is.
 */
#include "storm.h"

#include <ctype.h>
#include <dirent.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MOST_PROCESSES 64

struct family {
    pid_t pids[MOST_PROCESSES];
    unsigned count;
};

static bool first_line(pid_t pid, const char *thread, const char *file, char *text, int size)
{
    char path[128];
    snprintf(path, sizeof path, "/proc/%d/task/%s/%s", (int)pid, thread, file);
    FILE *stream = fopen(path, "re");
    text[0] = 0;
    if (!stream)
        return false;
    bool has_line = fgets(text, size, stream) != NULL;
    fclose(stream);
    text[strcspn(text, "\n")] = 0;
    return has_line;
}

static bool is_of(const struct family *family, pid_t pid)
{
    for (unsigned i = 0; i < family->count; i++)
        if (family->pids[i] == pid)
            return true;
    return false;
}

/* One more generation. Returns whether somebody was found. */
static bool add_children(struct family *family)
{
    const struct dirent *entry;
    unsigned before = family->count;
    DIR *folder = opendir("/proc");
    if (!folder)
        return false;
    while ((entry = readdir(folder)) != NULL && family->count < MOST_PROCESSES) {
        pid_t pid = isdigit((unsigned char)entry->d_name[0]) ? atoi(entry->d_name) : 0;
        if (pid > 0 && !is_of(family, pid) && is_of(family, parent_of(pid)))
            family->pids[family->count++] = pid;
    }
    closedir(folder);
    return family->count > before;
}

static void tell_thread(pid_t pid, const char *thread)
{
    char stat[512], times[128], place[128];
    long long ran = 0, waited = 0;
    if (!first_line(pid, thread, "stat", stat, sizeof stat))
        return;
    if (first_line(pid, thread, "schedstat", times, sizeof times))
        sscanf(times, "%lld %lld", &ran, &waited);
    first_line(pid, thread, "wchan", place, sizeof place);
    const char *name = strchr(stat, '('), *end = strrchr(stat, ')');
    if (name && end)
        fprintf(stderr, "storm:   %d/%s %.*s: %c, ran %.3f s, waited for a CPU %.3f s, in %s\n", (int)pid, thread,
                (int)(end - name - 1), name + 1, end[1] ? end[2] : '?', (double)ran / 1e9, (double)waited / 1e9,
                place[0] && strcmp(place, "0") != 0 ? place : "the program");
}

static void tell_process(pid_t pid)
{
    char path[64];
    const struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = opendir(path);
    if (!folder)
        return;
    while ((entry = readdir(folder)) != NULL)
        if (isdigit((unsigned char)entry->d_name[0]))
            tell_thread(pid, entry->d_name);
    closedir(folder);
}

void tell_processes(void)
{
    struct family family = {.pids = {getpid()}, .count = 1};
    while (add_children(&family)) {
    }
    for (unsigned i = 0; i < family.count; i++)
        tell_process(family.pids[i]);
}
