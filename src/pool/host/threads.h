/* Workers that are threads of the host. There is no server then: what it does for processes is done here, by whoever
 * looks after the pool, with the mutex of the pool's handle. */
#ifndef MPROC_POOL_HOST_THREADS_H
#define MPROC_POOL_HOST_THREADS_H

#include <mproc/pool.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>

/* One worker's thread, in memory of the host. */
struct pool_thread {
    mproc_pool *pool;
    unsigned index;
    pthread_t id;
    bool exists;        /* it was created and not joined */
    _Atomic(bool) gone; /* by the thread, as its last act: it can be joined */
};

/* Start the first workers and wait until they are ready. As mproc_pool_create(). */
int threads_start(mproc_pool *pool);

/* Start those that are missing, and note when the last of a pool that needs no more has ended. With the mutex. */
void threads_mend(mproc_pool *pool);

/* Wait until the workers of a closed or terminated pool have ended. 0 or MPROC_TIMEOUT. */
int threads_wait_end(mproc_pool *pool, int64_t deadline);

#endif
