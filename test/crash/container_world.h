/* The world of the crash cases of containers, with one container of any type in it, and what is asked of all of them.
 */
#ifndef TEST_CRASH_CONTAINER_WORLD_H
#define TEST_CRASH_CONTAINER_WORLD_H

#include "arena/member.h"
#include "crash.h"
#include <mproc/containers.h>

#define ARRAY_ELEMENTS 8

struct container_world {
    mproc_dict *dict;
    mproc_list *list;
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;  /* of ARRAY_ELEMENTS numbers of 64 bits, or more */
    member_owner victim; /* of who frees a container */
};

typedef void container_fill(struct container_world *world);
typedef void container_change(void *world);

/* A world, and what is to come of it: found out with another one. */
void *container_build(container_fill *fill, container_change *operate);

/* The same for an operation of two that are done one after another; half does the first. */
void *container_build_steps(container_fill *fill, container_change *half, container_change *operate);

/* The container has its contents, those that the operation makes, or those of the first of two; it can be used, and
 * with it all memory goes back. */
const char *container_check(void *arg, bool finished);
void container_destroy(void *arg);

/* Look at the container, as any other does. */
void container_repair(void *arg);

/* What the container shows, as text; NULL when it cannot be looked at. And what it shows at first. */
char *container_show(const struct container_world *world);
const char *container_before(void);

/* Free what is there. */
void container_drop(struct container_world *world);

/* A value that needs a block of many pages. */
mproc_value container_large_string(void);

#endif
