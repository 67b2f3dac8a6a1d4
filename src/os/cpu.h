/* The processors: how many this process may use, and the hint for a spinning one. */
#ifndef MPROC_OS_CPU_H
#define MPROC_OS_CPU_H

#include <stdatomic.h>
#include <stdbool.h>

/* CPUs of the affinity mask, no more than the cgroup's quota rounded up; at least 1. Asks the kernel each time. */
int os_cpu_count(void);

/* The quota alone, in whole CPUs, rounded up; INT_MAX when there is none. root is put before every path that is read:
 * "" for this machine. */
int os_cpu_quota(const char *root);

/* Let this process run on one CPU only: the index-th of those on which it may, counted round and round. 0 or -errno. */
int os_cpu_pin(unsigned index);

/* Whether spinning makes sense: this process could run on more than one CPU when the library was loaded, or when that
 * was so in the process that it was forked from. A process that binds itself to one CPU later still waits for others
 * that run elsewhere. */
bool os_cpu_may_spin(void);

/* The CPU on which this thread is at the moment. */
int os_cpu_current(void);

/* A full fence directly after an atomic read-modify-write: on x86 that was one already. */
static inline void os_fence_after_atomic(void)
{
#if defined(__x86_64__) || defined(__i386__)
    atomic_signal_fence(memory_order_seq_cst);
#else
    atomic_thread_fence(memory_order_seq_cst);
#endif
}

/* Have the cache line at an address fetched for writing. Of no effect but on time, whatever the address. */
static inline void os_cpu_prefetch_to_write(const void *address)
{
#if defined(__x86_64__) || defined(__i386__)
    __asm__ __volatile__("prefetchw %0" : : "m"(*(const char *)address)); /* the builtin is this only with -mprfchw */
#else
    __builtin_prefetch(address, 1);
#endif
}

static inline void os_cpu_relax(void)
{
#if defined(__x86_64__) || defined(__i386__)
    __builtin_ia32_pause();
#elif defined(__aarch64__)
    __asm__ __volatile__("yield");
#endif
}

static inline void os_cpu_pause(int times)
{
    for (int i = 0; i < times; i++)
        os_cpu_relax();
}

#endif
