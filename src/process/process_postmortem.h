/* Post-mortems of processes that a program starts: what is kept for them, and what is told when they have ended. */
#ifndef MPROC_PROCESS_PROCESS_POSTMORTEM_H
#define MPROC_PROCESS_PROCESS_POSTMORTEM_H

#include "os/pidfd.h"
#include "process/start.h"

/* For a process that is to leave its last words: a place for them that it shares with this one. 0 or -errno. */
int process_postmortem_prepare(struct start *start);

/* In the child: take the place, and leave words there from now on. bottom: where its stack begins. */
void process_postmortem_listen(const struct start *start, const void *bottom);

/* The process of the handle was reaped: note what it has used, and why it ended. With the process lock. */
void process_postmortem_note(struct mproc_process *handle, const struct os_end *end);

/* Give up a handle's place. */
void process_postmortem_forget(struct mproc_process *handle);

#endif
