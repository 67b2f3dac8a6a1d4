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

/* Give a range its pages, so that no access can fail later; pages that are there stay as they are. 0 or -ENOMEM (also
 * for -ENOSPC, and when the machine or the cgroup visibly has not so much left). */
int os_memory_back(int fd, size_t offset, size_t size);

/* Take a range's pages away; it reads as zero afterwards. */
int os_memory_punch(int fd, size_t offset, size_t size);

/* Bytes of memory that the file takes. */
int64_t os_memory_resident(int fd);

/* Take the record lock on one byte for this process. 0; -EAGAIN when another process has it; -errno. */
int os_record_lock(int fd, int64_t byte);
int os_record_unlock(int fd, int64_t byte);

/* The process other than this one that has the lock on that byte: its pid, -1 when it is not visible from here (another
 * pid namespace), 0 when nobody has it; -errno - 1 on failure, so below -1. */
int os_record_holder(int fd, int64_t byte);

#endif
