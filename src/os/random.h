/* Random bytes that nobody can guess. */
#ifndef MPROC_OS_RANDOM_H
#define MPROC_OS_RANDOM_H

#include <stddef.h>

/* Fill at most 256 bytes. 0 or -errno. */
int os_random(void *buffer, size_t size);

#endif
