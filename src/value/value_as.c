/* Values as C types. Each function takes any value and accepts one kind or two. */
#include <mproc/value.h>

mproc_value mproc_value_at(mproc_value value, mproc_value key)
{
    const mproc_value *found = mproc_value_get(&value, key);
    mproc_value borrowed = found ? *found : mproc_nil();
    borrowed.memory = NULL;
    return borrowed;
}

/* Both limits of an int64_t are doubles, the upper one being the first that is none any more. */
static bool is_whole_int(double real)
{
    return real >= -0x1p63 && real < 0x1p63 && (double)(int64_t)real == real;
}

int64_t mproc_value_as_int(mproc_value value, int64_t otherwise)
{
    switch (value.kind) {
    case MPROC_BOOL:
        return value.boolean;
    case MPROC_INT:
        return value.integer;
    case MPROC_DOUBLE:
        return is_whole_int(value.real) ? (int64_t)value.real : otherwise;
    default:
        return otherwise;
    }
}

double mproc_value_as_double(mproc_value value, double otherwise)
{
    switch (value.kind) {
    case MPROC_BOOL:
        return value.boolean ? 1.0 : 0.0;
    case MPROC_INT:
        return (double)value.integer;
    case MPROC_DOUBLE:
        return value.real;
    default:
        return otherwise;
    }
}

bool mproc_value_as_bool(mproc_value value, bool otherwise)
{
    switch (value.kind) {
    case MPROC_BOOL:
        return value.boolean;
    case MPROC_INT:
        return value.integer != 0;
    case MPROC_DOUBLE:
        return !(value.real == 0); /* a NaN is something */
    default:
        return otherwise;
    }
}

const char *mproc_value_as_string(mproc_value value, const char *otherwise)
{
    return value.kind == MPROC_STRING && value.string ? value.string : otherwise;
}

const void *mproc_value_as_bytes(mproc_value value, size_t *size)
{
    bool has = value.kind == MPROC_STRING || value.kind == MPROC_BYTES || value.kind == MPROC_OPAQUE;
    if (size)
        *size = has ? value.size : 0;
    if (!has)
        return NULL;
    return value.kind == MPROC_STRING ? value.string : value.bytes;
}

void *mproc_value_as_object(mproc_value value, void *otherwise)
{
    return value.kind == MPROC_OBJECT ? value.object : otherwise;
}
