/* What a host keeps in the arena for its pools: the pools themselves, their jobs and the functions these run. Nothing
 * of it outlives the host: when it dies, the sweep frees all this, once server and workers are gone too. */
#ifndef MPROC_POOL_SHARED_STORE_H
#define MPROC_POOL_SHARED_STORE_H

#include "pool/shared/pool.h"

/* Make a pool, all zero except host and worker_count, and list it; and free it with all that it has, once none of its
 * processes is left. 0, -ENOMEM, -errno. */
int store_new_pool(struct pool **pool, unsigned worker_count);
void store_free_pool(struct pool *pool);

/* Visit each pool of this process. The visitor makes and frees none. */
void store_each_pool(void (*visit)(struct pool *pool));

/* Make a job with room for size bytes at its end, all zero except that room, and list it. With the mutex of the pool's
 * handle, as all that follow. */
int store_new_job(struct pool *pool, size_t size, struct job **job);

/* Free the post-mortems of a job that no list but this one and no slot names; and such a job with all that it has. */
void store_free_postmortems(struct pool *pool, struct job *job);
void store_free_job(struct pool *pool, struct job *job);

/* What the yields of a job name is no longer the job's: its caller has it. One store, so all or none. */
void store_forget_yields(struct job *job);

/* Free what the items of a settled job have left in blocks of their own, and was not taken. */
void store_free_yields(struct job *job);

/* The entry for a function: 0, MPROC_NO_FUNCTION, -ENOMEM, -errno. */
int store_function(struct pool *pool, mproc_task *task, const struct job_function **entry);

#endif
