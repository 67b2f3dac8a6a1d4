/* Groups, for the start of their members. */
#ifndef MPROC_PROCESS_GROUP_H
#define MPROC_PROCESS_GROUP_H

#include "process/start.h"

/* Give a child the marks of a group, beside those that it inherits.
 *
 * In its slot of the member table: two numbers of 32 bits, of the outermost group that it is in and of the innermost.
 * In its environment: the marks of all its groups. */
void group_mark(const struct mproc_group *group, struct start *start);

#endif
