/* What the cases have in common whose victim is a worker or the server of a pool of the tester: the pool, its work, how
 * to come by the victim, and what must hold after a death. Item number i gives i + 100. */
#ifndef TEST_CRASH_WORKER_WORLD_H
#define TEST_CRASH_WORKER_WORLD_H

#include "pool/host/host.h"
#include <stdatomic.h>
#include <stdbool.h>

enum {
    WORKER_ITEMS = 4,  /* of a map at most; the one with this number is submitted after it */
    WORKER_SPECIAL = 1 /* the item that kills its worker, or hangs, where one does */
};

struct worker_world {
    mproc_pool *pool;
    struct pool *shared; /* of it */
    unsigned workers;    /* that the pool is to have in the end */
    size_t count;        /* items of the map, or of the call */
    size_t chunk;
    bool runs; /* workers draw several chunks at a time, at their homes first */
    bool has_deadly;
    bool hangs; /* at the first try */
    bool server_dies;
    mproc_time limit; /* of an item of the map, or 0 */
    unsigned retries; /* after a death, of an item of the map */
    struct job *map;  /* or call; NULL: there is none */
    mproc_future *task;
    _Atomic(unsigned) begun[WORKER_ITEMS + 1];
    long in[WORKER_ITEMS + 1], out[WORKER_ITEMS + 1];
    mproc_item_status status[WORKER_ITEMS + 1];
};

/* A world, of which this struct is the first member, with a pool. */
void *worker_world_build(size_t size, const mproc_pool_options *options);

/* End the pool; and give the world back too. */
void worker_world_end(struct worker_world *world);
void worker_world_destroy(void *world);

/* What workers do; ctx is the world. */
int worker_world_task(void *ctx, const void *in, void *out);

/* Launch a map or a call of the first items, without waiting for it; submit the one task. */
void worker_world_map(struct worker_world *world, size_t count, bool is_call);
void worker_world_submit(struct worker_world *world);

/* Whether both are settled, if there are such; and the same by one that looks after the pool meanwhile. */
bool worker_world_is_settled(void *world);
bool worker_world_settles(void *world);

pid_t worker_world_worker(const struct worker_world *world, unsigned index);
pid_t worker_world_server(const struct worker_world *world);

/* Whether the dead worker is replaced: server and workers were started before, all is done, and the next one lives. */
bool worker_world_is_mended(void *world);

/* What must hold of the work, when it is settled and at most so many workers have died at items. NULL, or what is
 * wrong. */
const char *worker_world_check(struct worker_world *world, int most_died);

/* The pool does another map, and has the workers that it is to have. */
const char *worker_world_go_on(struct worker_world *world);

/* Both, and then the end, after which nothing may be left. */
const char *worker_world_finish(struct worker_world *world, int most_died);

#endif
