/* Whether a system call is not to be had here, rather than that it failed: an older kernel does not know it (ENOSYS),
 * or a filter of system calls refuses it, as those of containers and of systemd do with calls that are younger than
 * they are (EPERM). To be asked only of calls that do not fail with EPERM themselves where they are used. */
#ifndef MPROC_OS_REFUSED_H
#define MPROC_OS_REFUSED_H

#include <errno.h>
#include <stdbool.h>

static inline bool os_is_refused(int error)
{
    return error == ENOSYS || error == EPERM;
}

#endif
