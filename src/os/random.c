/* Random bytes from the kernel. Called for keys and for the marks of groups. */
#include "os/random.h"

#include "os/fault.h"
#include <errno.h>
#include <sys/random.h>
#include <sys/types.h>

int os_random(void *buffer, size_t size)
{
    int fault = os_fault(OS_READ);
    if (fault && fault != -EINTR)
        return fault;
    ssize_t count;
    do {
        count = getrandom(buffer, size, 0); /* so few bytes come whole or not at all */
    } while (count < 0 && errno == EINTR);
    return count < 0 ? -errno : 0;
}
