/* What an imap is, for imap.c and for imap_windows.c, which has the functions below. */
#ifndef MPROC_POOL_HOST_IMAP_H
#define MPROC_POOL_HOST_IMAP_H

#include "pool/host/host.h"
#include "pool/host/telling.h"

struct imap_window {
    struct job *job;
    size_t first;  /* the number of its first input */
    size_t length; /* inputs that it was last launched with; they are there until it is launched again */
    size_t count;  /* the same until all results were handed out; then 0, as at first */
    size_t deaths; /* reported to the caller */
    size_t handed; /* results that were handed out */
    size_t bytes;  /* of its inputs, as they were weighed */
    size_t from;   /* for job_is_settled() */
};

struct mproc_imap {
    struct tag tag;
    mproc_pool *pool;
    mproc_imap_options options;
    struct host_job wish;
    struct imap_window *windows;
    size_t window_count;
    size_t made;     /* windows that have a job */
    size_t head;     /* the window whose results are next, or where to look first */
    size_t taken;    /* inputs */
    size_t busy;     /* windows that were launched and not handed out */
    size_t bytes;    /* of all inputs in these */
    int end;         /* 0, or what the source said when it ended */
    bool has_status; /* an item was handed out */
    mproc_item_status last;
    const struct imap_window *last_window; /* where it was, or NULL when that was launched again */
    size_t last_item;
    unsigned char *inputs; /* of one window, on their way */
    size_t failed;         /* items that ended badly, of windows that were handed out */
    struct telling telling;
};

/* The cell that all its windows wake. */
struct wait_cell *imap_cell(const mproc_imap *imap);

/* Make the jobs of all windows; those that were made are ended by imap_end_jobs(). 0, or as host_make_job(). */
int imap_make_jobs(mproc_imap *imap);

/* Stop what runs, wait until it has ended, and free the jobs. */
void imap_end_jobs(mproc_imap *imap);

/* Launch every window that has nothing to hand out, in the order in which their results will be. 0, or why one could
 * not be launched: then it is in imap->end too. */
int imap_fill(mproc_imap *imap);

/* Whether all results of a window are there, and they were not handed out. */
bool imap_window_is_settled(struct imap_window *window);

/* A window with a result to hand out, or NULL. In order only the head will do. */
struct imap_window *imap_settled_window(mproc_imap *imap);

/* Items that ended badly, of a window; items that have ended and of these that ended badly, of all. */
size_t imap_items_failed(const struct imap_window *window);
void imap_count_items(const mproc_imap *imap, size_t *done, size_t *failed);

#endif
