/* Values, and containers of them in shared memory. */
#include "paths.h"

#include <stdlib.h>

enum {
    KEYS = 1000
};

static void dict_set(void *object, size_t i)
{
    check(mproc_dict_set(object, mproc_int((int64_t)(i % KEYS)), mproc_int((int64_t)i), MPROC_FOREVER),
          "mproc_dict_set");
}

static void dict_get(void *object, size_t i)
{
    mproc_value value;
    check(mproc_dict_get(object, mproc_int((int64_t)(i % KEYS)), &value, MPROC_FOREVER), "mproc_dict_get");
    mproc_value_free(&value);
}

static void *make_dict(void)
{
    mproc_dict *dict;
    check(mproc_dict_create(&dict), "mproc_dict_create");
    for (size_t i = 0; i < KEYS; i++)
        dict_set(dict, i);
    return dict;
}

static void *make_list(void)
{
    mproc_list *list;
    check(mproc_list_create(&list), "mproc_list_create");
    return list;
}

static void list_append(void *object, size_t i)
{
    check(mproc_list_append(object, mproc_int((int64_t)i), MPROC_FOREVER), "mproc_list_append");
}

static void *make_full_list(void)
{
    void *list = make_list();
    for (size_t i = 0; i < KEYS; i++)
        list_append(list, i);
    return list;
}

static void list_get(void *object, size_t i)
{
    mproc_value value;
    check(mproc_list_get(object, (int64_t)(i % KEYS), &value, MPROC_FOREVER), "mproc_list_get");
    mproc_value_free(&value);
}

static void *make_array(void)
{
    mproc_array *array;
    check(mproc_array_create(&array, KEYS, sizeof(long)), "mproc_array_create");
    return array;
}

static void array_read(void *object, size_t i)
{
    long element;
    check(mproc_array_read(object, i % KEYS, 1, &element, MPROC_FOREVER), "mproc_array_read");
}

static void array_write(void *object, size_t i)
{
    long element = (long)i;
    check(mproc_array_write(object, i % KEYS, 1, &element, MPROC_FOREVER), "mproc_array_write");
}

/* A person: {"name": "Ada", "born": 1815, "works": [1.5, True]}. */
static void value(void *object, size_t i)
{
    (void)object;
    mproc_value works[] = {mproc_double(1.5), mproc_bool(true)};
    mproc_pair pairs[] = {
        {mproc_string("name"), mproc_string("Ada")},
        {mproc_string("born"), mproc_int((int64_t)(i % 100) + 1815)},
        {mproc_string("works"), mproc_list_of(works, 2)},
    };
    void *data;
    size_t size;
    mproc_value again;
    check(mproc_value_encode(mproc_dict_of(pairs, 3), &data, &size), "mproc_value_encode");
    check(mproc_value_decode(&again, data, size), "mproc_value_decode");
    mproc_value_free(&again);
    free(data);
}

const struct path container_paths[] = {
    {"dict_get", make_dict, dict_get, NULL, NULL, 100, 1000, 3, 0},
    {"dict_set", make_dict, dict_set, NULL, NULL, 100, 1000, 3, 0},
    {"list_get", make_full_list, list_get, NULL, NULL, 100, 1000, 3, 0},
    {"list_append", make_list, list_append, NULL, NULL, 1000, 10000, 3, 0},
    {"array_read", make_array, array_read, NULL, NULL, 100, 1000, 3, 0},
    {"array_write", make_array, array_write, NULL, NULL, 100, 1000, 3, 0},
    {"value_encode", NULL, value, NULL, "mproc_value_encode", 100, 1000, 3, 0},
    {"value_decode", NULL, value, NULL, "mproc_value_decode", 100, 1000, 3, 0},
    {0},
};
