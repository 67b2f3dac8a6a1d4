/* The family's wake-up descriptor, as wake_fd.h says. It is an eventfd that is made with the arena and inherited with
 * it. */
#include "sync/wake_fd.h"

#include "arena/member.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include <errno.h>

int wake_fd(void)
{
    int result = member_need();
    if (result)
        return result;
    return os_is_kept(region.bell) ? region.bell : -EBADF;
}

void wake_fd_ring(void)
{
    if (os_is_kept(region.bell)) /* else those that watch find it out at their next tick */
        os_eventfd_ring(region.bell);
}
