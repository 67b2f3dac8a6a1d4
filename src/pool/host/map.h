/* What maps have in common, whether they are waited for or not: the checks of their arguments, and their job. */
#ifndef MPROC_POOL_HOST_MAP_H
#define MPROC_POOL_HOST_MAP_H

#include "pool/host/host.h"

/* The job of a map. waits: its caller does, so workers that are threads can use its arrays. 0, or why this is no map:
 * -EINVAL, -EPERM. */
int map_plan(mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, bool waits, struct host_job *wish);

/* Write what the items of a settled job have left where the map's caller wants it, and that those were cancelled which
 * have no outcome. The job has the map's items from first on. */
void map_empty(const mproc_map *map, const struct job *job, size_t first);

/* Hand over what the items of the map have left in blocks of their own, or that there is nothing. job has the entries
 * of the whole map and is settled, as are all others of the map; or NULL. */
void map_hand_over(const mproc_map *map, struct job *job);

/* Say of these items that they were cancelled, if the map has statuses. */
void map_cancel_items(const mproc_map *map, size_t begin, size_t end);

#endif
