/* Two words of shared memory that change together: a compare-and-swap of 16 bytes, which every x86-64 since 2005 and
 * every aarch64 has. The halves may be read one at a time; a swap fails when what was read is no longer, or never was,
 * one value. */
#ifndef MPROC_SYNC_CAS16_H
#define MPROC_SYNC_CAS16_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

struct cas16 {
    _Alignas(16) _Atomic(uint64_t) low;
    _Atomic(uint64_t) high;
};

/* ThreadSanitizer does not see into the instruction below. */
#ifdef __SANITIZE_THREAD__
#include <sanitizer/tsan_interface.h>
#define CAS16_ACQUIRE(pair) __tsan_acquire(pair)
#define CAS16_RELEASE(pair) __tsan_release(pair)
#else
#define CAS16_ACQUIRE(pair) (void)(pair)
#define CAS16_RELEASE(pair) (void)(pair)
#endif

/* If the pair is {low, high}, make it {new_low, new_high}. A full barrier either way. The instruction is written out
 * where a compiler has to be told that there is one, and would take a lock of this process instead. */
static inline bool cas16_swap(struct cas16 *pair, uint64_t low, uint64_t high, uint64_t new_low, uint64_t new_high)
{
#ifdef __x86_64__
    bool swapped;
    CAS16_RELEASE(pair);
    __asm__ __volatile__("lock cmpxchg16b %1"
                         : "=@ccz"(swapped), "+m"(*pair), "+a"(low), "+d"(high)
                         : "b"(new_low), "c"(new_high)
                         : "memory");
    CAS16_ACQUIRE(pair);
    return swapped;
#else
    unsigned __int128 from = (unsigned __int128)high << 64 | low;
    unsigned __int128 to = (unsigned __int128)new_high << 64 | new_low;
    return __sync_bool_compare_and_swap((unsigned __int128 *)(void *)pair, from, to);
#endif
}

#endif
