/* What the caller of a map or an imap learns while it waits: how many items are done, by its function, by a line on
 * stderr, or by both. */
#ifndef MPROC_POOL_HOST_TELLING_H
#define MPROC_POOL_HOST_TELLING_H

#include "os/clock.h"
#include "pool/host/progress.h"

typedef void telling_report(void *arg, size_t done, size_t total);

struct telling {
    telling_report *report; /* or NULL */
    void *arg;
    size_t total; /* or 0 */
    size_t told;  /* items, to report */
    int64_t at;   /* when next; OS_NEVER: nobody asks, or all was told */
    bool shows;
    struct progress line;
};

/* label: of the line, or NULL for none. */
void telling_begin(struct telling *telling, telling_report *report, void *arg, const char *label, size_t total);

static inline bool telling_is_due(const struct telling *telling)
{
    return telling->at != OS_NEVER && telling->at <= os_now();
}

/* Tell how far it is. Next when it is due: never more than ten times in a second. */
void telling_go_on(struct telling *telling, size_t done, size_t failed);

/* Report that `done` items are done, if that is more than was reported. */
void telling_report_done(struct telling *telling, size_t done);

/* Show the last line, which stays. is_whole: all was done. */
void telling_end(struct telling *telling, size_t done, size_t failed, bool is_whole);

#endif
