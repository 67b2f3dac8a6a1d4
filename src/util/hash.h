/* A hash of bytes, the same in every process: for tables, and for nothing that an adversary must not foresee. */
#ifndef MPROC_UTIL_HASH_H
#define MPROC_UTIL_HASH_H

#include <stddef.h>
#include <stdint.h>

uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed);

#endif
