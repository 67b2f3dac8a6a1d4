/* Values as keys: which are one, their hash, and the index of a map by which a key is found and two that are one are
 * seen. The canonical form that containers store is made by codec.c of what value_plain_key() says. */
#include "value/key.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>
#include <math.h>

/* ---- which keys are one ---- */

/* A double that is an int64_t. */
static bool is_integral(double real)
{
    return real >= -0x1p63 && real < 0x1p63 && real == (double)(int64_t)real;
}

mproc_value value_plain_key(const mproc_value *key)
{
    if (key->kind == MPROC_BOOL)
        return mproc_int(key->boolean);
    if (key->kind != MPROC_DOUBLE)
        return *key;
    if (is_integral(key->real))
        return mproc_int((int64_t)key->real);
    return isnan(key->real) ? mproc_double(NAN) : *key;
}

bool value_is_key(const mproc_value *key)
{
    return key->kind != MPROC_LIST && key->kind != MPROC_MAP && value_check(key) == 0;
}

/* An order of plain keys that says 0 when they are one. It means nothing else. */
static int order_of(const mproc_value *a, const mproc_value *b)
{
    if (a->kind != b->kind)
        return a->kind < b->kind ? -1 : 1;
    if ((a->kind == MPROC_OPAQUE || a->kind == MPROC_OBJECT) && a->tag != b->tag)
        return a->tag < b->tag ? -1 : 1;
    switch (a->kind) {
    case MPROC_NIL:
        return 0;
    case MPROC_STRING:
    case MPROC_BYTES:
    case MPROC_OPAQUE:
        if (a->size != b->size)
            return a->size < b->size ? -1 : 1;
        return a->size > 0 ? memcmp(a->bytes, b->bytes, a->size) : 0;
    case MPROC_DOUBLE:
        return a->real < b->real ? -1 : a->real > b->real ? 1 : isnan(a->real) - isnan(b->real);
    case MPROC_OBJECT:
        return (a->object > b->object) - (a->object < b->object);
    default:
        return (a->integer > b->integer) - (a->integer < b->integer);
    }
}

static int order_of_keys(const mproc_value *a, const mproc_value *b)
{
    mproc_value plain_a = value_plain_key(a), plain_b = value_plain_key(b);
    return order_of(&plain_a, &plain_b);
}

bool value_key_equal(const mproc_value *a, const mproc_value *b)
{
    return order_of_keys(a, b) == 0;
}

/* ---- their hash ---- */

static uint64_t key_hash_of(const mproc_value *key)
{
    mproc_value plain = value_plain_key(key);
    uint64_t seed = (uint64_t)plain.kind;

    switch (plain.kind) {
    case MPROC_NIL:
        return hash_bytes("", 0, seed);
    case MPROC_OPAQUE:
        return hash_bytes(plain.bytes, plain.size, seed | (uint64_t)plain.tag << 32);
    case MPROC_STRING:
    case MPROC_BYTES:
        return hash_bytes(plain.bytes, plain.size, seed);
    case MPROC_DOUBLE:
        return hash_bytes(&plain.real, sizeof plain.real, seed);
    case MPROC_OBJECT:
        return hash_bytes(&plain.object, sizeof plain.object, seed | (uint64_t)plain.tag << 32);
    default:
        return hash_bytes(&plain.integer, sizeof plain.integer, seed);
    }
}

int mproc_value_hash(mproc_value value, uint64_t *hash)
{
    if (!hash)
        return refuse(__func__, "hash is NULL");
    if (!value_is_key(&value))
        return refuse(__func__, "value is no valid value, or a list or map, which cannot be a key");
    *hash = key_hash_of(&value);
    return 0;
}

/* ---- the index of a map ---- */

static int order_of_entries(const void *first, const void *second)
{
    const struct value_index_entry *a = first, *b = second;

    if (a->hash != b->hash)
        return a->hash < b->hash ? -1 : 1;
    return order_of_keys(&a->pair->key, &b->pair->key);
}

int value_index_create(struct value_index *index, const mproc_value *map)
{
    size_t few = sizeof index->few / sizeof *index->few;

    index->count = map->size;
    index->entries = map->size > few ? os_malloc(map->size * sizeof *index->entries) : index->few;
    if (!index->entries)
        return -ENOMEM;
    for (size_t i = 0; i < map->size; i++) {
        index->entries[i].hash = key_hash_of(&map->pairs[i].key);
        index->entries[i].pair = &map->pairs[i];
    }
    qsort(index->entries, index->count, sizeof *index->entries, order_of_entries);
    for (size_t i = 1; i < index->count; i++)
        if (order_of_entries(&index->entries[i - 1], &index->entries[i]) == 0) {
            value_index_free(index);
            return -EEXIST;
        }
    return 0;
}

const mproc_value *value_index_find(const struct value_index *index, const mproc_value *key)
{
    mproc_pair wanted = {.key = *key};
    struct value_index_entry like = {key_hash_of(key), &wanted};

    const struct value_index_entry *found = bsearch(&like, index->entries, index->count, sizeof like, order_of_entries);
    return found ? &found->pair->value : NULL;
}

void value_index_free(struct value_index *index)
{
    if (index->entries != index->few)
        free(index->entries);
}
