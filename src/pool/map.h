/* What maps have in common, whether they are waited for or not: the checks of their arguments, and their job. */
#ifndef MPROC_POOL_MAP_H
#define MPROC_POOL_MAP_H

#include "pool/host.h"

/* The job of a map, in which workers use no array in place that is not shared. 0, or why this is no map: -EINVAL,
 * -EPERM. */
int map_plan(const mproc_pool *pool, mproc_task *fn, void *ctx, const mproc_map *map, struct host_job *wish);

/* Write what the items of a settled job have left where the map's caller wants it, and that those were cancelled which
 * have no outcome. The job has the map's items from first on. */
void map_empty(const mproc_map *map, const struct job *job, size_t first);

/* Say of these items that they were cancelled, if the map has statuses. */
void map_cancel_items(const mproc_map *map, size_t begin, size_t end);

#endif
