/* A pool of worker processes that run functions of the program on items.
 *
 *     static int square(void *ctx, const void *in, void *out)
 *     {
 *         long x = *(const long *)in;
 *         *(long *)out = x * x;
 *         return 0;
 *     }
 *
 *     mproc_pool *pool;
 *     mproc_pool_create(&pool, NULL);                                 // a worker for each CPU
 *     mproc_pool_map(pool, square, NULL, &(mproc_map){ .count = n, .in = in, .in_size = sizeof *in,
 *                                                      .out = out, .out_size = sizeof *out }, MPROC_FOREVER);
 *     pool = mproc_pool_free(pool);
 *
 * A worker that dies (by a signal, abort() or exit() in a task) costs the item it was working on: that item ends as
 * MPROC_WORKER_DIED, all the others are done, and the worker is replaced. The workers are forked by a small server
 * process, which is started when the pool is made: by spawn when the program called mproc_init(), so that threads and
 * memory of this process do not matter, else by fork. Functions are found in the workers as in mproc_process_start().
 *
 * A task runs in another process, which does not see what this one writes to its memory. in, out and what ctx_size
 * covers are copied there and back, but bytes only: a pointer inside them is copied as a number. It may point into
 * shared memory (mproc_alloc(), mproc_strdup(), mproc_memdup()), which lies at the same address everywhere. One that
 * points elsewhere, to the heap, the stack or static data, leads the worker to whatever it has at that address: old
 * data, someone else's, or none. So glob() and then a map over gl_pathv hands over no path. Inputs of different sizes
 * are handed over by inputs, and results of different sizes by mproc_task_result():
 *
 *     mproc_input *inputs = calloc(paths.gl_pathc, sizeof *inputs);
 *     for (size_t i = 0; i < paths.gl_pathc; i++)
 *         inputs[i] = (mproc_input){ paths.gl_pathv[i], strlen(paths.gl_pathv[i]) + 1 };
 *     mproc_pool_map(pool, read_file, NULL, &(mproc_map){ .count = paths.gl_pathc, .inputs = inputs }, MPROC_FOREVER);
 *
 * A ctx, or arg of an initializer, that is neither NULL nor in shared memory, and has no size, is refused with
 * MPROC_NOT_SHARED: also static data, constants, string literals, functions and numbers made into pointers. Give its
 * size and a copy is handed over; or see inherited_memory.
 *
 * The workers have the user, the groups and the capabilities that this process had when it made the pool. A process
 * that gives up privileges must make its pools afterwards: calls that give work to an older one are -EPERM.
 *
 * A handle belongs to the process that made it; any of its threads may use it. In another process, such as a forked
 * child, functions on it are MPROC_FOREIGN, and free does nothing to the pool. The workers die with the process that
 * made it. Free futures and imaps before their pool; afterwards functions on them are -ESTALE, or return NULL, such a
 * future is done, and freeing them releases only their memory. The same holds for a handle that was itself freed, as
 * long as it is one of the last 64; later that is undefined, as after free(). */
#ifndef MPROC_POOL_H
#define MPROC_POOL_H

#include <mproc/base.h>
#include <mproc/postmortem.h>
#include <mproc/process.h>
#include <stdbool.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_pool mproc_pool;
typedef struct mproc_future mproc_future;
typedef struct mproc_imap mproc_imap;

/* What a worker runs for an item: reads in, writes out. 0, or a number other than 0 for failure; it is kept. ctx is the
 * same for all items of a map. out is zero at the start, unless the caller has set out_uninitialized. */
typedef int mproc_task(void *ctx, const void *in, void *out);

/* An input of any size: size bytes at data. Its shape is fixed, like that of mproc_output. Both are 0 for no input, and
 * the task gets NULL. */
typedef struct mproc_input {
    const void *data;
    size_t size;
} mproc_input;

/* A result of any size: a block of shared memory, to be freed by mproc_free(). Both are 0 where there is none. */
typedef struct mproc_output {
    void *data;
    size_t size;
} mproc_output;

/* In a task: the bytes of its input. 0 elsewhere. */
MPROC_API size_t mproc_task_input_size(void);

/* In a task: take size bytes of shared memory, not initialized, for its result. They are handed over as they are,
 * without a copy, when the item has ended, also if its function fails. Called again for the same item it changes their
 * number, as mproc_realloc() does, and may return another address; so take what may be needed, and give the rest back
 * when the size is known. The library frees them if nobody takes the result over: when the item is cancelled, late or
 * tried again, its worker dies, or the future, imap or pool is freed. The task must not free them, nor use them after
 * its return. To be called by one thread of a task at a time. NULL with errno: EINVAL for a size of 0; ENOMEM; ENOTSUP:
 * the caller takes no such results, as in a map without results; EPERM: not in a task, or in a copy of the worker that
 * a task made by fork(). The result is then as it was. */
MPROC_API void *mproc_task_result(size_t size);

/* In a task that is about to fail: leave a text for the caller, who gets it by mproc_future_error(),
 * mproc_imap_error() or a map's errors. Returns 1, so that a task can return it; it is up to the task to return another
 * number. The last text counts. It is dropped when the function returns 0, when its worker dies, when memory is short,
 * and where the caller takes no texts, as in a map without errors. */
MPROC_API int mproc_task_fail(const char *format, ...) MPROC_PRINTF(1, 2);

/* Run in each worker before its first task. 0, or a number other than 0 for failure: the worker ends. What it stores in
 * *state is the worker's state. */
typedef int mproc_initializer(void *arg, void **state);

/* Run with the worker's state when a worker ends in good order: the pool was closed and is done, or the worker is
 * replaced by max_items. Not in one that is killed, or that ends when the pool is terminated, unless it is a thread. */
typedef void mproc_finalizer(void *state);

/* What a pool does on SIGINT, which a terminal sends on Ctrl-C. Its server and workers do nothing on it; a program that
 * a task executes starts with the default action. A task that sleeps in a system call may see EINTR.
 *
 * With DRAIN or TERMINATE, SIGTERM and SIGHUP too are left to this process: a service manager, or kill() of the whole
 * process group, sends them to the server and workers as well, which then do nothing, so that a program with handlers
 * for them can finish or drain its pool. When this process ends, they end. With DEFAULT such a signal ends the process
 * that it is sent to; so a worker can be ended by hand, and its item is MPROC_WORKER_DIED.
 *
 * With DRAIN or TERMINATE the library handles SIGINT in this process while there is such a pool, in place of what the
 * program has set, which is restored when the last one is freed; unless SIGINT is ignored, as in a program started in
 * the background. The handler only counts. A pool acts when this process next gives it work or waits for it, and within
 * 100 ms while it waits; with a pool that is never called again nothing happens. One more SIGINT than all pools act on
 * has its default action at once. One that no pool has acted on is sent again when the last pool is freed. */
enum mproc_interrupt {
    MPROC_INTERRUPT_DEFAULT = 0, /* nothing: it is the program's own matter, and by default ends it */
    MPROC_INTERRUPT_DRAIN = 1, /* the first: no further item is begun, those that run are finished, the pool is closed;
                                  items that were not begun are MPROC_CANCELLED. The second: as below */
    MPROC_INTERRUPT_TERMINATE = 2 /* as mproc_pool_terminate() */
};

typedef struct mproc_pool_options {
    unsigned workers;               /* 0: mproc_cpu_count(); at most 1024 */
    unsigned max_workers;           /* what mproc_pool_resize() may make of it, at most 1024; 0: workers */
    unsigned min_workers;           /* how many stay however long they are idle, with idle_time; 0: 1 */
    mproc_time idle_time;           /* a worker that had nothing to do for this long ends, and is started again when
                                       there is work for it; 0 or MPROC_FOREVER: it stays */
    enum mproc_start_method method; /* of the server: 0 as said above, or fork or spawn */
    mproc_initializer *initializer; /* or NULL */
    mproc_finalizer *finalizer;     /* or NULL */
    void *arg;                      /* of the initializer */
    size_t arg_size;                /* 0: arg is passed as it is; else this many bytes of it are copied */
    bool inherited_memory;          /* ctx and arg may point to any memory of this process, see below */
    mproc_time grace;               /* a worker that is to end gets SIGTERM, and SIGKILL this much later; 0: 100 ms */
    size_t max_items;               /* a worker that has run this many items, and finished its chunk, ends and is
                                       replaced; 0: never */
    size_t max_memory;              /* a worker that at the end of a chunk has more bytes of memory of its own resident
                                       (not shared) ends and is replaced; 0: never. Checked at most once a millisecond */
    size_t memory_limit;            /* bytes of private memory that a worker can have: what it asks for beyond is
                                       ENOMEM (RLIMIT_DATA); 0: no limit. Left out, with a line in the log,
                                       in a program built with a sanitizer */
    bool threads;                   /* the workers are threads of this process, see below */
    bool pin;                       /* each worker stays on one CPU of those that this process may use */
    enum mproc_interrupt interrupt; /* what Ctrl-C does, as said above */
    uint64_t reserved[8];           /* must be 0: room for fields to come, see mproc/base.h */
} mproc_pool_options;

/* With inherited_memory the server is forked (spawn is -EINVAL), and a ctx or arg without a size may point anywhere.
 * Workers then find there what this process had when the server was forked: when the pool was made, or later, when a
 * server that was killed has been replaced. So point only to what was there before the pool and stays unchanged as long
 * as the pool: large tables that should not be copied, constants, functions. Nothing checks that. */

/* Workers that are threads start at once and need no memory of their own; tasks see this process's memory, and arrays
 * are used in place; ctx and arg may point anywhere. In return, a task that crashes takes the program with it, and a
 * task cannot be stopped from outside: one that is cancelled, or belongs to a map that timed out or to a pool that is
 * terminated, is finished first. The item of a task that ends its thread is MPROC_WORKER_DIED. method, max_memory,
 * memory_limit, idle_time and item_timeout are -EINVAL with threads. Prefer threads where tasks do little more than
 * read or write large arrays once: a process must first map the pages that another has filled. */

/* How an item ended. */
typedef struct mproc_item_status {
    int result; /* 0, MPROC_TASK_FAILED, MPROC_WORKER_DIED, MPROC_LATE, or MPROC_CANCELLED when it was not run */
    int code; /* what the function returned; for a worker that died or was killed, its exit code or minus the signal */
} mproc_item_status;

/* What may be tried again. */
enum mproc_retry {
    MPROC_RETRY_DEATH = 1,   /* an item whose worker died */
    MPROC_RETRY_LATE = 2,    /* one that took too long */
    MPROC_RETRY_FAILURE = 4, /* one whose function returned other than 0 */
    MPROC_RETRY_ALL = 7
};

/* A map over count items: item i reads in + i * in_size and writes out + i * out_size. Zero is the default everywhere.
 * Arrays in shared memory are used in place; others are copied there and back. With inputs in place of in, item i reads
 * a copy of inputs[i], aligned to 16 bytes, or the bytes themselves where they are in shared memory. To follow
 * something other than items, bytes for example, count it in an atomic that ctx points to. died is told of each death
 * of a worker at an item that is not cancelled, once, in the order of the deaths; of the first 64, or 64 in each
 * portion of about 1 MiB where large arrays are copied. */
typedef struct mproc_map {
    size_t count;
    const void *in;
    size_t in_size;
    const mproc_input *inputs; /* or NULL; then in is NULL, and in_size 0 */
    void *out;
    size_t out_size;
    bool out_uninitialized;    /* out is not zeroed; what an item does not write has no meaning, or stays as it was
                                  where out is used in place */
    mproc_output *results;     /* NULL, or count entries: what the items took by mproc_task_result() */
    char **errors;             /* NULL, or count entries: the text of an item that failed, to be freed by mproc_free(),
                                  or NULL */
    size_t ctx_size;           /* 0: ctx is handed over as it stands; else so many bytes of it are copied */
    size_t chunk;              /* items that a worker takes at a time; 0: chosen */
    int priority;              /* what is higher goes first: workers turn to it when they are done with the chunks
                                  that they have taken (some 100 us' worth, at least one) */
    mproc_time item_timeout;   /* an item that takes longer is ended, as MPROC_LATE; 0 or MPROC_FOREVER: none is. Time
                                  in which the whole pool is stopped, as by Ctrl-Z, does not count */
    unsigned retries;          /* how often an item is tried again, at most 255; only its last outcome counts */
    unsigned retry_on;         /* what is tried again: enum mproc_retry, joined by |; 0: all */
    mproc_item_status *status; /* NULL, or count entries */
    void (*progress)(void *arg, size_t done, size_t total); /* called in the caller, at most ten times a second */
    void *progress_arg;
    const char *show; /* NULL, or a label: show a line on stderr that tells how far the map is, see below */
    void (*died)(void *arg, const mproc_postmortem *postmortem); /* called in the caller, soon after a worker died */
    void *died_arg;
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_map;

/* The line that show asks for has the label, the items that are done and how many there are, the per cent, the items
 * done in a second (or minute, hour, day) as the mean of all the time, how long the rest will take at that rate, and
 * how many items failed, were late or died:
 *
 *     resize: 1234/10000  12%  345/s  25s left  3 failed
 *
 * On a terminal it is written over at most ten times a second, cut to the terminal's width, and stays when the map has
 * ended. Where stderr is no terminal a line is written every 5 s, and one at the end. Items count when their chunk is
 * done. What the terminal or pipe does not take at once is left out, so the map waits for nobody (for the last line
 * 300 ms at most), and an error of stderr is none of the map. Only the caller's thread writes. The label may be empty;
 * control characters in it are shown as question marks. */

/* Make a pool, start its workers and wait for their initializers. MPROC_TASK_FAILED: an initializer returned other than
 * 0; MPROC_WORKER_DIED: a worker died in it. When that happens later, to a worker that replaces another, it is tried
 * again after pauses of up to half a second. When 32 workers in a row have ended so and no other lives, the pool is
 * broken: its jobs end with MPROC_BROKEN, the log has a line, and no worker is started until there is another job, for
 * which it is tried once more. -EINVAL: more than 1024 workers, or than max_workers, an unknown method or
 * interrupt, a negative grace or idle_time, what threads cannot have, min_workers without idle_time or more than 1024,
 * arg without an initializer, arg_size without arg, inherited_memory with spawn; MPROC_NOT_INITIALIZED:
 * spawn without mproc_init(); MPROC_NO_FUNCTION; MPROC_NOT_SHARED: arg is neither NULL nor in shared memory, arg_size
 * is 0, and the pool has neither threads nor inherited_memory;
 * -EAGAIN, -ENOMEM, -EMFILE as in mproc_process_start(). Nothing is left behind on failure. */
MPROC_API int mproc_pool_create(mproc_pool **pool, const mproc_pool_options *options);

/* Run fn on every item and wait for all. 0 when each ended well. MPROC_WORKER_DIED: a worker died at some item; else
 * MPROC_LATE: an item took too long; else MPROC_TASK_FAILED: a function returned other than 0; the others are done, and
 * status tells which. MPROC_TIMEOUT: the time was over; items that ran were stopped (their workers killed and
 * replaced), out, status, results and errors hold what was done. MPROC_CLOSED: the pool was closed before;
 * MPROC_CANCELLED: it was terminated or interrupted meanwhile. MPROC_BROKEN: no worker can begin, see
 * mproc_pool_create(). MPROC_NOT_SHARED: ctx is neither NULL nor in shared
 * memory, ctx_size is 0, and the pool has neither threads nor inherited_memory. -EINVAL: NULL pool, fn or map, a size
 * without its array, an array without a size, products that overflow; MPROC_NO_FUNCTION, -ENOMEM. A count of 0 is 0. */
MPROC_API int mproc_pool_map(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, mproc_time timeout);

/* The same with item i run by worker i: once in each worker, busy or idle, before anything else of whatever priority.
 * count is a number of workers, at most as many as the pool should have; 0: all of these, for which out and status must
 * have room. An item whose worker the pool gives up before it began is MPROC_CANCELLED, which is no failure of the
 * call. chunk is 1. One such call at a time is run in a pool; others wait for it. -EINVAL too with a larger count or
 * chunk; else as mproc_pool_map(). */
MPROC_API int mproc_pool_run_on_all(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map,
                                    mproc_time timeout);

/* Run fn once and wait for it: a map of one item. mproc_pool_map() with a count of 1 has all that a map can have. */
MPROC_API int mproc_pool_call(mproc_pool *pool, mproc_task *fn, void *ctx, const void *in, size_t in_size, void *out,
                              size_t out_size, mproc_time timeout);

/* The same as mproc_pool_map(), but do not wait. *future is to be freed. Arrays that are not shared are copied whole,
 * at once; out, status, results and errors are written when a mproc_future_get() or mproc_future_wait() finds the map
 * done, and they must stay until the future is freed. -EINVAL too with a count of 0, and with progress, show or died,
 * which nobody would see to: for deaths see mproc_future_postmortem(). */
MPROC_API int mproc_pool_map_async(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx,
                                   const mproc_map *map);

/* Run fn once, with a copy of in_size bytes at in, and room for out_size bytes. *future is to be freed. Does not wait.
 * Results as mproc_pool_map(). */
MPROC_API int mproc_pool_submit(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx, const void *in,
                                size_t in_size, size_t out_size);

/* What a task may be submitted with. All are as in a map; zero is the default everywhere. */
typedef struct mproc_submit_options {
    const void *in; /* in_size bytes, which are copied */
    size_t in_size;
    size_t out_size;
    bool out_uninitialized;
    size_t ctx_size;
    int priority;
    mproc_time item_timeout;
    unsigned retries;
    unsigned retry_on;
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_submit_options;

/* The same with options, or NULL for none. */
MPROC_API int mproc_pool_submit_with(mproc_pool *pool, mproc_future **future, mproc_task *fn, void *ctx,
                                     const mproc_submit_options *options);

/* Wait for the task and copy what it wrote to out, which has room for the out_size bytes it was submitted with (NULL:
 * do not copy). Of a map: what all its items wrote; undefined for those that were not run. 0; else, as
 * mproc_pool_map(), MPROC_TASK_FAILED, MPROC_LATE, MPROC_WORKER_DIED, MPROC_CANCELLED, MPROC_BROKEN, MPROC_NO_FUNCTION;
 * MPROC_TIMEOUT: it is not done; -EINVAL, MPROC_FOREIGN. May be called again. */
MPROC_API int mproc_future_get(mproc_future *future, void *out, mproc_time timeout);

/* What the task has written, in place, until the future is freed: what it took by mproc_task_result(), else its
 * out_size bytes. Of a map: out of all its items. So a large result need not be copied. NULL when it is not done, was
 * cancelled, or writes nothing. */
MPROC_API const void *mproc_future_result(mproc_future *future);

/* The size of what mproc_future_result() returns; 0 where it is NULL. */
MPROC_API size_t mproc_future_result_size(mproc_future *future);

/* What the task took by mproc_task_result(), for good: its size is stored in *size (may be NULL), and the caller frees
 * it by mproc_free(). NULL and 0 when there is none, it was taken before, the task is not done, or it is a map, whose
 * results are written to its array. */
MPROC_API void *mproc_future_take_result(mproc_future *future, size_t *size);

/* The text that a task which failed gave to mproc_task_fail(), until the future is freed. NULL when there is none, and
 * for a map. */
MPROC_API const char *mproc_future_error(mproc_future *future);

/* Wait for the task. 0 when it is done in whatever way; MPROC_TIMEOUT. mproc_future_status() then tells how it ended (a
 * map: as a whole, with a code of 0); MPROC_RUNNING when it has not. */
MPROC_API int mproc_future_wait(mproc_future *future, mproc_time timeout);
MPROC_API int mproc_future_status(mproc_future *future, mproc_item_status *status);
MPROC_API bool mproc_future_is_done(mproc_future *future);

/* The number-th death of a worker at the task, or at any item of the map, from 0, in their order; also of those after
 * which it was tried again. The first 64 are kept. 0; MPROC_CLOSED: it is done, and there were not so many (or memory
 * was short); MPROC_RUNNING: there were not so many yet. Does not wait. -EINVAL, MPROC_FOREIGN. */
MPROC_API int mproc_future_postmortem(mproc_future *future, size_t number, mproc_postmortem *postmortem);

/* Cancel the task. If it has not begun it never will; if it runs, its worker is killed and replaced, and so are those
 * that run items of a map. It ends as MPROC_CANCELLED, unless it is done before. Does not wait. 0; -EINVAL,
 * MPROC_FOREIGN. */
MPROC_API int mproc_future_cancel(mproc_future *future);

typedef void mproc_callback(void *arg, mproc_future *future);

/* Have a function called once when the future ends, or soon if it has already: success when mproc_future_get() would
 * return 0, else error. Each may be NULL. Does not wait. Callbacks are called one after another by one thread of this
 * process, which the pool starts when it is first asked for one and which no signal interrupts; a slow one holds the
 * others up. They come about in the order in which the futures end. A callback may do anything with its future, also
 * free it, and may submit more work; it must not free its pool (which is ignored). When this process ends by exit, no
 * further one is called.
 *
 * If the future is freed first, no callback is called. If one is running at that moment, mproc_future_free() waits for
 * it to return, unless it is called from that callback; so when it has returned, the callback does not run. -EINVAL:
 * this future has callbacks already; MPROC_FOREIGN; -EAGAIN: no thread could be started. */
MPROC_API int mproc_future_on_end(mproc_future *future, mproc_callback *success, mproc_callback *error, void *arg);

/* Give a future up and return NULL; a task that was not begun is not run. NULL is ignored. */
MPROC_API mproc_future *mproc_future_free(mproc_future *future);

/* ---- inputs one after another ----
 *
 *     mproc_imap *imap;
 *     mproc_pool_imap(pool, &imap, parse, NULL, &(mproc_imap_options){ .next = next_line, .arg = file,
 *                                              .in_size = sizeof(struct line), .out_size = sizeof(struct record) });
 *     while ((result = mproc_imap_next(imap, &record, NULL, MPROC_FOREVER)) != MPROC_CLOSED)
 *         if (result == 0) ...
 *     imap = mproc_imap_free(imap);
 *
 * There may be any number of inputs: never more than in_flight of them are held at a time, from the call that made the
 * input to the call that handed its result out. */

/* Write the next input to in, which is zeroed. 0; MPROC_CLOSED when there are no more; anything else ends the inputs
 * too, and is what mproc_imap_next() returns once after the last result. Called in mproc_pool_imap() and
 * mproc_imap_next() only. */
typedef int mproc_source(void *arg, void *in);

/* The same for inputs of any size: say where the next one is. It is copied before the source is called again. -EINVAL
 * ends the inputs when it is a size without data. */
typedef int mproc_input_source(void *arg, mproc_input *input);

/* The bytes of an input, where it owns memory elsewhere or its result will. Called with the source's arg, once for each
 * input, right after the source. */
typedef size_t mproc_weigh(void *arg, const void *in);

typedef struct mproc_imap_options {
    mproc_source *next;
    mproc_input_source *next_input; /* in place of next; then in_size is 0 */
    void *arg;
    size_t in_size;
    size_t out_size;
    bool out_uninitialized; /* as in a map */
    size_t ctx_size;        /* as in a map */
    size_t chunk;           /* inputs that a worker takes at a time; 0: 1 */
    size_t in_flight;       /* inputs at most, as said above, at least a chunk; 0: four chunks for each worker */
    size_t bytes_in_flight; /* no further input is taken while those in flight have so many; 0: no such limit */
    mproc_weigh *weigh;     /* NULL: each has its size + out_size */
    int priority;           /* as in a map, and so are the next three */
    mproc_time item_timeout;
    unsigned retries;
    unsigned retry_on;
    bool unordered; /* results are handed out as they come, else in the order of the inputs */
    size_t total;   /* how many inputs there will be, for progress and show; 0: not known */
    void (*progress)(void *arg, size_t done, size_t total); /* the next five as in a map; called in the caller, in */
    void *progress_arg;                                     /* mproc_imap_next() only; total as above */
    const char *show;
    void (*died)(void *arg, const mproc_postmortem *postmortem); /* index is the number of the input, see below */
    void *died_arg;
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_imap_options;

/* Begin to run fn on the inputs. *imap is to be freed, and used by one thread at a time. Does not wait. -EINVAL: NULL
 * pool, imap, fn or options, neither next nor next_input, or both, next with an in_size of 0, next_input with another,
 * a ctx_size without ctx, sizes that overflow; else as mproc_pool_map(). */
MPROC_API int mproc_pool_imap(mproc_pool *pool, mproc_imap **imap, mproc_task *fn, void *ctx,
                              const mproc_imap_options *options);

/* The outcome of the next item: what its function wrote to out, which has room for out_size bytes or is NULL. *index
 * (may be NULL) is the number of its input, from 0. 0; MPROC_TASK_FAILED or MPROC_WORKER_DIED for this item alone, and
 * mproc_imap_status() tells more; MPROC_CANCELLED: the pool was terminated before it was done, or before its inputs
 * were taken. MPROC_CLOSED: there are no more. MPROC_TIMEOUT: it is not done yet. */
MPROC_API int mproc_imap_next(mproc_imap *imap, void *out, size_t *index, mproc_time timeout);

/* What the function of the last mproc_imap_next()'s item wrote, in place, until the next call of that function: what it
 * took by mproc_task_result(), else its out_size bytes. So a large result need not be copied. NULL before the first. */
MPROC_API const void *mproc_imap_result(const mproc_imap *imap);

/* The size of what mproc_imap_result() returns; 0 where it is NULL. */
MPROC_API size_t mproc_imap_result_size(const mproc_imap *imap);

/* What the function of the last mproc_imap_next()'s item took by mproc_task_result(), for good: as
 * mproc_future_take_result(). */
MPROC_API void *mproc_imap_take_result(mproc_imap *imap, size_t *size);

/* The text that the item of the last mproc_imap_next() gave to mproc_task_fail() when it failed, until the next call of
 * that function; or NULL. */
MPROC_API const char *mproc_imap_error(const mproc_imap *imap);

/* The input with this number, from 0, while it is there: from the source on until the mproc_imap_next() after the one
 * that handed its result out. So it can be asked for in died, where the post-mortem has the number, and after
 * mproc_imap_next(). *size (may be NULL) gets its bytes. NULL when it is not there. */
MPROC_API const void *mproc_imap_input(const mproc_imap *imap, size_t index, size_t *size);

/* How the item of the last mproc_imap_next() ended. -EINVAL before the first. */
MPROC_API int mproc_imap_status(const mproc_imap *imap, mproc_item_status *status);

/* The last death of a worker at the item of the last mproc_imap_next(). Is kept until the next one. 0; MPROC_CLOSED: no
 * worker has died at it. -EINVAL before the first. */
MPROC_API int mproc_imap_postmortem(const mproc_imap *imap, mproc_postmortem *postmortem);

/* Give it up and return NULL; items that run are stopped, their workers killed and replaced. NULL is ignored. */
MPROC_API mproc_imap *mproc_imap_free(mproc_imap *imap);

/* In a task or a finalizer: the state of this worker, as its initializer stored it; NULL elsewhere, and when there is
 * no initializer. A copy that a task makes by fork has it too. */
MPROC_API void *mproc_worker_state(void);

/* The number of workers, and their process ids: writes up to capacity of them and returns how many live. -EPERM in
 * another process than the one that made the pool. */
MPROC_API int mproc_pool_workers(mproc_pool *pool, pid_t *pids, size_t capacity);

/* A worker that lives. */
typedef struct mproc_worker_stats {
    pid_t pid;
    uint64_t items;       /* that it has run; those of the chunk that it is at are counted when the chunk is done */
    mproc_time startup;   /* from its fork until its initializer was done; 0 while it is not */
    mproc_time busy;      /* since then: at jobs, */
    mproc_time idle;      /* and waiting for them */
    size_t peak_memory;   /* most bytes that were resident, as the kernel counts them; 0 if it does not tell */
    uint64_t reserved[8]; /* 0 */
} mproc_worker_stats;

typedef struct mproc_pool_statistics {
    unsigned workers;     /* that it should have, without those that have ended because they were idle */
    unsigned alive;       /* that live */
    uint64_t items;       /* run by all that ever were, counted as above */
    uint64_t starts;      /* workers that were started */
    uint64_t deaths;      /* of these, those that were killed, crashed or failed to begin */
    uint64_t reserved[8]; /* 0 */
} mproc_pool_statistics;

/* Have this many workers from now on, while there is work for them: 1 to max_workers. New ones are started; surplus
 * ones end when they have finished their chunk. Does not wait. 0; -EINVAL, MPROC_FOREIGN. */
MPROC_API int mproc_pool_resize(mproc_pool *pool, unsigned workers);

/* What the pool has done (if statistics is not NULL), and each of its workers: writes up to capacity of them, and
 * returns how many live. The counts are exact when nobody works; where a pool's server is killed, one of its last may
 * be missing. */
MPROC_API int mproc_pool_stats(mproc_pool *pool, mproc_pool_statistics *statistics, mproc_worker_stats *workers,
                               size_t capacity);

/* Take no more work; what was taken goes on. 0 also when closed before. */
MPROC_API int mproc_pool_close(mproc_pool *pool);

/* Stop at once: what waits is MPROC_CANCELLED; what runs is killed, and is MPROC_CANCELLED too. */
MPROC_API int mproc_pool_terminate(mproc_pool *pool);

/* Wait until all work is done, the workers have ended and the callbacks were called. -EINVAL when the pool was neither
 * closed nor terminated; -EDEADLK: in a callback of the pool. */
MPROC_API int mproc_pool_join(mproc_pool *pool, mproc_time timeout);

/* Terminate the pool if it was not joined, and give it up. Free its futures and imaps first, except those that a
 * callback will free: callbacks are called before this returns. All that can be done with the others afterwards is to
 * free them. Returns NULL; NULL is ignored. */
MPROC_API mproc_pool *mproc_pool_free(mproc_pool *pool);

#ifdef __cplusplus
}
#endif

#endif
