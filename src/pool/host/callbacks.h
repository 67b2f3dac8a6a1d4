/* Callbacks of futures: one thread of a pool's host that calls them one after another. */
#ifndef MPROC_POOL_HOST_CALLBACKS_H
#define MPROC_POOL_HOST_CALLBACKS_H

#include "sync/wait_cell.h"
#include <mproc/pool.h>
#include <pthread.h>
#include <stdbool.h>

struct job;

enum callback_state {
    CALLBACK_NONE = 0,
    CALLBACK_WAITS, /* in one of the two lists */
    CALLBACK_OVER   /* it is called, was called, or never will be */
};

/* What is to be called for one future; a part of that. Under the mutex. */
struct callback {
    mproc_future *future;
    struct job *job;
    size_t from; /* for job_is_settled() */
    mproc_callback *success;
    mproc_callback *error;
    void *arg;
    enum callback_state state;
    bool is_settled; /* which list it is in */
    struct callback *next;
    struct callback *previous;
};

struct callback_list {
    struct callback *first;
    struct callback *last;
};

/* Of a pool; memory of the host alone. */
struct callbacks {
    pthread_mutex_t mutex; /* for what follows, except the cells and look_at_all; no other lock is taken with it */
    bool has_thread;
    bool ends; /* the thread is to end */
    pthread_t thread;
    struct callback_list pending; /* in the order in which the jobs are dealt out */
    struct callback_list settled; /* in the order in which they are to be called */
    struct callback *running;     /* or NULL */
    int64_t all_at;               /* by the thread: when all that are pending are looked at next */
    _Atomic(bool) look_at_all;    /* by anybody: they are to be looked at now */
    struct wait_cell news;        /* the thread sleeps here while nothing is pending; else in the pool's `changed` */
    struct wait_cell idle;        /* woken after each callback */
};

/* Arrange for it to be called when the job, that of a future of this pool, has ended. Starts the thread. 0; -EINVAL:
 * that was asked for before; -EAGAIN: there is no thread to be had, and nothing has changed. */
int callbacks_add(mproc_pool *pool, struct callback *callback, const struct callback *wish);

/* Cancel it, and wait while it is being called, except in the callback itself. Its memory may be freed then. */
void callbacks_remove(mproc_pool *pool, struct callback *callback);

/* Whether this thread is the one that calls. */
bool callbacks_is_caller(mproc_pool *pool);

/* To be called when jobs were stopped: they may end in any order. */
void callbacks_look(mproc_pool *pool);

/* Wait until all that there are were called, in a pool whose jobs have all ended. 0 or MPROC_TIMEOUT. */
int callbacks_await(mproc_pool *pool, int64_t deadline);

/* Call what is left, and end the thread. No more are added then. */
void callbacks_end(mproc_pool *pool);

/* The program ends: no callback of any pool is begun any more. */
void callbacks_leave(void);

#endif
