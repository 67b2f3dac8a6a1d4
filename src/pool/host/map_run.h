/* A map as it is run: all at once, or, where arrays must be copied, in portions. */
#ifndef MPROC_POOL_HOST_MAP_RUN_H
#define MPROC_POOL_HOST_MAP_RUN_H

#include "pool/host/host.h"

/* Run a map whose arguments were checked, and wait for its end. As mproc_pool_map(). */
int map_run(mproc_pool *pool, const mproc_map *map, const struct host_job *wish, int64_t deadline);

#endif
