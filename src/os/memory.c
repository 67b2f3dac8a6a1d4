/* The memory file: an anonymous file in memory, its pages, its mapping and the record locks on it. Called by src/arena
 * only. */
#define _GNU_SOURCE
#include "os/memory.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/room.h"
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#ifndef MFD_NOEXEC_SEAL
#define MFD_NOEXEC_SEAL 0x0008U
#endif

#ifndef MADV_POPULATE_WRITE
#define MADV_POPULATE_WRITE 23
#endif

#define OUR_SEALS (F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_SEAL)

/* A page of the smallest size; nobody looks into it. */
#define PIN_SIZE ((size_t)4096)

/* A fallocate() that a signal interrupts gives its pages back, so a large one goes in steps that are sure to end. */
#define BACKING_STEP ((size_t)64 << 20)

static int memory_file(const char *name)
{
    int fault = os_fault(OS_MEMFD_CREATE);
    if (fault)
        return fault;
    int fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING | MFD_NOEXEC_SEAL);
    if (fd < 0 && errno == EINVAL) /* a kernel before 6.3 does not know the last flag */
        fd = memfd_create(name, MFD_CLOEXEC | MFD_ALLOW_SEALING);
    return fd < 0 ? -errno : os_keep(fd);
}

static int memory_size_and_seal(int fd, size_t size)
{
    int fault = os_fault(OS_FTRUNCATE);
    if (fault)
        return fault;
    if (ftruncate(fd, (off_t)size))
        return -errno;
    fault = os_fault(OS_SEAL);
    if (fault)
        return fault;
    return fcntl(fd, F_ADD_SEALS, OUR_SEALS) ? -errno : 0;
}

int os_memory_create(const char *name, size_t size)
{
    int fd = memory_file(name);
    if (fd < 0)
        return fd;
    int result = memory_size_and_seal(fd, size);
    if (result) {
        close(fd);
        return result;
    }
    return fd;
}

bool os_memory_is_sealed(int fd)
{
    if (os_fault(OS_FCNTL))
        return false;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && (seals & OUR_SEALS) == OUR_SEALS;
}

int64_t os_memory_size(int fd)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    struct stat status;
    if (fstat(fd, &status))
        return -errno;
    return os_memory_is_sealed(fd) ? status.st_size : -EINVAL;
}

int os_memory_map(void *address, size_t size, int fd)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *place = mmap(address, size, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, 0);
    if (place == MAP_FAILED)
        return -errno;
    if (place != address) { /* a kernel before 4.17 takes the address for a hint */
        munmap(place, size);
        return -EEXIST;
    }
    madvise(address, size, MADV_DONTDUMP); /* only a courtesy: without it core dumps are larger */
    return 0;
}

int os_memory_unmap(void *address, size_t size)
{
    int fault = os_fault(OS_MUNMAP);
    if (fault)
        return fault;
    return munmap(address, size) ? -errno : 0;
}

static int allocate(int fd, int mode, size_t offset, size_t size)
{
    int result;
    if (!os_is_kept(fd))
        return -EBADF;
    do {
        result = os_fault(OS_FALLOCATE);
        if (!result && fallocate(fd, FALLOC_FL_KEEP_SIZE | mode, (off_t)offset, (off_t)size))
            result = -errno;
    } while (result == -EINTR);
    return result == -ENOSPC ? -ENOMEM : result;
}

int os_memory_back(int fd, size_t offset, size_t size)
{
    if (!os_room_take(size))
        return -ENOMEM;
    int result = 0;
    while (!result && size > 0) {
        size_t step = size < BACKING_STEP ? size : BACKING_STEP;
        result = allocate(fd, 0, offset, step);
        offset += step;
        size -= step;
    }
    return result;
}

int os_memory_punch(int fd, size_t offset, size_t size)
{
    return allocate(fd, FALLOC_FL_PUNCH_HOLE, offset, size);
}

/* madvise() needs whole pages. */
static int advise(void *address, size_t size, int advice)
{
    int fault = os_fault(OS_MADVISE);
    if (fault)
        return fault;
    uintptr_t begin = (uintptr_t)address & ~(uintptr_t)(PIN_SIZE - 1);
    size += (uintptr_t)address - begin;
    int result;
    do {
        result = madvise((void *)begin, (size + PIN_SIZE - 1) & ~(PIN_SIZE - 1), advice) ? -errno : 0;
    } while (result == -EINTR || result == -EAGAIN);
    return result;
}

int os_memory_populate(void *address, size_t size)
{
    if (!os_room_take(size))
        return -ENOMEM;
    int result = advise(address, size, MADV_POPULATE_WRITE);
    if (result == -EINVAL)
        return -EBADF;
    return result == -EFAULT ? -ENOMEM : result;
}

int os_memory_remove(void *address, size_t size)
{
    return advise(address, size, MADV_REMOVE);
}

int64_t os_memory_resident(int fd)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    struct stat status;
    if (!os_is_kept(fd))
        return -EBADF;
    return fstat(fd, &status) ? -errno : (int64_t)status.st_blocks * 512;
}

static int set_lock(int fd, int command, short type, int64_t byte)
{
    int fault = os_fault(OS_RECORD_LOCK);
    if (fault)
        return fault;
    if (!os_is_kept(fd))
        return -EBADF;
    struct flock lock = {.l_type = type, .l_whence = SEEK_SET, .l_start = byte, .l_len = 1};
    if (fcntl(fd, command, &lock) == 0)
        return 0;
    return errno == EACCES ? -EAGAIN : -errno;
}

int os_record_lock(int fd, int64_t byte)
{
    return set_lock(fd, F_SETLK, F_WRLCK, byte);
}

int os_record_unlock(int fd, int64_t byte)
{
    return set_lock(fd, F_SETLK, F_UNLCK, byte);
}

int os_description_lock(int fd, int64_t byte)
{
    return set_lock(fd, F_OFD_SETLK, F_WRLCK, byte);
}

int os_record_holder(int fd, int64_t byte, int64_t count)
{
    int fault = os_fault(OS_RECORD_LOCK);
    if (fault)
        return fault - 1;
    struct flock lock = {.l_type = F_WRLCK, .l_whence = SEEK_SET, .l_start = byte, .l_len = count};
    if (fcntl(fd, F_GETLK, &lock))
        return -errno - 1;
    if (lock.l_type == F_UNLCK) /* as it also is in a file that has nothing to do with us */
        return os_is_kept(fd) ? 0 : -EBADF - 1;
    return lock.l_pid > 0 ? lock.l_pid : -1;
}

int os_memory_reopen(int fd)
{
    char path[64];
    if (!os_is_kept(fd))
        return -EBADF;
    snprintf(path, sizeof path, "/proc/thread-self/fd/%d", fd);
    return os_open(path, O_RDWR);
}

int os_memory_pin(int fd, void **pin)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *page = mmap(NULL, PIN_SIZE, PROT_NONE, MAP_SHARED | MAP_NORESERVE, fd, 0);
    if (page == MAP_FAILED)
        return -errno;
    fault = os_fault(OS_MADVISE);
    if (fault || madvise(page, PIN_SIZE, MADV_DONTFORK)) {
        int result = fault ? fault : -errno;
        munmap(page, PIN_SIZE);
        return result;
    }
    *pin = page;
    return 0;
}

void os_memory_unpin(void *pin)
{
    munmap(pin, PIN_SIZE);
}
