/* Traces of blocks: which process took each, and where, for MPROC_DEBUG=leaks.
 *
 * The process that makes the arena says for the whole family whether there are traces. Then each block is larger by a
 * trace, which stands at its end and is nobody's but this file's. A trace that is not whole, because its process died
 * while writing it, or because somebody wrote past the end of the block, is known by its mark and not believed. */
#ifndef MPROC_ARENA_TRACE_H
#define MPROC_ARENA_TRACE_H

#include "arena/layout.h"

#define TRACE_DEPTH 10

struct trace {
    uint64_t mark; /* of the block's address; written last */
    int32_t pid;
    uint32_t depth;
    uint64_t frames[TRACE_DEPTH]; /* a hash of the object file's name, and the offset in it */
};

/* Have the family traced if the environment says so; for the process that makes the arena. */
void trace_begin(void);

static inline size_t trace_size(void)
{
    return __builtin_expect(arena_header()->is_traced, 0) ? sizeof(struct trace) : 0;
}

/* Note the callers at the end of a block of size bytes. */
void trace_note(void *block, size_t size);

/* Say on stderr which blocks are in use; in the process that made the arena, at its end. Nothing in any other. */
void trace_report(void);

#endif
