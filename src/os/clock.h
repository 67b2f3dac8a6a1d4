/* Time: the monotonic clock, and deadlines made of timeouts. */
#ifndef MPROC_OS_CLOCK_H
#define MPROC_OS_CLOCK_H

#include <mproc/base.h>
#include <stdbool.h>

/* No sleep of the library is longer: after each such span a waiter looks again at its condition and at the life of
 * whoever it waits for. */
#define OS_TICK MPROC_MS(100)

/* A deadline that never comes. */
#define OS_NEVER INT64_MAX

/* Nanoseconds of the monotonic clock. */
int64_t os_now(void);

/* The same clock as it stood at the kernel's last tick, some milliseconds ago at most; costs a fraction of it. */
int64_t os_now_coarse(void);

/* Nanoseconds of CPU time that this process has used, with the children that it waited for. */
int64_t os_cpu_time(void);

/* The same from what the kernel has told. */
struct rusage;
int64_t os_usage_time(const struct rusage *usage);

static inline bool os_timeout_is_valid(mproc_time timeout)
{
    return timeout >= MPROC_FOREVER;
}

/* The moment at which a timeout that starts now is over; OS_NEVER for MPROC_FOREVER, 0 for MPROC_NOWAIT. */
int64_t os_deadline(mproc_time timeout);

/* Nanoseconds until then, at least 0; OS_NEVER stays. */
int64_t os_until(int64_t deadline);

/* Nanoseconds to sleep at a time: until then, but no longer than a tick. 0 when it is over. */
int64_t os_nap(int64_t deadline);

#endif
