/* Mistakes with memory, values and containers: each says which function and argument, and changes nothing. */
#include "harness.h"
#include "mistakes.h"

#include <errno.h>
#include <stdlib.h>

static const mproc_value one = {.kind = MPROC_INT, .integer = 1};

/* A value that is none. */
static mproc_value no_value(void)
{
    mproc_value value = mproc_nil();
    value.kind = (enum mproc_kind)99;
    return value;
}

static mproc_value twice(void)
{
    static const mproc_pair pairs[] = {{{.kind = MPROC_INT, .integer = 1}, {.kind = MPROC_NIL}},
                                       {{.kind = MPROC_INT, .integer = 1}, {.kind = MPROC_NIL}}};
    return mproc_dict_of(pairs, 2);
}

static void memory(void **state)
{
    int here;
    char *block = mproc_alloc(100);
    (void)state;
    says_null(mproc_alloc(0), EINVAL, "mproc_alloc: size is 0");
    says_null(mproc_alloc(SIZE_MAX / 2), ENOMEM,
              "mproc_alloc: the family's memory has no room for 9223372036854775807 bytes more");
    says_null(mproc_calloc(0, 1), EINVAL, "mproc_calloc: count is 0");
    says_null(mproc_calloc(1, 0), EINVAL, "mproc_calloc: size is 0");
    says_null(mproc_calloc(SIZE_MAX, 2), ENOMEM, "mproc_calloc: count * size overflows");
    says_null(mproc_memdup(NULL, 1), EINVAL, "mproc_memdup: bytes is NULL");
    says_null(mproc_memdup("a", 0), EINVAL, "mproc_memdup: size is 0");
    says_null(mproc_strdup(NULL), EINVAL, "mproc_strdup: string is NULL");
    says_null(mproc_realloc(NULL, 0), EINVAL, "mproc_realloc: size is 0");
    says_null(mproc_realloc(block, 0), EINVAL, "mproc_realloc: size is 0");
    says_null(mproc_realloc(&here, 10), EINVAL, "mproc_realloc: block is no block that is in use");
    says(mproc_free(&here), -EINVAL, "mproc_free: block is not in shared memory: it is none of mproc_alloc()");
    says(mproc_free(block + 16), -EINVAL, "mproc_free: block was freed already, or is no begin of a block");
    says(mproc_memory_usage(NULL), -EINVAL, "mproc_memory_usage: usage is NULL");
    assert_int_equal(mproc_usable_size(block) >= 100, 1);
    assert_int_equal(mproc_free(block), 0);
    says(mproc_free(block), -EINVAL, "mproc_free: block was freed already, or is no begin of a block");
}

static void values(void **state)
{
    mproc_value copy, key_is_list = mproc_list_of(&one, 1);
    mproc_value deep[200];
    const mproc_pair pair = {key_is_list, one};
    void *data;
    size_t size;
    uint64_t hash;
    int order;
    (void)state;
    says(mproc_value_copy(NULL, one), -EINVAL, "mproc_value_copy: copy is NULL");
    says(mproc_value_copy(&copy, no_value()), -EINVAL,
         "mproc_value_copy: value is no value: a kind is not in enum mproc_kind");
    says(mproc_value_copy(&copy, twice()), -EINVAL, "mproc_value_copy: value is no value: a map has a key twice");
    says(mproc_value_copy(&copy, mproc_dict_of(&pair, 1)), -EINVAL,
         "mproc_value_copy: value is no value: a key of a map is a list or map");
    says(mproc_value_copy(&copy, mproc_string_of(NULL, 3)), -EINVAL,
         "mproc_value_copy: value is no value: a pointer is NULL, but its size is not 0");
    says(mproc_value_copy(&copy, mproc_bytes("", SIZE_MAX)), -EINVAL,
         "mproc_value_copy: value is no value: a size is above 4 000 000 000");
    says(mproc_value_copy(&copy, mproc_opaque(128, "", 0)), -EINVAL,
         "mproc_value_copy: value is no value: a tag is above 127");
    says(mproc_value_copy(&copy, mproc_object_value(&copy)), -EINVAL,
         "mproc_value_copy: value is no value: its object is no shared object");
    deep[0] = one;
    for (int i = 1; i < 200; i++)
        deep[i] = mproc_list_of(&deep[i - 1], 1);
    says(mproc_value_copy(&copy, deep[199]), -EINVAL,
         "mproc_value_copy: value is no value: lists and maps are in one another more than 100 deep");
    says(mproc_value_order(no_value(), one, &order), -EINVAL,
         "mproc_value_order: a is no value: a kind is not in enum mproc_kind");
    says(mproc_value_order(one, no_value(), &order), -EINVAL,
         "mproc_value_order: b is no value: a kind is not in enum mproc_kind");
    says(mproc_value_order(one, one, NULL), -EINVAL, "mproc_value_order: order is NULL");
    says(mproc_value_order(one, mproc_nil(), &order), -EINVAL,
         "mproc_value_order: a and b are of kinds that have no order, or a NaN");
    says(mproc_value_hash(one, NULL), -EINVAL, "mproc_value_hash: hash is NULL");
    says(mproc_value_hash(key_is_list, &hash), -EINVAL,
         "mproc_value_hash: value is no valid value, or a list or map, which cannot be a key");
    says_null(mproc_value_repr(no_value()), EINVAL,
              "mproc_value_repr: value is no value: a kind is not in enum mproc_kind");
    says(mproc_value_print(1, no_value()), -EINVAL,
         "mproc_value_print: value is no value: a kind is not in enum mproc_kind");
    says(mproc_value_print(-1, one), -EBADF, "mproc_value_print: writev: Bad file descriptor");
    says(mproc_value_encode(no_value(), &data, &size), -EINVAL,
         "mproc_value_encode: value is no value: a kind is not in enum mproc_kind");
    says(mproc_value_encode(one, NULL, &size), -EINVAL, "mproc_value_encode: data is NULL");
    says(mproc_value_encode(one, &data, NULL), -EINVAL, "mproc_value_encode: size is NULL");
    says(mproc_value_decode(NULL, "", 1), -EINVAL, "mproc_value_decode: value is NULL");
    says(mproc_value_decode(&copy, NULL, 1), -EINVAL, "mproc_value_decode: data is NULL");
    says(mproc_value_decode(&copy, "", 0), -EINVAL, "mproc_value_decode: the stored form is empty");
    says(mproc_value_decode(&copy, "\xc1", 1), -EINVAL,
         "mproc_value_decode: the stored form is malformed, cut off or too large");
    assert_int_equal(copy.kind, MPROC_NIL);
}

static void dicts(void **state)
{
    mproc_dict *dict;
    mproc_list *list;
    mproc_value found, other;
    size_t length;
    const mproc_value key = mproc_string("key");
    (void)state;
    assert_int_equal(mproc_dict_create(&dict), 0);
    assert_int_equal(mproc_dict_set(dict, key, key, SECONDS), 0);
    assert_int_equal(mproc_list_create(&list), 0);
    says(mproc_dict_create(NULL), -EINVAL, "mproc_dict_create: dict is NULL");
    says(mproc_dict_create_of(NULL, twice()), -EINVAL, "mproc_dict_create_of: dict is NULL");
    mproc_dict *none = dict;
    says(mproc_dict_create_of(&none, one), -EINVAL, "mproc_dict_create_of: map is no map");
    assert_null(none);
    says(mproc_dict_set(NULL, key, one, SECONDS), -EINVAL, "mproc_dict_set: dict is NULL");
    says(mproc_dict_set((mproc_dict *)(void *)list, key, one, SECONDS), -EINVAL,
         "mproc_dict_set: dict is no mproc_dict, or was freed");
    says(mproc_dict_set(dict, mproc_list_of(&one, 1), one, SECONDS), -EINVAL,
         "mproc_dict_set: a list or map cannot be a key, nor in a set");
    says(mproc_dict_set(dict, no_value(), one, SECONDS), -EINVAL,
         "mproc_dict_set: key is no value: a kind is not in enum mproc_kind");
    says(mproc_dict_set(dict, key, twice(), SECONDS), -EINVAL,
         "mproc_dict_set: value is no value: a map has a key twice");
    says(mproc_dict_set(dict, key, one, WRONG_TIME), -EINVAL, "mproc_dict_set: timeout is negative");
    says(mproc_dict_get(NULL, key, &found, SECONDS), -EINVAL, "mproc_dict_get: dict is NULL");
    says(mproc_dict_delete(dict, key, WRONG_TIME), -EINVAL, "mproc_dict_delete: timeout is negative");
    says(mproc_dict_pop(dict, key, NULL, SECONDS), -EINVAL, "mproc_dict_pop: value is NULL");
    says(mproc_dict_popitem(dict, NULL, &other, SECONDS), -EINVAL, "mproc_dict_popitem: key is NULL");
    says(mproc_dict_popitem(dict, &found, NULL, SECONDS), -EINVAL, "mproc_dict_popitem: value is NULL");
    says(mproc_dict_popitem(NULL, &found, &other, SECONDS), -EINVAL, "mproc_dict_popitem: dict is NULL");
    says(mproc_dict_setdefault(NULL, key, one, NULL, SECONDS), -EINVAL, "mproc_dict_setdefault: dict is NULL");
    says(mproc_dict_replace(dict, key, no_value(), one, SECONDS), -EINVAL,
         "mproc_dict_replace: expected is no value: a kind is not in enum mproc_kind");
    says(mproc_dict_add(dict, mproc_int(5), key, NULL, SECONDS), -EINVAL, "mproc_dict_add: number is none");
    says(mproc_dict_add(dict, key, one, NULL, SECONDS), -EINVAL, "mproc_dict_add: the value of key is no number");
    says(mproc_dict_update(dict, one, SECONDS), -EINVAL, "mproc_dict_update: map is no map");
    says(mproc_dict_clear(NULL, SECONDS), -EINVAL, "mproc_dict_clear: dict is NULL");
    says(mproc_dict_length(dict, NULL, SECONDS), -EINVAL, "mproc_dict_length: length is NULL");
    says(mproc_dict_length(NULL, &length, SECONDS), -EINVAL, "mproc_dict_length: dict is NULL");
    says(mproc_dict_keys(dict, NULL, SECONDS), -EINVAL, "mproc_dict_keys: keys is NULL");
    says(mproc_dict_values(dict, NULL, SECONDS), -EINVAL, "mproc_dict_values: values is NULL");
    says(mproc_dict_items(dict, NULL, SECONDS), -EINVAL, "mproc_dict_items: items is NULL");
    says(mproc_dict_copy(dict, NULL, SECONDS), -EINVAL, "mproc_dict_copy: map is NULL");
    says(mproc_object_print(1, &length, SECONDS), -EINVAL, "mproc_object_print: object is no shared object");
    says(mproc_object_print(1, dict, WRONG_TIME), -EINVAL, "mproc_object_print: timeout is negative");
    assert_int_equal(mproc_dict_length(dict, &length, SECONDS), 0);
    assert_int_equal(length, 1);
    mproc_dict_free(dict);
    mproc_list_free(list);
}

static void lists(void **state)
{
    mproc_list *list;
    mproc_value found;
    size_t number;
    const mproc_value items[] = {mproc_int(1), mproc_string("a")};
    (void)state;
    assert_int_equal(mproc_list_create_of(&list, mproc_list_of(items, 2)), 0);
    says(mproc_list_create(NULL), -EINVAL, "mproc_list_create: list is NULL");
    mproc_list *none = list;
    says(mproc_list_create_of(&none, one), -EINVAL, "mproc_list_create_of: items is no list");
    says(mproc_list_get(list, 0, NULL, SECONDS), -EINVAL, "mproc_list_get: value is NULL");
    says(mproc_list_get(NULL, 0, &found, SECONDS), -EINVAL, "mproc_list_get: list is NULL");
    says(mproc_list_set(list, 0, no_value(), SECONDS), -EINVAL,
         "mproc_list_set: value is no value: a kind is not in enum mproc_kind");
    says(mproc_list_delete(NULL, 0, SECONDS), -EINVAL, "mproc_list_delete: list is NULL");
    says(mproc_list_pop(list, 0, NULL, SECONDS), -EINVAL, "mproc_list_pop: value is NULL");
    says(mproc_list_append(list, twice(), SECONDS), -EINVAL,
         "mproc_list_append: value is no value: a map has a key twice");
    says(mproc_list_extend(list, one, SECONDS), -EINVAL, "mproc_list_extend: items is no list");
    says(mproc_list_insert(list, 0, one, WRONG_TIME), -EINVAL, "mproc_list_insert: timeout is negative");
    says(mproc_list_remove(NULL, one, SECONDS), -EINVAL, "mproc_list_remove: list is NULL");
    says(mproc_list_index(list, one, NULL, SECONDS), -EINVAL, "mproc_list_index: index is NULL");
    says(mproc_list_count(list, one, NULL, SECONDS), -EINVAL, "mproc_list_count: count is NULL");
    says(mproc_list_reverse(NULL, SECONDS), -EINVAL, "mproc_list_reverse: list is NULL");
    says(mproc_list_sort(list, false, SECONDS), -EINVAL, "mproc_list_sort: two items of list have no order");
    says(mproc_list_clear(NULL, SECONDS), -EINVAL, "mproc_list_clear: list is NULL");
    says(mproc_list_length(list, NULL, SECONDS), -EINVAL, "mproc_list_length: length is NULL");
    says(mproc_list_get_slice(list, 0, 1, 0, &found, SECONDS), -EINVAL, "mproc_list_get_slice: step is 0");
    says(mproc_list_get_slice(list, 0, 1, 1, NULL, SECONDS), -EINVAL, "mproc_list_get_slice: items is NULL");
    says(mproc_list_set_slice(list, 0, 1, 1, one, SECONDS), -EINVAL, "mproc_list_set_slice: items is no list");
    says(mproc_list_set_slice(list, 0, 2, 2, mproc_list_of(items, 2), SECONDS), -EINVAL,
         "mproc_list_set_slice: items are not as many as the slice has places, which a step other than 1 asks for");
    says(mproc_list_delete_slice(list, 0, 1, 0, SECONDS), -EINVAL, "mproc_list_delete_slice: step is 0");
    says(mproc_list_copy(list, NULL, SECONDS), -EINVAL, "mproc_list_copy: items is NULL");
    assert_int_equal(mproc_list_length(list, &number, SECONDS), 0);
    assert_int_equal(number, 2);
    mproc_list_free(list);
}

static void sets_and_namespaces(void **state)
{
    mproc_set *set, *none;
    mproc_namespace *names;
    mproc_value found;
    size_t length;
    const mproc_value list = mproc_list_of(&one, 1);
    (void)state;
    assert_int_equal(mproc_set_create(&set), 0);
    assert_int_equal(mproc_namespace_create(&names), 0);
    says(mproc_set_create(NULL), -EINVAL, "mproc_set_create: set is NULL");
    says(mproc_set_create_of(&none, one), -EINVAL, "mproc_set_create_of: items is no list");
    says(mproc_set_add(set, list, SECONDS), -EINVAL, "mproc_set_add: a list or map cannot be a key, nor in a set");
    says(mproc_set_contains(NULL, one, SECONDS), -EINVAL, "mproc_set_contains: set is NULL");
    says(mproc_set_remove(set, no_value(), SECONDS), -EINVAL,
         "mproc_set_remove: item is no value: a kind is not in enum mproc_kind");
    says(mproc_set_discard(NULL, one, SECONDS), -EINVAL, "mproc_set_discard: set is NULL");
    says(mproc_set_pop(set, NULL, SECONDS), -EINVAL, "mproc_set_pop: item is NULL");
    says(mproc_set_update(set, one, SECONDS), -EINVAL, "mproc_set_update: items is no list");
    says(mproc_set_update(set, mproc_list_of(&list, 1), SECONDS), -EINVAL,
         "mproc_set_update: items[0] is a list or map, which cannot be in a set");
    says(mproc_set_clear(NULL, SECONDS), -EINVAL, "mproc_set_clear: set is NULL");
    says(mproc_set_length(set, NULL, SECONDS), -EINVAL, "mproc_set_length: length is NULL");
    says(mproc_set_copy(set, NULL, SECONDS), -EINVAL, "mproc_set_copy: items is NULL");
    says(mproc_namespace_create(NULL), -EINVAL, "mproc_namespace_create: names is NULL");
    says(mproc_namespace_set(names, NULL, one, SECONDS), -EINVAL, "mproc_namespace_set: name is NULL");
    says(mproc_namespace_get(NULL, "a", &found, SECONDS), -EINVAL, "mproc_namespace_get: names is NULL");
    says(mproc_namespace_delete(names, NULL, SECONDS), -EINVAL, "mproc_namespace_delete: name is NULL");
    says(mproc_namespace_copy(names, NULL, SECONDS), -EINVAL, "mproc_namespace_copy: map is NULL");
    assert_int_equal(mproc_set_length(set, &length, SECONDS), 0);
    assert_int_equal(length, 0);
    mproc_set_free(set);
    mproc_namespace_free(names);
}

static void variables_and_arrays(void **state)
{
    mproc_variable *variable;
    mproc_array *array;
    char element = 0;
    (void)state;
    assert_int_equal(mproc_variable_create(&variable, one), 0);
    assert_int_equal(mproc_array_create(&array, 4, 1), 0);
    says(mproc_variable_create(NULL, one), -EINVAL, "mproc_variable_create: variable is NULL");
    says(mproc_variable_set(variable, no_value(), SECONDS), -EINVAL,
         "mproc_variable_set: value is no value: a kind is not in enum mproc_kind");
    says(mproc_variable_get(variable, NULL, SECONDS), -EINVAL, "mproc_variable_get: value is NULL");
    says(mproc_array_create(NULL, 1, 1), -EINVAL, "mproc_array_create: array is NULL");
    mproc_array *none;
    says(mproc_array_create(&none, 0, 1), -EINVAL, "mproc_array_create: count is 0");
    says(mproc_array_create(&none, 1, 0), -EINVAL, "mproc_array_create: element_size is 0");
    says(mproc_array_create(&none, SIZE_MAX, 2), -ENOMEM, "mproc_array_create: count * element_size overflows");
    says(mproc_array_lock(NULL, SECONDS), -EINVAL, "mproc_array_lock: array is NULL");
    says(mproc_array_lock(array, WRONG_TIME), -EINVAL, "mproc_array_lock: timeout is negative");
    says(mproc_array_unlock(array), -EPERM, "mproc_array_unlock: this thread does not hold the lock");
    says(mproc_array_read(array, 0, 1, NULL, SECONDS), -EINVAL,
         "mproc_array_read: elements is NULL, but count is not 0");
    says(mproc_array_read(NULL, 0, 1, &element, SECONDS), -EINVAL, "mproc_array_read: array is NULL");
    says(mproc_array_write(array, 0, 1, &element, WRONG_TIME), -EINVAL, "mproc_array_write: timeout is negative");
    mproc_variable_free(variable);
    mproc_array_free(array);
}

static void shareable_lists(void **state)
{
    mproc_shareable_list *list, *none;
    mproc_value found;
    size_t number;
    const mproc_value inner = mproc_list_of(&one, 1);
    (void)state;
    assert_int_equal(mproc_shareable_list_create(&list, NULL, inner), 0);
    says(mproc_shareable_list_create(NULL, NULL, inner), -EINVAL, "mproc_shareable_list_create: list is NULL");
    says(mproc_shareable_list_create(&none, NULL, one), -EINVAL, "mproc_shareable_list_create: items is no list");
    says(mproc_shareable_list_create(&none, NULL, mproc_list_of(&inner, 1)), -EINVAL,
         "mproc_shareable_list_create: items[0] is no item of a shareable list");
    says(mproc_shareable_list_create(&none, "a/b", inner), -EINVAL,
         "mproc_shareable_list_create: name is empty, too long or has a slash in it");
    says(mproc_shareable_list_attach(&none, NULL), -EINVAL,
         "mproc_shareable_list_attach: name is NULL, empty, too long or has a slash in it");
    says(mproc_shareable_list_get(list, 0, NULL), -EINVAL, "mproc_shareable_list_get: value is NULL");
    says(mproc_shareable_list_get(NULL, 0, &found), -EINVAL, "mproc_shareable_list_get: list is NULL");
    says(mproc_shareable_list_set(list, 0, inner), -EINVAL,
         "mproc_shareable_list_set: value is a list, a map, an opaque value, an object or no value");
    says(mproc_shareable_list_copy(list, NULL), -EINVAL, "mproc_shareable_list_copy: items is NULL");
    says(mproc_shareable_list_index(list, one, NULL), -EINVAL, "mproc_shareable_list_index: index is NULL");
    says(mproc_shareable_list_count(list, one, NULL), -EINVAL, "mproc_shareable_list_count: count is NULL");
    says(mproc_shareable_list_count(NULL, one, &number), -EINVAL, "mproc_shareable_list_count: list is NULL");
    mproc_shared_memory_own(mproc_shareable_list_memory(list), true);
    mproc_shareable_list_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(memory),
        unit(values),
        unit(dicts),
        unit(lists),
        unit(sets_and_namespaces),
        unit(variables_and_arrays),
        unit(shareable_lists),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
