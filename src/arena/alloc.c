/* The public face of the heap: include/mproc/memory.h. */
#include "arena/heap.h"
#include "arena/member.h"
#include <errno.h>
#include <mproc/memory.h>
#include <string.h>

void *mproc_alloc(size_t size)
{
    void *block;
    int result = heap_alloc(size, NULL, &block);
    if (result)
        errno = -result;
    return block;
}

void *mproc_calloc(size_t count, size_t size)
{
    size_t total;
    if (__builtin_mul_overflow(count, size, &total)) {
        errno = ENOMEM;
        return NULL;
    }
    void *block;
    int result = heap_alloc_zeroed(total, NULL, &block);
    if (result)
        errno = -result;
    return block;
}

void *mproc_memdup(const void *bytes, size_t size)
{
    if (!bytes) {
        errno = EINVAL;
        return NULL;
    }
    void *block = mproc_alloc(size);
    return block ? memcpy(block, bytes, size) : NULL;
}

char *mproc_strdup(const char *string)
{
    return mproc_memdup(string, string ? strlen(string) + 1 : 0);
}

void *mproc_realloc(void *block, size_t size)
{
    if (!block)
        return mproc_alloc(size);
    size_t usable = heap_usable_size(block);
    if (size == 0 || usable == 0) {
        errno = EINVAL;
        return NULL;
    }
    if (size <= usable && (usable - size < usable / 2 || heap_shrink(block, size)))
        return block;
    void *moved = mproc_alloc(size);
    if (!moved)
        return size <= usable ? block : NULL;
    memcpy(moved, block, size < usable ? size : usable);
    heap_free(block);
    return moved;
}

int mproc_free(void *block)
{
    return block ? heap_free(block) : 0;
}

size_t mproc_usable_size(const void *block)
{
    return heap_usable_size(block);
}

bool mproc_is_shared(const void *address)
{
    return region_contains(address);
}

int mproc_memory_usage(mproc_memory_statistics *usage)
{
    if (!usage)
        return -EINVAL;
    int result = member_need();
    if (result)
        return result;
    int64_t resident = region_resident();
    if (resident < 0)
        return (int)resident;
    *usage = (mproc_memory_statistics){
        .address_space = region.size, .allocated = heap_allocated(), .resident = (size_t)resident};
    return 0;
}
