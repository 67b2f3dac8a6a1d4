/* A job: one function over count items, in the arena, for the workers of one pool to share. A map is a job, and so is a
 * submitted task, whose count is 1.
 *
 * Items are dealt out in chunks. Each chunk has one word, which is the truth about it:
 *
 *     FREE(settled)  ->  TAKEN(settled, worker)  ->  DONE           by the worker, when it has run the rest
 *                                                ->  CANCELLED      by the worker, when it sees that the job is stopped
 *                                                ->  FREE or DONE (settled + what it did), by the server (or the host,
 *                                                                   for a dead server), once the kernel has proven that
 *                                                                   the worker is dead
 *     FREE(settled)  ->  CANCELLED                                  by the host, when it cancels
 *
 * settled counts the chunk's first items that have their outcome, and the word also counts how often a worker has died
 * in the next one, if that may be tried again. Within a chunk the worker's own word `current` (see pool.h) tells which
 * item it is running: those before it have their outcome, and those after it were not begun. So a death costs the item
 * that was running, no item runs twice, and a chunk goes on where the dead worker left it.
 *
 * A job is settled when each chunk is DONE or CANCELLED; nobody but the host that made it touches its arrays then. Its
 * memory is freed once it is neither in the list nor named by any worker's slot. */
#ifndef MPROC_POOL_SHARED_JOB_H
#define MPROC_POOL_SHARED_JOB_H

#include "arena/heap.h"
#include "pool/shared/yield.h"
#include "process/function.h"
#include "sync/wait_cell.h"
#include "util/atomic.h"
#include <mproc/pool.h>
#include <stdbool.h>

enum job_chunk_state {
    JOB_FREE = 0,
    JOB_TAKEN = 1,
    JOB_DONE = 2,
    JOB_CANCELLED = 3
};

/* Flags of a job. They are only ever set. */
enum job_flag {
    JOB_STOPPED = 1,      /* no further item is begun */
    JOB_KILL = 2,         /* with STOPPED: workers that run an item of it are to be killed */
    JOB_FAILED = 4,       /* a function returned other than 0 */
    JOB_DIED = 8,         /* a worker died at an item */
    JOB_SCARRED = 16,     /* a worker died in it: finished may be too low */
    JOB_NO_FUNCTION = 32, /* a worker could not find the function */
    JOB_LATE = 64,        /* an item took too long */
    JOB_BROKEN = 128      /* with STOPPED: no worker can begin, see struct pool */
};

/* A function that jobs of the pool run. Made by the host, constant once it is listed; it stays as long as the pool. */
struct job_function {
    struct job_function *older; /* the list of the pool */
    unsigned number;            /* counted from 0 */
    mproc_task *address;        /* in the host */
    struct function_reference reference;
};

/* Field by field: who writes it, and when. "Before" means before the job is put in the list; it is constant then, until
 * the job is settled, out of the list and named by no slot. The host may then put it there again with other items. */
struct job {
    const struct job_function *function; /* before; so is all up to waiter */
    void *ctx;
    const unsigned char *in;
    unsigned char *out;
    mproc_item_status *status; /* NULL, or count entries */
    size_t in_size;
    size_t out_size;
    size_t count;
    size_t chunk_size;
    size_t chunk_count;
    size_t homes; /* parts of the chunks that have a home, see below; 0: none */
    _Atomic(uint64_t) *home_next;
    int priority;             /* jobs of a higher one are dealt out first */
    unsigned retries;         /* how often an item may be tried again, */
    unsigned retry_on;        /* and after what: enum mproc_retry */
    int64_t item_timeout;     /* nanoseconds, or 0 */
    bool runs;                /* whether a worker may draw several chunks at a time */
    bool has_inputs;          /* in is an array of mproc_input: tasks get what these point to */
    bool zeroes_out;          /* workers zero what items write to */
    bool takes_results;       /* items may leave results in blocks of their own, */
    bool takes_texts;         /* and texts of errors */
    struct yield *yields;     /* of the items; NULL: they may leave neither */
    bool is_call;             /* chunk i is for the worker of slot i alone: in pool->call, never in the list */
    struct wait_cell *waiter; /* the cell to wake when the job is settled: its own, or that of another job of the map */
    _Atomic(uint64_t) *chunks;                  /* the words as said above */
    struct job_postmortem *_Atomic postmortems; /* of workers that died at its items, see job_postmortem.h */
    heap_place payload;    /* by the host: the second block, where chunks and copied arrays are, or 0 */
    unsigned char *own_in; /* by the host: where copies of these arrays are in the job's memory, or NULL */
    unsigned char *own_out;
    mproc_item_status *own_status;
    heap_place inputs;                /* by the host: the block where the data of the inputs is, or 0 */
    struct yield *_Atomic own_yields; /* by the host: entries in the job's memory that may name blocks, or NULL; */
    size_t own_yield_count;           /* before it */
    struct yield *all_yields;         /* by the host: these, or those of the job that has them for the whole map */
    struct job *_Atomic older;        /* the list of all jobs of the pool, by the host alone, see store.c */
    struct job *newer;
    struct job *_Atomic next; /* the list of jobs with work, under the pool's lock, see job_list.c */
    struct job *_Atomic previous;
    _Atomic(bool) queued;                      /* whether it is in that list; under the pool's lock */
    _Atomic(bool) published;                   /* whether workers may come to it; under the pool's lock */
    struct job *given_up;                      /* by the host alone: the next of its jobs that wait to be freed */
    _Atomic(uint32_t) flags;                   /* enum job_flag; by anybody, only by fetch_or */
    _Atomic(uint64_t) failures;                /* for show alone: items that ended badly; fetch_add by whoever writes
                                                  such an outcome. A death may count one twice */
    struct wait_cell cell;                     /* waiters for this job, or for several, sleep here */
    _Alignas(64) _Atomic(uint64_t) next_chunk; /* hint: the chunks below were drawn. fetch_add by a worker that draws;
                                                  store by whoever gives back a dead worker's chunk. JOB_AT_HOME: draw
                                                  at the homes first */
    _Alignas(64) _Atomic(uint64_t) finished;   /* hint: chunks settled; fetch_add, after the fact */
    _Alignas(64) unsigned char inline_data[];  /* what is small enough to be here rather than in the payload */
};

static inline enum job_chunk_state job_chunk_state(uint64_t word)
{
    return (enum job_chunk_state)(word & 3);
}

static inline unsigned job_chunk_worker(uint64_t word)
{
    return (unsigned)(word >> 2 & 0x3fff);
}

/* No chunk has more items, so that they can be counted in its word. */
#define JOB_CHUNK_LIMIT ((size_t)1 << 39)
#define JOB_RETRIES_MAX 255

static inline uint64_t job_chunk_settled(uint64_t word)
{
    return word >> 16 & (JOB_CHUNK_LIMIT * 2 - 1);
}

static inline unsigned job_chunk_deaths(uint64_t word)
{
    return (unsigned)(word >> 56);
}

static inline uint64_t job_chunk_word(enum job_chunk_state state, unsigned worker, uint64_t settled, unsigned deaths)
{
    return (uint64_t)deaths << 56 | settled << 16 | (uint64_t)worker << 2 | (uint64_t)state;
}

static inline bool job_chunk_is_settled(uint64_t word)
{
    return word & 2;
}

static inline size_t job_chunk_begin(const struct job *job, size_t chunk)
{
    return chunk * job->chunk_size;
}

/* The number of items in a chunk: the last one may be shorter. */
static inline size_t job_chunk_length(const struct job *job, size_t chunk)
{
    size_t left = job->count - job_chunk_begin(job, chunk);
    return left < job->chunk_size ? left : job->chunk_size;
}

static inline uint32_t job_flags(const struct job *job)
{
    return load_acquire(&job->flags);
}

#define JOB_AT_HOME UINT64_MAX

/* Whether there is nothing more to be taken from it: stopped, or all chunks drawn. */
static inline bool job_is_dealt_out(const struct job *job)
{
    uint64_t next = load_acquire(&job->next_chunk);
    return (job_flags(job) & JOB_STOPPED) || (next >= job->chunk_count && next != JOB_AT_HOME);
}

/* Homes. The chunks of a large job over arrays that workers use in place are divided into as many parts as there are
 * workers, and each worker draws from its own first, then from the others'. So when the same arrays are mapped again a
 * worker comes back to the pages that it has in its page table, and in its cache; each other page would cost it a
 * fault. home_next, one word in each line, says like next_chunk which chunks of a part were drawn. A worker that finds
 * all drawn turns JOB_AT_HOME into chunk_count; from then on, or when a chunk was given back before, next_chunk
 * counts. */
#define JOB_HOME_STRIDE (64 / sizeof(uint64_t))

static inline _Atomic(uint64_t) *job_home_next(const struct job *job, size_t home)
{
    return &job->home_next[home * JOB_HOME_STRIDE];
}

/* The first chunk of a home; for the index after the last home, the number of chunks. */
static inline size_t job_home_begin(const struct job *job, size_t home)
{
    size_t each = job->chunk_count / job->homes, rest = job->chunk_count % job->homes;
    return each * home + (home < rest ? home : rest);
}

/* Whether the job is settled. *from is the chunk to begin with, and is advanced past chunks that are settled; 0 at
 * first. Cancels on its way what is FREE in a stopped job, so that whoever waits for a stopped job sees its end. */
bool job_is_settled(struct job *job, size_t *from);

/* Count chunks as finished, and wake the waiters when these may have been the last. */
void job_add_finished(struct job *job, size_t chunks);

/* Whether all items of a settled job have their outcome. */
bool job_is_whole(const struct job *job);

/* How jobs with these flags ended, whole or not: 0, a condition as mproc_pool_map() documents, MPROC_CANCELLED. */
int job_result(uint32_t flags, bool whole);

/* How a worker ended. */
struct job_death {
    unsigned worker;  /* its slot's number */
    size_t chunk;     /* what its slot says last: chunk */
    uint64_t current; /* and current */
    int exit;         /* its exit code or minus its signal */
    bool is_wanted;   /* it was killed on the host's behalf: the item is cancelled */
    bool is_late;     /* it was ended because the item took too long */
};

/* Whether the death is the outcome of an item, or a failed try of it: which item, and how many workers died in it
 * before. */
bool job_lost_item(const struct job *job, const struct job_death *death, size_t *item, unsigned *attempt);

/* Mend the chunk that a worker died in. Idempotent. */
void job_settle_death(struct job *job, const struct job_death *death);

/* The lowest FREE chunk becomes the next to be drawn. False when there is none, or the job is stopped. */
bool job_rewind(struct job *job);

#endif
