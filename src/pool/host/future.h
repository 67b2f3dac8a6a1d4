/* What mproc_wait() asks of futures. */
#ifndef MPROC_POOL_HOST_FUTURE_H
#define MPROC_POOL_HOST_FUTURE_H

#include "sync/wait_cell.h"
#include <mproc/pool.h>

/* The cell that is woken when the task is done; valid until the future is freed. NULL when it was freed, or its pool,
 * or it is of another process. */
struct wait_cell *future_wait_cell(mproc_future *future);

/* Whether the task is done. To be asked after every sleep: it also looks after the pool's server. */
bool future_is_ready(mproc_future *future);

#endif
