/* Whether it was the kernel's OOM killer that killed a worker. The kernel does not say so, but it counts what it has
 * killed, in the whole machine: a SIGKILL that no process of the pool has sent is taken for its doing when that count
 * has grown. Memory of the server alone. */
#ifndef MPROC_PROCESS_OOM_H
#define MPROC_PROCESS_OOM_H

#include <stdbool.h>
#include <stdint.h>

struct oom_watch {
    bool counts;    /* the kernel tells */
    uint64_t count; /* at the last look */
    uint64_t left;  /* kills seen then that no worker was found for yet */
    int64_t seen;   /* when */
};

/* Begin to watch. */
void oom_begin(struct oom_watch *watch);

/* A worker was killed: was it so? */
bool oom_has_killed(struct oom_watch *watch);

/* The same when the kernel's count is known. A kill counts for one worker, and not for one that dies a second later. */
bool oom_explains(struct oom_watch *watch, uint64_t count, int64_t now);

#endif
