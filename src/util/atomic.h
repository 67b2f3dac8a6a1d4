/* The atomic operations of C11 with the order in their name. A pointer and values as in C11: macros, since these are
 * generic over the type. What is rare here (a weak exchange, another order for one that fails, a fence) is written out
 * as C11 has it. */
#ifndef MPROC_UTIL_ATOMIC_H
#define MPROC_UTIL_ATOMIC_H

#include <stdatomic.h>

#define load_relaxed(object) atomic_load_explicit(object, memory_order_relaxed)
#define load_acquire(object) atomic_load_explicit(object, memory_order_acquire)
#define load_seq_cst(object) atomic_load_explicit(object, memory_order_seq_cst)

#define store_relaxed(object, value) atomic_store_explicit(object, value, memory_order_relaxed)
#define store_release(object, value) atomic_store_explicit(object, value, memory_order_release)
#define store_seq_cst(object, value) atomic_store_explicit(object, value, memory_order_seq_cst)

/* Each returns what stood there before. */
#define exchange_relaxed(object, value) atomic_exchange_explicit(object, value, memory_order_relaxed)
#define exchange_acquire(object, value) atomic_exchange_explicit(object, value, memory_order_acquire)
#define exchange_release(object, value) atomic_exchange_explicit(object, value, memory_order_release)
#define exchange_acq_rel(object, value) atomic_exchange_explicit(object, value, memory_order_acq_rel)

#define fetch_add_relaxed(object, value) atomic_fetch_add_explicit(object, value, memory_order_relaxed)
#define fetch_add_release(object, value) atomic_fetch_add_explicit(object, value, memory_order_release)
#define fetch_add_acq_rel(object, value) atomic_fetch_add_explicit(object, value, memory_order_acq_rel)
#define fetch_sub_relaxed(object, value) atomic_fetch_sub_explicit(object, value, memory_order_relaxed)
#define fetch_sub_release(object, value) atomic_fetch_sub_explicit(object, value, memory_order_release)
#define fetch_sub_acq_rel(object, value) atomic_fetch_sub_explicit(object, value, memory_order_acq_rel)
#define fetch_or_relaxed(object, value)  atomic_fetch_or_explicit(object, value, memory_order_relaxed)
#define fetch_or_acq_rel(object, value)  atomic_fetch_or_explicit(object, value, memory_order_acq_rel)
#define fetch_or_seq_cst(object, value)  atomic_fetch_or_explicit(object, value, memory_order_seq_cst)
#define fetch_and_relaxed(object, value) atomic_fetch_and_explicit(object, value, memory_order_relaxed)

/* Strong. Whether the object held *expected, and holds the value now; else *expected is what it holds. One that fails
 * orders nothing. */
#define compare_exchange_relaxed(object, expected, value)                                                              \
    atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_relaxed, memory_order_relaxed)
#define compare_exchange_acquire(object, expected, value)                                                              \
    atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_acquire, memory_order_relaxed)
#define compare_exchange_release(object, expected, value)                                                              \
    atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_release, memory_order_relaxed)
#define compare_exchange_acq_rel(object, expected, value)                                                              \
    atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_acq_rel, memory_order_relaxed)
#define compare_exchange_seq_cst(object, expected, value)                                                              \
    atomic_compare_exchange_strong_explicit(object, expected, value, memory_order_seq_cst, memory_order_relaxed)

#endif
