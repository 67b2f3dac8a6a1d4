/* Waiting for many descriptors, as epoll.h says. */
#include "os/epoll.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/refused.h"
#include "os/uncancelled.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <limits.h>
#include <time.h>

int os_epoll_create(void)
{
    int fault = os_fault(OS_EPOLL_CREATE);
    if (fault)
        return fault;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    return epoll < 0 ? failed_call("epoll_create1") : os_keep(epoll);
}

static int control(int epoll, int operation, int fd, uint32_t events, void *data)
{
    int fault = os_fault(OS_EPOLL_CTL);
    if (fault)
        return fault;
    struct epoll_event event = {.events = events, .data.ptr = data};
    return epoll_ctl(epoll, operation, fd, &event) ? failed_call("epoll_ctl") : 0;
}

int os_epoll_add(int epoll, int fd, uint32_t events, void *data)
{
    return control(epoll, EPOLL_CTL_ADD, fd, events, data);
}

int os_epoll_change(int epoll, int fd, uint32_t events, void *data)
{
    return control(epoll, EPOLL_CTL_MOD, fd, events, data);
}

int os_epoll_remove(int epoll, int fd)
{
    return control(epoll, EPOLL_CTL_DEL, fd, 0, NULL);
}

/* In milliseconds, rounded up: a wait that ended too early would be begun anew until its end. */
static int epoll_wait_coarse(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds)
{
    int64_t milliseconds = nanoseconds / 1000000 + (nanoseconds % 1000000 != 0);
    return uncancelled_epoll_wait(epoll, events, capacity, milliseconds < INT_MAX ? (int)milliseconds : INT_MAX);
}

int os_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds)
{
    static _Atomic(bool) is_coarse; /* epoll_pwait2() (Linux 5.11) was refused */
    int fault = os_fault(OS_EPOLL_WAIT);
    if (fault)
        return fault;
    struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = -1;
    if (!load_relaxed(&is_coarse)) {
        count = uncancelled_epoll_pwait2(epoll, events, capacity, &span);
        if (count >= 0 || !os_is_refused(errno))
            return count < 0 ? failed_call("epoll_pwait2") : count;
        store_relaxed(&is_coarse, true);
    }
    count = epoll_wait_coarse(epoll, events, capacity, nanoseconds);
    return count < 0 ? failed_call("epoll_pwait2") : count;
}
