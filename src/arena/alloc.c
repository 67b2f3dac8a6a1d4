/* The public face of the heap: include/mproc/memory.h. */
#include "arena/heap.h"
#include "arena/member.h"
#include "arena/quarantine.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/memory.h>
#include <string.h>

/* Where there is no room, what was freed and is in quarantine may be what is missing. */
static int take(int (*alloc)(size_t size, heap_place *place, void **block), size_t size, void **block)
{
    int result = alloc(size, NULL, block);
    if (result != -ENOMEM || !os_can_poison())
        return result;
    quarantine_empty();
    return alloc(size, NULL, block);
}

void *mproc_alloc(size_t size)
{
    void *block;
    int result = take(heap_alloc, size, &block);
    return result ? outcome_null(__func__, result) : block;
}

void *mproc_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total))
        return outcome_null(__func__, failure(-ENOMEM, "count * size overflows"));
    if (total == 0)
        return outcome_null(__func__, failure(-EINVAL, count ? "size is 0" : "count is 0"));
    void *block;
    int result = take(heap_alloc_zeroed, total, &block);
    return result ? outcome_null(__func__, result) : block;
}

void *mproc_memdup(const void *bytes, size_t size)
{
    void *block;
    if (!bytes)
        return outcome_null(__func__, failure(-EINVAL, "bytes is NULL"));
    int result = take(heap_alloc, size, &block);
    return result ? outcome_null(__func__, result) : memcpy(block, bytes, size);
}

char *mproc_strdup(const char *string)
{
    void *block;
    if (!string)
        return outcome_null(__func__, failure(-EINVAL, "string is NULL"));
    size_t size = strlen(string) + 1;
    int result = take(heap_alloc, size, &block);
    return result ? outcome_null(__func__, result) : memcpy(block, string, size);
}

void *mproc_realloc(void *block, size_t size)
{
    void *moved;
    size_t usable = block && !quarantine_holds(block) ? heap_usable_size(block) : 0;
    if (block && size == 0)
        return outcome_null(__func__, failure(-EINVAL, "size is 0"));
    if (block && usable == 0)
        return outcome_null(__func__, failure(-EINVAL, "block is no block that is in use"));
    if (block && size <= usable && (usable - size < usable / 2 || heap_shrink(block, size)))
        return block;
    int result = take(heap_alloc, size, &moved);
    if (result)
        return block && size <= usable ? block : outcome_null(__func__, result);
    if (!block)
        return moved;
    memcpy(moved, block, size < usable ? size : usable);
    quarantine_free(block);
    return moved;
}

int mproc_free(void *block)
{
    int result = block ? quarantine_free(block) : 0;
    if (result == HEAP_NO_BLOCK)
        failure(result, region_contains(block) ? "block was freed already, or is no begin of a block"
                                               : "block is not in shared memory: it is none of mproc_alloc()");
    return outcome(__func__, result);
}

size_t mproc_usable_size(const void *block)
{
    return quarantine_holds(block) ? 0 : heap_usable_size(block);
}

bool mproc_is_shared(const void *address)
{
    return region_contains(address);
}

int mproc_memory_usage(mproc_memory_statistics *usage)
{
    if (!usage)
        return refuse(__func__, "usage is NULL");
    int result = member_need();
    if (result)
        return outcome(__func__, result);
    if (os_can_poison()) { /* what has been freed is not in use, though the dead may have had it in quarantine */
        quarantine_empty();
        member_sweep_all();
    }
    int64_t resident = region_resident();
    if (resident < 0)
        return outcome(__func__, (int)resident);
    *usage = (mproc_memory_statistics){
        .address_space = region.size, .allocated = heap_allocated(), .resident = (size_t)resident};
    return 0;
}
