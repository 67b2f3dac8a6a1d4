/* Results of any size and texts of errors: see yield.h. */
#include "pool/shared/yield.h"

#include "util/atomic.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

static uintptr_t yield_get(const heap_place *place)
{
    return load_acquire(place);
}

static void yield_set(heap_place *place, const void *block)
{
    store_release(place, (uintptr_t)block);
}

void yield_free(struct yield *yield)
{
    if (yield_get(&yield->former) == yield_get(&yield->result))
        yield_set(&yield->former, NULL);
    heap_free_from(&yield->former);
    heap_free_from(&yield->result);
    heap_free_from(&yield->text);
}

static void yield_set_size(struct yield *yield, size_t size)
{
    store_relaxed(&yield->size, size);
}

/* A block that is larger than need be is kept, unless much of it would be wasted. */
static bool suffices(void *block, size_t size)
{
    size_t usable = heap_usable_size(block);
    return size <= usable && (usable - size < usable / 2 || heap_shrink(block, size));
}

/* Put another block in the place of the old one. 0 or -errno; nothing has changed then. */
static int yield_exchange(struct yield *yield, const void *old, size_t kept, size_t size)
{
    void *block;
    yield_set(&yield->former, old);
    int result = heap_alloc(size, &yield->result, &block);
    if (result) {
        yield_set(&yield->result, old);
        yield_set(&yield->former, NULL);
        return result;
    }
    if (old)
        memcpy(block, old, kept);
    heap_free_from(&yield->former);
    return 0;
}

void *yield_resize(struct yield *yield, size_t size)
{
    size_t old_size;
    void *old = yield_result(yield, &old_size);
    if (!old || size == 0 || !suffices(old, size)) {
        int result = yield_exchange(yield, old, old_size < size ? old_size : size, size);
        if (result) {
            errno = -result;
            return NULL;
        }
    }
    yield_set_size(yield, size);
    return yield_result(yield, &old_size);
}

void yield_set_text(struct yield *yield, const char *format, va_list values)
{
    va_list again;
    void *block;
    heap_free_from(&yield->text);
    va_copy(again, values);
    int length = vsnprintf(NULL, 0, format, again);
    va_end(again);
    if (length >= 0 && heap_alloc((size_t)length + 1, &yield->text, &block) == 0)
        vsnprintf(block, (size_t)length + 1, format, values);
}

void yield_drop_text(struct yield *yield)
{
    if (yield_get(&yield->text))
        heap_free_from(&yield->text);
}

void *yield_result(const struct yield *yield, size_t *size)
{
    void *block = (void *)yield_get(&yield->result);
    *size = block ? load_relaxed(&yield->size) : 0;
    return block;
}

const char *yield_text(const struct yield *yield)
{
    return (const char *)yield_get(&yield->text);
}

void *yield_take_result(struct yield *yield, size_t *size)
{
    *size = load_relaxed(&yield->size);
    void *block = (void *)exchange_acq_rel(&yield->result, 0);
    *size = block ? *size : 0;
    return block;
}
