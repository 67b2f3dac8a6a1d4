/* Memory of this process alone, by calls that a test can make fail. Give it back by free(). */
#ifndef MPROC_OS_ALLOCATE_H
#define MPROC_OS_ALLOCATE_H

#include "os/fault.h"
#include <stdlib.h>

static inline void *os_malloc(size_t size)
{
    return os_fault(OS_MALLOC) ? NULL : malloc(size);
}

static inline void *os_realloc(void *block, size_t size)
{
    return os_fault(OS_MALLOC) ? NULL : realloc(block, size);
}

#endif
