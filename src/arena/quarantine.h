/* Freed blocks in a program that is built with AddressSanitizer: a use of them by this process is reported.
 *
 * Shadow memory is each process's own. So a block that one process freed must not go to another, which may hand its
 * address back, while it is poisoned here. It stays in the process's quarantine for a while, where nobody has it, and
 * goes to the heap once it is no longer poisoned, or by the sweep once the process is dead. */
#ifndef MPROC_ARENA_QUARANTINE_H
#define MPROC_ARENA_QUARANTINE_H

#include "arena/heap.h"
#include "os/sanitizer.h"
#include <stdbool.h>

int quarantine_free_poisoned(void *block);

/* mproc_free() of a block that is not NULL. 0; -EINVAL as heap_free(), also for a block that is in quarantine. */
static inline int quarantine_free(void *block)
{
    return os_can_poison() ? quarantine_free_poisoned(block) : heap_free(block);
}

/* Whether this process has freed the block, and the heap has not got it yet. */
bool quarantine_holds(const void *block);

/* Give all to the heap. */
void quarantine_empty(void);

#endif
