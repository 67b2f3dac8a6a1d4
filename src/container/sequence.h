/* The table of a list: a ring of items. All is done under the lock of the container. */
#ifndef MPROC_CONTAINER_SEQUENCE_H
#define MPROC_CONTAINER_SEQUENCE_H

#include "container/container.h"

/* One value. Never changed once it is held. */
struct element {
    struct item item;
    uint64_t size;
    unsigned char bytes[]; /* the stored form */
};

/* Invariant: the list is the count places from begin on, around the end; what stands in other places means nothing.
 * Commit: the store of range, for what is done at the ends; the store of a place, to replace an item; for all else the
 * store of the container's table. Nothing is derived. */
struct sequence {
    uint64_t capacity;       /* of places, a power of 2; constant */
    _Atomic(uint64_t) range; /* begin in the upper half, count in the lower */
    heap_place items[];
};

/* Items from where on, how far apart and how many, as Python's slice.indices() says. */
struct slice {
    uint64_t begin;
    int64_t step;
    uint64_t count;
};

static inline struct sequence *sequence_of(const struct container *container)
{
    return (struct sequence *)container_table(container);
}

uint64_t sequence_count(const struct container *container);

/* The place of an item that is there. */
heap_place *sequence_place(const struct container *container, uint64_t index);
struct element *sequence_item(const struct container *container, uint64_t index);

/* Decode an item; value NULL: do nothing. */
int sequence_decode(const struct container *container, uint64_t index, mproc_value *value);

/* What follows is 0 or -ENOMEM, and then nothing has changed. */

/* Add items of an array behind the last; or one before the first. */
int sequence_extend(struct container *container, const mproc_value *items, uint64_t count);
int sequence_prepend(struct container *container, const mproc_value *item);

int sequence_replace(struct container *container, uint64_t index, const mproc_value *item);
int sequence_remove(struct container *container, uint64_t index);

/* Put items in the place of a slice: as many as it has, or any number when its step is 1. */
int sequence_splice(struct container *container, const struct slice *slice, const mproc_value *items, uint64_t count);

/* Take the items of a slice out. */
int sequence_cut(struct container *container, const struct slice *given);

/* Bring the items into another order: order[i] is where the one that comes to i was. */
int sequence_reorder(struct container *container, const uint64_t *order);

bool sequence_holds(const struct container *container, uintptr_t item);
void sequence_empty(uintptr_t table);

#endif
