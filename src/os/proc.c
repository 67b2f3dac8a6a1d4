/* The processes of the machine, as proc.h says. */
#define _GNU_SOURCE
#include "os/proc.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/pidfd.h"
#include "os/procfd.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

/* Larger than any line of a stat file, and than most environments. */
#define BUFFER_SIZE 16384

static int open_file(pid_t pid, const char *name)
{
    char path[64];
    snprintf(path, sizeof path, "/proc/%d/%s", (int)pid, name);
    return os_open(path, O_RDONLY);
}

static ssize_t read_on(int fd, char *text, size_t size)
{
    ssize_t count;
    do {
        count = os_read(fd, text, size);
    } while (count == -EINTR);
    return count;
}

/* Read what the file says, up to its first size - 1 characters, and end it by a 0. Closes it. 0 or -errno; an fd that
 * is an error is returned. */
static int read_all(int fd, char *text, size_t size)
{
    if (fd < 0)
        return fd;
    ssize_t count = read_on(fd, text, size - 1);
    os_close(fd);
    if (count < 0)
        return (int)count;
    text[count] = '\0';
    return 0;
}

static int read_file(pid_t pid, const char *name, char *text, size_t size)
{
    return read_all(open_file(pid, name), text, size);
}

/* The fields behind the name, which is in parentheses and may hold anything: the state is the first, the parent the
 * second, the number of threads the 18th, the start the 20th. */
static int parse(const char *text, pid_t pid, struct os_proc *proc)
{
    const char *end = strrchr(text, ')');
    int parent, threads;
    unsigned long long start;
    char state;
    if (!end || sscanf(end + 1, " %c %d %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d %*s %llu",
                       &state, &parent, &threads, &start) != 4)
        return failure(-EINVAL, "/proc/PID/stat has another form");
    *proc = (struct os_proc){.pid = pid, .parent = parent, .start = start, .state = state};
    proc->has_ended = state == 'X' || (state == 'Z' && threads <= 1);
    return 0;
}

int os_proc_read(pid_t pid, struct os_proc *proc)
{
    char text[1024];
    int result = read_file(pid, "stat", text, sizeof text);
    return result ? result : parse(text, pid, proc);
}

/* ---- numbers here and in /proc ---- */

/* What stands behind a label at the beginning of a line, or NULL. */
static const char *field(const char *text, const char *label)
{
    size_t length = strlen(label);
    while (text && strncmp(text, label, length) != 0) {
        text = strchr(text, '\n');
        text += text != NULL;
    }
    return text ? text + length : NULL;
}

int os_proc_self(pid_t *pid)
{
    char text[1024];
    int result = read_all(os_open("/proc/self/stat", O_RDONLY), text, sizeof text);
    *pid = result ? 0 : (pid_t)atoi(text);
    return result || *pid > 0 ? result : -ENOENT;
}

int os_proc_number(int pidfd, pid_t *pid)
{
    char path[64], text[1024];
    snprintf(path, sizeof path, "/proc/thread-self/fdinfo/%d", pidfd);
    int result = read_all(os_open(path, O_RDONLY), text, sizeof text);
    if (result)
        return result;
    const char *number = field(text, "Pid:");
    if (!number && os_procfd_is(pidfd))
        return os_procfd_number(pidfd, pid);
    if (!number)
        return -ENOSYS; /* Linux before 5.4 */
    *pid = (pid_t)atoi(number);
    return *pid > 0 ? 0 : -ESRCH;
}

/* A file of numbers in the process's namespaces, the outermost first: those of /proc, and all below it. */
struct numbers {
    size_t count;
    pid_t last;
};

/* The number at this place, from 1, or the last one where at is 0. */
static int read_numbers(const char *path, size_t at, struct numbers *numbers)
{
    char text[BUFFER_SIZE]; /* the groups of the process come before */
    int result = read_all(os_open(path, O_RDONLY), text, sizeof text);
    if (result)
        return result;
    const char *line = field(text, "NSpid:");
    char *end;
    *numbers = (struct numbers){.count = 0};
    while (line && *line != '\n' && (at == 0 || numbers->count < at)) {
        long number = strtol(line, &end, 10);
        if (end == line)
            break;
        numbers->last = (pid_t)number;
        numbers->count++;
        line = end;
    }
    return numbers->count ? 0 : -ENOSYS;
}

/* The number that a process of /proc has in the pid namespace of this one, if it is there. It is a hint. */
static int number_here(pid_t pid, pid_t *number)
{
    char path[64];
    struct numbers own, its;
    int result = read_numbers("/proc/self/status", 0, &own);
    if (result)
        return result;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    result = read_numbers(path, own.count, &its);
    if (!result)
        *number = its.last;
    return result == -ENOENT || (!result && its.count < own.count) ? -ESRCH : result;
}

/* A pidfd of the process that has this number here, if it is the one with that number in /proc. */
static int open_if(pid_t number, pid_t pid)
{
    pid_t shown;
    int fd = os_pidfd_open(number);
    if (fd < 0)
        return fd;
    int result = os_proc_number(fd, &shown);
    if (!result && shown == pid)
        return fd;
    os_close(fd);
    return result ? result : -ESRCH;
}

static int open_by_number(pid_t pid)
{
    pid_t number;
    int fd = open_if(pid, pid);
    if (fd != -ESRCH)
        return fd;
    int result = number_here(pid, &number);
    if (result || number == pid)
        return result ? result : -ESRCH;
    return open_if(number, pid);
}

/* The process has its number in /proc until it is reaped. So what is read under it between two looks that both find it
 * there is its own. */
int os_proc_open(const struct os_proc *proc)
{
    struct os_proc now;
    pid_t shown;
    int fd = open_by_number(proc->pid);
    if (fd < 0)
        return fd;
    int result = os_proc_read(proc->pid, &now);
    if (!result)
        result = os_proc_number(fd, &shown);
    if (!result && now.start == proc->start)
        return fd;
    os_close(fd);
    return result ? result : -ESRCH;
}

int os_proc_peak_memory(int pidfd, size_t *bytes)
{
    char text[4096];
    pid_t pid;
    int result = os_proc_number(pidfd, &pid);
    if (!result)
        result = read_file(pid, "status", text, sizeof text);
    if (!result)
        result = os_proc_number(pidfd, &pid); /* it was there all the time */
    const char *number = result ? NULL : field(text, "VmHWM:");
    if (!number) /* a process that has ended has none */
        return result ? result : -ESRCH;
    *bytes = strtoul(number, NULL, 10) * 1024;
    return 0;
}

int os_proc_own_memory(size_t *bytes)
{
    char text[256];
    unsigned long resident, shared;
    int result = read_all(os_open("/proc/self/statm", O_RDONLY), text, sizeof text);
    if (result)
        return result;
    if (sscanf(text, "%*s %lu %lu", &resident, &shared) != 2)
        return failure(-EINVAL, "/proc/self/statm has another form");
    *bytes = (resident - shared) * (size_t)sysconf(_SC_PAGESIZE);
    return 0;
}

/* Without a note of the descriptor: no other thread can close it meanwhile, and no handler. */
static int read_own_status(char *text, size_t size)
{
    int fault = os_fault(OS_OPEN);
    int fd = fault ? fault : uncancelled_open("/proc/self/status", O_RDONLY | O_CLOEXEC);
    if (fd < 0)
        return fault ? fault : failed_call("open");
    ssize_t count = read_on(fd, text, size - 1);
    os_close_at_once(fd);
    if (count < 0)
        return (int)count;
    text[count] = '\0';
    return 0;
}

static int parse_signals(const char *text, const char *label, uint64_t *signals)
{
    const char *line = strstr(text, label);
    char *end;
    if (!line)
        return -ENOENT;
    *signals = strtoull(line + strlen(label), &end, 16);
    return *end == '\n' ? 0 : -ENOENT;
}

/* They stand in the first 800 bytes, unless this process is in very many groups. A small buffer and a name that is not
 * put together spare a page of stack, which costs a fault where this is called, between two forks. */
int os_proc_own_signals(uint64_t *caught, uint64_t *blocked)
{
    char text[1024];
    int result = read_own_status(text, sizeof text);
    if (!result)
        result = parse_signals(text, "\nSigBlk:", blocked);
    return result ? result : parse_signals(text, "\nSigCgt:", caught);
}

int os_proc_parse_oom_kills(const char *text, uint64_t *count)
{
    static const char label[] = "oom_kill ";
    const char *line = text;
    while (line && strncmp(line, label, sizeof label - 1) != 0) {
        line = strchr(line, '\n');
        line += line != NULL;
    }
    if (!line)
        return -ENOENT;
    char *end;
    const char *number = line + sizeof label - 1;
    *count = strtoull(number, &end, 10);
    return end == number ? -ENOENT : 0;
}

int os_proc_oom_kills(uint64_t *count)
{
    char text[BUFFER_SIZE];
    size_t size = 0;
    int fd = os_open("/proc/vmstat", O_RDONLY);
    if (fd < 0)
        return fd;
    ssize_t more;
    do {
        more = read_on(fd, text + size, sizeof text - 1 - size);
        size += more > 0 ? (size_t)more : 0;
    } while (more > 0);
    os_close(fd);
    if (more < 0)
        return (int)more;
    text[size] = '\0';
    return os_proc_parse_oom_kills(text, count);
}

int os_limit_memory(size_t bytes)
{
    int fault = os_fault(OS_RLIMIT);
    if (fault)
        return fault;
    const struct rlimit limit = {.rlim_cur = bytes, .rlim_max = bytes};
    return setrlimit(RLIMIT_DATA, &limit) ? failed_call("setrlimit") : 0;
}

int os_proc_each(void (*visit)(const struct os_proc *proc, void *arg), void *arg)
{
    DIR *folder = os_open_folder("/proc");
    struct dirent *entry;
    struct os_proc proc;
    if (!folder)
        return failed_call("opendir");
    while ((entry = readdir(folder)) != NULL) {
        pid_t pid = (pid_t)atoi(entry->d_name);
        if (pid > 0 && os_proc_read(pid, &proc) == 0)
            visit(&proc, arg);
    }
    closedir(folder);
    return 0;
}

/* Numbers with spaces between, in one read: a file of more is one of a process that is listed otherwise too. */
static size_t read_children(const char *path, pid_t *children, size_t capacity)
{
    char text[BUFFER_SIZE];
    size_t count = 0;
    int fd = os_open(path, O_RDONLY);
    if (fd < 0)
        return 0;
    ssize_t size = read_on(fd, text, sizeof text - 1);
    os_close(fd);
    text[size > 0 ? size : 0] = '\0';
    char *end;
    for (char *at = text; *at; at = end) {
        pid_t child = (pid_t)strtol(at, &end, 10);
        if (end == at)
            break;
        if (child > 0 && count++ < capacity)
            children[count - 1] = child;
    }
    return count;
}

size_t os_proc_children(pid_t pid, pid_t *children, size_t capacity)
{
    char path[64];
    size_t count = 0;
    struct dirent *entry;
    snprintf(path, sizeof path, "/proc/%d/task", (int)pid);
    DIR *folder = os_open_folder(path);
    while (folder && (entry = readdir(folder)) != NULL) {
        int thread = atoi(entry->d_name);
        size_t room = count < capacity ? capacity - count : 0;
        snprintf(path, sizeof path, "/proc/%d/task/%d/children", (int)pid, thread);
        if (thread > 0)
            count += read_children(path, children + (capacity - room), room);
    }
    if (folder)
        closedir(folder);
    return count;
}

/* Look through the strings that are whole in the buffer. Returns how many bytes these are, or -1 when it is found. */
static ssize_t search(const char *buffer, size_t size, const char *variable, const char *text)
{
    size_t length = strlen(variable);
    const char *at = buffer;
    const char *end;
    while ((end = memchr(at, '\0', size - (size_t)(at - buffer))) != NULL) {
        if (strncmp(at, variable, length) == 0 && at[length] == '=' && strstr(at + length + 1, text))
            return -1;
        at = end + 1;
    }
    return at - buffer;
}

bool os_proc_environment_has(pid_t pid, const char *variable, const char *text)
{
    char buffer[BUFFER_SIZE];
    size_t kept = 0;
    ssize_t size;
    bool found = false;
    int fd = open_file(pid, "environ");
    if (fd < 0)
        return false;
    while (!found && (size = read_on(fd, buffer + kept, sizeof buffer - kept)) > 0) {
        ssize_t done = search(buffer, kept + (size_t)size, variable, text);
        found = done < 0;
        kept = found ? 0 : kept + (size_t)size - (size_t)done;
        if (!found)
            memmove(buffer, buffer + done, kept);
        if (kept == sizeof buffer)
            kept = 0; /* a string longer than any of ours */
    }
    os_close(fd);
    return found;
}

int os_proc_lock_limit(pid_t pid, uint64_t *limit)
{
    char text[2048];
    int result = read_file(pid, "limits", text, sizeof text);
    const char *number = result ? NULL : field(text, "Max file locks");
    if (!number)
        return result ? result : -ENOENT;
    char *end;
    uint64_t value = strtoull(number, &end, 10);
    *limit = end == number ? UINT64_MAX : value;
    return 0;
}

int os_set_lock_limit(uint64_t limit)
{
    int fault = os_fault(OS_RLIMIT);
    if (fault)
        return fault;
    struct rlimit now;
    if (getrlimit(RLIMIT_LOCKS, &now))
        return failed_call("getrlimit");
    now.rlim_cur = limit < now.rlim_max ? limit : now.rlim_max;
    return setrlimit(RLIMIT_LOCKS, &now) ? failed_call("setrlimit") : 0;
}

uint64_t os_proc_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_BOOTTIME, &now);
    uint64_t ticks = (uint64_t)sysconf(_SC_CLK_TCK);
    return (uint64_t)now.tv_sec * ticks + (uint64_t)now.tv_nsec * ticks / 1000000000;
}
