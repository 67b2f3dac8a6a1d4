/* Folders for one unix socket each, as socket_folder.h says.
 *
 * Whoever makes a folder has a lock on it for as long as it lives, which the kernel takes back when it dies. A folder
 * whose lock can be had is nobody's any more, or was made a moment ago by one that has not locked it yet: that one
 * looks whether its folder is still there when it has the lock, and makes another if it is not. Nothing but sockets
 * with names of ours is removed from such a folder, and so no folder in which there is anything else. */
#define _GNU_SOURCE
#include "os/socket_folder.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/folder.h"
#include "util/failure.h"
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#define PREFIX  "mproc-listener-"
#define PATTERN PREFIX "XXXXXX"
#define TRIES   10
#define HIDDEN  17 /* of the name that a socket has before it listens: a dot and 16 digits */

/* ---- making ---- */

/* 0; -EAGAIN: a process that sweeps has it, or has removed it. */
static int folder_lock(const char *path, int *lock)
{
    *lock = os_open(path, O_RDONLY | O_DIRECTORY);
    if (*lock < 0)
        return *lock == -ENOENT ? -EAGAIN : *lock;
    int result = os_file_lock(*lock);
    if (!result)
        result = os_has_name(*lock) == 0 ? -EAGAIN : 0;
    if (!result)
        return 0;
    os_close(*lock);
    *lock = -1;
    return result == -EAGAIN ? result : 0;
}

static int folder_create_in(const char *parent, char *path, size_t size, int *lock)
{
    int result = -EAGAIN;
    for (int i = 0; result == -EAGAIN && i < TRIES; i++) {
        int length = snprintf(path, size, "%s/" PATTERN, parent);
        if (length < 0 || (size_t)length >= size)
            return -ENAMETOOLONG;
        if (!mkdtemp(path))
            return failed_call("mkdtemp");
        result = folder_lock(path, lock);
        if (result && result != -EAGAIN)
            (void)rmdir(path);
    }
    return result;
}

const char *os_socket_folder_wish(void)
{
    const char *parent = secure_getenv("TMPDIR");
    return parent && parent[0] ? parent : NULL;
}

int os_socket_folder_create(char *path, size_t size, int *lock)
{
    const char *parent = os_socket_folder_wish();
    int fault = os_fault(OS_MKDIR);
    if (fault)
        return fault;
    if (!parent || parent[0] != '/')
        return folder_create_in("/tmp", path, size, lock);
    int result = folder_create_in(parent, path, size, lock);
    bool is_unfit = result == -ENOENT || result == -ENOTDIR || result == -EACCES || result == -EROFS ||
                    result == -ENAMETOOLONG || result == -ELOOP;
    return is_unfit ? folder_create_in("/tmp", path, size, lock) : result;
}

int os_socket_folder_remove(const char *path)
{
    return rmdir(path) ? failed_call("rmdir") : 0;
}

/* ---- sweeping ---- */

static bool sweep_is_ours(const struct stat *status)
{
    return status->st_uid == geteuid() && (status->st_mode & 077) == 0;
}

static bool sweep_knows(const char *name)
{
    return strcmp(name, OS_SOCKET_FOLDER_FILE) == 0 ||
           (name[0] == '.' && strlen(name) == HIDDEN && strspn(name + 1, "0123456789abcdef") == HIDDEN - 1);
}

/* Under the lock of the folder. The stream has a descriptor of its own. */
static void sweep_sockets(int folder)
{
    struct stat status;
    int copy = os_open_in(folder, ".", O_RDONLY | O_DIRECTORY, 0);
    DIR *stream = copy < 0 ? NULL : fdopendir(copy);
    if (!stream) {
        if (copy >= 0)
            os_close(copy);
        return;
    }
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (sweep_knows(entry->d_name) && fstatat(folder, entry->d_name, &status, AT_SYMLINK_NOFOLLOW) == 0 &&
            S_ISSOCK(status.st_mode))
            os_unlink_in(folder, entry->d_name);
    closedir(stream);
}

static void sweep_one(int parent, const char *name)
{
    struct stat status;
    int folder = os_open_in(parent, name, O_RDONLY | O_DIRECTORY, 0);
    if (folder < 0)
        return;
    if (fstat(folder, &status) == 0 && sweep_is_ours(&status) && os_file_lock(folder) == 0) {
        sweep_sockets(folder);
        (void)unlinkat(parent, name, AT_REMOVEDIR);
    }
    os_close(folder);
}

void os_socket_folder_sweep(const char *path)
{
    char parent[PATH_MAX];
    const char *own = strrchr(path, '/');
    if (!own || (size_t)snprintf(parent, sizeof parent, "%.*s", (int)(own - path), path) >= sizeof parent)
        return;
    DIR *stream = os_open_folder(parent);
    if (!stream)
        return;
    for (const struct dirent *entry = readdir(stream); entry; entry = readdir(stream))
        if (strncmp(entry->d_name, PREFIX, sizeof PREFIX - 1) == 0 && strlen(entry->d_name) == sizeof PATTERN - 1 &&
            strcmp(entry->d_name, own + 1) != 0)
            sweep_one(dirfd(stream), entry->d_name);
    closedir(stream);
}
