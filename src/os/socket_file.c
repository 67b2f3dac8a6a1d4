/* The files of unix sockets, as socket_file.h says. */
#define _GNU_SOURCE
#include "os/socket_file.h"

#include "os/address.h"
#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

int os_socket_file_find(const char *path, struct os_file_identity *identity)
{
    struct stat status;

    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    if (lstat(path, &status))
        return failed_call("lstat");
    if (!S_ISSOCK(status.st_mode) || status.st_uid != geteuid())
        return -EEXIST;
    identity->device = status.st_dev;
    identity->number = status.st_ino;
    return 0;
}

int os_socket_file_allow(const char *path, bool all)
{
    int fault = os_fault(OS_LINK);
    if (fault)
        return fault;
    return chmod(path, all ? 0666 : 0600) ? failed_call("chmod") : 0;
}

int os_socket_file_link(const char *from, const char *to)
{
    int fault = os_fault(OS_LINK);
    if (fault)
        return fault;
    return link(from, to) ? failed_call("link") : 0;
}

int os_socket_file_unlink(const char *path)
{
    return unlink(path) ? failed_call("unlink") : 0;
}

/* A socket of another type is refused because of its type where there is somebody, and else because there is nobody. */
bool os_socket_file_is_dead(const char *path)
{
    struct os_address place, near;
    int by;

    if (os_fault(OS_SOCKET) || os_address_of_path(&place, path) || os_address_shorten(&place, true, &near, &by))
        return false;
    int fd = os_keep(socket(AF_UNIX, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    bool is_dead = fd >= 0 && uncancelled_connect(fd, &near.as.any, near.size) && errno == ECONNREFUSED;
    if (fd >= 0)
        os_close(fd);
    if (by >= 0)
        os_close(by);
    return is_dead;
}

int os_folder_lock(const char *path)
{
    int fd = os_open(path, O_RDONLY | O_DIRECTORY);
    if (fd < 0)
        return fd;
    if (flock(fd, LOCK_EX | LOCK_NB) == 0)
        return fd;
    int result = failed_call("flock");
    os_close(fd);
    return result;
}
