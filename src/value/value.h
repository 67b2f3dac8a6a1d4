/* Values inside the library: what containers and servers need of them beside <mproc/value.h>. Nothing here takes locks
 * or touches shared memory, except the bytes that it is given.
 *
 * To store a value: value_check(), then value_encoded_size(), then value_encode_into() at the place where it is to lie.
 * To look for a key: value_key_size(), which returns -EINVAL for what cannot be a key, then value_key_into(), then
 * value_hash_bytes() of that. */
#ifndef MPROC_VALUE_VALUE_H
#define MPROC_VALUE_VALUE_H

#include "util/hash.h"
#include <mproc/value.h>

enum {
    VALUE_DEPTH = 100,   /* lists and maps in one another */
    VALUE_TAG_MOST = 127 /* of opaque values and objects */
};

/* Bytes or items of one value, and items of all lists and maps in it together. Less than what a stored length can say,
 * so that a length and a few bytes beside it never overflow; and an end to values that hold themselves. */
#define VALUE_SIZE_MOST ((size_t)4000000000)

/* ---- whether something is a value ---- */

/* What an owned copy of a value takes beside the value itself. */
struct value_measure {
    size_t values;     /* items of lists, keys and values of maps */
    size_t bytes;      /* of strings, bytes and opaque values, each with a NUL behind it */
    const char *wrong; /* why it is no value, as failures say it; NULL where it is one */
};

/* Look through a value. 0; -EINVAL: it is none; -ENOMEM: a large map could not be looked through. */
int value_measure(const mproc_value *value, struct value_measure *measure);
int value_check(const mproc_value *value);

/* The same for an argument of that name: what is wrong with it is noted. */
int value_check_argument(const mproc_value *value, const char *name);

static inline bool value_is_valid(const mproc_value *value)
{
    return value_check(value) == 0;
}

/* ---- the one block of an owned value ---- */

struct value_block {
    void *memory;        /* to become the value's; NULL where nothing is needed */
    mproc_value *values; /* the next free ones, and where they end, which is where the bytes begin */
    mproc_value *values_end;
    char *bytes, *bytes_end;
};

/* 0 or -ENOMEM. */
int value_block_create(struct value_block *block, const struct value_measure *measure);

/* Take count values from the block, or a copy of the bytes with a NUL behind. NULL when the block is too small. */
mproc_value *value_block_values(struct value_block *block, size_t count);
char *value_block_bytes(struct value_block *block, const void *bytes, size_t size);

/* ---- the stored form: MessagePack, see docs/values.md ---- */

/* Of a valid value: how many bytes it takes, and to write just these. */
size_t value_encoded_size(const mproc_value *value);
void value_encode_into(const mproc_value *value, unsigned char *data);

/* As mproc_value_decode(), which is this one. One malloc() for the value; none for a nil, bool, int, double or object.
 * A map of more than 16 pairs takes another for a moment. Bytes that somebody changes meanwhile give another value or
 * -EINVAL, and no worse. */
int value_decode(mproc_value *value, const void *data, size_t size);

/* ---- keys ---- */

/* The canonical form of a key: the stored form of the simplest value that equals it. Two keys are one exactly when
 * their canonical forms have the same bytes: 1, 1.0 and true are; -0.0 and 0; all NaNs. It can be decoded, but True
 * comes back as 1. value_key_size() returns 0, or -EINVAL for what is no value and for a list or map;
 * value_key_into() takes keys that passed it. Neither takes memory. */
int value_key_size(const mproc_value *key, size_t *size);
void value_key_into(const mproc_value *key, unsigned char *data);

static inline uint64_t value_hash_bytes(const void *bytes, size_t size)
{
    return hash_bytes(bytes, size, 0);
}

/* Whether something can be a key; and of two that can: whether they are one. */
bool value_is_key(const mproc_value *key);
bool value_key_equal(const mproc_value *a, const mproc_value *b);

/* The keys of a map in an order of their own, to be found by halving: whatever the keys are, n of them take n log n
 * steps. */
struct value_index {
    struct value_index_entry {
        uint64_t hash;
        const mproc_pair *pair;
    } few[16], *entries;
    size_t count;
};

/* Of a map whose keys can be keys. 0; -EEXIST: a key is there twice; -ENOMEM. To be freed in the first case only. */
int value_index_create(struct value_index *index, const mproc_value *map);
const mproc_value *value_index_find(const struct value_index *index, const mproc_value *key);
void value_index_free(struct value_index *index);

/* Whether it is a string that has no NUL in it. */
static inline bool value_is_text(const mproc_value *value)
{
    return value->kind == MPROC_STRING && strlen(value->string) == value->size;
}

#endif
