/* mproc_dict: its methods, and the public functions that call them. What makes them safe against deaths is the table.
 */
#include "container/dict.h"

#include "util/failure.h"
#include "value/value.h"
#include <errno.h>

enum {
    DICT_SET,
    DICT_GET,
    DICT_DELETE,
    DICT_POP,
    DICT_POPITEM,
    DICT_SETDEFAULT,
    DICT_REPLACE,
    DICT_ADD,
    DICT_UPDATE,
    DICT_CLEAR,
    DICT_LENGTH,
    DICT_KEYS,
    DICT_VALUES,
    DICT_ITEMS,
    DICT_COPY,
    DICT_METHODS
};

/* ---- what is done, under the lock and around it ---- */

/* A key that is looked for, and the lock: what every method with a key begins and ends with. */
struct search {
    const struct container_type *type;
    struct container *container;
    struct table_key key;
    struct entry *entry; /* NULL: it is not there */
    uint64_t position;
};

static int dict_search_begin(struct search *search, const struct container_type *type, void *object,
                             const mproc_value *key, int64_t deadline)
{
    search->type = type;
    search->container = object;
    search->position = 0;
    int result = table_key_make(&search->key, key);
    if (result)
        return result;
    result = container_lock(type, object, deadline);
    if (result)
        table_key_free(&search->key);
    else
        search->entry = table_find(object, &search->key, &search->position);
    return result;
}

static int dict_search_end(struct search *search, int result)
{
    container_unlock(search->container);
    table_key_free(&search->key);
    return result;
}

static int dict_store(struct search *search, const mproc_value *key, const mproc_value *value)
{
    return table_put(search->type, search->container, &search->key, key, value, search->entry, search->position);
}

static int dict_decode(const struct entry *entry, mproc_value *value)
{
    return value ? value_decode(value, entry_value(entry), entry->value_size) : 0;
}

int dict_put(const struct container_type *type, struct container *container, const mproc_value *key,
             const mproc_value *value, int64_t deadline)
{
    struct search search;
    int result = dict_search_begin(&search, type, container, key, deadline);
    return result ? result : dict_search_end(&search, dict_store(&search, key, value));
}

int dict_look_up(const struct container_type *type, struct container *container, const mproc_value *key,
                 mproc_value *value, int64_t deadline)
{
    struct search search;
    int result = dict_search_begin(&search, type, container, key, deadline);
    if (result)
        return result;
    return dict_search_end(&search, search.entry ? dict_decode(search.entry, value) : MPROC_NOT_FOUND);
}

int dict_take_out(const struct container_type *type, struct container *container, const mproc_value *key,
                  mproc_value *value, int64_t deadline)
{
    struct search search;
    int result = dict_search_begin(&search, type, container, key, deadline);
    if (result)
        return result;
    result = search.entry ? dict_decode(search.entry, value) : MPROC_NOT_FOUND;
    if (!result)
        table_remove(type, container, search.position);
    return dict_search_end(&search, result);
}

int dict_empty(const struct container_type *type, struct container *container, int64_t deadline)
{
    int result = container_lock(type, container, deadline);
    if (result)
        return result;
    container_swap_table(type, container, 0, true);
    container_unlock(container);
    return 0;
}

int dict_count(const struct container_type *type, struct container *container, mproc_value *length, int64_t deadline)
{
    int result = container_lock(type, container, deadline);
    if (result)
        return result;
    if (length)
        *length = mproc_int((int64_t)table_live(container));
    container_unlock(container);
    return 0;
}

/* ---- methods ---- */

static int dict_set(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_put(&container_dict, object, &args[0], &args[1], deadline);
}

static int dict_get(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    return dict_look_up(&container_dict, object, &args[0], result, deadline);
}

static int dict_delete(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_take_out(&container_dict, object, &args[0], NULL, deadline);
}

static int dict_pop(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    return dict_take_out(&container_dict, object, &args[0], result, deadline);
}

/* As a list of key and value. */
static int dict_popitem(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    struct container *container = object;
    int status = container_lock(&container_dict, container, deadline);
    if (status)
        return status;
    if (table_live(container) == 0)
        status = MPROC_NOT_FOUND;
    else if (result)
        status = table_decode_pair(table_last(container), result);
    if (!status)
        table_remove(&container_dict, container, table_of(container)->used - 1);
    container_unlock(container);
    return status;
}

static int dict_setdefault(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    struct search search;
    int status = dict_search_begin(&search, &container_dict, object, &args[0], deadline);
    if (status)
        return status;
    if (search.entry)
        return dict_search_end(&search, dict_decode(search.entry, result));
    mproc_value copy = mproc_nil();
    if (result)
        status = mproc_value_copy(&copy, args[1]);
    if (!status)
        status = dict_store(&search, &args[0], &args[1]);
    if (status)
        mproc_value_free(&copy);
    else if (result)
        *result = copy;
    return dict_search_end(&search, status);
}

/* Whether what is there is as expected; or why that cannot be found out. */
static int dict_compare(const struct search *search, mproc_value expected)
{
    mproc_value found;
    if (!search->entry)
        return expected.kind == MPROC_NIL ? 0 : MPROC_NOT_FOUND;
    int result = dict_decode(search->entry, &found);
    if (result)
        return result;
    bool equal = mproc_value_equal(found, expected);
    mproc_value_free(&found);
    return equal ? 0 : MPROC_NOT_FOUND;
}

static int dict_replace(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    struct search search;
    int status = dict_search_begin(&search, &container_dict, object, &args[0], deadline);
    if (status)
        return status;
    status = dict_compare(&search, args[1]);
    if (!status)
        status = dict_store(&search, &args[0], &args[2]);
    return dict_search_end(&search, status);
}

static bool dict_is_number(const mproc_value *value)
{
    return value->kind == MPROC_BOOL || value->kind == MPROC_INT || value->kind == MPROC_DOUBLE;
}

static int64_t dict_integer_of(const mproc_value *value)
{
    return value->kind == MPROC_BOOL ? value->boolean : value->integer;
}

static double dict_real_of(const mproc_value *value)
{
    return value->kind == MPROC_DOUBLE ? value->real : (double)dict_integer_of(value);
}

static int dict_sum_of(const mproc_value *a, const mproc_value *b, mproc_value *sum)
{
    int64_t integer;
    if (!dict_is_number(a))
        return failure(-EINVAL, "the value of key is no number");
    if (!dict_is_number(b))
        return failure(-EINVAL, "number is none");
    if (a->kind == MPROC_DOUBLE || b->kind == MPROC_DOUBLE) {
        *sum = mproc_double(dict_real_of(a) + dict_real_of(b));
        return 0;
    }
    if (__builtin_add_overflow(dict_integer_of(a), dict_integer_of(b), &integer))
        return failure(-ERANGE, "the sum is no int64_t");
    *sum = mproc_int(integer);
    return 0;
}

static int dict_add(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    struct search search;
    mproc_value sum;
    mproc_value old = mproc_int(0);
    int status = dict_search_begin(&search, &container_dict, object, &args[0], deadline);
    if (status)
        return status;
    if (search.entry)
        status = dict_decode(search.entry, &old);
    if (!status)
        status = dict_sum_of(&old, &args[1], &sum);
    mproc_value_free(&old);
    if (!status)
        status = dict_store(&search, &args[0], &sum);
    if (!status && result)
        *result = sum;
    return dict_search_end(&search, status);
}

static int dict_update(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    if (args[0].kind != MPROC_MAP)
        return failure(-EINVAL, "map is no map");
    for (size_t i = 0; i < args[0].size; i++) {
        const mproc_pair *pair = &args[0].pairs[i];
        int status = dict_put(&container_dict, object, &pair->key, &pair->value, deadline);
        if (status)
            return status;
    }
    return 0;
}

static int dict_clear(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    (void)result;
    return dict_empty(&container_dict, object, deadline);
}

static int dict_length(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return dict_count(&container_dict, object, result, deadline);
}

static int dict_keys(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_dict, object, TABLE_KEYS, result, deadline);
}

static int dict_values(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_dict, object, TABLE_VALUES, result, deadline);
}

static int dict_items(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_dict, object, TABLE_ITEMS, result, deadline);
}

static int dict_copy(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_dict, object, TABLE_MAP, result, deadline);
}

static const struct container_method methods[] = {
    [DICT_SET] = {"set", dict_set, 2, {"key", "value"}, NULL},
    [DICT_GET] = {"get", dict_get, 1, {"key"}, "value"},
    [DICT_DELETE] = {"delete", dict_delete, 1, {"key"}, NULL},
    [DICT_POP] = {"pop", dict_pop, 1, {"key"}, "value"},
    [DICT_POPITEM] = {"popitem", dict_popitem, 0, {NULL}, "value"},
    [DICT_SETDEFAULT] = {"setdefault", dict_setdefault, 2, {"key", "value"}, "found"},
    [DICT_REPLACE] = {"replace", dict_replace, 3, {"key", "expected", "value"}, NULL},
    [DICT_ADD] = {"add", dict_add, 2, {"key", "number"}, "sum"},
    [DICT_UPDATE] = {"update", dict_update, 1, {"map"}, NULL},
    [DICT_CLEAR] = {"clear", dict_clear, 0, {NULL}, NULL},
    [DICT_LENGTH] = {"length", dict_length, 0, {NULL}, "length"},
    [DICT_KEYS] = {"keys", dict_keys, 0, {NULL}, "keys"},
    [DICT_VALUES] = {"values", dict_values, 0, {NULL}, "values"},
    [DICT_ITEMS] = {"items", dict_items, 0, {NULL}, "items"},
    [DICT_COPY] = {"copy", dict_copy, 0, {NULL}, "map"},
};

const struct container_type container_dict = {
    .name = "dict",
    .argument = "dict",
    .type = MPROC_TYPE_DICT,
    .methods = methods,
    .method_count = DICT_METHODS,
    .holds = table_holds,
    .empty = table_empty,
    .renew = table_renew,
};

/* ---- the public functions ---- */

static int dict_call(mproc_dict *dict, unsigned method, const mproc_value *args, mproc_value *result,
                     mproc_time timeout)
{
    return container_call_for(&container_dict, dict, method, args, methods[method].count, result, timeout);
}

/* One that must have a result. */
static int dict_ask(mproc_dict *dict, unsigned method, const mproc_value *args, mproc_value *result, mproc_time timeout)
{
    return container_ask_for(&container_dict, dict, method, args, methods[method].count, result, timeout);
}

int mproc_dict_create(mproc_dict **dict)
{
    return outcome(__func__, container_create(&container_dict, (void **)dict));
}

mproc_dict *mproc_dict_free(mproc_dict *dict)
{
    container_free(&container_dict, dict);
    return NULL;
}

int mproc_dict_set(mproc_dict *dict, mproc_value key, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_SET, (mproc_value[]){key, value}, NULL, timeout));
}

int mproc_dict_get(mproc_dict *dict, mproc_value key, mproc_value *value, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_GET, &key, value, timeout));
}

int mproc_dict_delete(mproc_dict *dict, mproc_value key, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_DELETE, &key, NULL, timeout));
}

int mproc_dict_pop(mproc_dict *dict, mproc_value key, mproc_value *value, mproc_time timeout)
{
    return outcome(__func__, dict_ask(dict, DICT_POP, &key, value, timeout));
}

static bool dict_has_memory(const mproc_value *value)
{
    return value->size > 0 || value->kind == MPROC_STRING || value->kind == MPROC_BYTES || value->kind == MPROC_OPAQUE;
}

/* Both are whole before the pair is removed, so that there is nothing to undo. */
static int dict_pop_last(struct container *container, mproc_value *key, mproc_value *value, int64_t deadline)
{
    int result = container_lock(&container_dict, container, deadline);
    if (result)
        return result;
    const struct entry *entry = table_live(container) ? table_last(container) : NULL;
    result = entry ? table_decode_key(entry, key) : MPROC_NOT_FOUND;
    if (!result)
        result = dict_decode(entry, value);
    if (!result)
        table_remove(&container_dict, container, table_of(container)->used - 1);
    else if (entry)
        mproc_value_free(key);
    container_unlock(container);
    return result;
}

/* What a server has sent is one block: it stays with one of the two, and is copied for the other if both need one. */
static int dict_pop_last_far(mproc_dict *dict, mproc_value *key, mproc_value *value, mproc_time timeout)
{
    mproc_value pair;
    int result = dict_call(dict, DICT_POPITEM, NULL, &pair, timeout);
    if (result)
        return result;
    *key = pair.items[0];
    *value = pair.items[1];
    bool has_two = dict_has_memory(key) && dict_has_memory(value);
    if (has_two)
        result = mproc_value_copy(key, pair.items[0]);
    if (!result && dict_has_memory(value))
        value->memory = pair.memory;
    else if (!result && dict_has_memory(key))
        key->memory = pair.memory;
    else
        mproc_value_free(&pair);
    if (result)
        *key = *value = mproc_nil();
    return result;
}

int mproc_dict_popitem(mproc_dict *dict, mproc_value *key, mproc_value *value, mproc_time timeout)
{
    unsigned before = failure_mark();
    if (!key)
        return refuse(__func__, "key is NULL");
    if (!value)
        return refuse(__func__, "value is NULL");
    *key = *value = mproc_nil();
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result =
        container_is_near(&container_dict, dict)
            ? os_outcome(dict_pop_last((struct container *)(void *)dict, key, value, os_deadline(timeout)), timeout)
            : dict_pop_last_far(dict, key, value, timeout);
    return retold(__func__, before, result);
}

int mproc_dict_setdefault(mproc_dict *dict, mproc_value key, mproc_value value, mproc_value *found, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_SETDEFAULT, (mproc_value[]){key, value}, found, timeout));
}

int mproc_dict_replace(mproc_dict *dict, mproc_value key, mproc_value expected, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_REPLACE, (mproc_value[]){key, expected, value}, NULL, timeout));
}

int mproc_dict_add(mproc_dict *dict, mproc_value key, mproc_value number, mproc_value *sum, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_ADD, (mproc_value[]){key, number}, sum, timeout));
}

int mproc_dict_update(mproc_dict *dict, mproc_value map, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_UPDATE, &map, NULL, timeout));
}

int mproc_dict_clear(mproc_dict *dict, mproc_time timeout)
{
    return outcome(__func__, dict_call(dict, DICT_CLEAR, NULL, NULL, timeout));
}

int mproc_dict_length(mproc_dict *dict, size_t *length, mproc_time timeout)
{
    return outcome(__func__, container_count_for(&container_dict, dict, DICT_LENGTH, NULL, 0, length, timeout));
}

int mproc_dict_keys(mproc_dict *dict, mproc_value *result, mproc_time timeout)
{
    return outcome(__func__, dict_ask(dict, DICT_KEYS, NULL, result, timeout));
}

int mproc_dict_values(mproc_dict *dict, mproc_value *result, mproc_time timeout)
{
    return outcome(__func__, dict_ask(dict, DICT_VALUES, NULL, result, timeout));
}

int mproc_dict_items(mproc_dict *dict, mproc_value *result, mproc_time timeout)
{
    return outcome(__func__, dict_ask(dict, DICT_ITEMS, NULL, result, timeout));
}

int mproc_dict_copy(mproc_dict *dict, mproc_value *map, mproc_time timeout)
{
    return outcome(__func__, dict_ask(dict, DICT_COPY, NULL, map, timeout));
}
