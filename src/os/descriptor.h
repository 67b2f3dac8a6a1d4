/* What can be done with any descriptor. */
#ifndef MPROC_OS_DESCRIPTOR_H
#define MPROC_OS_DESCRIPTOR_H

#include <stdbool.h>

/* Close it. The descriptor is gone even where -EIO or the like is returned. */
int os_close(int fd);

/* Close it when the program is replaced by exec. */
int os_set_close_on_exec(int fd);

/* Whether it is open. */
bool os_is_open(int fd);

#endif
