/* Terminals. Nothing here changes a terminal. */
#include "os/terminal.h"

#include "os/fault.h"
#include "util/failure.h"
#include <errno.h>
#include <sys/ioctl.h>

int os_terminal_width(int fd)
{
    int fault = os_fault(OS_IOCTL);
    if (fault)
        return fault;
    struct winsize size;
    return ioctl(fd, TIOCGWINSZ, &size) ? failed_call("ioctl") : size.ws_col;
}
