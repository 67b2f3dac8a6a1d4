/* Time: the monotonic clock, and deadlines made of timeouts.
 *
 * The library counts in plain nanoseconds. An mproc_time is what a caller gives or gets: it becomes a deadline, or is
 * taken apart, in the public function that it was given to. */
#ifndef MPROC_OS_CLOCK_H
#define MPROC_OS_CLOCK_H

#include <mproc/base.h>
#include <stdbool.h>

/* Spans, moments of the monotonic clock, and timeouts inside the library. */
typedef int64_t nanoseconds;

#define OS_US(n)  ((nanoseconds)(n)*1000)
#define OS_MS(n)  ((nanoseconds)(n)*1000000)
#define OS_SEC(n) ((nanoseconds)(n)*1000000000)

/* Timeouts that are no spans, as MPROC_FOREVER and MPROC_NOWAIT. */
#define OS_FOREVER ((nanoseconds)-1)
#define OS_NOWAIT  ((nanoseconds)0)

/* No sleep of the library is longer: after each such span a waiter looks again at its condition and at the life of
 * whoever it waits for. */
#define OS_TICK OS_MS(100)

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
    return timeout.nanoseconds >= OS_FOREVER;
}

/* Whether it may stand in options: 0 for the default, MPROC_FOREVER, or a span that is not so short that its unit must
 * have been forgotten. */
static inline bool os_option_is_valid(mproc_time time)
{
    return time.nanoseconds == 0 || time.nanoseconds == OS_FOREVER || time.nanoseconds >= OS_US(100);
}

/* The moment at which a timeout that starts now is over; OS_NEVER for MPROC_FOREVER, 0 for MPROC_NOWAIT. */
nanoseconds os_deadline(mproc_time timeout);

/* The same for a timeout of the library's own. */
nanoseconds os_after(nanoseconds timeout);

/* Nanoseconds until then, at least 0; OS_NEVER stays. */
int64_t os_until(int64_t deadline);

/* The same as a timeout: OS_FOREVER for OS_NEVER. */
static inline nanoseconds os_left(int64_t deadline)
{
    return deadline == OS_NEVER ? OS_FOREVER : deadline == 0 ? OS_NOWAIT : os_until(deadline);
}

/* Nanoseconds to sleep at a time: until then, but no longer than a tick. 0 when it is over. */
int64_t os_nap(int64_t deadline);

#endif
