/* Values as memory: whether one is a value, copies in one block, and looking into lists and maps. Nothing
 * here knows the stored form. */
#include "value/value.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>

/* ---- whether something is a value ---- */

static int measure_value(const mproc_value *value, struct value_measure *measure, int depth);

/* What is wrong stands in value_measure; the caller reports it, with the name of the argument. */
enum {
    NO_VALUE = -EINVAL
};

static int wrong(struct value_measure *measure, const char *why)
{
    measure->wrong = why;
    return NO_VALUE;
}

#define WRONG_SIZE "a size is above 4 000 000 000"
#define WRONG_NULL "a pointer is NULL, but its size is not 0"

static int measure_bytes(const mproc_value *value, struct value_measure *measure)
{
    if (value->size > VALUE_SIZE_MOST)
        return wrong(measure, WRONG_SIZE);
    if (!value->bytes && value->size > 0)
        return wrong(measure, WRONG_NULL);
    measure->bytes += value->size + 1;
    return 0;
}

/* Count the items of a list or map before they are looked at. */
static int measure_items(const mproc_value *value, size_t each, struct value_measure *measure, int depth)
{
    if (depth == VALUE_DEPTH)
        return wrong(measure, "lists and maps are in one another more than 100 deep");
    if (value->size > VALUE_SIZE_MOST)
        return wrong(measure, WRONG_SIZE);
    if (!value->items && value->size > 0)
        return wrong(measure, WRONG_NULL);
    measure->values += value->size * each;
    return measure->values > VALUE_SIZE_MOST ? wrong(measure, WRONG_SIZE) : 0;
}

static int measure_list(const mproc_value *list, struct value_measure *measure, int depth)
{
    int result = measure_items(list, 1, measure, depth);

    for (size_t i = 0; i < list->size && !result; i++)
        result = measure_value(&list->items[i], measure, depth + 1);
    return result;
}

static int measure_map(const mproc_value *map, struct value_measure *measure, int depth)
{
    struct value_index index;
    int result = measure_items(map, 2, measure, depth);

    for (size_t i = 0; i < map->size && !result; i++) {
        const mproc_pair *pair = &map->pairs[i];
        if (pair->key.kind == MPROC_LIST || pair->key.kind == MPROC_MAP)
            return wrong(measure, "a key of a map is a list or map");
        result = measure_value(&pair->key, measure, depth + 1);
        if (!result)
            result = measure_value(&pair->value, measure, depth + 1);
    }
    if (result || map->size < 2)
        return result;
    result = value_index_create(&index, map);
    if (!result)
        value_index_free(&index);
    return result == -EEXIST ? wrong(measure, "a map has a key twice") : result;
}

static int measure_value(const mproc_value *value, struct value_measure *measure, int depth)
{
    switch ((int)value->kind) {
    case MPROC_NIL:
    case MPROC_BOOL:
    case MPROC_INT:
    case MPROC_DOUBLE:
        return 0;
    case MPROC_STRING:
    case MPROC_BYTES:
        return measure_bytes(value, measure);
    case MPROC_OPAQUE:
        return value->tag > VALUE_TAG_MOST ? wrong(measure, "a tag is above 127") : measure_bytes(value, measure);
    case MPROC_OBJECT:
        return value->tag == 0 || value->tag > VALUE_TAG_MOST ? wrong(measure, "its object is no shared object") : 0;
    case MPROC_LIST:
        return measure_list(value, measure, depth);
    case MPROC_MAP:
        return measure_map(value, measure, depth);
    default:
        return wrong(measure, "a kind is not in enum mproc_kind");
    }
}

int value_measure(const mproc_value *value, struct value_measure *measure)
{
    *measure = (struct value_measure){0};
    return measure_value(value, measure, 0);
}

int value_check(const mproc_value *value)
{
    struct value_measure measure;
    return value_measure(value, &measure);
}

static int no_value(const char *name, const struct value_measure *measure)
{
    return failure(-EINVAL, "%s is no value: %s", name, measure->wrong);
}

int value_check_argument(const mproc_value *value, const char *name)
{
    struct value_measure measure;
    int result = value_measure(value, &measure);
    return result == -EINVAL ? no_value(name, &measure) : result;
}

/* ---- the one block of an owned value ---- */

int value_block_create(struct value_block *block, const struct value_measure *measure)
{
    size_t values_size = measure->values * sizeof(mproc_value);

    memset(block, 0, sizeof *block);
    if (values_size + measure->bytes == 0)
        return 0;
    block->memory = os_malloc(values_size + measure->bytes);
    if (!block->memory)
        return -ENOMEM;
    block->values = block->memory;
    block->values_end = block->values + measure->values;
    block->bytes = (char *)block->values_end;
    block->bytes_end = block->bytes + measure->bytes;
    return 0;
}

mproc_value *value_block_values(struct value_block *block, size_t count)
{
    mproc_value *values = block->values;

    if (count > (size_t)(block->values_end - values))
        return NULL;
    block->values += count;
    return values;
}

char *value_block_bytes(struct value_block *block, const void *bytes, size_t size)
{
    char *copy = block->bytes;

    if (size >= (size_t)(block->bytes_end - copy))
        return NULL;
    if (size > 0)
        memcpy(copy, bytes, size);
    copy[size] = '\0';
    block->bytes += size + 1;
    return copy;
}

/* ---- copies ---- */

/* Copy a value, which was measured, with all that is in it. */
static mproc_value copy_into(struct value_block *block, const mproc_value *value)
{
    mproc_value copy = *value;

    copy.memory = NULL;
    if (value->kind == MPROC_STRING || value->kind == MPROC_BYTES || value->kind == MPROC_OPAQUE) {
        copy.bytes = value_block_bytes(block, value->bytes, value->size);
    } else if (value->kind == MPROC_LIST || value->kind == MPROC_MAP) {
        size_t count = value->kind == MPROC_MAP ? 2 * value->size : value->size;
        mproc_value *items = count > 0 ? value_block_values(block, count) : NULL;
        for (size_t i = 0; i < count; i++)
            items[i] = copy_into(block, &value->items[i]);
        copy.items = items;
    }
    return copy;
}

int mproc_value_copy(mproc_value *copy, mproc_value value)
{
    struct value_measure measure;
    struct value_block block;

    if (!copy)
        return refuse(__func__, "copy is NULL");
    *copy = mproc_nil();
    int result = value_measure(&value, &measure);
    if (result == -EINVAL)
        return outcome(__func__, no_value("value", &measure));
    if (!result)
        result = value_block_create(&block, &measure);
    if (result)
        return outcome(__func__, result);
    *copy = copy_into(&block, &value);
    copy->memory = block.memory;
    return 0;
}

void mproc_value_free(mproc_value *value)
{
    if (!value)
        return;
    free(value->memory);
    *value = mproc_nil();
}

/* ---- looking inside ---- */

static const mproc_value *value_item_at(const mproc_value *list, const mproc_value *index)
{
    if (index->kind != MPROC_INT && index->kind != MPROC_BOOL)
        return NULL;
    int64_t at = index->kind == MPROC_BOOL ? index->boolean : index->integer;
    size_t place = at < 0 ? list->size + (uint64_t)at : (uint64_t)at;
    return place < list->size ? &list->items[place] : NULL;
}

static const mproc_value *value_of(const mproc_value *map, const mproc_value *key)
{
    if (!value_is_key(key))
        return NULL;
    for (size_t i = 0; i < map->size; i++)
        if (value_is_key(&map->pairs[i].key) && value_key_equal(&map->pairs[i].key, key))
            return &map->pairs[i].value;
    return NULL;
}

const mproc_value *mproc_value_get(const mproc_value *value, mproc_value key)
{
    if (!value || (value->kind != MPROC_LIST && value->kind != MPROC_MAP) || !value->items)
        return NULL;
    return value->kind == MPROC_LIST ? value_item_at(value, &key) : value_of(value, &key);
}
