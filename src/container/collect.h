/* A list or map value out of stored forms that lie in a container: they are copied under its lock, and become a value
 * when the lock has been released. */
#ifndef MPROC_CONTAINER_COLLECT_H
#define MPROC_CONTAINER_COLLECT_H

#include <mproc/value.h>

struct collection {
    unsigned char *bytes; /* a stored form, from malloc() */
    size_t size;
};

/* Take memory for a list or map whose items have size bytes together. 0 or -ENOMEM. */
int collect_take(struct collection *collection, size_t size);

/* Write the head of a list or map; and what is in it. */
void collect_begin_list(struct collection *collection, uint64_t count);
void collect_begin_map(struct collection *collection, uint64_t count);
void collect_add(struct collection *collection, const void *bytes, size_t size);

/* Make the value and free the memory. 0 or -ENOMEM. */
int collect_finish(struct collection *collection, mproc_value *value);

#endif
