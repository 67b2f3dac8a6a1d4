/* Values: small typed data as Python knows them, for the shared dicts and lists and for what is called by name on other
 * machines.
 *
 *     mproc_value person = mproc_dict_of((mproc_pair[]){
 *         {mproc_string("name"), mproc_string("Ada")},
 *         {mproc_string("born"), mproc_int(1815)},
 *     }, 2);
 *     mproc_dict_set(people, mproc_int(1), person, MPROC_FOREVER);
 *     ...
 *     mproc_value found;
 *     if (mproc_dict_get(people, mproc_int(1), &found, MPROC_FOREVER) == 0) {
 *         const mproc_value *name = mproc_value_get(&found, mproc_string("name"));
 *         printf("%s\n", name->string);
 *         mproc_value_free(&found);
 *     }
 *
 * A value is memory of one process. What the constructors below return borrows: strings, bytes, items and pairs stay
 * the caller's, and must live as long as the value is used. What functions of the library write for a caller is owned:
 * one block of memory holds all of it, mproc_value_free() gives it back, and strings in it end with a NUL beyond their
 * size. A value is read by many threads at once, and written by none meanwhile.
 *
 * Equality, order and hash are Python's: 1 == 1.0 == true; strings and bytes are never equal. A NaN equals nothing, but
 * as a key all NaNs are one. The stored form is MessagePack. docs/values.md has the rest. */
#ifndef MPROC_VALUE_H
#define MPROC_VALUE_H

#include <mproc/base.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#ifdef __cplusplus
extern "C" {
#endif

enum mproc_kind {
    MPROC_NIL = 0,
    MPROC_BOOL,
    MPROC_INT,
    MPROC_DOUBLE,
    MPROC_STRING, /* UTF-8 by intention; any bytes are kept as they are */
    MPROC_BYTES,
    MPROC_LIST,
    MPROC_MAP,    /* in the order of its pairs; no key twice */
    MPROC_OPAQUE, /* bytes of which only the tag is understood here: what another language wants to store */
    MPROC_OBJECT  /* a shared object, by its address: see <mproc/containers.h> */
};

typedef struct mproc_value {
    enum mproc_kind kind;
    uint32_t tag; /* of an opaque value: 0 to 127; of an object: its type, 1 to 127 */
    size_t size;  /* bytes of string, bytes and opaque; items of a list; pairs of a map */
    union {
        bool boolean;
        int64_t integer;
        double real;
        const char *string;
        const void *bytes; /* of bytes and opaque values */
        const struct mproc_value *items;
        const struct mproc_pair *pairs;
        void *object;
    };
    void *memory; /* what mproc_value_free() gives back; NULL in what borrows, and inside lists and maps */
} mproc_value;

typedef struct mproc_pair {
    mproc_value key;
    mproc_value value;
} mproc_pair;

/* ---- constructors ---- */

static inline mproc_value mproc_nil(void)
{
    mproc_value value;
    memset(&value, 0, sizeof value);
    return value;
}

static inline mproc_value mproc_bool(bool boolean)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_BOOL;
    value.boolean = boolean;
    return value;
}

static inline mproc_value mproc_int(int64_t integer)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_INT;
    value.integer = integer;
    return value;
}

static inline mproc_value mproc_double(double real)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_DOUBLE;
    value.real = real;
    return value;
}

/* A string that ends with a NUL, or size bytes of one. */
static inline mproc_value mproc_string_of(const char *string, size_t size)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_STRING;
    value.size = size;
    value.string = string;
    return value;
}

static inline mproc_value mproc_string(const char *string)
{
    return mproc_string_of(string, strlen(string));
}

static inline mproc_value mproc_bytes(const void *bytes, size_t size)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_BYTES;
    value.size = size;
    value.bytes = bytes;
    return value;
}

static inline mproc_value mproc_list_of(const mproc_value *items, size_t count)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_LIST;
    value.size = count;
    value.items = items;
    return value;
}

static inline mproc_value mproc_dict_of(const mproc_pair *pairs, size_t count)
{
    mproc_value value = mproc_nil();
    value.kind = MPROC_MAP;
    value.size = count;
    value.pairs = pairs;
    return value;
}

static inline mproc_value mproc_opaque(uint32_t tag, const void *bytes, size_t size)
{
    mproc_value value = mproc_bytes(bytes, size);
    value.kind = MPROC_OPAQUE;
    value.tag = tag;
    return value;
}

/* Items or pairs as a literal, followed by their number: the two arguments of mproc_list_of() and mproc_dict_of().
 *
 *     mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_string("two")))
 *     mproc_dict_of(MPROC_PAIRS({mproc_string("a"), mproc_int(1)}, {mproc_string("b"), mproc_int(2)}))
 *
 * At least one is needed. They live until the end of the enclosing block. C only: C++ has no such literals. */
#define MPROC_ITEMS(...)                                                                                               \
    ((const mproc_value[]){__VA_ARGS__}), (sizeof((const mproc_value[]){__VA_ARGS__}) / sizeof(mproc_value))
#define MPROC_PAIRS(...)                                                                                               \
    ((const mproc_pair[]){__VA_ARGS__}), (sizeof((const mproc_pair[]){__VA_ARGS__}) / sizeof(mproc_pair))

/* ---- what is in them ----
 *
 * What a value is as a C type, or otherwise where it is nothing of that type. So a value that was not found, which is
 * nil, needs no look of its own. */

/* A value of a map or list by its key or index (negative: from the end), borrowed from it; nil where there is none, and
 * where it is neither. */
MPROC_API mproc_value mproc_value_at(mproc_value value, mproc_value key);

/* An int; a bool as 0 or 1; a double that is a whole number of that range. */
MPROC_API int64_t mproc_value_as_int(mproc_value value, int64_t otherwise);

/* A double; an int, rounded where it has more than 53 bits; a bool as 0 or 1. */
MPROC_API double mproc_value_as_double(mproc_value value, double otherwise);

/* A bool; of an int or a double whether it is something other than 0. */
MPROC_API bool mproc_value_as_bool(mproc_value value, bool otherwise);

/* A string, which is the value's: it ends with a NUL where the value is an owned one, or was made of one that does. It
 * may have NULs in it, too: value.size is its size. */
MPROC_API const char *mproc_value_as_string(mproc_value value, const char *otherwise);

/* The bytes of a string, of bytes or of an opaque value, which are the value's, and their count. NULL and 0 for any
 * other. size may be NULL. */
MPROC_API const void *mproc_value_as_bytes(mproc_value value, size_t *size);

/* The shared object, of any type. */
MPROC_API void *mproc_value_as_object(mproc_value value, void *otherwise);

/* ---- what can be done with them ----
 *
 * A value that is no value is -EINVAL everywhere: an unknown kind, NULL with a size, a size or a sum of all items above
 * 4 000 000 000, another tag than those above, lists and maps in one another more than 100 deep, a map with a key twice
 * or with a list or map as a key. A map of more than 16 pairs takes memory for a moment to be looked through: -ENOMEM.
 */

/* A copy that owns all it has. -EINVAL, -ENOMEM: *copy is nil then. */
MPROC_API int mproc_value_copy(mproc_value *copy, mproc_value value);

/* Give back what an owned value has; it is nil then. Nothing is done to one that borrows but to make it nil. NULL is
 * ignored. */
MPROC_API void mproc_value_free(mproc_value *value);

/* Whether two are equal. false where one is no value. Opaque values are equal with the same tag and bytes, objects when
 * they are the same; maps whatever their order. Without memory, maps take longer. */
MPROC_API bool mproc_value_equal(mproc_value a, mproc_value b);

/* *order is negative, 0 or positive as a is before, equal to or after b. Numbers (with bool) are ordered among each
 * other, strings and bytes by their bytes, lists item by item. -EINVAL for what has no order in Python either: other
 * kinds, different kinds, a NaN. -ENOMEM. Nothing is written then. */
MPROC_API int mproc_value_order(mproc_value a, mproc_value b, int *order);

/* A hash that is the same for equal values, in this and in other processes. -EINVAL for lists and maps, which cannot be
 * keys. */
MPROC_API int mproc_value_hash(mproc_value value, uint64_t *hash);

/* What Python's repr() prints: None, True, 1, 1.0, 'text', b'bytes', [1, 2], {'a': 1}; <opaque 7: 12 bytes> and <dict
 * object at 0x...> for the two that Python does not have. In memory from malloc(). NULL with errno: EINVAL, ENOMEM. */
MPROC_API char *mproc_value_repr(mproc_value value);

/* Write the same and a newline to a descriptor: mproc_value_print(1, value). What printf() has not written yet goes
 * first where that is stdout. 0; -EINVAL, -ENOMEM, and the errors of write(2); then a part may be written. A reader
 * that is gone is -EPIPE and no signal. */
MPROC_API int mproc_value_print(int fd, mproc_value value);

/* The value of a key in a map, or the item of a list by an int (negative: from the end); NULL when there is none. */
MPROC_API const mproc_value *mproc_value_get(const mproc_value *value, mproc_value key);

/* The stored form, in memory from malloc(). -EINVAL, -ENOMEM: nothing is written then. */
MPROC_API int mproc_value_encode(mproc_value value, void **data, size_t *size);

/* The value of a stored form, owned. Whatever the bytes are, nothing but the result is touched, and memory grows with
 * the bytes that are there, not with the lengths that they claim. -EINVAL: it is no stored form (malformed, cut off,
 * with more behind it, too deep, with a key twice or one that cannot be a key, with an int
 * that is no int64_t); -ENOMEM. *value is nil then. */
MPROC_API int mproc_value_decode(mproc_value *value, const void *data, size_t size);

#ifdef __cplusplus
}
#endif

#endif
