/* A pool in the arena, as its three kinds of process share it: the host, which made it; the server, its child, which
 * forks, reaps and kills the workers and does nothing else; and the workers, which run the tasks. docs/pool.md has the
 * whole argument. */
#ifndef MPROC_POOL_SHARED_POOL_H
#define MPROC_POOL_SHARED_POOL_H

#include "arena/owner_lock.h"
#include "pool/shared/job.h"
#include "pool/shared/job_list.h"
#include "process/crash_report.h"
#include "util/atomic.h"

#define POOL_WORKERS_MAX 1024

/* What stands in pool->started until the server knows whether the workers could be started. */
#define POOL_STARTING INT32_MIN

/* Exit codes of a worker that a task made unfit to go on; whose initializer failed; that did not find its
 * initializer. */
#define POOL_WORKER_UNFIT       125
#define POOL_INITIALIZER_FAILED 124
#define POOL_INITIALIZER_LOST   123

/* When this many workers in a row have ended in their initializer and none lives, the pool is broken. */
#define POOL_TRIES 32

enum pool_state {
    POOL_OPEN = 0,
    POOL_CLOSED = 1,    /* no more jobs; workers end when the list is empty */
    POOL_DRAINED = 2,   /* closed, also for jobs that were promised, and all jobs are stopped */
    POOL_TERMINATED = 3 /* workers are killed as well */
};

/* What the server does to a worker that may have to be killed: see kill_if_wanted() in pool/server/server.c. */
enum pool_kill {
    POOL_KILL_NOT = 0,
    POOL_KILL_ASKED = 1, /* it checks whether the worker still runs the job; the worker begins no other meanwhile */
    POOL_KILL_SENT = 2   /* the signal is on its way */
};

/* One worker's place.
 *
 * Invariant: word is 0, nobody is here; or STARTING, a process was or will be forked for it; or the owner word of the
 * worker that lives here, or died here and was not yet settled. Commit of a start: the worker's compare-and-swap from
 * the STARTING word with its own serial to its owner word; a host that gave up on a dead server's half-made worker has
 * changed the word before, so such a worker ends and touches nothing. A process that ends with the word still STARTING
 * has an errno as its exit code. Commit of an end: the store of 0, after the chunk that the worker held was settled.
 * Until then the place is not used again, so the number of a slot in a chunk's word names one process.
 *
 * The worker moves job before it touches the job, and chunk before it takes the chunk; current goes back to 0 before
 * the next chunk is taken. So these words show what a dead worker may have held, and the chunk's own word whether it
 * did. */
struct worker_slot {
    _Alignas(64) _Atomic(uint64_t) word;
    _Atomic(int32_t) pid;     /* by server and worker (the same value); of the last worker here */
    _Atomic(uint32_t) ended;  /* by the server: 1 when exit tells how the worker here ended */
    _Atomic(int32_t) exit;    /* by the server, before ended: exit code or minus the signal */
    _Atomic(uint32_t) kill;   /* by the server: enum pool_kill */
    _Atomic(uint32_t) ready;  /* by the worker: 1 when its initializer is done; 0 by the server before the fork */
    _Atomic(uint32_t) served; /* by the worker: 1 when it has begun an item; 0 by the server before the fork */
    struct job *_Atomic job;  /* by the worker, under the pool's lock when not NULL: the job it may touch */
    _Atomic(uint64_t) chunk;  /* by the worker: which of its chunks it takes or has */
    _Atomic(int64_t) forked;  /* by the server, before the fork: when */
    _Alignas(64) _Atomic(uint64_t) current; /* by the worker: item << 1 | 1 while it is at an item; item << 1 before it,
                                               in jobs with a limit; else 0 */
    _Atomic(int64_t) limit;                 /* by the worker: how long an item of its job may take, or 0 */
    _Atomic(int64_t) item_at; /* by the worker, in jobs with a limit: when the item at which it is was begun */
    _Atomic(uint64_t) late;   /* by the server: what current was for an item that took too long, or 0 */

    /* For mproc_pool_stats() alone. By the worker, and 0 by the server before the fork. */
    _Atomic(uint64_t) items;
    _Atomic(int64_t) begun; /* when it was ready */
    _Atomic(int64_t) busy;  /* nanoseconds in jobs that it has left */
    _Atomic(int64_t) since; /* when it came to the job that it is at, or 0 */
};

/* The pool. Made by the host before there is a server. */
struct pool {
    member_owner host;                      /* constant */
    unsigned worker_count;                  /* slots; constant */
    _Atomic(uint32_t) wanted;               /* workers: those of the first slots; under lock, by the host, by a worker
                                               that finds more work, and by the last of them when it ends idle */
    uint32_t full;                          /* what wanted is when there is work for all; by the host, under lock */
    unsigned least;                         /* what idle workers leave; constant, as the next one */
    bool threads;                           /* the workers are threads of the host, and there is no server */
    int64_t idle_time;                      /* that a worker waits for work before it ends; 0: for ever */
    const struct job_function *initializer; /* constant once the server is started, as the next eight; or NULL */
    const struct job_function *finalizer;   /* or NULL */
    void *arg;                              /* of the initializer */
    heap_place own_arg;                     /* a copy of it, or 0 */
    uint64_t max_items;                     /* that a worker runs; UINT64_MAX: no limit */
    int64_t grace;                          /* from SIGTERM to SIGKILL */
    uint64_t max_memory;        /* resident bytes of its own with which a worker is replaced; UINT64_MAX: no limit */
    uint64_t memory_limit;      /* private bytes that it can have; 0: no limit */
    bool pin;                   /* each worker to a CPU */
    bool leaves_signals;        /* SIGTERM and SIGHUP are for the host alone to answer, as SIGINT is in any pool */
    _Atomic(uint32_t) state;    /* enum pool_state; by the host, under lock but at the program's end; only
                                               grows, by compare-and-swap */
    _Atomic(uint32_t) promises; /* maps that began in the open pool and will add jobs; by the host; grows under lock */
    _Atomic(uint32_t) ended; /* 1: no process of the pool is left that touches it, and none will come. By the server as
                                its last act, or by the host for a dead server */
    _Atomic(uint64_t) server_word; /* as a slot's word, for the server: STARTING by the host, then by the server */
    _Atomic(int32_t) started;      /* POOL_STARTING, then once, by the server: 0, -errno or a condition */
    _Atomic(int32_t) broken;       /* 0; or why no worker can begin any more, and then nobody tries: no job is published
                                      that was not told so. Under lock: set by the server, or a worker that is a thread,
                                      when none lives and POOL_TRIES in a row have ended in their initializer; back to 0
                                      by the host with the next job, for which they are to try once more */
    _Atomic(uint32_t) vain;        /* workers in a row that ended in their initializer; POOL_TRIES at most. Raised by
                                     the server, or a worker that is a thread; set to 0 by a worker that is ready */
    _Atomic(uint32_t) begins;      /* workers that have become ready so far; by them */
    _Atomic(int32_t) trouble;      /* why the last process could not be started or begin, for the host's log; by the
                                     same, and by the host for the server */
    _Atomic(int32_t) initializer_code; /* what the last initializer that failed returned; by its worker */
    _Atomic(uint32_t) troubles;        /* and how often that has happened; grows after trouble is set */
    _Atomic(uint32_t) cancels;    /* by the host: grows when jobs are to be killed; the server looks for them then */
    _Atomic(uint32_t) serial;     /* of the last server or worker that was started; fetch_add by its parent */
    struct wait_cell server;      /* the server sleeps here */
    _Atomic(uint64_t) starts;     /* for mproc_pool_stats() alone, as the next two: workers that were started, */
    _Atomic(uint64_t) deaths;     /* that ended badly, */
    _Atomic(uint64_t) past_items; /* and items that were run by workers that have ended */
    struct wait_cell changed;     /* host threads sleep here until a worker came, ended, or left a job */
    _Alignas(64) struct owner_lock lock; /* for list */
    struct job_list list;                /* jobs with work */
    struct job *_Atomic call;            /* the job of which each worker runs the item of its own number, or NULL; under
                                            lock */
    _Atomic(uint32_t) calls;             /* grows when call is set, before it is; under lock */
    struct wait_cell work;               /* idle workers sleep here */
    _Atomic(uint32_t) spinner;           /* slot + 1 of the idle worker that looks without sleeping, or 0; by CAS from 0
                                            and back by that worker, or by whoever settles it when it is dead */

    /* What the host keeps here, see store.c. By the host alone, with the mutex of its handle. */
    _Alignas(64) struct job *_Atomic newest;
    struct job_function *_Atomic functions;
    heap_place moving;
    heap_place next; /* the host's next older pool */

    struct worker_slot workers[]; /* and behind them as many struct crash_report */
};

static inline size_t pool_size(unsigned worker_count)
{
    return sizeof(struct pool) + worker_count * (sizeof(struct worker_slot) + sizeof(struct crash_report));
}

static inline struct crash_report *pool_crash_report(struct pool *pool, unsigned index)
{
    return (struct crash_report *)(void *)&pool->workers[pool->worker_count] + index;
}

/* Take the pool's lock; the list is whole then. 0, or -errno when this process can be no member. */
int pool_lock(struct pool *pool);
void pool_unlock(struct pool *pool);

/* Whether some worker's slot names the job. */
bool pool_names_job(struct pool *pool, const struct job *job);

/* A word for a process about to be started, in its place; then that process takes the place with it, or ends: false. */
uint32_t pool_reserve(struct pool *pool, _Atomic(uint64_t) *word);
bool pool_take_place(_Atomic(uint64_t) *word, uint32_t serial);

/* Whether the place's process is dead, or never was one and never will be. For a place whose starter is dead. */
bool pool_is_vacant(_Atomic(uint64_t) *word);

/* Settle what a worker held that the kernel has proven dead, and free its slot. exit: its exit code or minus its
 * signal. Safe to be done again after a death in between. For the server, and for the host when the server is dead. 0,
 * or -errno when it must be done again. */
int pool_settle_worker(struct pool *pool, unsigned index, int exit);

/* Put a job back in the list if it has chunks that nobody has, and wake workers for it. 0 or -errno. */
int pool_offer_again(struct pool *pool, struct job *job);

/* A worker has ended in its initializer. */
static inline void pool_note_vain(struct pool *pool)
{
    uint32_t vain = load_relaxed(&pool->vain);
    if (vain < POOL_TRIES)
        compare_exchange_relaxed(&pool->vain, &vain, vain + 1);
}

/* A process could not be started, or ended before it was ready. The host logs it. */
static inline void pool_note_trouble(struct pool *pool, int reason)
{
    store_relaxed(&pool->trouble, reason);
    fetch_add_release(&pool->troubles, 1);
    wait_cell_wake(&pool->changed, WAIT_CELL_ALL);
}

/* Why no worker can begin any more, or 0. */
static inline int pool_broken(struct pool *pool)
{
    return load_acquire(&pool->broken);
}

/* Break the pool for this reason if the last POOL_TRIES workers ended in their initializer. The caller knows that no
 * worker lives or is starting. */
void pool_break_if_vain(struct pool *pool, int reason);

/* A worker is about to be started in a slot where nobody is. */
void pool_clear_slot(struct pool *pool, unsigned index);

/* When no more jobs will come, a worker is wanted only for what a dead one left. */
bool pool_wants_workers(struct pool *pool);

/* Want more workers, if idle ones have ended and those that are left cannot begin this many chunks at once. With the
 * pool's lock held. */
void pool_grow(struct pool *pool, size_t chunks);

/* In a call to all workers: cancel the items of workers that are no longer wanted. With the pool's lock held. */
void pool_excuse_surplus(struct pool *pool);

/* The first job that has work left, or NULL; with the pool's lock held. Jobs that are dealt out leave the list. */
struct job *pool_first_job(struct pool *pool);

/* The body of the server process: a target of mproc_process_start(), with a copy of this as its argument. */
struct pool_server_start {
    struct pool *pool;
    uint32_t serial;
};
int pool_server(void *arg);

/* The body of a worker, in a process that the server has just forked. parent is the server's pid, serial stands in the
 * slot's STARTING word. */
_Noreturn void pool_worker(struct pool *pool, unsigned index, uint32_t serial, pid_t parent);

/* An owner word has a slot in its bits 16 to 31. */
static inline bool pool_word_is_owner(uint64_t word)
{
    return word & 0xffff0000;
}

static inline enum pool_state pool_state(struct pool *pool)
{
    return (enum pool_state)load_acquire(&pool->state);
}

static inline void pool_raise_state(struct pool *pool, enum pool_state state)
{
    uint32_t now = load_relaxed(&pool->state);
    while (now < (uint32_t)state &&
           !atomic_compare_exchange_weak_explicit(&pool->state, &now, (uint32_t)state, memory_order_acq_rel,
                                                  memory_order_relaxed)) {
    }
}

static inline unsigned pool_wanted(struct pool *pool)
{
    return load_acquire(&pool->wanted);
}

/* Whether jobs may still come. Once it is false it stays so. */
static inline bool pool_expects_jobs(struct pool *pool)
{
    enum pool_state state = pool_state(pool);
    return state == POOL_OPEN || (state == POOL_CLOSED && load_acquire(&pool->promises) > 0);
}

#endif
