/* The host's side of a pool: its handle, its jobs, and the life of its server. Called by the files of this folder that
 * implement the public functions. */
#ifndef MPROC_POOL_HOST_H
#define MPROC_POOL_HOST_H

#include "pool/store.h"
#include <mproc/process.h>
#include <pthread.h>

/* Memory of the host alone. */
struct mproc_pool {
    struct pool *shared;
    enum mproc_start_method method;
    pthread_mutex_t mutex;    /* for what follows, and for all that store.c keeps of the pool */
    mproc_process *server;    /* the present one, or the last one */
    struct job *given_up;     /* jobs to be freed once no worker is at them */
    int64_t restart_at;       /* no server is started before */
    _Atomic(int64_t) look_at; /* when to look at the server's life next; of the clock of os/clock.h */
};

/* What a job is made of; the rest follows from it. Counts times sizes do not overflow. */
struct host_job {
    mproc_task *task;
    void *ctx;
    size_t ctx_size;
    const void *in;
    size_t in_size;
    bool copy_in; /* even if it is shared */
    void *out;    /* NULL: into the job's own memory */
    size_t out_size;
    mproc_item_status *status; /* NULL: into the job's own memory with own_status, else none */
    bool own_status;
    size_t count;
    size_t chunk; /* 0: chosen */
};

/* Whether the handle is not NULL and of this process: 0, -EINVAL, -EPERM. */
int host_check(const mproc_pool *pool);

/* Make a job, and put it in the list, where workers find it. What is not shared is copied. 0; MPROC_CLOSED: the pool is
 * closed or terminated; MPROC_NOT_SHARED, MPROC_NO_FUNCTION, -ENOMEM, -errno. Nothing is left on failure. */
int host_submit(mproc_pool *pool, const struct host_job *wish, struct job **job);

/* Wait until the job is settled. from as in job_is_settled(). 0 or MPROC_TIMEOUT. */
int host_wait(mproc_pool *pool, struct job *job, size_t *from, int64_t deadline);

/* Begin no further item of the job, and have those killed that run. It is settled soon after. */
void host_stop(mproc_pool *pool, struct job *job);

/* Give a settled job back, waiting for the workers that are about to leave it; or at once, to be freed when it is
 * settled and no worker is at it. */
void host_free_job(mproc_pool *pool, struct job *job);
void host_give_up_job(mproc_pool *pool, struct job *job);

/* Start the first server and wait until its workers run. As mproc_pool_create(). */
int host_start(mproc_pool *pool);

/* To be called by whoever waits for something of the pool, after each sleep, and by whoever asks for news: starts
 * another server when the last one has died, and settles what it and its workers left. */
void host_look(mproc_pool *pool);

/* Wait until the processes of a closed or terminated pool are gone. 0 or MPROC_TIMEOUT. */
int host_wait_end(mproc_pool *pool, int64_t deadline);

/* Close or terminate. */
int host_set_state(mproc_pool *pool, enum pool_state state);

#endif
