/* A worker as it knows itself, a process or a thread of the host: memory of its own, which its files share. */
#ifndef MPROC_POOL_WORKER_WORKER_H
#define MPROC_POOL_WORKER_WORKER_H

#include "pool/shared/pool.h"
#include "pool/worker/loop.h"
#include "util/atomic.h"

#define FUNCTIONS_KNOWN 16

struct known_function {
    const struct job_function *entry;
    mproc_task *address;
};

struct worker {
    struct pool *pool;
    struct worker_slot *slot;
    struct crash_report *words;
    unsigned index;
    bool is_thread; /* of the host */
    struct known_function known[FUNCTIONS_KNOWN];

    mproc_finalizer *finalizer; /* or NULL */
    void *state;                /* what the initializer stored */
    uint64_t items;             /* that it may run until it is replaced */
    uint32_t calls;             /* the value of pool->calls up to which it has answered */
    int64_t idle_since;         /* when it left its last job */
    int64_t measured;           /* when its memory was last looked at */
    bool looks;                 /* it stands in pool->spinner */

    /* Of the present job. */
    struct job *job;
    mproc_task *task;
    struct yield *yield; /* of the item at which it is, in a job that has them; or NULL */
    size_t input_size;   /* of that item, in a job with inputs of any size */
    struct loop at;      /* the item at which it is; at.flags are the job's, or those of a copy */
    loop_function *loop; /* that runs the items */
    size_t run_at;       /* drawn chunks that were not tried yet: from here */
    size_t run_end;      /* to here */
    size_t run_length;   /* how many to draw next time */
    bool has_drawn;      /* or has tried to */
    size_t home;         /* where to draw, */
    size_t homes_left;   /* and of how many homes it is not known that all was drawn */
    int64_t run_began;
    size_t steal_at;   /* all chunks from here on were seen not to be free, once everything was drawn */
    size_t unreported; /* chunks finished that job->finished does not count yet */
};

/* The flags that a copy of a worker, made by a task's fork(), finds: stopped. It must not go on as the worker. */
extern const _Atomic(uint32_t) worker_flags_of_copy;

/* The pool was made smaller, and does without this worker. */
static inline bool worker_is_surplus(const struct worker *worker)
{
    return worker->index >= pool_wanted(worker->pool);
}

/* There is a call to all workers that this one has not answered. */
static inline bool worker_is_called(const struct worker *worker)
{
    return load_acquire(&worker->pool->calls) != worker->calls;
}

/* ---- worker.c ---- */

/* The calling thread is this worker from now on. */
void worker_become(struct worker *worker);

/* The worker that the calling thread is, or NULL; and the one that this process is. */
struct worker *worker_of_thread(void);
struct worker *worker_of_process(void);

/* Whether this process is a copy of a worker, which a task has made by fork(). */
bool worker_is_copy(void);

/* Run the initializer. 0, or the exit code of a worker that cannot begin. */
int worker_initialize(struct worker *worker);

/* Take jobs until the worker is to end, and run the finalizer. The slot may still name the last job. Returns whether
 * another is to take its place. */
bool worker_serve(struct worker *worker);

/* ---- items.c ---- */

/* Run a chunk that was taken, from its settled items on. What the items printed is written before the chunk is seen to
 * be done. Returns whether the worker may run more items. */
bool worker_run_chunk(struct worker *worker, struct job *job, size_t chunk, size_t settled);

/* Wait while the server decides whether to end this worker. */
void worker_await_verdict(struct worker_slot *slot);

/* ---- task.c ---- */

/* The function that the loop calls in a job with inputs or results of any size: calls the job's task. */
mproc_task worker_run_task;

/* ---- idle.c ---- */

/* Announce that this worker is about to spin for work, if no other does: whoever adds a job of one chunk then need wake
 * nobody. worker_end_look() takes it back. */
void worker_begin_look(struct worker *worker);
void worker_end_look(struct worker *worker);

/* Wait until there may be work. False when the pool needs this worker no more. */
bool worker_await_work(struct worker *worker);

#endif
