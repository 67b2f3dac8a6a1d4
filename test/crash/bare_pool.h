/* A pool in shared memory that has no process: what the cases of list.c and settle.c, and some of broken.c, change as
 * its processes would. Its first jobs stand in the list, the last one does not. */
#ifndef TEST_CRASH_BARE_POOL_H
#define TEST_CRASH_BARE_POOL_H

#include "pool/shared/pool.h"

enum {
    BARE_JOBS = 4,
    BARE_CHUNKS = 2, /* of each job; of one item */
    BARE_WORKERS = 2
};

struct bare_pool {
    struct job jobs[BARE_JOBS];
    _Atomic(uint64_t) chunks[BARE_JOBS][BARE_CHUNKS];
    mproc_item_status status[BARE_JOBS][BARE_CHUNKS];
    struct pool pool; /* last, for its own last member is an array */
};

/* With these priorities of the jobs. */
struct bare_pool *bare_pool_build(const int priorities[BARE_JOBS]);

/* Take the lock, which mends the list where its last holder died, and give it back: a repair. */
void bare_pool_mend(void *world);

/* Whether the list is one and the same forwards, backwards and by each job's own word, in the order of the priorities;
 * with the lock held. NULL, or what is wrong. */
const char *bare_pool_compare(struct bare_pool *bare);

#endif
