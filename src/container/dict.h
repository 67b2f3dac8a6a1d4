/* The dict's methods, for the namespace, which is one whose keys are names. */
#ifndef MPROC_CONTAINER_DICT_H
#define MPROC_CONTAINER_DICT_H

#include "container/table.h"

/* What dict, set and namespace are. */
struct mproc_dict {
    struct container container;
};

/* As the methods, of any type whose table is one of entries. */
int dict_put(const struct container_type *type, struct container *container, const mproc_value *key,
             const mproc_value *value, int64_t deadline);
int dict_look_up(const struct container_type *type, struct container *container, const mproc_value *key,
                 mproc_value *value, int64_t deadline);

/* Take a key out; its value goes to *value unless that is NULL. */
int dict_take_out(const struct container_type *type, struct container *container, const mproc_value *key,
                  mproc_value *value, int64_t deadline);

int dict_empty(const struct container_type *type, struct container *container, int64_t deadline);
int dict_count(const struct container_type *type, struct container *container, mproc_value *length, int64_t deadline);

#endif
