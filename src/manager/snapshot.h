/* A list or map value out of stored forms that lie in a container: they are copied under its lock, and become a value
 * when that is given back. Used by the table and the list. */
#ifndef MPROC_MANAGER_SNAPSHOT_H
#define MPROC_MANAGER_SNAPSHOT_H

#include <mproc/value.h>

struct snapshot {
    unsigned char *bytes; /* a stored form, from malloc() */
    size_t size;
};

/* Take memory for a list or map of items of so many bytes. 0 or -ENOMEM. */
int snapshot_take(struct snapshot *snapshot, size_t size);

/* Write the head of a list or map; and what is in it. */
void snapshot_begin_list(struct snapshot *snapshot, uint64_t count);
void snapshot_begin_map(struct snapshot *snapshot, uint64_t count);
void snapshot_add(struct snapshot *snapshot, const void *bytes, size_t size);

/* Make the value and free the memory. 0 or -ENOMEM. */
int snapshot_finish(struct snapshot *snapshot, mproc_value *value);

#endif
