/* Sleeping on a word of shared memory and waking those that sleep there. The words are in a shared mapping, so these
 * are never the process-private kind. */
#include "os/futex.h"

#include "os/fault.h"
#include "os/wait_check.h"
#include "util/failure.h"
#include <errno.h>
#include <linux/futex.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>

int os_futex_wait(const _Atomic(uint32_t) *word, uint32_t expected, int64_t nanoseconds)
{
    int fault = os_fault(OS_FUTEX_WAIT);
    if (fault)
        return fault;
    struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    if (syscall(SYS_futex, word, FUTEX_WAIT, expected, &span, NULL, 0) == 0)
        return 0;
    if (errno == EINTR)
        os_wait_signalled();
    return failed_call("futex");
}

int os_futex_wake(const _Atomic(uint32_t) *word, int count)
{
    int fault = os_fault(OS_FUTEX_WAKE);
    if (fault)
        return fault;
    long woken = syscall(SYS_futex, word, FUTEX_WAKE, count, NULL, NULL, 0);
    return woken < 0 ? failed_call("futex") : (int)woken;
}
