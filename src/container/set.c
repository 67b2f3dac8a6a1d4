/* mproc_set: a table of keys without values. */
#include "container/dict.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>

struct mproc_set {
    struct container container;
};

enum {
    SET_ADD,
    SET_CONTAINS,
    SET_REMOVE,
    SET_DISCARD,
    SET_POP,
    SET_UPDATE,
    SET_CLEAR,
    SET_LENGTH,
    SET_COPY,
    SET_METHODS
};

static int set_add(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_put(&container_set, object, &args[0], NULL, deadline);
}

static int set_contains(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_look_up(&container_set, object, &args[0], NULL, deadline);
}

static int set_remove_item(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_take_out(&container_set, object, &args[0], NULL, deadline);
}

static int set_discard(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    int status = set_remove_item(object, args, result, deadline);
    return status == MPROC_NOT_FOUND ? 0 : status;
}

/* The last one: that is the cheapest. */
static int set_pop(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    struct container *container = object;
    int status = container_lock(&container_set, container, deadline);
    if (status)
        return status;
    if (table_live(container) == 0) {
        status = MPROC_NOT_FOUND;
    } else if (result) {
        size_t size;
        const unsigned char *form = entry_form(table_last(container), &size);
        status = value_decode(result, form, size);
    }
    if (!status)
        table_remove(&container_set, container, table_of(container)->used - 1);
    container_unlock(container);
    return status;
}

static int set_update(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    if (args[0].kind != MPROC_LIST)
        return failure(-EINVAL, "items is no list");
    for (size_t i = 0; i < args[0].size; i++) {
        if (args[0].items[i].kind == MPROC_LIST || args[0].items[i].kind == MPROC_MAP)
            return failure(-EINVAL, "items[%zu] is a list or map, which cannot be in a set", i);
    }
    for (size_t i = 0; i < args[0].size; i++) {
        int status = set_add(object, &args[0].items[i], result, deadline);
        if (status)
            return status;
    }
    return 0;
}

static int set_clear(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)result;
    return dict_empty(&container_set, object, deadline);
}

static int set_length_of(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return dict_count(&container_set, object, result, deadline);
}

static int set_copy(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_set, object, TABLE_KEYS, result, deadline);
}

static const struct container_method methods[] = {
    [SET_ADD] = {"add", set_add, 1, {"item"}, NULL},
    [SET_CONTAINS] = {"contains", set_contains, 1, {"item"}, NULL},
    [SET_REMOVE] = {"remove", set_remove_item, 1, {"item"}, NULL},
    [SET_DISCARD] = {"discard", set_discard, 1, {"item"}, NULL},
    [SET_POP] = {"pop", set_pop, 0, {NULL}, "item"},
    [SET_UPDATE] = {"update", set_update, 1, {"items"}, NULL},
    [SET_CLEAR] = {"clear", set_clear, 0, {NULL}, NULL},
    [SET_LENGTH] = {"length", set_length_of, 0, {NULL}, "length"},
    [SET_COPY] = {"copy", set_copy, 0, {NULL}, "items"},
};

const struct container_type container_set = {
    .name = "set",
    .argument = "set",
    .type = MPROC_TYPE_SET,
    .methods = methods,
    .method_count = SET_METHODS,
    .holds = table_holds,
    .empty = table_empty,
    .renew = table_renew,
};

/* ---- the public functions ---- */

static int set_call(mproc_set *set, unsigned method, const mproc_value *args, mproc_value *result, mproc_time timeout)
{
    return container_call_for(&container_set, set, method, args, methods[method].count, result, timeout);
}

/* One that must have a result. */
static int set_ask(mproc_set *set, unsigned method, mproc_value *result, mproc_time timeout)
{
    return container_ask_for(&container_set, set, method, NULL, 0, result, timeout);
}

int mproc_set_create(mproc_set **set)
{
    return outcome(__func__, container_create(&container_set, (void **)set));
}

mproc_set *mproc_set_free(mproc_set *set)
{
    container_free(&container_set, set);
    return NULL;
}

int mproc_set_add(mproc_set *set, mproc_value item, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_ADD, &item, NULL, timeout));
}

int mproc_set_contains(mproc_set *set, mproc_value item, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_CONTAINS, &item, NULL, timeout));
}

int mproc_set_remove(mproc_set *set, mproc_value item, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_REMOVE, &item, NULL, timeout));
}

int mproc_set_discard(mproc_set *set, mproc_value item, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_DISCARD, &item, NULL, timeout));
}

int mproc_set_pop(mproc_set *set, mproc_value *item, mproc_time timeout)
{
    return outcome(__func__, set_ask(set, SET_POP, item, timeout));
}

int mproc_set_update(mproc_set *set, mproc_value items, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_UPDATE, &items, NULL, timeout));
}

int mproc_set_clear(mproc_set *set, mproc_time timeout)
{
    return outcome(__func__, set_call(set, SET_CLEAR, NULL, NULL, timeout));
}

int mproc_set_length(mproc_set *set, size_t *length, mproc_time timeout)
{
    return outcome(__func__, container_count_for(&container_set, set, SET_LENGTH, NULL, 0, length, timeout));
}

int mproc_set_copy(mproc_set *set, mproc_value *items, mproc_time timeout)
{
    return outcome(__func__, set_ask(set, SET_COPY, items, timeout));
}
