/* Folders of processes in /proc, as procfd.h says. */
#define _GNU_SOURCE
#include "os/procfd.h"

#include "os/descriptor.h"
#include "os/uncancelled.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* Whether this process, or the one that it is a copy of, has ever opened one: else none is one. */
static _Atomic(bool) some;

bool os_proc_is_ours(void)
{
    char text[32];
    ssize_t length = readlink("/proc/self", text, sizeof text - 1);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return atoi(text) == getpid();
}

int os_procfd_open(pid_t pid)
{
    char path[32];
    if (!os_proc_is_ours())
        return -ENOSYS;
    snprintf(path, sizeof path, "/proc/%d", (int)pid);
    int fd = uncancelled_open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0)
        return errno == ENOENT ? -ESRCH : failed_call("open");
    store_relaxed(&some, true);
    return os_keep(fd);
}

bool os_procfd_is(int fd)
{
    struct stat status;
    return load_relaxed(&some) && fstat(fd, &status) == 0 && S_ISDIR(status.st_mode);
}

/* What the kernel says about the process; false when it was reaped. */
static bool read_stat(int fd, char *text, size_t size)
{
    int file = os_keep(uncancelled_openat(fd, "stat", O_RDONLY | O_CLOEXEC, 0));
    if (file < 0)
        return false;
    ssize_t length;
    do {
        length = uncancelled_read(file, text, size - 1);
    } while (length < 0 && errno == EINTR);
    uncancelled_close(file);
    if (length <= 0)
        return false;
    text[length] = '\0';
    return true;
}

int os_procfd_number(int fd, pid_t *pid)
{
    char text[1024];
    if (!read_stat(fd, text, sizeof text))
        return -ESRCH;
    *pid = (pid_t)atoi(text);
    return 0;
}

/* The state is the first field behind the name, which is in parentheses and may hold anything; the number of threads is
 * the 18th. A process whose first thread has ended lives on with the others. */
bool os_procfd_has_ended(int fd)
{
    char text[1024], state;
    int threads;
    if (!read_stat(fd, text, sizeof text))
        return true;
    const char *end = strrchr(text, ')');
    if (!end || sscanf(end + 1, " %c %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %*s %d", &state,
                       &threads) != 2)
        return false;
    return state == 'X' || (state == 'Z' && threads <= 1);
}
