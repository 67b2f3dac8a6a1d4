/* Text that grows, and values in it as Python's repr() writes them. mproc_value_repr() is in repr.c; objects
 * are printed by container/show.c. */
#ifndef MPROC_VALUE_REPR_H
#define MPROC_VALUE_REPR_H

#include <mproc/value.h>

/* Begin with all zero; free data in the end. */
struct repr {
    char *data;
    size_t size, room;
    int result;                                                      /* not 0: what is added from then on is lost */
    void (*add_object)(struct repr *repr, const mproc_value *value); /* NULL: repr_object() */
};

void repr_string(struct repr *repr, const char *string);

/* Of at most 255 bytes. */
void repr_format(struct repr *repr, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* The value has been checked. */
void repr_value(struct repr *repr, const mproc_value *value);

/* An object by its type and address. */
void repr_object(struct repr *repr, const mproc_value *value);

#endif
