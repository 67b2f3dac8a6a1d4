/* The family's bell, as bell.h says. The eventfd is made with the arena and inherited with it. */
#include "sync/bell.h"

#include "arena/member.h"
#include "os/eventfd.h"

int bell_fd(void)
{
    int result = member_need();
    if (result)
        return result;
    return region.bell;
}

void bell_ring(void)
{
    if (region.bell >= 0)
        os_eventfd_ring(region.bell);
}
