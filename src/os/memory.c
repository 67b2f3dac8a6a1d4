/* The memory file: an anonymous file in memory, its pages, its mapping and the record locks on it. */
#define _GNU_SOURCE
#include "os/memory.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/room.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/magic.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/statfs.h>
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

/* So many pieces at most are mapped one by one. */
#define PIECES ((size_t)16384)

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
    if (fd < 0 && (errno == EPERM || errno == ENOSYS)) {
        int other = os_nameless_file();
        return other == -ENOENT ? failed_call("memfd_create") : other;
    }
    return fd < 0 ? failed_call("memfd_create") : os_keep(fd);
}

/* Whether it is one of os_nameless_file(), which has no seals: nobody else could have a path to it. */
static bool is_nameless(int fd)
{
    struct stat status;
    struct statfs system;
    return fstat(fd, &status) == 0 && fstatfs(fd, &system) == 0 && system.f_type == TMPFS_MAGIC &&
           status.st_nlink == 0 && S_ISREG(status.st_mode) && (status.st_mode & 07777) == 0600;
}

static int memory_size_and_seal(int fd, size_t size)
{
    int result = os_set_size(fd, size);
    if (result)
        return result;
    int fault = os_fault(OS_SEAL);
    if (fault)
        return fault;
    return fcntl(fd, F_ADD_SEALS, OUR_SEALS) && !(errno == EPERM && is_nameless(fd)) ? failed_call("fcntl") : 0;
}

int os_memory_create(const char *name, size_t size)
{
    int fd = memory_file(name);
    if (fd < 0)
        return fd;
    int result = memory_size_and_seal(fd, size);
    if (result) {
        uncancelled_close(fd);
        return result;
    }
    return fd;
}

bool os_memory_is_sealed(int fd)
{
    if (os_fault(OS_FCNTL))
        return false;
    int seals = fcntl(fd, F_GET_SEALS);
    return seals >= 0 && ((seals & OUR_SEALS) == OUR_SEALS || is_nameless(fd));
}

int64_t os_memory_size(int fd)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    struct stat status;
    if (fstat(fd, &status))
        return failed_call("fstat");
    return os_memory_is_sealed(fd) ? status.st_size : failure(-EINVAL, "the memory is not sealed");
}

static int map_at(void *address, size_t size, int protection, int flags, int fd, size_t offset)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *place = mmap(address, size, protection, flags | MAP_FIXED_NOREPLACE | MAP_NORESERVE, fd, (off_t)offset);
    if (place == MAP_FAILED)
        return failed_call("mmap");
    if (place != address) { /* a kernel before 4.17 takes the address for a hint */
        munmap(place, size);
        return -EEXIST;
    }
    return 0;
}

/* An address is a hint only: a sanitizer that does not allow it takes it away, and a fixed one would lie at 0 then. */
int os_memory_is_free(void *address, size_t size)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    void *place = mmap(address, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return errno == EAGAIN ? 0 : failed_call("mmap");
    munmap(place, size);
    return place == address ? 0 : -EEXIST;
}

void *os_memory_find_free(size_t size)
{
    void *place = mmap(NULL, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (place == MAP_FAILED)
        return NULL;
    munmap(place, size);
    return place;
}

int os_memory_map(void *address, size_t size, int fd, size_t offset)
{
    if (!os_is_kept(fd))
        return -EBADF;
    int result = map_at(address, size, PROT_READ | PROT_WRITE, MAP_SHARED, fd, offset);
    if (!result)
        madvise(address, size, MADV_DONTDUMP); /* only a courtesy: without it core dumps are larger */
    return result;
}

/* What may not be accessed gets no pages when it is locked. Where the limit is too small for all of it at once, piece
 * by piece: each is unlocked before the next one counts. */
int os_memory_map_unlocked(void *address, size_t size, int fd, size_t offset)
{
    unsigned char *at = address;
    size_t done = 0, piece = size;
    int result = os_is_kept(fd) ? 0 : -EBADF;
    while (!result && done < size) {
        size_t length = piece < size - done ? piece : size - done;
        result = map_at(at + done, length, PROT_NONE, MAP_SHARED, fd, offset + done);
        if (result == -EAGAIN && length / 2 >= size / PIECES && length >= 2 * PIN_SIZE) {
            piece = length / 2 & ~(PIN_SIZE - 1);
            result = 0;
            continue;
        }
        if (!result) {
            munlock(at + done, length);
            done += length;
        }
    }
    if (!result && mprotect(address, size, PROT_READ | PROT_WRITE))
        result = failed_call("mprotect");
    if (result && done)
        munmap(address, done);
    else if (!result)
        madvise(address, size, MADV_DONTDUMP);
    return result;
}

int os_memory_extend(void *address, size_t size, size_t new_size)
{
    int fault = os_fault(OS_MMAP);
    if (fault)
        return fault;
    return mremap(address, size, new_size, 0) == MAP_FAILED ? failed_call("mremap") : 0;
}

int os_memory_unmap(void *address, size_t size)
{
    int fault = os_fault(OS_MUNMAP);
    if (fault)
        return fault;
    return munmap(address, size) ? failed_call("munmap") : 0;
}

/* Kilobytes that this process has locked; -1 when the kernel does not tell. */
static long kilobytes_locked(void)
{
    char line[256];
    long number = -1;
    FILE *file = os_open_text("/proc/self/status");
    while (file && uncancelled_fgets(line, sizeof line, file) && sscanf(line, "VmLck: %ld", &number) != 1) {
    }
    if (file)
        uncancelled_fclose(file);
    return number;
}

/* A page more is locked at once then. */
bool os_memory_is_locked_when_mapped(void)
{
    long before = kilobytes_locked();
    void *page = before > 0 ? mmap(NULL, PIN_SIZE, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) : MAP_FAILED;
    if (page == MAP_FAILED)
        return false;
    long after = kilobytes_locked();
    munmap(page, PIN_SIZE);
    return after > before;
}

void os_memory_lock(void *address, size_t size)
{
    (void)mlock(address, size);
}

void os_memory_unlock(void *address, size_t size)
{
    (void)munlock(address, size);
}

static int allocate(int fd, int mode, size_t offset, size_t size)
{
    int result;
    if (!os_is_kept(fd))
        return -EBADF;
    do {
        result = os_fault(OS_FALLOCATE);
        if (!result && fallocate(fd, FALLOC_FL_KEEP_SIZE | mode, (off_t)offset, (off_t)size))
            result = failed_call("fallocate");
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
        result = madvise((void *)begin, (size + PIN_SIZE - 1) & ~(PIN_SIZE - 1), advice) ? failed_call("madvise") : 0;
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

/* A fault by a read brings the pages around it too. */
void os_memory_touch(const void *address, size_t size)
{
    const volatile unsigned char *bytes = address;
    if (size == 0 || advise((void *)(uintptr_t)address, size, MADV_POPULATE_READ) == 0)
        return;
    for (size_t at = 0; at < size; at += PIN_SIZE)
        (void)bytes[at];
    (void)bytes[size - 1];
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
    return fstat(fd, &status) ? failed_call("fstat") : (int64_t)status.st_blocks * 512;
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
    return errno == EACCES ? -EAGAIN : failed_call("fcntl");
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
        return failed_call("fcntl") - 1;
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
        return failed_call("mmap");
    fault = os_fault(OS_MADVISE);
    if (fault || madvise(page, PIN_SIZE, MADV_DONTFORK)) {
        int result = fault ? fault : failed_call("madvise");
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
