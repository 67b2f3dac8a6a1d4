/* The cases of every.h for containers. After a failure a container has what it had, and its lock is free. */
#include "every.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/containers.h>
#include <string.h>
#include <unistd.h>

enum {
    LARGE = 3 << 20,
    TEXT = 300, /* longer than what a search for a key has at hand */
    FULL = 11   /* the table of a dict has as many places at first; that of a list fewer */
};

/* In memory that children share, for one may be made in a child. */
static struct containers {
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_namespace *namespace;
    mproc_variable *variable;
    mproc_array *array;
} * at;

static char large[LARGE];
static size_t number;
static mproc_value value;

/* Where a result goes; it is freed by the next call, or at the end. */
static mproc_value *got(void)
{
    mproc_value_free(&value);
    return &value;
}

/* ---- scenes ---- */

static void begin_none(void)
{
    at = every_shared();
    memset(at, 0, sizeof *at);
    memset(large, 5, sizeof large);
}

static void begin_of(size_t count)
{
    begin_none();
    every_must(mproc_dict_create(&at->dict));
    every_must(mproc_list_create(&at->list));
    every_must(mproc_set_create(&at->set));
    every_must(mproc_namespace_create(&at->namespace));
    every_must(mproc_variable_create(&at->variable, mproc_int(1)));
    every_must(mproc_array_create(&at->array, 3, sizeof number));
    for (size_t i = 1; i <= count; i++) {
        every_must(mproc_dict_set(at->dict, mproc_int((int64_t)i), mproc_int((int64_t)i), MPROC_NOWAIT));
        every_must(mproc_list_append(at->list, mproc_int((int64_t)i), MPROC_NOWAIT));
        every_must(mproc_set_add(at->set, mproc_int((int64_t)i), MPROC_NOWAIT));
    }
    every_must(mproc_namespace_set(at->namespace, "a", mproc_int(1), MPROC_NOWAIT));
}

static void begin_whole(void)
{
    begin_of(3);
}

static void begin_full(void)
{
    begin_of(FULL);
    while (mproc_list_length(at->list, &number, MPROC_NOWAIT) == 0 && number > 8)
        every_must(mproc_list_delete(at->list, 0, MPROC_NOWAIT));
}

static void begin_locked(void)
{
    begin_whole();
    every_must(mproc_array_lock(at->array, MPROC_NOWAIT));
}

/* Keys and values that need memory. */
static void begin_texts(void)
{
    begin_none();
    every_must(mproc_dict_create(&at->dict));
    every_must(mproc_dict_set(at->dict, mproc_string_of(large, TEXT), mproc_string("last"), MPROC_NOWAIT));
}

static long figure(mproc_value *snapshot)
{
    uint64_t sum = snapshot->size;
    for (size_t i = 0; i < snapshot->size; i++) {
        uint64_t hash = 0;
        mproc_value_hash(snapshot->kind == MPROC_MAP ? snapshot->pairs[i].value : snapshot->items[i], &hash);
        sum = sum * 31 + hash;
    }
    mproc_value_free(snapshot);
    return (long)sum;
}

/* What is in each, without waiting: nobody is left at any. */
static void look(long *seen)
{
    mproc_value all;
    if (at->dict && mproc_dict_copy(at->dict, &all, MPROC_NOWAIT) == 0)
        seen[0] = figure(&all);
    if (at->list && mproc_list_copy(at->list, &all, MPROC_NOWAIT) == 0)
        seen[1] = figure(&all);
    if (at->set && mproc_set_copy(at->set, &all, MPROC_NOWAIT) == 0)
        seen[2] = figure(&all);
    if (at->namespace && mproc_namespace_copy(at->namespace, &all, MPROC_NOWAIT) == 0)
        seen[3] = figure(&all);
    if (at->variable && mproc_variable_get(at->variable, &all, MPROC_NOWAIT) == 0)
        seen[4] = (long)all.kind + (long)all.size, mproc_value_free(&all);
    seen[5] = (long)mproc_array_count(at->array);
}

static void end(void)
{
    mproc_value_free(&value);
    mproc_dict_free(at->dict);
    mproc_list_free(at->list);
    mproc_set_free(at->set);
    mproc_namespace_free(at->namespace);
    mproc_variable_free(at->variable);
    mproc_array_free(at->array);
}

static const struct every_scene none = {begin_none, look, end};
static const struct every_scene whole = {begin_whole, look, end};
static const struct every_scene texts = {begin_texts, look, end};
static const struct every_scene full = {begin_full, look, end};
static const struct every_scene locked = {begin_locked, look, end};

/* ---- objects ---- */

static int call_object_value(void)
{
    return mproc_object_value(at->dict).tag == MPROC_TYPE_DICT ? 0 : -1;
}

static int call_object_type(void)
{
    return mproc_object_type(at->list) == MPROC_TYPE_LIST ? 0 : -1;
}

/* ---- dict ---- */

static int call_dict_create(void)
{
    return mproc_dict_create(&at->dict);
}

static int call_dict_free(void)
{
    at->dict = mproc_dict_free(at->dict);
    return 0;
}

static int call_dict_set(void)
{
    return mproc_dict_set(at->dict, mproc_int(99), mproc_int(5), MPROC_FOREVER);
}

static int call_dict_set_too(void)
{
    return mproc_dict_set(at->dict, mproc_int(1), mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_dict_set_too_too(void)
{
    return mproc_dict_set(at->dict, mproc_int(99), mproc_int(5), MPROC_FOREVER);
}

static int call_dict_get(void)
{
    return mproc_dict_get(at->dict, mproc_int(1), got(), MPROC_FOREVER);
}

static int call_dict_get_too(void)
{
    return mproc_dict_get(at->dict, mproc_int(99), got(), MPROC_FOREVER);
}

static int call_dict_delete(void)
{
    return mproc_dict_delete(at->dict, mproc_int(1), MPROC_FOREVER);
}

static int call_dict_pop(void)
{
    return mproc_dict_pop(at->dict, mproc_int(1), got(), MPROC_FOREVER);
}

static int call_dict_popitem(void)
{
    mproc_value key;
    int result = mproc_dict_popitem(at->dict, &key, got(), MPROC_FOREVER);
    mproc_value_free(&key);
    return result;
}

static int call_dict_get_text(void)
{
    return mproc_dict_get(at->dict, mproc_string_of(large, TEXT), got(), MPROC_FOREVER);
}

static int call_dict_setdefault(void)
{
    return mproc_dict_setdefault(at->dict, mproc_int(99), mproc_int(1), got(), MPROC_FOREVER);
}

static int call_dict_replace(void)
{
    return mproc_dict_replace(at->dict, mproc_int(1), mproc_int(1), mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_dict_add(void)
{
    return mproc_dict_add(at->dict, mproc_int(1), mproc_int(1), got(), MPROC_FOREVER);
}

static int call_dict_update(void)
{
    const mproc_pair pair = {mproc_int(99), mproc_int(5)};
    return mproc_dict_update(at->dict, mproc_dict_of(&pair, 1), MPROC_FOREVER);
}

static int call_dict_clear(void)
{
    return mproc_dict_clear(at->dict, MPROC_FOREVER);
}

static int call_dict_length(void)
{
    return mproc_dict_length(at->dict, &number, MPROC_FOREVER);
}

static int call_dict_keys(void)
{
    return mproc_dict_keys(at->dict, got(), MPROC_FOREVER);
}

static int call_dict_values(void)
{
    return mproc_dict_values(at->dict, got(), MPROC_FOREVER);
}

static int call_dict_items(void)
{
    return mproc_dict_items(at->dict, got(), MPROC_FOREVER);
}

static int call_dict_copy(void)
{
    return mproc_dict_copy(at->dict, got(), MPROC_FOREVER);
}

/* ---- list ---- */

static int call_list_create(void)
{
    return mproc_list_create(&at->list);
}

static int call_list_create_of(void)
{
    return mproc_list_create_of(&at->list, mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_int(2))));
}

static int call_dict_create_of(void)
{
    return mproc_dict_create_of(&at->dict, mproc_dict_of(MPROC_PAIRS({mproc_int(1), mproc_int(2)})));
}

static int call_set_create_of(void)
{
    return mproc_set_create_of(&at->set, mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_int(2))));
}

static int call_object_print(void)
{
    int fd = open("/dev/null", O_WRONLY | O_CLOEXEC);
    int result = mproc_object_print(fd, at->list, MPROC_SEC(20));
    close(fd);
    return result;
}

static int call_list_free(void)
{
    at->list = mproc_list_free(at->list);
    return 0;
}

static int call_list_get(void)
{
    return mproc_list_get(at->list, 1, got(), MPROC_FOREVER);
}

static int call_list_set(void)
{
    return mproc_list_set(at->list, 1, mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_list_delete(void)
{
    return mproc_list_delete(at->list, 1, MPROC_FOREVER);
}

static int call_list_pop(void)
{
    return mproc_list_pop(at->list, -1, got(), MPROC_FOREVER);
}

static int call_list_append(void)
{
    return mproc_list_append(at->list, mproc_int(1), MPROC_FOREVER);
}

static int call_list_append_too(void)
{
    return mproc_list_append(at->list, mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_list_append_too_too(void)
{
    return mproc_list_append(at->list, mproc_int(1), MPROC_FOREVER);
}

static int call_list_extend(void)
{
    mproc_value items[] = {mproc_int(1), mproc_string_of(large, LARGE)};
    return mproc_list_extend(at->list, mproc_list_of(items, 2), MPROC_FOREVER);
}

static int call_list_insert(void)
{
    return mproc_list_insert(at->list, 1, mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_list_remove(void)
{
    return mproc_list_remove(at->list, mproc_int(1), MPROC_FOREVER);
}

static int call_list_index(void)
{
    return mproc_list_index(at->list, mproc_int(1), &number, MPROC_FOREVER);
}

static int call_list_count(void)
{
    return mproc_list_count(at->list, mproc_int(1), &number, MPROC_FOREVER);
}

static int call_list_reverse(void)
{
    return mproc_list_reverse(at->list, MPROC_FOREVER);
}

static int call_list_sort(void)
{
    return mproc_list_sort(at->list, true, MPROC_FOREVER);
}

static int call_list_clear(void)
{
    return mproc_list_clear(at->list, MPROC_FOREVER);
}

static int call_list_length(void)
{
    return mproc_list_length(at->list, &number, MPROC_FOREVER);
}

static int call_list_get_slice(void)
{
    return mproc_list_get_slice(at->list, 0, 2, 1, got(), MPROC_FOREVER);
}

static int call_list_set_slice(void)
{
    mproc_value items[] = {mproc_int(1), mproc_string_of(large, LARGE)};
    return mproc_list_set_slice(at->list, 0, 2, 1, mproc_list_of(items, 2), MPROC_FOREVER);
}

static int call_list_delete_slice(void)
{
    return mproc_list_delete_slice(at->list, 0, 2, 1, MPROC_FOREVER);
}

static int call_list_copy(void)
{
    return mproc_list_copy(at->list, got(), MPROC_FOREVER);
}

/* ---- set ---- */

static int call_set_create(void)
{
    return mproc_set_create(&at->set);
}

static int call_set_free(void)
{
    at->set = mproc_set_free(at->set);
    return 0;
}

static int call_set_add(void)
{
    return mproc_set_add(at->set, mproc_int(99), MPROC_FOREVER);
}

static int call_set_add_too(void)
{
    return mproc_set_add(at->set, mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_set_contains(void)
{
    return mproc_set_contains(at->set, mproc_int(1), MPROC_FOREVER);
}

static int call_set_remove(void)
{
    return mproc_set_remove(at->set, mproc_int(1), MPROC_FOREVER);
}

static int call_set_discard(void)
{
    return mproc_set_discard(at->set, mproc_int(99), MPROC_FOREVER);
}

static int call_set_pop(void)
{
    return mproc_set_pop(at->set, got(), MPROC_FOREVER);
}

static int call_set_update(void)
{
    const mproc_value item = mproc_int(99);
    return mproc_set_update(at->set, mproc_list_of(&item, 1), MPROC_FOREVER);
}

static int call_set_clear(void)
{
    return mproc_set_clear(at->set, MPROC_FOREVER);
}

static int call_set_length(void)
{
    return mproc_set_length(at->set, &number, MPROC_FOREVER);
}

static int call_set_copy(void)
{
    return mproc_set_copy(at->set, got(), MPROC_FOREVER);
}

/* ---- namespace ---- */

static int call_namespace_create(void)
{
    return mproc_namespace_create(&at->namespace);
}

static int call_namespace_free(void)
{
    at->namespace = mproc_namespace_free(at->namespace);
    return 0;
}

static int call_namespace_set(void)
{
    return mproc_namespace_set(at->namespace, "b", mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_namespace_get(void)
{
    return mproc_namespace_get(at->namespace, "a", got(), MPROC_FOREVER);
}

static int call_namespace_delete(void)
{
    return mproc_namespace_delete(at->namespace, "a", MPROC_FOREVER);
}

static int call_namespace_copy(void)
{
    return mproc_namespace_copy(at->namespace, got(), MPROC_FOREVER);
}

/* ---- variable ---- */

static int call_variable_create(void)
{
    return mproc_variable_create(&at->variable, mproc_int(1));
}

static int call_variable_free(void)
{
    at->variable = mproc_variable_free(at->variable);
    return 0;
}

static int call_variable_set(void)
{
    return mproc_variable_set(at->variable, mproc_string_of(large, LARGE), MPROC_FOREVER);
}

static int call_variable_get(void)
{
    return mproc_variable_get(at->variable, got(), MPROC_FOREVER);
}

/* ---- array ---- */

static int call_array_create(void)
{
    return mproc_array_create(&at->array, 3, LARGE);
}

static int call_array_free(void)
{
    at->array = mproc_array_free(at->array);
    return 0;
}

static int call_array_count(void)
{
    return mproc_array_count(at->array) == 3 ? 0 : -1;
}

static int call_array_element_size(void)
{
    return mproc_array_element_size(at->array) == sizeof number ? 0 : -1;
}

static int call_array_data(void)
{
    return mproc_array_data(at->array) ? 0 : -1;
}

static int call_array_lock(void)
{
    int result = mproc_array_lock(at->array, MPROC_FOREVER);
    return result ? result : mproc_array_unlock(at->array);
}

static int call_array_unlock(void)
{
    return mproc_array_unlock(at->array);
}

static int call_array_read(void)
{
    return mproc_array_read(at->array, 1, 1, &number, MPROC_FOREVER);
}

static int call_array_write(void)
{
    return mproc_array_write(at->array, 1, 1, &number, MPROC_FOREVER);
}

/* ---- the table ---- */

static const struct every_case list[] = {
    {"mproc_object_value", NULL, &whole, call_object_value, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_object_type", NULL, &whole, call_object_type, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_object_print", NULL, &whole, call_object_print, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_list_create_of", NULL, &none, call_list_create_of, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_create_of", NULL, &none, call_dict_create_of, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_create_of", NULL, &none, call_set_create_of, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_create", NULL, &none, call_dict_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_free", NULL, &whole, call_dict_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_dict_set", "a new key", &whole, call_dict_set, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_set", "a large value", &whole, call_dict_set_too, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_set", "the table grows", &full, call_dict_set_too_too, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_get", "there is one", &whole, call_dict_get, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_get", "none", &whole, call_dict_get_too, MPROC_NOT_FOUND, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_get", "by a long key", &texts, call_dict_get_text, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_dict_delete", NULL, &whole, call_dict_delete, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_pop", NULL, &whole, call_dict_pop, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_popitem", "of numbers", &whole, call_dict_popitem, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_popitem", "of texts", &texts, call_dict_popitem, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_dict_setdefault", NULL, &whole, call_dict_setdefault, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_replace", NULL, &whole, call_dict_replace, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_add", NULL, &whole, call_dict_add, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_update", NULL, &whole, call_dict_update, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_clear", NULL, &whole, call_dict_clear, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_length", NULL, &whole, call_dict_length, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_keys", NULL, &whole, call_dict_keys, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_values", NULL, &whole, call_dict_values, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_items", NULL, &whole, call_dict_items, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_dict_copy", NULL, &whole, call_dict_copy, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_list_create", NULL, &none, call_list_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_free", NULL, &whole, call_list_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_list_get", NULL, &whole, call_list_get, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_set", NULL, &whole, call_list_set, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_delete", NULL, &whole, call_list_delete, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_pop", NULL, &whole, call_list_pop, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_append", "a small item", &whole, call_list_append, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_append", "a large item", &whole, call_list_append_too, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_append", "the table grows", &full, call_list_append_too_too, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_extend", NULL, &whole, call_list_extend, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_insert", NULL, &whole, call_list_insert, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_remove", NULL, &whole, call_list_remove, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_index", NULL, &whole, call_list_index, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_count", NULL, &whole, call_list_count, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_reverse", NULL, &whole, call_list_reverse, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_list_sort", NULL, &whole, call_list_sort, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_list_clear", NULL, &whole, call_list_clear, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_length", NULL, &whole, call_list_length, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_get_slice", NULL, &whole, call_list_get_slice, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_set_slice", NULL, &whole, call_list_set_slice, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_delete_slice", NULL, &whole, call_list_delete_slice, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_list_copy", NULL, &whole, call_list_copy, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_create", NULL, &none, call_set_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_free", NULL, &whole, call_set_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_set_add", "a small item", &whole, call_set_add, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_add", "a large item", &whole, call_set_add_too, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_contains", NULL, &whole, call_set_contains, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_remove", NULL, &whole, call_set_remove, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_discard", NULL, &whole, call_set_discard, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_pop", NULL, &whole, call_set_pop, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_update", NULL, &whole, call_set_update, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_clear", NULL, &whole, call_set_clear, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_length", NULL, &whole, call_set_length, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_set_copy", NULL, &whole, call_set_copy, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_create", NULL, &none, call_namespace_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_free", NULL, &whole, call_namespace_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_set", NULL, &whole, call_namespace_set, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_get", NULL, &whole, call_namespace_get, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_delete", NULL, &whole, call_namespace_delete, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_namespace_copy", NULL, &whole, call_namespace_copy, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_variable_create", NULL, &none, call_variable_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_variable_free", NULL, &whole, call_variable_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_variable_set", NULL, &whole, call_variable_set, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_variable_get", NULL, &whole, call_variable_get, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_array_create", NULL, &none, call_array_create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_array_free", NULL, &whole, call_array_free, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_array_count", NULL, &whole, call_array_count, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_array_element_size", NULL, &whole, call_array_element_size, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_array_data", NULL, &whole, call_array_data, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_array_lock", NULL, &whole, call_array_lock, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_array_unlock", NULL, &locked, call_array_unlock, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_array_read", NULL, &whole, call_array_read, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_array_write", NULL, &whole, call_array_write, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
};

const struct every_table cases_containers = {list, sizeof list / sizeof *list};
