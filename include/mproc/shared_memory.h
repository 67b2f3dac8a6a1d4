/* Shared memory with a name, for processes that are no family, and programs of CPython: the same objects that its
 * multiprocessing.shared_memory sees. Within a family mproc_alloc() needs no name and leaves nothing behind.
 *
 *     mproc_shared_memory *memory;
 *     mproc_shared_memory_create(&memory, "frames", 1 << 20);
 *     memcpy(mproc_shared_memory_data(memory), frame, size);      // SharedMemory(name='frames') in Python
 *     ...
 *     memory = mproc_shared_memory_free(memory);                  // by its owner: the name goes too
 *
 * A name outlives the processes that use it. So it has one owner, the handle that created it or was made its owner:
 * when that is freed, or its process ends by exit() or by returning from main(), the name is removed. Others may go on
 * with the memory until they free their handles. A process that is killed leaves the names it owns behind; whoever
 * finds one removes it by mproc_shared_memory_unlink(). Attaching never makes anybody an owner.
 *
 * A name has up to 250 bytes and no slash but one at its beginning, which is the same name as without. Handles are of
 * one process; after a fork the child's copies own nothing. Any thread may use a handle, one may free it. */
#ifndef MPROC_SHARED_MEMORY_H
#define MPROC_SHARED_MEMORY_H

#include <mproc/base.h>
#include <stdbool.h>
#include <stddef.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_shared_memory mproc_shared_memory;

/* Make size bytes, all zero, under a name that is not in use, or a new one (NULL), and be its owner. For this user
 * alone. All pages are there when this returns, so that a full machine gives -ENOMEM here and no SIGBUS later. -EEXIST:
 * the name is in use; -EINVAL: not a name, or a size of 0; -EMFILE, -ENOENT where the system has no such memory,
 * -errno. */
MPROC_API int mproc_shared_memory_create(mproc_shared_memory **memory, const char *name, size_t size);

/* Use what is there under a name, with the size that it has. Somebody else's maker may not have taken all its pages.
 * -ENOENT: nothing is; -EPERM: it belongs to another user; -EINVAL: not a name, or it has no bytes yet; -ENOMEM,
 * -errno. */
MPROC_API int mproc_shared_memory_attach(mproc_shared_memory **memory, const char *name);

/* The bytes: at an address of this process's own, aligned to a page. */
MPROC_API void *mproc_shared_memory_data(const mproc_shared_memory *memory);

/* How many, to the byte; and the name, without a slash. NULL and 0 for NULL. */
MPROC_API size_t mproc_shared_memory_size(const mproc_shared_memory *memory);
MPROC_API const char *mproc_shared_memory_name(const mproc_shared_memory *memory);

/* Own the name, or leave it to somebody else. -EINVAL for NULL. */
MPROC_API int mproc_shared_memory_own(mproc_shared_memory *memory, bool owns);

/* Remove a name; who uses the memory goes on. -ENOENT: it is not in use; -EINVAL: not a name; -errno. */
MPROC_API int mproc_shared_memory_unlink(const char *name);

/* Give the handle up, and the name where it is the owner's. Returns NULL; NULL is ignored. */
MPROC_API mproc_shared_memory *mproc_shared_memory_free(mproc_shared_memory *memory);

#ifdef __cplusplus
}
#endif

#endif
