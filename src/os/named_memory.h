/* Shared memory with a name, in the place where POSIX has it. */
#ifndef MPROC_OS_NAMED_MEMORY_H
#define MPROC_OS_NAMED_MEMORY_H

#include <stddef.h>
#include <stdint.h>

/* Make one that is not there yet, for this user alone, with all its pages: the descriptor, -EEXIST, -ENOMEM, -errno.
 * Nothing is left on failure. The name begins with a slash and has no other. */
int os_named_memory_create(const char *name, size_t size);

/* Open one that belongs to this user, and tell its size: the descriptor, -ENOENT, -EPERM (it is somebody else's),
 * -errno. */
int os_named_memory_open(const char *name, size_t *size);

int os_named_memory_unlink(const char *name);

/* Map all of it, wherever there is room. 0 or -errno. */
int os_named_memory_map(int fd, size_t size, void **data);
void os_named_memory_unmap(void *data, size_t size);

#endif
