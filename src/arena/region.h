/* The arena as a region of memory: one sparse memory file, mapped at one address in every process of the family.
 *
 * Layout, in order of address; each part is sparse and gets its pages before its first use:
 *
 *     header | member table | ledgers, one per member | chunk table | chunks (what the heap hands out)
 */
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
    size_t size;
    int fd;   /* private; never closed by us, and compared with what it was before each use */
    int bell; /* the family's eventfd, see sync/bell.h */
};
extern struct region region;

/* Create the arena if this process has none. 0 or -errno. For member_join(), which keeps other threads out. */
int region_open(void);

/* Map the arena whose descriptors a parent left open in this fresh process. 0, -EINVAL when it is not one of ours or of
 * another version, -errno. The descriptors are this process's from then on. */
int region_adopt(int fd, int bell);

/* Give a range of the arena its pages, or take them away; and how many bytes have pages. As the functions of
 * os/memory.h; they go on through the mapping where the program has closed the descriptor. */
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
