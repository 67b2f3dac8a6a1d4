/* What all containers have in common: the head by which they are known, locked and mended, the one way from a public
 * function to what does it, and the table of methods by which a manager's server calls the same by name. */
#ifndef MPROC_CONTAINER_CONTAINER_H
#define MPROC_CONTAINER_CONTAINER_H

#include "arena/heap.h"
#include "arena/owner_lock.h"
#include "sync/stamp.h"
#include "util/atomic.h"
#include <mproc/containers.h>

/* The beginning of each item of a container. An item is one block of the heap. */
struct item {
    uintptr_t next; /* in one of the two chains of its container; without meaning while it is in none */
};

/* The head of a container. All but the stamp is changed under the lock alone.
 *
 * Invariant: what table reaches is the container. Every other block that is taken for it is named by one of the five
 * places below: arriving names a table that is being filled, moving an item that is; fresh is a chain of items that are
 * filled, all of which the next commit will hold. leaving names the table and dropped is a chain of the items that the
 * next commit will not hold any more, until they are freed.
 * Commit: one store, to table or to a word of the table; it makes all fresh items held and all dropped ones not.
 * Recovery: whether it has been done is seen from whether the table in force is the one that arrives or leaves, and
 * whether it holds the items. What arrived before the commit and what left after it is freed, the rest forgotten; then
 * the type counts and indexes anew. Each step can be done again. A block is freed from moving or arriving or leaving
 * only, after the chain has gone past it, so nobody reads what may be free. */
struct container {
    struct stamp object;
    struct owner_lock lock;
    heap_place table;
    heap_place arriving;
    heap_place leaving;
    heap_place moving;
    heap_place fresh;
    heap_place dropped;
    _Atomic(uint64_t) leaves_whole; /* the table in leaving goes with all its items; set before leaving, 0 before the
                                       table is freed */
};

/* A method. args has as many values as its container_method says. result is NULL when nobody wants it; else *result is
 * nil at the call. The object is in the arena and of the type. */
typedef int container_function(void *object, const mproc_value *args, mproc_value *result, int64_t deadline);

struct container_method {
    const char *name;
    container_function *function;
    size_t count;             /* of arguments */
    const char *arguments[4]; /* their names in the public function, for failures */
    const char *result;       /* the name of the pointer to the result, for failures; NULL: there is none */
};

/* A type. The last three are NULL where there is no table of items. */
struct container_type {
    const char *name;
    const char *argument; /* of the public functions */
    enum mproc_type type;
    const struct container_method *methods;
    size_t method_count;
    bool (*holds)(const struct container *container, uintptr_t item); /* whether the table in force does */
    void (*empty)(uintptr_t table);                                   /* free all items of a table; to be done again */
    void (*renew)(struct container *container);                       /* make anew what is derived */
};

extern const struct container_type container_dict, container_list, container_set, container_namespace,
    container_variable, container_array;

/* The type with that number; NULL: there is none. */
const struct container_type *container_type_numbered(int64_t number);

/* The type of an object in the arena; NULL where none is set up. */
const struct container_type *container_type_of(const void *object);

/* The number of the method with that name, or -1. */
int container_method_find(const struct container_type *type, const char *name);

/* Call a method, in the arena or through a proxy: the only way into a container. -EINVAL when the object is not of the
 * type, and when arguments are no values or their number is wrong. *result, if wanted, is nil after any failure. */
int container_call(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                   size_t count, mproc_value *result, int64_t deadline);

/* The same for public functions, which have a timeout; and for one that wants the result as a number. */
int container_call_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                       size_t count, mproc_value *result, mproc_time timeout);
int container_count_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                        size_t count, size_t *number, mproc_time timeout);

/* The same for one whose result must be wanted: -EINVAL for NULL. */
int container_ask_for(const struct container_type *type, void *object, unsigned method, const mproc_value *args,
                      size_t count, mproc_value *result, mproc_time timeout);

/* The failure that something is no object of the type: -EINVAL. */
int container_no_such(const struct container_type *type, const void *object);

/* What to do with an object that is not in the arena. Listed in "mproc_proxies" by the file that makes them; without
 * it there are none. type_of is 0 for what is no proxy; call is as container_call(). */
struct container_proxies {
    enum mproc_type (*type_of)(const void *proxy);
    int (*call)(void *proxy, unsigned method, const mproc_value *args, size_t count, mproc_value *result,
                int64_t deadline);
    void (*release)(void *proxy); /* as the type's _free */
};

/* Release a proxy. Returns whether the object was one. */
bool container_release_proxy(const struct container_type *type, void *object);

/* Whether this is an object of the type in the arena. */
static inline bool container_is_near(const struct container_type *type, const void *object)
{
    return region_contains(object) && stamp_is((enum stamp_kind)(STAMP_CONTAINER ^ (uint32_t)type->type << 1), object);
}

/* Write an object's stamp, when all else is set up. How it is made is in container/making.h. */
void container_finish(const struct container_type *type, void *object);

/* Make a container that has nothing but its head. -EINVAL for NULL. */
int container_create(const struct container_type *type, void **container);

/* Empty a container and free it, or release a proxy. Anything else is ignored. */
void container_free(const struct container_type *type, void *object);

/* Free an object in the arena, of whatever type. */
void container_free_any(const struct container_type *type, void *object);

/* ---- for the methods ---- */

/* 0; MPROC_TIMEOUT; -errno. The container is whole then, whatever its last holder left. */
int container_lock(const struct container_type *type, struct container *container, int64_t deadline);

static inline void container_unlock(struct container *container)
{
    owner_lock_release(&container->lock);
}

/* Under the lock: bring what was begun and not committed back to nothing, what was committed to its end. For a
 * process that takes the lock over, and for an operation that runs out of memory half-way. */
void container_recover(const struct container_type *type, struct container *container);

/* Under the lock: take an item into moving, to be filled. -ENOMEM. */
static inline int container_take(struct container *container, size_t size, void **item)
{
    return heap_alloc(size, &container->moving, item);
}

/* Put the filled item into the chain of those that the next commit will hold. */
void container_add_fresh(struct container *container, void *item);

/* Put an item into the chain of those that the next commit will hold no more. */
static inline void container_drop(struct container *container, uintptr_t item)
{
    ((struct item *)item)->next = load_relaxed(&container->dropped);
    store_release(&container->dropped, item);
}

/* Take zeroed memory for a new table into arriving. */
int container_take_table(struct container *container, size_t size, void **table);

/* Commit: the new table is in force, and the old one is freed with all that was dropped; whole: with all items too. 0
 * is for none. */
void container_swap_table(const struct container_type *type, struct container *container, uintptr_t table, bool whole);

/* After a commit: the new items are held, those dropped are freed. */
void container_settle(struct container *container);

static inline uintptr_t container_table(const struct container *container)
{
    return load_relaxed(&container->table);
}

/* Free all items of an array of places; safe to be done again. */
void container_free_items(heap_place *places, size_t count);

#endif
