/* Files by their names in an open folder, as folder.h says. */
#define _GNU_SOURCE
#include "os/folder.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int os_open_in(int folder, const char *name, int flags, mode_t mode)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    int fd = uncancelled_openat(folder, name, flags | O_CLOEXEC | O_NOFOLLOW, mode);
    return fd < 0 ? failed_call("openat") : os_keep(fd);
}

int os_rename_in(int folder, const char *from, const char *to)
{
    int fault = os_fault(OS_RENAME);
    if (fault)
        return fault;
    return renameat(folder, from, folder, to) ? failed_call("renameat") : 0;
}

void os_unlink_in(int folder, const char *name)
{
    unlinkat(folder, name, 0);
}

int os_sync(int fd)
{
    int fault = os_fault(OS_FSYNC);
    if (fault)
        return fault;
    return uncancelled_fsync(fd) ? failed_call("fsync") : 0;
}

int os_file_lock(int fd)
{
    int fault = os_fault(OS_FLOCK);
    if (fault)
        return fault;
    return flock(fd, LOCK_EX | LOCK_NB) ? failed_call("flock") : 0;
}

int os_has_name(int fd)
{
    struct stat status;
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    return fstat(fd, &status) ? failed_call("fstat") : status.st_nlink > 0;
}
