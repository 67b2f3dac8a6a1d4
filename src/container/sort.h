/* The order of values: a stable merge sort of their numbers. */
#ifndef MPROC_CONTAINER_SORT_H
#define MPROC_CONTAINER_SORT_H

#include <mproc/value.h>

/* order[i] gets the number of the value that comes to i. -EINVAL where two have no order; -ENOMEM. */
int sort_order(const mproc_value *values, uint64_t *order, uint64_t count, bool descending);

#endif
