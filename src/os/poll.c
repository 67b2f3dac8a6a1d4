/* Waiting for descriptors, as poll.h says. */
#include "os/poll.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/uncancelled.h"
#include "os/wait_check.h"
#include "util/failure.h"
#include <errno.h>
#include <sys/epoll.h>
#include <time.h>

int os_poll(struct pollfd *watches, size_t count, int64_t nanoseconds)
{
    int fault = os_fault(OS_POLL);
    if (fault)
        return fault;
    struct timespec span = {.tv_sec = nanoseconds / 1000000000, .tv_nsec = nanoseconds % 1000000000};
    int ready = uncancelled_ppoll(watches, count, &span);
    if (ready < 0 && errno == EINTR)
        os_wait_signalled();
    return ready < 0 ? failed_call("ppoll") : ready;
}

static int watch_edges(int edge, int fd)
{
    int fault = os_fault(OS_EPOLL_CTL);
    if (fault)
        return fault;
    struct epoll_event event = {.events = EPOLLIN | EPOLLET};
    return epoll_ctl(edge, EPOLL_CTL_ADD, fd, &event) ? failed_call("epoll_ctl") : 0;
}

int os_edge_create(int fd)
{
    int fault = os_fault(OS_EPOLL_CREATE);
    if (fault)
        return fault;
    int edge = epoll_create1(EPOLL_CLOEXEC);
    edge = edge < 0 ? failed_call("epoll_create1") : os_keep(edge);
    if (edge < 0)
        return edge;
    int result = watch_edges(edge, fd);
    if (result) {
        os_close(edge);
        return result;
    }
    return edge;
}

int os_edge_clear(int edge)
{
    int fault = os_fault(OS_EPOLL_WAIT);
    if (fault)
        return fault;
    struct epoll_event event;
    return uncancelled_epoll_wait(edge, &event, 1, 0) < 0 ? failed_call("epoll_wait") : 0;
}

int os_set_create(void)
{
    int fault = os_fault(OS_EPOLL_CREATE);
    if (fault)
        return fault;
    int set = epoll_create1(EPOLL_CLOEXEC);
    return set < 0 ? failed_call("epoll_create1") : os_keep(set);
}

static int control(int set, int operation, int fd, short events)
{
    int fault = os_fault(OS_EPOLL_CTL);
    if (fault)
        return fault;
    struct epoll_event event = {.events = (events & POLLIN ? EPOLLIN : 0u) | (events & POLLOUT ? EPOLLOUT : 0u)};
    return epoll_ctl(set, operation, fd, &event) ? failed_call("epoll_ctl") : 0;
}

int os_set_add(int set, int fd, short events)
{
    return control(set, EPOLL_CTL_ADD, fd, events);
}

int os_set_change(int set, int fd, short events)
{
    return control(set, EPOLL_CTL_MOD, fd, events);
}

void os_set_remove(int set, int fd)
{
    (void)epoll_ctl(set, EPOLL_CTL_DEL, fd, NULL);
}
