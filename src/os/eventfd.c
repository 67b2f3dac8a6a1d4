/* An eventfd: a descriptor that wakes those that poll it. */
#include "os/eventfd.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <stdint.h>
#include <sys/eventfd.h>
#include <unistd.h>

int os_eventfd_create(void)
{
    int fault = os_fault(OS_EVENTFD);
    if (fault)
        return fault;
    int fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    return fd < 0 ? failed_call("eventfd") : os_keep_typeless(fd);
}

int os_eventfd_ring(int fd)
{
    int fault = os_fault(OS_WRITE);
    if (fault)
        return fault;
    const uint64_t one = 1;
    while (uncancelled_write(fd, &one, sizeof one) < 0) {
        if (errno != EINTR)
            return errno == EAGAIN ? 0 : failed_call("write"); /* a full counter is readable as it is */
    }
    return 0;
}
