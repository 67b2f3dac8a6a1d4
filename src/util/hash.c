/* The hash function wyhash, final version 4.2, by Wang Yi (github.com/wangyi-fudan/wyhash, in the public domain),
 * written anew from its definition for little-endian machines with a 64 x 64 bit multiplication. It passes SMHasher and
 * takes a few nanoseconds for a short key. */
#include "util/hash.h"

#include <string.h>

static const uint64_t secret[4] = {0x2d358dccaa6c78a5, 0x8bb84b93962eacc9, 0x4b33a62ed433d4a3, 0x4d5a2da51de1aa47};

enum {
    SHORT = 16, /* bytes that are read at once, in parts that may overlap */
    STRIPE = 48 /* bytes that are mixed in three lanes */
};

static inline uint64_t read8(const unsigned char *at)
{
    uint64_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

static inline uint64_t read4(const unsigned char *at)
{
    uint32_t word;
    memcpy(&word, at, sizeof word);
    return word;
}

/* Both halves of the product. */
static inline void multiply(uint64_t *low, uint64_t *high)
{
    __extension__ unsigned __int128 product = (unsigned __int128)*low * *high;
    *low = (uint64_t)product;
    *high = (uint64_t)(product >> 64);
}

static inline uint64_t mix(uint64_t a, uint64_t b)
{
    multiply(&a, &b);
    return a ^ b;
}

static inline void read_short(const unsigned char *at, size_t size, uint64_t *a, uint64_t *b)
{
    *a = 0;
    *b = 0;
    if (size >= 4) {
        size_t step = size >> 3 << 2;
        *a = read4(at) << 32 | read4(at + step);
        *b = read4(at + size - 4) << 32 | read4(at + size - 4 - step);
    } else if (size > 0) {
        *a = (uint64_t)at[0] << 16 | (uint64_t)at[size >> 1] << 8 | at[size - 1];
    }
}

uint64_t hash_bytes(const void *bytes, size_t size, uint64_t seed)
{
    const unsigned char *at = bytes;
    size_t left = size;
    uint64_t a, b;

    seed ^= mix(seed ^ secret[0], secret[1]);
    if (size <= SHORT) {
        read_short(at, size, &a, &b);
    } else {
        if (left >= STRIPE) {
            uint64_t second = seed, third = seed;
            for (; left >= STRIPE; left -= STRIPE, at += STRIPE) {
                seed = mix(read8(at) ^ secret[1], read8(at + 8) ^ seed);
                second = mix(read8(at + 16) ^ secret[2], read8(at + 24) ^ second);
                third = mix(read8(at + 32) ^ secret[3], read8(at + 40) ^ third);
            }
            seed ^= second ^ third;
        }
        for (; left > SHORT; left -= SHORT, at += SHORT)
            seed = mix(read8(at) ^ secret[1], read8(at + 8) ^ seed);
        a = read8(at + left - 16);
        b = read8(at + left - 8);
    }
    a ^= secret[1];
    b ^= seed;
    multiply(&a, &b);
    return mix(a ^ secret[0] ^ size, b ^ secret[1]);
}
