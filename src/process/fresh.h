/* Fresh processes: those that are told by a record what to do, and not by a copy of their parent's memory. */
#ifndef MPROC_PROCESS_FRESH_H
#define MPROC_PROCESS_FRESH_H

#include "process/record.h"

/* The variable that a fresh process finds in its environment. */
#define FRESH_VARIABLE "MPROC_SPAWN"

/* Whether mproc_init() was called in this process, or in the one that it is a copy of. */
bool fresh_is_possible(void);

/* What every start by spawn or forkserver needs beforehand: refer to the function, have a family, check the argument.
 * 0, a condition, or -errno. */
int fresh_prepare(struct start *start, struct function_reference *function);

/* Run this program, or what mproc_executable_set() said, with these descriptors from OS_FIRST_FD on. title is for ps.
 * The pid or -errno. */
pid_t fresh_execute(const char *title, const char *groups, const int *fds, size_t count);

/* What came to a fresh child beside its record. */
struct fresh_descriptors {
    int sentinel;
    int leash; /* or -1 */
    const int *connections;
};

/* Be the child of the record. */
_Noreturn void fresh_child(struct record *record, const struct fresh_descriptors *descriptors);

#endif
