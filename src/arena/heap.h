/* The heap: blocks of the arena's memory, to be taken and given back by any member.
 *
 * Two layers. Chunks (64 KiB) are handed out in runs, from a table under one lock: spans for small blocks and runs for
 * large ones. Spans hold blocks of one size with a bitmap, under a lock per size class and shard. Above each struct in
 * heap.c, chunks.c and spans.c stand invariant, commit point and recovery. */
#ifndef MPROC_ARENA_HEAP_H
#define MPROC_ARENA_HEAP_H

#include "arena/region.h"
#include <errno.h>

/* What is to be freed is no block that is in use. Who asked for it says of what. */
enum {
    HEAP_NO_BLOCK = -EINVAL
};

/* A place in the arena that will hold a block's address. */
typedef _Atomic(uintptr_t) heap_place;

/* Take size bytes, aligned as mproc_alloc() says, and publish the address at *place, which is in the arena, holds
 * something other than that address, and is changed by nobody else meanwhile. From then on the block belongs to *place:
 * if this process dies, whoever mends the struct that *place is in frees it by heap_free_from(), for it may not have
 * all its pages yet. Before, it is free. place NULL: the block is published by returning. *block gets the address. 0,
 * -EINVAL for a size of 0, -ENOMEM, -errno; *place holds 0 or what it held before then. */
int heap_alloc(size_t size, heap_place *place, void **block);

/* As heap_alloc(), all zero. */
int heap_alloc_zeroed(size_t size, heap_place *place, void **block);

/* Free a block. 0, or -EINVAL when it is none that is in use. */
int heap_free(void *block);

/* Free the block whose address is at *place and set that to 0; safe to be done again after a death in between, as long
 * as nobody else changes *place. 0 when it held 0 already. */
int heap_free_from(heap_place *place);

/* Free a block whose first word tells others what it is. Commit: a store to that word, of what no object has as its
 * stamp. If this process dies before, the block is as it was, and may be freed so by another which knows that this one
 * is dead; after it the block goes, by the sweep if need be. 0 or -errno; -EINVAL when it is no block in use. */
int heap_free_marked(_Atomic(uint64_t) *block);

/* The size that a block really has; 0 when it is none that is in use. */
size_t heap_usable_size(const void *block);

/* Make a large block smaller where it lies. False when it cannot be done there; nothing has changed then. */
bool heap_shrink(void *block, size_t size);

/* Bytes in blocks that are in use, found by walking everything. */
size_t heap_allocated(void);

/* Walk everything and check each invariant. NULL, or a sentence about the first thing that is wrong. For tests. */
const char *heap_audit(void);

#endif
