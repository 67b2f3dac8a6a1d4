/* The arena as a region of memory: one sparse memory file, mapped at one address in every process of the family. Which
 * address that is, each family finds for itself when it begins.
 *
 * Layout, in order of address; each part is sparse and gets its pages before its first use:
 *
 *     header | member table | ledgers, one per member | chunk table | chunks (what the heap hands out)
 *
 * While there is one process it maps only as much of each part as it uses, so that a program which locks its memory
 * (mlockall()) locks no more. Before there is a second one, the rest is mapped: from then on memory that one process
 * takes into use must be there for all. How much that is stands in the header, and never changes again. */
#ifndef MPROC_ARENA_REGION_H
#define MPROC_ARENA_REGION_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define REGION_CHUNK         ((size_t)65536)
#define REGION_MEMBERS       4096
#define REGION_LEDGER_SIZE   ((size_t)16384)
#define REGION_LEDGER_OFFSET ((size_t)1 << 20)
#define REGION_CHUNK_OFFSET  (REGION_LEDGER_OFFSET + REGION_MEMBERS * REGION_LEDGER_SIZE)

/* This process's mapping. base is NULL while there is none. Written once, before this process becomes a member. */
struct region {
    unsigned char *base;
    size_t size; /* of the file, and of the addresses that are the arena's */
    int fd;      /* private; never closed by us, and compared with what it was before each use */
    int bell;    /* the family's eventfd, see sync/wake_fd.h */
};
extern struct region region;

/* Create the arena if this process has none. 0 or -errno; -EFBIG when RLIMIT_FSIZE lets no file be so large. For
 * member_join(), which keeps other threads out. */
int region_open(void);

/* Map the arena whose descriptors a parent left open in this fresh process. 0; -EINVAL when it is not one of ours or of
 * another version; -EEXIST when something else is mapped at its place; -errno. The descriptors are this process's from
 * then on. */
int region_adopt(int fd, int bell);

/* Map all that the family can use, or as much as this process may, if that has not been done: before there is another
 * process that has the arena. Around a fork, with the lock of the mapping held: the next three. */
void region_share(void);
void region_before_fork(void);
void region_after_fork_in_parent(void);
void region_after_fork_in_child(void);

/* Give a range of the arena its pages, and map it if need be; or take the pages away; and how many bytes have pages. As
 * the functions of os/memory.h; they go on through the mapping where the program has closed the descriptor. */
int region_back(size_t offset, size_t size);
int region_punch(size_t offset, size_t size);
int64_t region_resident(void);

/* Where a member's ledger begins. */
static inline void *region_ledger(unsigned slot)
{
    return region.base + REGION_LEDGER_OFFSET + slot * REGION_LEDGER_SIZE;
}

static inline bool region_contains(const void *address)
{
    return region.base && (uintptr_t)address - (uintptr_t)region.base < region.size;
}

#endif
