/* Copying bytes that another CPU is to read. */
#ifndef MPROC_OS_COPY_H
#define MPROC_OS_COPY_H

#include <stddef.h>
#include <string.h>
#ifdef __SSE2__
#include <emmintrin.h>
#endif

/* memcpy() past the caches, to be followed by a release store that publishes the bytes. An ordinary store fetches the
 * line that it writes, which a reader on another CPU may have had last, and pushes another line out of the cache; where
 * the bytes do not fit into a core's own cache that takes far longer than the copy. A reader on the same CPU is slower
 * for it. Where the processor has no such stores, memcpy(). */
static inline void os_copy_past_caches(void *to, const void *from, size_t size)
{
#ifdef __SSE2__
    unsigned char *at = to;
    const unsigned char *bytes = from;
    size_t i = -(size_t)to & 15; /* to where it is aligned */
    i = i < size ? i : size;
    memcpy(at, bytes, i);
    for (; size - i >= 64; i += 64)
        for (size_t part = i; part < i + 64; part += 16)
            _mm_stream_si128((__m128i *)(void *)(at + part),
                             _mm_loadu_si128((const __m128i *)(const void *)(bytes + part)));
    memcpy(at + i, bytes + i, size - i);
    _mm_sfence(); /* no release store keeps the order of these */
#else
    memcpy(to, from, size);
#endif
}

#endif
