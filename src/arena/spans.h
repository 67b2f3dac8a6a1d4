/* The upper layer of the heap: small blocks in spans of one chunk. For heap.c. */
#ifndef MPROC_ARENA_SPANS_H
#define MPROC_ARENA_SPANS_H

#include "arena/chunks.h"

/* The largest size that comes from a span; larger blocks are runs of chunks. */
#define SPAN_LARGEST ((size_t)8192)

/* Take a block of 1 to SPAN_LARGEST bytes, as heap_alloc() does. place may be NULL. */
int spans_take(size_t size, heap_place *place, void **block);

/* Free a block of the span that begins at this chunk; then *place, unless NULL, is 0. -EINVAL when it is no block in
 * use. */
int spans_give(unsigned index, void *block, heap_place *place);

/* The size of a block of that span; 0 when it is none in use. */
size_t spans_size(unsigned index, const void *block);

/* Bytes in blocks in use of that span. */
size_t spans_used(unsigned index);

/* Mend the classes that a dead member held, which else stay as they are until somebody next needs them. */
void spans_mend(member_owner dead);

/* NULL, or what is wrong with the spans. */
const char *spans_audit(void);

/* Call visit for each block in use of the span at that chunk. */
void spans_each_block(unsigned index, void (*visit)(void *arg, const void *block, size_t size), void *arg);

#endif
