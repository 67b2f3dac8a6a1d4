/* The host's side of a pool: its handle, its jobs, and the life of its server. The files that implement the public
 * functions use it. */
#ifndef MPROC_POOL_HOST_HOST_H
#define MPROC_POOL_HOST_HOST_H

#include "os/clock.h"
#include "os/identity.h"
#include "pool/host/callbacks.h"
#include "pool/host/interrupt.h"
#include "pool/host/tag.h"
#include "pool/host/threads.h"
#include "pool/shared/store.h"
#include "util/failure.h"
#include <mproc/process.h>
#include <pthread.h>
#include <signal.h>

/* After a server of which no worker was ready, none is started within this time of its start: they may all end at once.
 */
#define HOST_RESTART_PAUSE OS_MS(100)

/* Memory of the host alone. */
struct mproc_pool {
    struct tag tag;
    _Atomic(size_t) holders; /* those for whom this memory stays: the pool itself until it is freed, its futures and
                                imaps */
    struct pool *shared;
    enum mproc_start_method method;
    bool sees_private;           /* workers see memory of this process as it is, or may be given what they inherited */
    pthread_mutex_t mutex;       /* for what follows, and for all that store.c keeps of the pool */
    mproc_process *server;       /* the present one, or the last one */
    struct job *given_up;        /* jobs to be freed once no worker is at them */
    bool calls;                  /* a thread calls all workers */
    struct pool_thread *threads; /* of a pool whose workers are threads: one for each slot; or NULL */
    sigset_t mask;               /* what these block */
    _Atomic(uint32_t) troubles;  /* of the pool's, those that were logged */
    _Atomic(int64_t) tell_at;    /* no further ones are logged before */
    _Atomic(bool) told_broken;   /* it was logged that the pool is broken, */
    _Atomic(bool) told_cut_off;  /* and that it is cut off */
    int64_t started_at;          /* when the present server was started, or was to be */
    uint32_t begins;             /* what shared->begins was then */
    _Atomic(bool) mends;         /* hint: the server is dead, and there is no other yet */
    int64_t cut_off_at;       /* when it was seen first that the server is gone with the library's descriptors, or 0 */
    _Atomic(bool) is_cut_off; /* and that the workers are: no job can be done any more. Set by host.c, for good */
    struct os_privileges rights; /* what the host had when it started the server, and the workers have */
    _Atomic(int64_t) rights_at;  /* when they were last compared with the host's; of the coarse clock */
    _Atomic(bool) woke;          /* hint: the last job was for workers that slept, so do not spin for its end */
    _Atomic(int64_t) look_at;    /* when to look at the server's life next; of the clock of os/clock.h */
    struct callbacks callbacks;
    struct interrupt interrupt;
};

/* Whether workers may be given this address as it stands: NULL, in shared memory, or in a pool that allows any. */
bool host_can_pass(const mproc_pool *pool, const void *address);

/* Whether the handle is one of a pool, of this process, and not freed: 0, -EINVAL, -EPERM, -ESTALE. */
int host_check(const mproc_pool *pool);

/* Whether the host may still give the pool work: 0; -EPERM when it has other privileges than its workers. After
 * host_check(). often: for calls of a single item, so that not each one asks the kernel: one within a tick of the
 * coarse clock after another one may not see it. */
int host_check_privileges(mproc_pool *pool, bool often);

/* The failure that it takes no more work: MPROC_CLOSED. */
static inline int host_closed(void)
{
    return failure(MPROC_CLOSED, "pool was closed or terminated, and takes no more work");
}

/* The failure that it can run no job: MPROC_BROKEN. */
int host_broken(mproc_pool *pool);

/* A future or an imap is made, so the memory of the handle stays; and it is freed. */
void host_hold(mproc_pool *pool);
void host_let_go(mproc_pool *pool);

/* ---- the pool (host.c) ---- */

/* Start the first server and wait until its workers run. As mproc_pool_create(). */
int host_start(mproc_pool *pool);

/* To be called by whoever waits for something of the pool, after each sleep, by whoever asks for news, and by whoever
 * gives it work: starts another server when the last one has died, and settles what it and its workers left. Costs
 * little, and does nothing most times: so a program that only polls may call it each time. */
void host_look(mproc_pool *pool);

/* The same, now. */
void host_mend(mproc_pool *pool);

/* Sleep in a cell, for a while at most, and look. False when the deadline has come. */
bool host_sleep(mproc_pool *pool, struct wait_cell *cell, uint32_t seen, int64_t deadline);

/* Wait for a moment, or until a worker has left a job. */
void host_nap(mproc_pool *pool);

/* Wait until the processes of a closed or terminated pool are gone. 0 or MPROC_TIMEOUT. */
int host_wait_end(mproc_pool *pool, int64_t deadline);

/* Close, drain or terminate. */
int host_set_state(mproc_pool *pool, enum pool_state state);

/* Wait in a cell until the condition holds. Looks for a moment without sleeping, if the deadline gives time. 0 or
 * MPROC_TIMEOUT. */
int host_wait(mproc_pool *pool, struct wait_cell *cell, bool (*condition)(void *arg), void *arg, int64_t deadline);

/* ---- jobs (host_jobs.c) ---- */

/* Which arrays of a job are in its own memory: they are copied, or the caller has none. */
struct host_copies {
    bool in, out, status;
    size_t bytes_per_item; /* of all that, with the inputs' data */
};

/* What a job is made of. Counts times sizes do not overflow. */
struct host_job {
    mproc_task *task;
    void *ctx;
    size_t ctx_size;
    const void *in;
    size_t in_size;
    bool copy_in;       /* even if it is shared */
    bool has_inputs;    /* in is an array of mproc_input, and what these point to is handed over */
    size_t input_bytes; /* of those that are to be copied: all together */
    bool in_place;      /* workers can use arrays that are not shared */
    void *out;          /* NULL: into the job's own memory */
    size_t out_size;
    bool zeroes_out;
    bool takes_results;
    bool takes_texts;
    size_t yields;             /* how many items may leave something in blocks of their own: all of a map, or 0 */
    struct yield *all_yields;  /* their entries, if another job has them */
    mproc_item_status *status; /* NULL: into the job's own memory with own_status, else none */
    bool own_status;
    struct wait_cell *waiter; /* the cell to wake; NULL: the job's own */
    size_t count;             /* of the arrays */
    size_t chunk;             /* items in a chunk, not 0 */
    int priority;
    int64_t item_timeout; /* or 0 */
    unsigned retries;
    unsigned retry_on;
    struct host_copies copies; /* by host_decide_copies() */
    bool runs;                 /* whether workers may draw several chunks at a time */
    bool is_call;              /* chunk i is for the worker of slot i alone */
};

/* Set what the caller wishes to be done about items that end badly. False when these are no such wishes. */
int host_limit_items(struct host_job *wish, const char *name, mproc_time item_timeout, unsigned retries,
                     unsigned retry_on);

/* Choose the chunk size of a job: sets chunk and runs. wanted: the caller's wish, or 0. */
void host_choose_chunk(struct host_job *wish, size_t wanted);

/* Decide what is copied, once the arrays of a wish are as they will be. A job is made and launched by that. */
void host_decide_copies(struct host_job *wish);

/* Make a job that has room for count items of the wish at a time. 0; MPROC_NOT_SHARED, MPROC_NO_FUNCTION, -ENOMEM,
 * -errno. Nothing is left on failure. */
int host_make_job(mproc_pool *pool, const struct host_job *wish, size_t count, struct job **job);

/* The same for one more job of a group, of which first is the first, or NULL for that one itself: all wake its cell and
 * have its copy of ctx, and where the wish has yields of more items than count, its entries for them. It must be freed
 * last. */
int host_make_sibling(mproc_pool *pool, const struct host_job *wish, size_t count, struct job *first, struct job **job);

/* Whether workers can use these bytes where they are. */
bool host_is_usable(const struct host_job *wish, const void *bytes, size_t size);

/* Put a job that no worker knows in the list, with these items of the wish. promised: a promise was made for it. 0;
 * MPROC_CLOSED: the pool is closed or terminated; -ENOMEM: for its inputs; -errno. */
int host_launch(mproc_pool *pool, struct job *job, const struct host_job *wish, size_t first, size_t count,
                bool promised);

/* Take a settled job back so that no worker knows it. False when one is still about to leave it: try again. */
bool host_withdraw(mproc_pool *pool, struct job *job);

/* The same, after giving such a worker a moment. */
bool host_take_back(mproc_pool *pool, struct job *job);

/* In an open pool, keep it from ending when it is closed until the promise is taken back. 0, MPROC_CLOSED, -errno. */
int host_promise(mproc_pool *pool);
void host_end_promise(mproc_pool *pool);

/* Begin no further item of the job. It is settled when those that run have ended. */
void host_begin_no_more(mproc_pool *pool, struct job *job);

/* The same, and have those killed that run. It is settled soon after. */
void host_stop(mproc_pool *pool, struct job *job);

/* Free a job that was never launched or is settled, waiting for the workers that are about to leave it. */
void host_free_job(mproc_pool *pool, struct job *job);

/* Begin no further item of the job, and free it when it is settled and no worker is at it. Does not wait. */
void host_give_up_job(mproc_pool *pool, struct job *job);

#endif
