/* The words that public structs keep for fields to come: a caller's are 0. One that sets any was built with a newer
 * header, and wants what this library does not know. */
#ifndef MPROC_UTIL_RESERVED_H
#define MPROC_UTIL_RESERVED_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

static inline bool reserved_is_zero(const uint64_t *words, size_t size)
{
    uint64_t sum = 0;
    for (size_t i = 0; i < size / sizeof *words; i++)
        sum |= words[i];
    return sum == 0;
}

#endif
