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

/* Whether nothing is mapped there: 0, -EEXIST, -errno. 0 too where the kernel does not let us find out, because all
 * that is mapped is locked. And a place where nothing is mapped; NULL when there is none. */
int os_memory_is_free(void *address, size_t size);
void *os_memory_find_free(size_t size);

/* Map a part of the file, shared, at this very address, where nothing may be mapped yet. Left out of core dumps. 0 or
 * -errno (-EEXIST when the place is taken, -EBADF when the descriptor is no longer the file's). */
int os_memory_map(void *address, size_t size, int fd, size_t offset);

/* The same, but not locked in a process that has all locked that it will map (MCL_FUTURE): it gets no pages by that,
 * and the limit on locked memory does not count. */
int os_memory_map_unlocked(void *address, size_t size, int fd, size_t offset);

/* Make a mapping longer where it is, without its descriptor. */
int os_memory_extend(void *address, size_t size, size_t new_size);

/* Whether this process has all locked that it will map. And to lock a range that has its pages, as far as one may, and
 * to unlock it. */
bool os_memory_is_locked_when_mapped(void);
void os_memory_lock(void *address, size_t size);
void os_memory_unlock(void *address, size_t size);

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

/* Have all pages of a range that is backed in this process's page table: what is written then costs no fault for each
 * page. The range may be in use by others, and is only read. Nothing is lost where the kernel (before 5.14) cannot do
 * it at once. */
void os_memory_touch(const void *address, size_t size);

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
