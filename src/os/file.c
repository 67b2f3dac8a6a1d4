/* Files, as file.h says. */
#define _GNU_SOURCE
#include "os/file.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/signal.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

int os_open(const char *path, int flags)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    int fd = uncancelled_open(path, flags | O_CLOEXEC);
    return fd < 0 ? failed_call("open") : os_keep(fd);
}

FILE *os_open_text(const char *path)
{
    int fd = os_open(path, O_RDONLY);
    FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
    if (!file && fd >= 0)
        os_close(fd);
    if (fd < 0)
        errno = -fd;
    return file;
}

DIR *os_open_folder(const char *path)
{
    int fd = os_open(path, O_RDONLY | O_DIRECTORY);
    DIR *folder = fd < 0 ? NULL : fdopendir(fd);
    if (!folder && fd >= 0)
        os_close(fd);
    if (fd < 0)
        errno = -fd;
    return folder;
}

ssize_t os_read(int fd, void *buffer, size_t size)
{
    int fault = os_fault(OS_READ);
    if (fault)
        return fault;
    ssize_t count = uncancelled_read(fd, buffer, size);
    return count < 0 ? failed_call("read") : count;
}

ssize_t os_read_at(int fd, void *buffer, size_t size, size_t offset)
{
    int fault = os_fault(OS_READ);
    if (fault)
        return fault;
    ssize_t count = uncancelled_pread(fd, buffer, size, (off_t)offset);
    return count < 0 ? failed_call("pread") : count;
}

ssize_t os_write(int fd, const void *data, size_t size)
{
    sigset_t held, before;
    int fault = os_fault(OS_WRITE);
    if (fault)
        return fault;
    bool is_limited = os_file_limit() != SIZE_MAX;
    if (is_limited)
        os_signals_hold(&held, &before);
    ssize_t count = uncancelled_write(fd, data, size);
    ssize_t result = count < 0 ? failed_call("write") : count;
    if (is_limited)
        os_signals_release(&held, &before, result == -EFBIG);
    return result;
}

size_t os_file_limit(void)
{
    struct rlimit limit;
    if (getrlimit(RLIMIT_FSIZE, &limit) || limit.rlim_cur == RLIM_INFINITY)
        return SIZE_MAX;
    return (size_t)limit.rlim_cur;
}

int os_set_size(int fd, size_t size)
{
    sigset_t held, before;
    int fault = os_fault(OS_FTRUNCATE);
    if (fault)
        return fault;
    bool is_limited = os_file_limit() != SIZE_MAX;
    if (is_limited)
        os_signals_hold(&held, &before);
    int result = ftruncate(fd, (off_t)size) ? failed_call("ftruncate") : 0;
    if (is_limited)
        os_signals_release(&held, &before, result == -EFBIG);
    return result;
}

int os_read_all(int fd, void *buffer, size_t size)
{
    char *at = buffer;
    while (size > 0) {
        ssize_t count = os_read(fd, at, size);
        if (count == 0)
            return -EPIPE;
        if (count < 0 && count != -EINTR)
            return (int)count;
        if (count > 0) {
            at += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

int os_write_all_by(os_writer *writer, int fd, const void *data, size_t size)
{
    const char *at = data;
    while (size > 0) {
        ssize_t count = writer(fd, at, size);
        if (count < 0 && count != -EINTR)
            return (int)count;
        if (count > 0) {
            at += count;
            size -= (size_t)count;
        }
    }
    return 0;
}

int os_write_all(int fd, const void *data, size_t size)
{
    return os_write_all_by(os_write, fd, data, size);
}

int os_change_directory(int fd)
{
    return fchdir(fd) ? failed_call("fchdir") : 0;
}

int os_is_private(int fd)
{
    struct stat status;
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    if (fstat(fd, &status))
        return failed_call("fstat");
    if (S_ISDIR(status.st_mode))
        return -EISDIR;
    return S_ISREG(status.st_mode) && status.st_uid == geteuid() && !(status.st_mode & 077) ? 0 : -EPERM;
}

static int map(int fd, const unsigned char **bytes, size_t *size)
{
    struct stat status;
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    if (fstat(fd, &status))
        return failed_call("fstat");
    if (!S_ISREG(status.st_mode) || status.st_size <= 0)
        return failure(-EINVAL, "a file to be mapped is empty, or no regular one");
    fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *memory = mmap(NULL, (size_t)status.st_size, PROT_READ, MAP_PRIVATE, fd, 0);
    if (memory == MAP_FAILED)
        return failed_call("mmap");
    *bytes = memory;
    *size = (size_t)status.st_size;
    return 0;
}

int os_map_shared(int fd, size_t size, void **memory)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *mapped = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (mapped == MAP_FAILED)
        return failed_call("mmap");
    *memory = mapped;
    return 0;
}

int os_map_file(const char *path, const unsigned char **bytes, size_t *size)
{
    int fd = os_open(path, O_RDONLY | O_NONBLOCK);
    if (fd < 0)
        return fd;
    int result = map(fd, bytes, size);
    os_close(fd);
    return result;
}

void os_unmap_file(const unsigned char *bytes, size_t size)
{
    munmap((void *)(uintptr_t)bytes, size);
}

int os_may_execute(const char *path)
{
    struct stat status;
    if (stat(path, &status))
        return failed_call("stat");
    if (!S_ISREG(status.st_mode))
        return -EACCES;
    return faccessat(AT_FDCWD, path, X_OK, AT_EACCESS) ? failed_call("stat") : 0;
}

bool os_is_there(const char *path)
{
    return access(path, F_OK) == 0;
}

int os_absolute_path(const char *path, char *absolute, size_t size)
{
    size_t length = 0;
    if (path[0] != '/') {
        if (!getcwd(absolute, size))
            return errno == ERANGE ? -ENAMETOOLONG : failed_call("getcwd");
        length = strlen(absolute);
    }
    int more = snprintf(absolute + length, size - length, "%s%s", length ? "/" : "", path);
    return more < 0 || (size_t)more >= size - length ? -ENAMETOOLONG : 0;
}

int os_nameless_file(void)
{
    if (os_fault(OS_OPEN))
        return -ENOENT;
    int fd = uncancelled_openat(AT_FDCWD, "/dev/shm", O_TMPFILE | O_RDWR | O_EXCL | O_CLOEXEC, 0600);
    if (fd < 0)
        return -ENOENT;
    if (fchmod(fd, 0600)) { /* whatever the file mode mask is */
        uncancelled_close(fd);
        return -ENOENT;
    }
    return os_keep(fd);
}

int os_scratch_file(void)
{
    int fault = os_fault(OS_MEMFD_CREATE);
    if (fault)
        return fault;
    int fd = memfd_create("mproc-start", MFD_CLOEXEC | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 does not know the last flag, which others insist on */
        fd = memfd_create("mproc-start", MFD_CLOEXEC);
    if (fd < 0 && (errno == EPERM || errno == ENOSYS)) {
        int other = os_nameless_file();
        return other == -ENOENT ? failed_call("memfd_create") : other;
    }
    return fd < 0 ? failed_call("memfd_create") : os_keep(fd);
}

int os_rewind(int fd)
{
    return lseek(fd, 0, SEEK_SET) < 0 ? failed_call("lseek") : 0;
}
