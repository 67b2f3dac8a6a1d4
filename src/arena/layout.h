/* Where the parts of the arena begin, and its header. For the files of src/arena alone. */
#ifndef MPROC_ARENA_LAYOUT_H
#define MPROC_ARENA_LAYOUT_H

#include "arena/chunks.h"
#include "arena/member.h"
#include "arena/region.h"

#define LAYOUT_MAGIC         UINT64_C(0x3130636f72706d7f)
#define LAYOUT_VERSION       ((uint32_t)2)
#define LAYOUT_MEMBER_OFFSET ((size_t)4096)
#define LAYOUT_MEMBER_STRIDE ((size_t)128)
#define LAYOUT_HEAP_OFFSET   ((size_t)640 << 10)
#define LAYOUT_PARTS         4
#define LAYOUT_HEAP_SIZE     (REGION_LEDGER_OFFSET - LAYOUT_HEAP_OFFSET)

/* The first page. Written by the creator before anybody else can know the arena, except the atomic fields. */
struct arena_header {
    uint64_t magic;
    uint32_t version;
    uint32_t pointer_size;
    uint64_t base;
    uint64_t size;
    uint32_t chunk_limit;        /* so many chunks have a place in the file */
    uint32_t chunk_end;          /* so many may be used, and so many members; before is_shared, it may become less */
    uint32_t member_end;         /* */
    _Atomic(uint32_t) is_shared; /* what ends says is mapped in every process; see region.c */
    uint64_t ends[LAYOUT_PARTS];
    int32_t creator;    /* the process that made the arena; written by it, and so is the next, before it joins */
    uint32_t is_traced; /* every block ends with a trace, see trace.h */
    _Alignas(64) _Atomic(uint32_t) member_limit; /* slots below it have been used once; only grows, by CAS */
    _Atomic(uint32_t) reserve_begin;             /* the slot where a test has the reserve begin; 0: where it does */
    _Alignas(64) _Atomic(int64_t) last_tick;     /* when somebody last looked for the dead; CAS elects the next */
    _Atomic(int64_t) last_count;                 /* when stretch was last set; CAS elects the next */
    _Atomic(uint32_t) ticks;                     /* the length of all naps that nobody has ended since */
    _Atomic(uint32_t) stretch;                   /* so many ticks more than one should a sleeper sleep */
};

/* Where the chunks begin, behind a table for chunk_limit of them. */
static inline size_t layout_first_chunk(size_t chunk_limit)
{
    size_t table = chunk_limit * sizeof(struct chunk);
    return (REGION_CHUNK_OFFSET + table + REGION_CHUNK - 1) & ~(REGION_CHUNK - 1);
}

static inline struct arena_header *arena_header(void)
{
    return (struct arena_header *)(void *)region.base;
}

#endif
