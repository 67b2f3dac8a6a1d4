/* Time: the monotonic clock, and deadlines made of timeouts. Called from every floor; clock_gettime() needs no system
 * call on the machines we know, so it has no fault hook. */
#include "os/clock.h"

#include <sys/resource.h>
#include <time.h>

int64_t os_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
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
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t os_cpu_time(void)
{
    struct rusage own, of_children;
    getrusage(RUSAGE_SELF, &own);
    getrusage(RUSAGE_CHILDREN, &of_children);
    return os_usage_time(&own) + os_usage_time(&of_children);
}

nanoseconds os_deadline(mproc_time timeout)
{
    return os_after(timeout.nanoseconds);
}

nanoseconds os_after(nanoseconds timeout)
{
    if (timeout == OS_NOWAIT)
        return 0;
    if (timeout < 0)
        return OS_NEVER;
    int64_t now = os_now();
    return timeout > OS_NEVER - now ? OS_NEVER : now + timeout;
}

int64_t os_until(int64_t deadline)
{
    if (deadline == OS_NEVER || deadline == 0)
        return deadline;
    int64_t left = deadline - os_now();
    return left > 0 ? left : 0;
}

int64_t os_nap(int64_t deadline)
{
    int64_t left = os_until(deadline);
    return left < OS_TICK ? left : OS_TICK;
}
