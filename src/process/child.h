/* What a child does, from its first instruction to its end, by whatever method it was started. */
#ifndef MPROC_PROCESS_CHILD_H
#define MPROC_PROCESS_CHILD_H

#include "os/signal.h"
#include "process/start.h"

/* Become the child that was started, run its target and end. signals: those of this process or of the one that it is
 * a copy of. To be called where no handler can run. */
_Noreturn void child_run(const struct start *start, struct os_signals signals);

/* Say on stderr why this process cannot be what it should, and end it with the code 127. */
_Noreturn void child_fail(const char *name, const char *reason);

#endif
