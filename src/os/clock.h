/* Time: the monotonic clock, and deadlines made of timeouts.
 *
 * The library counts in plain nanoseconds. An mproc_time is what a caller gives or gets: it becomes a deadline, or is
 * taken apart, in the public function that it was given to. */
#ifndef MPROC_OS_CLOCK_H
#define MPROC_OS_CLOCK_H

#include "os/wait_check.h"
#include <mproc/base.h>
#include <stdbool.h>

/* Spans, moments of the monotonic clock, and timeouts inside the library. */
typedef int64_t nanoseconds;

#define OS_US(n)  ((nanoseconds)(n)*1000)
#define OS_MS(n)  ((nanoseconds)(n)*1000000)
#define OS_SEC(n) ((nanoseconds)(n)*1000000000)

/* Timeouts that are no spans. A timeout or a deadline whose lowest bit is 1 is a user's, and the program's check may
 * end its wait early (os/wait_check.h); the library's own have 0 there, so os_now() and all spans above are even. */
#define OS_FOREVER      ((nanoseconds)-2)
#define OS_USER_FOREVER ((nanoseconds)-1) /* MPROC_FOREVER */
#define OS_NOWAIT       ((nanoseconds)0)

/* No sleep of the library is longer: after each such span a waiter looks again at its condition and at the life of
 * whoever it waits for. */
#define OS_TICK OS_MS(100)

/* A deadline that never comes; what is larger is one too, of a user. */
#define OS_NEVER (INT64_MAX - 1)

/* Nanoseconds of the monotonic clock, an even number. */
int64_t os_now(void);

/* The same clock as it stood at the kernel's last tick, some milliseconds ago at most; costs a fraction of it. */
int64_t os_now_coarse(void);

/* Nanoseconds of CPU time that this process has used, with the children that it waited for. */
int64_t os_cpu_time(void);

/* How many faults of pages this thread has had for which nothing was read from a disk. */
int64_t os_thread_faults(void);

/* The same from what the kernel has told. */
struct rusage;
int64_t os_usage_time(const struct rusage *usage);

static inline bool os_timeout_is_valid(mproc_time timeout)
{
    return timeout.nanoseconds >= OS_USER_FOREVER;
}

/* Whether it may stand in options: 0 for the default, MPROC_FOREVER, or a span that is not so short that its unit must
 * have been forgotten. */
static inline bool os_option_is_valid(mproc_time time)
{
    return time.nanoseconds == 0 || time.nanoseconds == OS_USER_FOREVER || time.nanoseconds >= OS_US(100);
}

/* A user's timeout inside the library. */
static inline nanoseconds os_user_timeout(mproc_time timeout)
{
    return timeout.nanoseconds == OS_NOWAIT ? OS_NOWAIT : timeout.nanoseconds | 1;
}

/* The moment at which a timeout is over that starts now: OS_NEVER or more for one without end, 0 for OS_NOWAIT. With a
 * user's timeout a wait begins that may be interrupted. */
nanoseconds os_after(nanoseconds timeout);

/* The same for a user's timeout. */
static inline nanoseconds os_deadline(mproc_time timeout)
{
    if (timeout.nanoseconds == OS_NOWAIT)
        return 0;
    if (timeout.nanoseconds > 0)
        return os_after(timeout.nanoseconds | 1);
    os_wait_begin();
    return OS_NEVER | 1;
}

/* Nanoseconds until then, at least 0; at least OS_NEVER where the deadline is. 0 too when the wait is interrupted. */
int64_t os_until(int64_t deadline);

/* The same as a timeout. */
nanoseconds os_left_of(int64_t deadline);

static inline nanoseconds os_left(int64_t deadline)
{
    if (deadline >= OS_NEVER)
        return deadline == OS_NEVER ? OS_FOREVER : OS_USER_FOREVER;
    return os_left_of(deadline);
}

/* The same for a public function. */
static inline mproc_time os_timeout_left(int64_t deadline)
{
    nanoseconds left = os_left(deadline);
    return left == OS_FOREVER ? MPROC_FOREVER : MPROC_NS(left);
}

/* Nanoseconds to sleep at a time: until then, but no longer than a tick. 0 when it is over. */
int64_t os_nap(int64_t deadline);

#endif
