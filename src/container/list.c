/* mproc_list: its methods, and the public functions that call them. The sequence makes them safe against
 * deaths. */
#include "container/collect.h"
#include "container/sequence.h"
#include "container/sort.h"
#include "os/allocate.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>

struct mproc_list {
    struct container container;
};

enum {
    LIST_GET,
    LIST_SET,
    LIST_DELETE,
    LIST_POP,
    LIST_APPEND,
    LIST_EXTEND,
    LIST_INSERT,
    LIST_REMOVE,
    LIST_INDEX,
    LIST_COUNT,
    LIST_REVERSE,
    LIST_SORT,
    LIST_CLEAR,
    LIST_LENGTH,
    LIST_GET_SLICE,
    LIST_SET_SLICE,
    LIST_DELETE_SLICE,
    LIST_COPY,
    LIST_METHODS
};

/* ---- where ---- */

static int list_lock(struct container *container, int64_t deadline)
{
    return container_lock(&container_list, container, deadline);
}

static int list_unlock(struct container *container, int result)
{
    container_unlock(container);
    return result;
}

/* Take the lock, and find the item that an index means. */
static int list_lock_at(struct container *container, const mproc_value *index, uint64_t *at, int64_t deadline)
{
    if (index->kind != MPROC_INT)
        return failure(-EINVAL, "index is no int");
    int result = list_lock(container, deadline);
    if (result)
        return result;
    int64_t count = (int64_t)sequence_count(container);
    int64_t number = index->integer < 0 ? index->integer + count : index->integer;
    *at = (uint64_t)number;
    return number >= 0 && number < count ? 0 : list_unlock(container, MPROC_NOT_FOUND);
}

static int64_t list_bound(const mproc_value *given, int64_t left_out, int64_t count, int64_t lower, int64_t upper)
{
    int64_t number = given->integer;
    if (number == MPROC_SLICE_OPEN)
        return left_out;
    number = number < 0 ? number + count : number;
    return number < lower ? lower : number > upper ? upper : number;
}

/* Take the lock, and find what items [start, stop, step] mean. */
static int list_lock_slice(struct container *container, const mproc_value *args, struct slice *slice, int64_t deadline)
{
    if (args[0].kind != MPROC_INT || args[1].kind != MPROC_INT || args[2].kind != MPROC_INT)
        return failure(-EINVAL, "start, stop or step is no int");
    if (args[2].integer == 0)
        return failure(-EINVAL, "step is 0");
    int result = list_lock(container, deadline);
    if (result)
        return result;
    int64_t count = (int64_t)sequence_count(container);
    int64_t step = args[2].integer < -INT64_MAX ? -INT64_MAX : args[2].integer;
    int64_t lower = step < 0 ? -1 : 0;
    int64_t upper = step < 0 ? count - 1 : count;
    int64_t start = list_bound(&args[0], step < 0 ? upper : lower, count, lower, upper);
    int64_t stop = list_bound(&args[1], step < 0 ? lower : upper, count, lower, upper);
    int64_t span = step < 0 ? start - stop : stop - start;
    *slice = (struct slice){(uint64_t)start, step, 0};
    if (span > 0)
        slice->count = (uint64_t)((span - 1) / (step < 0 ? -step : step) + 1);
    return 0;
}

/* The first item from *index on that equals a value. MPROC_NOT_FOUND; -ENOMEM. */
static int list_find(const struct container *container, const mproc_value *value, uint64_t *index)
{
    for (uint64_t count = sequence_count(container); *index < count; ++*index) {
        mproc_value item;
        int result = sequence_decode(container, *index, &item);
        if (result)
            return result;
        bool equal = mproc_value_equal(item, *value);
        mproc_value_free(&item);
        if (equal)
            return 0;
    }
    return MPROC_NOT_FOUND;
}

/* ---- methods: of one item ---- */

static int list_get(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    uint64_t at;
    int status = list_lock_at(object, &args[0], &at, deadline);
    return status ? status : list_unlock(object, sequence_decode(object, at, result));
}

static int list_set(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    uint64_t at;
    int status = list_lock_at(object, &args[0], &at, deadline);
    return status ? status : list_unlock(object, sequence_replace(object, at, &args[1]));
}

static int list_pop(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    uint64_t at;
    int status = list_lock_at(object, &args[0], &at, deadline);
    if (status)
        return status;
    status = sequence_decode(object, at, result);
    if (!status)
        status = sequence_remove(object, at);
    if (status && result)
        mproc_value_free(result);
    return list_unlock(object, status);
}

static int list_delete(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return list_pop(object, args, NULL, deadline);
}

static int list_append(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    int status = list_lock(object, deadline);
    return status ? status : list_unlock(object, sequence_extend(object, args, 1));
}

static int list_insert(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    if (args[0].kind != MPROC_INT)
        return failure(-EINVAL, "index is no int");
    int status = list_lock(object, deadline);
    if (status)
        return status;
    int64_t count = (int64_t)sequence_count(object);
    int64_t at = args[0].integer < 0 ? args[0].integer + count : args[0].integer;
    if (count == 0 || at >= count)
        status = sequence_extend(object, &args[1], 1);
    else if (at <= 0)
        status = sequence_prepend(object, &args[1]);
    else
        status = sequence_splice(object, &(struct slice){(uint64_t)at, 1, 0}, &args[1], 1);
    return list_unlock(object, status);
}

static int list_remove_equal(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    uint64_t at = 0;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    status = list_find(object, &args[0], &at);
    if (!status)
        status = sequence_remove(object, at);
    return list_unlock(object, status);
}

/* ---- methods: of all items ---- */

static int list_index_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    uint64_t at = 0;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    status = list_find(object, &args[0], &at);
    if (!status && result)
        *result = mproc_int((int64_t)at);
    return list_unlock(object, status);
}

static int list_count_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    uint64_t at = 0;
    int64_t count = 0;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    while ((status = list_find(object, &args[0], &at)) == 0) {
        at++;
        count++;
    }
    if (status == MPROC_NOT_FOUND && result)
        *result = mproc_int(count);
    return list_unlock(object, status == MPROC_NOT_FOUND ? 0 : status);
}

static int list_extend(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    if (args[0].kind != MPROC_LIST)
        return failure(-EINVAL, "items is no list");
    int status = list_lock(object, deadline);
    return status ? status : list_unlock(object, sequence_extend(object, args[0].items, args[0].size));
}

static int list_reverse(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)result;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    uint64_t count = sequence_count(object);
    uint64_t *order = os_malloc((count + 1) * sizeof *order);
    if (!order)
        return list_unlock(object, -ENOMEM);
    for (uint64_t i = 0; i < count; i++)
        order[i] = count - 1 - i;
    status = sequence_reorder(object, order);
    free(order);
    return list_unlock(object, status);
}

/* Decode all items and find their order. */
static int list_sort_items(struct container *container, mproc_value *values, uint64_t *order, uint64_t count,
                           bool descending)
{
    uint64_t decoded = 0;
    int status = 0;
    while (!status && decoded < count) {
        status = sequence_decode(container, decoded, &values[decoded]);
        decoded += status == 0;
    }
    if (!status)
        status = sort_order(values, order, count, descending);
    if (status == -EINVAL)
        failure(status, "two items of list have no order");
    while (decoded > 0)
        mproc_value_free(&values[--decoded]);
    return status ? status : sequence_reorder(container, order);
}

static int list_sort(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    if (args[0].kind != MPROC_BOOL)
        return failure(-EINVAL, "descending is no bool");
    int status = list_lock(object, deadline);
    if (status)
        return status;
    uint64_t count = sequence_count(object);
    mproc_value *values = os_malloc((count + 1) * sizeof *values);
    uint64_t *order = os_malloc((count + 1) * sizeof *order);
    status = values && order ? list_sort_items(object, values, order, count, args[0].boolean) : -ENOMEM;
    free(values);
    free(order);
    return list_unlock(object, status);
}

static int list_clear(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)result;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    container_swap_table(&container_list, object, 0, true);
    return list_unlock(object, 0);
}

static int list_length_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    int status = list_lock(object, deadline);
    if (status)
        return status;
    if (result)
        *result = mproc_int((int64_t)sequence_count(object));
    return list_unlock(object, 0);
}

/* ---- methods: of slices ---- */

static int list_collect(const struct container *container, const struct slice *slice, struct collection *collection)
{
    size_t size = 0;
    for (uint64_t i = 0; i < slice->count; i++)
        size += sequence_item(container, slice->begin + (uint64_t)slice->step * i)->size;
    int status = collect_take(collection, size);
    if (status)
        return status;
    collect_begin_list(collection, slice->count);
    for (uint64_t i = 0; i < slice->count; i++) {
        const struct element *element = sequence_item(container, slice->begin + (uint64_t)slice->step * i);
        collect_add(collection, element->bytes, element->size);
    }
    return 0;
}

static int list_get_slice(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    struct slice slice;
    struct collection collection;
    if (!result)
        return failure(-EINVAL, "items is NULL");
    int status = list_lock_slice(object, args, &slice, deadline);
    if (status)
        return status;
    status = list_unlock(object, list_collect(object, &slice, &collection));
    return status ? status : collect_finish(&collection, result);
}

static int list_copy(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    mproc_value all[] = {mproc_int(MPROC_SLICE_OPEN), mproc_int(MPROC_SLICE_OPEN), mproc_int(1)};
    return list_get_slice(object, all, result, deadline);
}

static int list_set_slice(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    struct slice slice;
    if (args[3].kind != MPROC_LIST)
        return failure(-EINVAL, "items is no list");
    int status = list_lock_slice(object, args, &slice, deadline);
    if (status)
        return status;
    if (slice.step != 1 && slice.count != args[3].size)
        status = failure(-EINVAL, "items are not as many as the slice has places, which a step other than 1 asks for");
    else
        status = sequence_splice(object, &slice, args[3].items, args[3].size);
    return list_unlock(object, status);
}

static int list_delete_slice(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    struct slice slice;
    int status = list_lock_slice(object, args, &slice, deadline);
    return status ? status : list_unlock(object, sequence_cut(object, &slice));
}

static const struct container_method methods[] = {
    [LIST_GET] = {"get", list_get, 1, {"index"}, "value"},
    [LIST_SET] = {"set", list_set, 2, {"index", "value"}, NULL},
    [LIST_DELETE] = {"delete", list_delete, 1, {"index"}, NULL},
    [LIST_POP] = {"pop", list_pop, 1, {"index"}, "value"},
    [LIST_APPEND] = {"append", list_append, 1, {"value"}, NULL},
    [LIST_EXTEND] = {"extend", list_extend, 1, {"items"}, NULL},
    [LIST_INSERT] = {"insert", list_insert, 2, {"index", "value"}, NULL},
    [LIST_REMOVE] = {"remove", list_remove_equal, 1, {"value"}, NULL},
    [LIST_INDEX] = {"index", list_index_of, 1, {"value"}, "index"},
    [LIST_COUNT] = {"count", list_count_of, 1, {"value"}, "count"},
    [LIST_REVERSE] = {"reverse", list_reverse, 0, {NULL}, NULL},
    [LIST_SORT] = {"sort", list_sort, 1, {"descending"}, NULL},
    [LIST_CLEAR] = {"clear", list_clear, 0, {NULL}, NULL},
    [LIST_LENGTH] = {"length", list_length_of, 0, {NULL}, "length"},
    [LIST_GET_SLICE] = {"get_slice", list_get_slice, 3, {"start", "stop", "step"}, "items"},
    [LIST_SET_SLICE] = {"set_slice", list_set_slice, 4, {"start", "stop", "step", "items"}, NULL},
    [LIST_DELETE_SLICE] = {"delete_slice", list_delete_slice, 3, {"start", "stop", "step"}, NULL},
    [LIST_COPY] = {"copy", list_copy, 0, {NULL}, "items"},
};

const struct container_type container_list = {
    .name = "list",
    .argument = "list",
    .type = MPROC_TYPE_LIST,
    .methods = methods,
    .method_count = LIST_METHODS,
    .holds = sequence_holds,
    .empty = sequence_empty,
};

/* ---- the public functions ---- */

static int list_call(mproc_list *list, unsigned method, const mproc_value *args, mproc_value *result,
                     mproc_time timeout)
{
    return container_call_for(&container_list, list, method, args, methods[method].count, result, timeout);
}

/* One that must have a result. */
static int list_ask(mproc_list *list, unsigned method, const mproc_value *args, mproc_value *result, mproc_time timeout)
{
    return container_ask_for(&container_list, list, method, args, methods[method].count, result, timeout);
}

int mproc_list_create(mproc_list **list)
{
    return outcome(__func__, container_create(&container_list, (void **)list));
}

mproc_list *mproc_list_free(mproc_list *list)
{
    container_free(&container_list, list);
    return NULL;
}

int mproc_list_get(mproc_list *list, int64_t index, mproc_value *value, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(index)};
    return outcome(__func__, list_ask(list, LIST_GET, args, value, timeout));
}

int mproc_list_set(mproc_list *list, int64_t index, mproc_value value, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(index), value};
    return outcome(__func__, list_call(list, LIST_SET, args, NULL, timeout));
}

int mproc_list_delete(mproc_list *list, int64_t index, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(index)};
    return outcome(__func__, list_call(list, LIST_DELETE, args, NULL, timeout));
}

int mproc_list_pop(mproc_list *list, int64_t index, mproc_value *value, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(index)};
    return outcome(__func__, list_ask(list, LIST_POP, args, value, timeout));
}

int mproc_list_append(mproc_list *list, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, list_call(list, LIST_APPEND, &value, NULL, timeout));
}

int mproc_list_extend(mproc_list *list, mproc_value items, mproc_time timeout)
{
    return outcome(__func__, list_call(list, LIST_EXTEND, &items, NULL, timeout));
}

int mproc_list_insert(mproc_list *list, int64_t index, mproc_value value, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(index), value};
    return outcome(__func__, list_call(list, LIST_INSERT, args, NULL, timeout));
}

int mproc_list_remove(mproc_list *list, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, list_call(list, LIST_REMOVE, &value, NULL, timeout));
}

int mproc_list_index(mproc_list *list, mproc_value value, size_t *index, mproc_time timeout)
{
    return outcome(__func__, container_count_for(&container_list, list, LIST_INDEX, &value, 1, index, timeout));
}

int mproc_list_count(mproc_list *list, mproc_value value, size_t *count, mproc_time timeout)
{
    return outcome(__func__, container_count_for(&container_list, list, LIST_COUNT, &value, 1, count, timeout));
}

int mproc_list_reverse(mproc_list *list, mproc_time timeout)
{
    return outcome(__func__, list_call(list, LIST_REVERSE, NULL, NULL, timeout));
}

int mproc_list_sort(mproc_list *list, bool descending, mproc_time timeout)
{
    mproc_value args[] = {mproc_bool(descending)};
    return outcome(__func__, list_call(list, LIST_SORT, args, NULL, timeout));
}

int mproc_list_clear(mproc_list *list, mproc_time timeout)
{
    return outcome(__func__, list_call(list, LIST_CLEAR, NULL, NULL, timeout));
}

int mproc_list_length(mproc_list *list, size_t *length, mproc_time timeout)
{
    return outcome(__func__, container_count_for(&container_list, list, LIST_LENGTH, NULL, 0, length, timeout));
}

int mproc_list_get_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_value *items,
                         mproc_time timeout)
{
    mproc_value args[] = {mproc_int(start), mproc_int(stop), mproc_int(step)};
    return outcome(__func__, list_ask(list, LIST_GET_SLICE, args, items, timeout));
}

int mproc_list_set_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_value items,
                         mproc_time timeout)
{
    mproc_value args[] = {mproc_int(start), mproc_int(stop), mproc_int(step), items};
    return outcome(__func__, list_call(list, LIST_SET_SLICE, args, NULL, timeout));
}

int mproc_list_delete_slice(mproc_list *list, int64_t start, int64_t stop, int64_t step, mproc_time timeout)
{
    mproc_value args[] = {mproc_int(start), mproc_int(stop), mproc_int(step)};
    return outcome(__func__, list_call(list, LIST_DELETE_SLICE, args, NULL, timeout));
}

int mproc_list_copy(mproc_list *list, mproc_value *items, mproc_time timeout)
{
    return outcome(__func__, list_ask(list, LIST_COPY, NULL, items, timeout));
}
