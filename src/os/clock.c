/* Time: the monotonic clock, and deadlines made of timeouts. Called from every floor; clock_gettime() needs no system
 * call on the machines we know, so it has no fault hook. */
#include "os/clock.h"

#include <time.h>

int64_t os_now(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int64_t os_deadline(mproc_time timeout)
{
    if (timeout == MPROC_NOWAIT)
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
