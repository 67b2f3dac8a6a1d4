/* Signals of this process: blocked around a fork, and as a new process should find them. */
#ifndef MPROC_OS_SIGNAL_H
#define MPROC_OS_SIGNAL_H

#include <signal.h>

/* Block every signal in this thread; *before gets the mask that was. */
void os_signals_block(sigset_t *before);
void os_signals_restore(const sigset_t *before);

/* In a new process, with all signals blocked: the default for each signal that is caught, and for SIGCHLD; what is
 * ignored stays so. Then no signal is blocked. */
void os_signals_reset(void);

/* Let a signal do nothing here, and by default what it does in a process that calls os_signals_reset() later. One that
 * is ignored stays so. */
void os_signal_disarm(int number);

#endif
