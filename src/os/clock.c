/* Time: the monotonic clock, and deadlines made of timeouts. clock_gettime() needs no system call on the machines that
 * we know, so it has no fault hook. */
#include "os/clock.h"

#include <sys/resource.h>
#include <time.h>

int64_t os_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) & ~INT64_C(1);
}

int64_t os_usage_time(const struct rusage *usage)
{
    return ((int64_t)usage->ru_utime.tv_sec + usage->ru_stime.tv_sec) * 1000000000 +
           ((int64_t)usage->ru_utime.tv_usec + usage->ru_stime.tv_usec) * 1000;
}

int64_t os_now_coarse(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC_COARSE, &now);
    return ((int64_t)now.tv_sec * 1000000000 + now.tv_nsec) & ~INT64_C(1);
}

int64_t os_cpu_time(void)
{
    struct rusage own, of_children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &of_children);
    return os_usage_time(&own) + os_usage_time(&of_children);
}

int64_t os_thread_faults(void)
{
    struct rusage usage;
    getrusage(RUSAGE_THREAD, &usage);
    return usage.ru_minflt;
}

nanoseconds os_after(nanoseconds timeout)
{
    int64_t users = timeout & 1;
    if (timeout == OS_NOWAIT)
        return 0;
    if (users)
        os_wait_begin();
    if (timeout < 0)
        return OS_NEVER | users;
    int64_t now = os_now();
    return (timeout > OS_NEVER - now ? OS_NEVER : now + timeout) | users;
}

int64_t os_until(int64_t deadline)
{
    if (deadline == 0 || ((deadline & 1) && os_wait_is_interrupted()))
        return 0;
    if (deadline >= OS_NEVER)
        return deadline;
    int64_t left = deadline - os_now();
    return left > 0 ? left : 0;
}

nanoseconds os_left_of(int64_t deadline)
{
    int64_t users = deadline & 1;
    int64_t left = os_until(deadline);
    return left ? left | users : OS_NOWAIT;
}

int64_t os_nap(int64_t deadline)
{
    int64_t left = os_until(deadline);
    return left < OS_TICK ? left : OS_TICK;
}
