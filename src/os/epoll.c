/* Waiting for many descriptors, as epoll.h says. Called by the server of managers. */
#include "os/epoll.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include <errno.h>
#include <time.h>

int os_epoll_create(void)
{
    int fault = os_fault(OS_EPOLL_CREATE);
    if (fault)
        return fault;
    int epoll = epoll_create1(EPOLL_CLOEXEC);
    return epoll < 0 ? -errno : os_keep(epoll);
}

static int control(int epoll, int operation, int fd, uint32_t events, void *data)
{
    int fault = os_fault(OS_EPOLL_CTL);
    if (fault)
        return fault;
    struct epoll_event event = {.events = events, .data.ptr = data};
    return epoll_ctl(epoll, operation, fd, &event) ? -errno : 0;
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

int os_epoll_wait(int epoll, struct epoll_event *events, int capacity, int64_t nanoseconds)
{
    int fault = os_fault(OS_EPOLL_WAIT);
    if (fault)
        return fault;
    struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int count = epoll_pwait2(epoll, events, capacity, &span, NULL);
    return count < 0 ? -errno : count;
}
