/* Handing over the types that a program has registered, to a server which is started afresh. Called by manager.c. */
#ifndef MPROC_MANAGER_SERVER_TYPES_H
#define MPROC_MANAGER_SERVER_TYPES_H

#include "process/function.h"
#include <stddef.h>

/* Refer to all that are registered; the references are the caller's to free. 0; -ENOMEM; MPROC_NO_FUNCTION: one of them
 * is in no loaded object file, and the log says which. */
int types_refer(struct function_reference **references, size_t *count);

/* Register what they refer to, here. 0; -ENOMEM; MPROC_NO_FUNCTION: one is not found, or is not whole in its object
 * file. */
int types_adopt(const struct function_reference *references, size_t count);

#endif
