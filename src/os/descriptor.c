/* What can be done with any descriptor. Called from every floor. */
#define _GNU_SOURCE
#include "os/descriptor.h"

#include "os/fault.h"
#include <errno.h>
#include <fcntl.h>
#include <unistd.h>

int os_close(int fd)
{
    int fault = os_fault(OS_CLOSE);
    int result = close(fd) ? -errno : 0; /* after a fault too: Linux always frees the descriptor */
    return fault ? fault : result;
}

int os_set_close_on_exec(int fd)
{
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    return fcntl(fd, F_SETFD, FD_CLOEXEC) ? -errno : 0;
}

bool os_is_open(int fd)
{
    return fcntl(fd, F_GETFD) >= 0;
}
