/* Random bytes from the kernel. */
#include "os/random.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/refused.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <sys/random.h>
#include <sys/types.h>
#include <unistd.h>

static int read_device(void *buffer, size_t size)
{
    int fd = os_keep(uncancelled_open("/dev/urandom", O_RDONLY | O_CLOEXEC));
    if (fd < 0)
        return failed_call("open");
    ssize_t count = uncancelled_read(fd, buffer, size);
    int result = count < 0 ? failed_call("read") : (size_t)count < size ? -EIO : 0;
    uncancelled_close(fd);
    return result;
}

int os_random(void *buffer, size_t size)
{
    int fault = os_fault(OS_READ);
    if (fault && fault != -EINTR)
        return fault;
    ssize_t count;
    do {
        count = uncancelled_getrandom(buffer, size, 0); /* so few bytes come whole or not at all */
    } while (count < 0 && errno == EINTR);
    if (count < 0 && os_is_refused(errno))
        return read_device(buffer, size);
    return count < 0 ? failed_call("getrandom") : 0;
}
