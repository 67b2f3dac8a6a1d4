/* mproc_array: elements that are used in place, and a lock beside them. There is nothing to mend after a death: a
 * writer that dies leaves what it had written. */
#include "container/making.h"
#include "os/allocate.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

/* The lock is an rlock, so that its holder can read and write too. */
struct mproc_array {
    struct stamp object;
    uint64_t count;        /* of elements; constant */
    uint64_t element_size; /* constant */
    mproc_rlock lock;
    unsigned char elements[] __attribute__((aligned(64)));
};

enum {
    ARRAY_COUNT,
    ARRAY_ELEMENT_SIZE,
    ARRAY_READ,
    ARRAY_WRITE,
    ARRAY_METHODS
};

/* ---- what is done ---- */

static int array_lock(mproc_array *array, int64_t deadline)
{
    return mproc_rlock_acquire(&array->lock, os_timeout_left(deadline));
}

static bool array_is_within(const mproc_array *array, uint64_t index, uint64_t count)
{
    return index <= array->count && count <= array->count - index;
}

/* Copy out, or in when out is NULL. MPROC_OWNER_DIED is returned when it is done. */
static int array_transfer(mproc_array *array, uint64_t index, uint64_t count, void *out, const void *in,
                          int64_t deadline)
{
    if (!array_is_within(array, index, count))
        return MPROC_NOT_FOUND;
    int result = array_lock(array, deadline);
    if (result != 0 && result != MPROC_OWNER_DIED)
        return result;
    unsigned char *at = array->elements + index * array->element_size;
    if (count && out)
        memcpy(out, at, count * array->element_size);
    else if (count)
        memcpy(at, in, count * array->element_size);
    mproc_rlock_release(&array->lock);
    return result;
}

/* ---- methods ---- */

static int array_count_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)deadline;
    if (result)
        *result = mproc_int((int64_t)((mproc_array *)object)->count);
    return 0;
}

static int array_element_size_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)deadline;
    if (result)
        *result = mproc_int((int64_t)((mproc_array *)object)->element_size);
    return 0;
}

static bool array_is_number(const mproc_value *value)
{
    return value->kind == MPROC_INT && value->integer >= 0;
}

/* Of an index and a count, as bytes. */
static int array_read_elements(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    mproc_array *array = object;
    if (!result || !array_is_number(&args[0]) || !array_is_number(&args[1]))
        return failure(-EINVAL, "index or count is no int, or negative");
    uint64_t count = (uint64_t)args[1].integer;
    if (!array_is_within(array, (uint64_t)args[0].integer, count))
        return MPROC_NOT_FOUND;
    void *bytes = os_malloc(count * array->element_size + 1);
    if (!bytes)
        return -ENOMEM;
    int status = array_transfer(array, (uint64_t)args[0].integer, count, bytes, NULL, deadline);
    if (status == 0 || status == MPROC_OWNER_DIED) {
        int copied = mproc_value_copy(result, mproc_bytes(bytes, count * array->element_size));
        status = copied ? copied : status;
    }
    free(bytes);
    return status;
}

/* From an index on, of bytes. */
static int array_write_elements(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    mproc_array *array = object;
    if (!array_is_number(&args[0]))
        return failure(-EINVAL, "index is no int, or negative");
    if (args[1].kind != MPROC_BYTES || args[1].size % array->element_size)
        return failure(-EINVAL, "elements are no bytes of whole elements");
    return array_transfer(array, (uint64_t)args[0].integer, args[1].size / array->element_size, NULL, args[1].bytes,
                          deadline);
}

static const struct container_method methods[] = {
    [ARRAY_COUNT] = {"count", array_count_of, 0, {NULL}, "count"},
    [ARRAY_ELEMENT_SIZE] = {"element_size", array_element_size_of, 0, {NULL}, "element_size"},
    [ARRAY_READ] = {"read", array_read_elements, 2, {"index", "count"}, "elements"},
    [ARRAY_WRITE] = {"write", array_write_elements, 2, {"index", "elements"}, NULL},
};

const struct container_type container_array = {
    .name = "array",
    .argument = "array",
    .type = MPROC_TYPE_ARRAY,
    .methods = methods,
    .method_count = ARRAY_METHODS,
};

/* ---- the public functions ---- */

int mproc_array_create(mproc_array **array, size_t count, size_t element_size)
{
    size_t size;
    if (!array)
        return refuse(__func__, "array is NULL");
    *array = NULL;
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (element_size == 0)
        return refuse(__func__, "element_size is 0");
    if (__builtin_mul_overflow(count, element_size, &size) || __builtin_add_overflow(size, sizeof **array, &size))
        return outcome(__func__, failure(-ENOMEM, "count * element_size overflows"));
    struct making *making;
    void *block;
    int result = making_begin(size, (void **)array, &making, &block);
    if (result)
        return outcome(__func__, result);
    mproc_array *made = block;
    made->count = count;
    made->element_size = element_size;
    mproc_rlock_init(&made->lock);
    making_finish(making, &container_array, (void **)array);
    return 0;
}

mproc_array *mproc_array_free(mproc_array *array)
{
    if (!container_is_near(&container_array, array)) {
        container_release_proxy(&container_array, array);
    } else {
        heap_free_marked(&array->object.stamp);
    }
    return NULL;
}

/* A number that never changes, wherever the array is; 0 when it cannot be had. */
static size_t array_number(const mproc_array *array, unsigned method)
{
    size_t found = 0;
    if (container_count_for(&container_array, (void *)(uintptr_t)array, method, NULL, 0, &found, MPROC_FOREVER))
        return 0;
    return found;
}

size_t mproc_array_count(const mproc_array *array)
{
    return array_number(array, ARRAY_COUNT);
}

size_t mproc_array_element_size(const mproc_array *array)
{
    return array_number(array, ARRAY_ELEMENT_SIZE);
}

void *mproc_array_data(mproc_array *array)
{
    return container_is_near(&container_array, array) ? array->elements : NULL;
}

/* Whether it can be locked: one in this family's memory. */
static int array_check_lockable(const mproc_array *array)
{
    if (container_is_near(&container_array, array))
        return 0;
    return mproc_object_type(array) == MPROC_TYPE_ARRAY
               ? failure(-EINVAL, "array is a proxy of one in a server, which cannot be locked")
               : container_no_such(&container_array, array);
}

int mproc_array_lock(mproc_array *array, mproc_time timeout)
{
    unsigned before = failure_mark();
    int result = array_check_lockable(array);
    return retold(__func__, before, result ? result : mproc_rlock_acquire(&array->lock, timeout));
}

int mproc_array_unlock(mproc_array *array)
{
    unsigned before = failure_mark();
    int result = array_check_lockable(array);
    return retold(__func__, before, result ? result : mproc_rlock_release(&array->lock));
}

/* Through a proxy. What the server sends is taken only if it is as much as was asked for. */
static int array_read_far(mproc_array *array, size_t index, size_t count, void *elements, mproc_time timeout)
{
    size_t size;
    mproc_value bytes;
    mproc_value args[] = {mproc_int((int64_t)index), mproc_int((int64_t)count)};
    if (__builtin_mul_overflow(count, mproc_array_element_size(array), &size))
        return MPROC_NOT_FOUND;
    int result = container_call_for(&container_array, array, ARRAY_READ, args, 2, &bytes, timeout);
    if (bytes.kind == MPROC_BYTES && bytes.size != size)
        result = MPROC_BROKEN;
    else if (elements && bytes.kind == MPROC_BYTES)
        memcpy(elements, bytes.bytes, size);
    mproc_value_free(&bytes);
    return result;
}

/* What is wrong with the arguments of a read or a write, or NULL. */
static const char *array_wrong_range(size_t index, size_t count, const void *elements, mproc_time timeout)
{
    if (!elements && count)
        return "elements is NULL, but count is not 0";
    if (!os_timeout_is_valid(timeout))
        return "timeout is negative";
    if (index > INT64_MAX)
        return "index is above INT64_MAX";
    return count > INT64_MAX ? "count is above INT64_MAX" : NULL;
}

int mproc_array_read(mproc_array *array, size_t index, size_t count, void *elements, mproc_time timeout)
{
    unsigned before = failure_mark();
    const char *wrong = array_wrong_range(index, count, elements, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    if (container_is_near(&container_array, array))
        return retold(__func__, before,
                      os_outcome(array_transfer(array, index, count, elements, NULL, os_deadline(timeout)), timeout));
    return retold(__func__, before, array_read_far(array, index, count, elements, timeout));
}

int mproc_array_write(mproc_array *array, size_t index, size_t count, const void *elements, mproc_time timeout)
{
    unsigned before = failure_mark();
    size_t size;
    const char *wrong = array_wrong_range(index, count, elements, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    if (container_is_near(&container_array, array))
        return retold(__func__, before,
                      os_outcome(array_transfer(array, index, count, NULL, elements, os_deadline(timeout)), timeout));
    if (__builtin_mul_overflow(count, mproc_array_element_size(array), &size))
        return MPROC_NOT_FOUND;
    mproc_value args[] = {mproc_int((int64_t)index), mproc_bytes(elements, size)};
    return retold(__func__, before, container_call_for(&container_array, array, ARRAY_WRITE, args, 2, NULL, timeout));
}
