/* The tags of handles: memory of this process by which a program knows its pools, futures and imaps begins with a word
 * that says what it is, and whether it was freed. So a function that is given a handle that was freed says so, as long
 * as the memory is kept: that of the last ones that were freed is; and that of a pool is as long as it has futures or
 * imaps. */
#ifndef MPROC_POOL_HOST_TAG_H
#define MPROC_POOL_HOST_TAG_H

#include "util/atomic.h"
#include <errno.h>
#include <stdint.h>

enum tag_kind {
    TAG_POOL = 0x706f6f6c,
    TAG_FUTURE = 0x66757475,
    TAG_IMAP = 0x696d6170,
    TAG_FREED = 0x66726565
};

/* The first member of each. */
struct tag {
    _Atomic(uint32_t) kind; /* enum tag_kind */
};

/* Note for mproc_last_error() why it is not of the wanted kind. kind: what it is, or 0. */
void tag_note(uint32_t kind, enum tag_kind wanted) __attribute__((cold));

/* Whether the handle is of that kind, and not freed: 0, -EINVAL, -ESTALE. */
static inline int tag_check(const struct tag *tag, enum tag_kind wanted)
{
    uint32_t kind = tag ? load_relaxed(&tag->kind) : 0;
    if (__builtin_expect(kind == (uint32_t)wanted, 1))
        return 0;
    tag_note(kind, wanted);
    return kind == TAG_FREED ? -ESTALE : -EINVAL;
}

/* The handle is freed from now on; its memory is still there. */
static inline void tag_end(struct tag *tag)
{
    store_relaxed(&tag->kind, TAG_FREED);
}

/* Free the memory of such a handle, after that of some others; it was taken by os_malloc() and begins with the tag. */
void tag_free(struct tag *tag);

#endif
