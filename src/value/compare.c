/* Equality and order of values as Python has them, in one walk over both. */
#include "value/value.h"

#include "util/failure.h"

#include <errno.h>
#include <math.h>

/* How the first of two is to the second. */
enum verdict {
    EQUAL,
    LESS,
    GREATER,
    UNEQUAL /* and without an order */
};

static enum verdict compare_values(const mproc_value *a, const mproc_value *b);

static bool compare_is_number(const mproc_value *value)
{
    return value->kind == MPROC_BOOL || value->kind == MPROC_INT || value->kind == MPROC_DOUBLE;
}

static enum verdict compare_ints(int64_t a, int64_t b)
{
    return a == b ? EQUAL : a < b ? LESS : GREATER;
}

static enum verdict compare_doubles(double a, double b)
{
    if (isnan(a) || isnan(b))
        return UNEQUAL;
    return a == b ? EQUAL : a < b ? LESS : GREATER;
}

/* Exact: an int64_t as a double may be another number. */
static enum verdict compare_int_to_double(int64_t integer, double real)
{
    if (!(real >= -0x1p63 && real < 0x1p63))
        return compare_doubles(0, real);
    int64_t whole = (int64_t)real;
    return integer != whole ? compare_ints(integer, whole) : compare_doubles((double)whole, real);
}

static enum verdict turned(enum verdict verdict)
{
    return verdict == LESS ? GREATER : verdict == GREATER ? LESS : verdict;
}

static int64_t compare_integer_of(const mproc_value *value)
{
    return value->kind == MPROC_BOOL ? value->boolean : value->integer;
}

static enum verdict compare_numbers(const mproc_value *a, const mproc_value *b)
{
    if (a->kind == MPROC_DOUBLE && b->kind == MPROC_DOUBLE)
        return compare_doubles(a->real, b->real);
    if (b->kind == MPROC_DOUBLE)
        return compare_int_to_double(compare_integer_of(a), b->real);
    if (a->kind == MPROC_DOUBLE)
        return turned(compare_int_to_double(compare_integer_of(b), a->real));
    return compare_ints(compare_integer_of(a), compare_integer_of(b));
}

static enum verdict compare_bytes(const mproc_value *a, const mproc_value *b)
{
    size_t both = a->size < b->size ? a->size : b->size;
    int difference = both > 0 ? memcmp(a->bytes, b->bytes, both) : 0;

    if (difference)
        return difference < 0 ? LESS : GREATER;
    return a->size == b->size ? EQUAL : a->size < b->size ? LESS : GREATER;
}

static enum verdict compare_lists(const mproc_value *a, const mproc_value *b)
{
    for (size_t i = 0; i < a->size && i < b->size; i++) {
        enum verdict verdict = compare_values(&a->items[i], &b->items[i]);
        if (verdict != EQUAL)
            return verdict;
    }
    return a->size == b->size ? EQUAL : a->size < b->size ? LESS : GREATER;
}

/* What two maps differ in from a pair on where their orders are not the same. */
static enum verdict compare_maps_from(const mproc_value *a, const mproc_value *b, size_t from)
{
    struct value_index index;
    bool has_index = value_index_create(&index, b) == 0;
    enum verdict verdict = EQUAL;

    for (size_t i = from; i < a->size && verdict == EQUAL; i++) {
        const mproc_pair *pair = &a->pairs[i];
        const mproc_value *found = has_index ? value_index_find(&index, &pair->key) : mproc_value_get(b, pair->key);
        if (!found || compare_values(&pair->value, found) != EQUAL)
            verdict = UNEQUAL;
    }
    if (has_index)
        value_index_free(&index);
    return verdict;
}

static enum verdict compare_maps(const mproc_value *a, const mproc_value *b)
{
    if (a->size != b->size)
        return UNEQUAL;
    for (size_t i = 0; i < a->size; i++) {
        if (!value_key_equal(&a->pairs[i].key, &b->pairs[i].key))
            return compare_maps_from(a, b, i);
        if (compare_values(&a->pairs[i].value, &b->pairs[i].value) != EQUAL)
            return UNEQUAL;
    }
    return EQUAL;
}

/* Of two valid values. */
static enum verdict compare_values(const mproc_value *a, const mproc_value *b)
{
    if (compare_is_number(a) && compare_is_number(b))
        return compare_numbers(a, b);
    if (a->kind != b->kind)
        return UNEQUAL;
    switch (a->kind) {
    case MPROC_STRING:
    case MPROC_BYTES:
        return compare_bytes(a, b);
    case MPROC_LIST:
        return compare_lists(a, b);
    case MPROC_MAP:
        return compare_maps(a, b);
    case MPROC_OPAQUE:
    case MPROC_OBJECT:
        return value_key_equal(a, b) ? EQUAL : UNEQUAL;
    default:
        return EQUAL;
    }
}

bool mproc_value_equal(mproc_value a, mproc_value b)
{
    if (value_check(&a) == -EINVAL || value_check(&b) == -EINVAL)
        return false;
    return compare_values(&a, &b) == EQUAL;
}

int mproc_value_order(mproc_value a, mproc_value b, int *order)
{
    int result = value_check_argument(&a, "a");
    if (!result)
        result = value_check_argument(&b, "b");
    if (result)
        return outcome(__func__, result);
    bool has_order = compare_is_number(&a) || a.kind == MPROC_STRING || a.kind == MPROC_BYTES || a.kind == MPROC_LIST;
    enum verdict verdict = has_order ? compare_values(&a, &b) : UNEQUAL;
    if (!order)
        return refuse(__func__, "order is NULL");
    if (verdict == UNEQUAL)
        return refuse(__func__, "a and b are of kinds that have no order, or a NaN");
    *order = verdict == EQUAL ? 0 : verdict == LESS ? -1 : 1;
    return 0;
}
