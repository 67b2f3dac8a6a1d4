/* Shared memory with a name: made, opened, mapped, unlinked. It keeps nothing. */
#include "os/named_memory.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/memory.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static int open_named(const char *name, int flags)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    int fd = shm_open(name, flags | O_RDWR, S_IRUSR | S_IWUSR); /* close-on-exec by itself */
    return fd < 0 ? failed_call("shm_open") : os_keep(fd);
}

static int set_size(int fd, size_t size)
{
    int result;
    do {
        result = os_set_size(fd, size);
    } while (result == -EINTR);
    return result ? result : os_memory_back(fd, 0, size);
}

int os_named_memory_create(const char *name, size_t size)
{
    int fd = open_named(name, O_CREAT | O_EXCL);
    if (fd < 0)
        return fd;
    int result = set_size(fd, size);
    if (result) {
        os_close(fd);
        shm_unlink(name);
        return result;
    }
    return fd;
}

static int look_at(int fd, size_t *size)
{
    struct stat status;
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    if (fstat(fd, &status))
        return failed_call("fstat");
    *size = (size_t)status.st_size;
    return status.st_uid == geteuid() ? 0 : -EPERM;
}

int os_named_memory_open(const char *name, size_t *size)
{
    int fd = open_named(name, O_NOFOLLOW);
    int result = fd < 0 ? fd : look_at(fd, size);
    if (fd >= 0 && result)
        os_close(fd);
    return result ? result : fd;
}

int os_named_memory_unlink(const char *name)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    return shm_unlink(name) ? failed_call("shm_unlink") : 0;
}

int os_named_memory_map(int fd, size_t size, void **data)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *place = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, 0);
    if (place == MAP_FAILED)
        return failed_call("mmap");
    *data = place;
    return 0;
}

void os_named_memory_unmap(void *data, size_t size)
{
    munmap(data, size);
}
