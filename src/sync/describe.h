/* What a synchronization object is and how it stands, as text. */
#ifndef MPROC_SYNC_DESCRIBE_H
#define MPROC_SYNC_DESCRIBE_H

#include "arena/owner_lock.h"
#include <mproc/sync.h>

/* Write "<lock at 0x218008100080: held by process 4711>" and the like. False where nothing is set up at this address,
 * which is in the arena. */
bool sync_describe(void *object, char *text, size_t size);

/* For sync_describe(), from the files that know: the locks behind the public types. NULL: none is set up there. count
 * is how often the holder has acquired it. */
struct owner_lock *rlock_describe(const mproc_rlock *handle, uint32_t *count);

/* Whether somebody waits. */
bool condition_is_waited_for(const mproc_condition *condition);

#endif
