/* The memory file: an anonymous file in memory, its pages, its mapping and the record locks on it. */
#ifndef MPROC_OS_MEMORY_H
#define MPROC_OS_MEMORY_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* An anonymous file of this size, close-on-exec, without pages, sealed against shrinking. The descriptor or -errno. */
int os_memory_create(const char *name, size_t size);

/* The size of the file, when it is a memory file of ours that is sealed; or -errno (-EINVAL when it is not). */
int64_t os_memory_size(int fd);

/* Whether it is a memory file that is sealed as ours are: one cheap system call. */
bool os_memory_is_sealed(int fd);

/* Map the whole file, shared, at this very address, where nothing may be mapped yet. Left out of core dumps. 0 or
 * -errno
 * (-EEXIST when the place is taken). */
int os_memory_map(void *address, size_t size, int fd);
int os_memory_unmap(void *address, size_t size);

/* All of the following are -EBADF when the descriptor is no longer the memory file's.
 *
 * Give a range its pages, so that no access can fail later; pages that are there stay as they are. 0 or -ENOMEM (also
 * for -ENOSPC, and when the machine or the cgroup visibly has not so much left). */
int os_memory_back(int fd, size_t offset, size_t size);

/* Take a range's pages away; it reads as zero afterwards. */
int os_memory_punch(int fd, size_t offset, size_t size);

/* Both of these for a range of a mapping, where the descriptor is lost. -EBADF when the kernel (before 5.14) cannot. */
int os_memory_populate(void *address, size_t size);
int os_memory_remove(void *address, size_t size);

/* Bytes of memory that the file takes. */
int64_t os_memory_resident(int fd);

/* Take the record lock on one byte for this process. 0; -EAGAIN when another process has it; -errno. */
int os_record_lock(int fd, int64_t byte);
int os_record_unlock(int fd, int64_t byte);

/* The process other than this one that has the lock on one of count bytes: its pid, -1 when it is not visible from here
 * (another pid namespace, or a lock of an open file), 0 when nobody has it; -errno - 1 on failure, so below -1. */
int os_record_holder(int fd, int64_t byte, int64_t count);

/* Open the same file anew, as an open file of its own. The descriptor, close-on-exec, or -errno. To close it takes away
 * all record locks that this process has on the file. */
int os_memory_reopen(int fd);

/* Take the lock on one byte for that open file. It lasts until the last descriptor and the last mapping of it are gone.
 * 0; -EAGAIN when it is another's; -errno. */
int os_description_lock(int fd, int64_t byte);

/* Keep an open file by a mapping of it that forked children do not get; and let it go. */
int os_memory_pin(int fd, void **pin);
void os_memory_unpin(void *pin);

#endif
