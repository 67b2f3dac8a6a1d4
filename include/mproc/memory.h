/* Shared memory. What mproc_alloc() returns is a plain pointer that is valid, with the same value, in every process of
 * the family: in those that exist, in those to come, and whatever their start method. It may be stored in shared
 * structs and sent through queues.
 *
 *     struct job *job = mproc_calloc(1, sizeof *job);
 *     mproc_lock_init(&job->lock);
 *     mproc_process_start(&p, run, job, NULL);
 *     ...
 *     mproc_free(job);
 *
 * A block belongs to the family, not to the process that took it: it lives until somebody frees it or the family's last
 * process is gone. The memory is anonymous: no file and no name is left behind, by whatever signal the family dies. It
 * is limited by the machine's memory (and its /dev/shm is not used). A process that dies inside these functions leaves
 * the heap whole.
 *
 * Other processes write this memory while the compiler looks at one program only. As with memory that threads share,
 * a plain read sees what a plain write of another process stored only when something of the following stands between
 * the two; without it the program has a data race, and the value may be old, torn or kept in a register for ever:
 *
 * - a lock, an rlock or an array's lock: held by the writer while it writes, and then by the reader while it reads;
 * - something sent and received: a message of a queue or connection, a unit of a semaphore, an event that is set and
 *   seen, a condition, a barrier; a task of a pool and its result;
 * - the start of a process (it sees what was written before) and its end: mproc_process_join() that returned 0, or
 *   waitpid() after the program's own fork();
 * - atomic objects of <stdatomic.h>, where one process looks at a word that another changes meanwhile:
 *
 *       struct progress { _Atomic(long) done; _Atomic(bool) stop; };
 *
 *       atomic_fetch_add(&progress->done, 1);           // in the workers
 *       while (!atomic_load(&progress->stop)) ...       // never: while (!plain_flag)
 *
 * volatile is no substitute: it neither orders other accesses nor makes an increment one step. */
#ifndef MPROC_MEMORY_H
#define MPROC_MEMORY_H

#include <mproc/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

/* Take size bytes, not initialized. Aligned to 16 bytes, and to 64 bytes (a cache line) when size is 64 or more. NULL
 * with errno: EINVAL for a size of 0; ENOMEM when the arena, the machine or a cgroup above the process has no room
 * left. Page cache and swap that the kernel could use count as room. */
MPROC_API void *mproc_alloc(size_t size);

/* Take count * size bytes, all zero. NULL with errno as mproc_alloc(); ENOMEM too when the product overflows. */
MPROC_API void *mproc_calloc(size_t count, size_t size);

/* Copies in shared memory: of size bytes, and of a string with its terminator. To be freed by mproc_free(). NULL with
 * errno as mproc_alloc(). */
MPROC_API void *mproc_memdup(const void *bytes, size_t size);
MPROC_API char *mproc_strdup(const char *string);

/* Change the size of a block; its contents up to the smaller size stay, its address may change. A NULL block is a new
 * one. NULL with errno when it cannot: ENOMEM, or EINVAL for a size of 0 or an address that is no block; the old block
 * is then as it was. Not safe while another process uses the block. */
MPROC_API void *mproc_realloc(void *block, size_t size);

/* Give a block back, from any process of the family. NULL is ignored. -EINVAL when the address is no block that is in
 * use: freed already, inside a block, or not from mproc_alloc(); nothing is changed then. Blocks of more than 8 MiB go
 * back to the kernel at once, smaller ones when more than 32 MiB are kept for the next. */
MPROC_API int mproc_free(void *block);

/* How many bytes the block really has, at least what was asked for; 0 when the address is no block in use. */
MPROC_API size_t mproc_usable_size(const void *block);

/* Whether the address is in the family's shared memory. */
MPROC_API bool mproc_is_shared(const void *address);

typedef struct mproc_memory_statistics {
    size_t address_space; /* that the arena has reserved, bytes */
    size_t allocated;     /* bytes in blocks that are in use, rounded up as the heap does, with the library's own */
    size_t resident;      /* bytes of memory that the kernel holds for the arena */
    uint64_t reserved[8]; /* 0 */
} mproc_memory_statistics;

/* What the family's shared memory holds now. -EINVAL when usage is NULL; -errno when the arena cannot be had. */
MPROC_API int mproc_memory_usage(mproc_memory_statistics *usage);

#ifdef __cplusplus
}
#endif

#endif
