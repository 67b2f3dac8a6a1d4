/* Signals of this process: blocked around a fork, and as a new process should find them. */
#ifndef MPROC_OS_SIGNAL_H
#define MPROC_OS_SIGNAL_H

#include <signal.h>
#include <stdbool.h>
#include <stdint.h>

/* Block every signal in this thread; *before gets the mask that was. */
void os_signals_block(sigset_t *before);
void os_signals_restore(const sigset_t *before);

/* The signals that this process may have handlers for, and those that this thread may block: signal n in bit n - 1.
 * Unknown, and all of them, where that cannot be said: when another thread could install a handler meanwhile, or the
 * kernel does not tell. */
struct os_signals {
    uint64_t caught;
    uint64_t blocked;
    bool known;
};

/* By one look at /proc, which takes half of the time that asking for the disposition of each signal takes. */
struct os_signals os_signals_look(void);

/* SIGCHLD among those that are caught: it may also be ignored, or have flags. */
struct os_signals os_signals_with_children(struct os_signals signals);

/* In a new process: the default for each of these signals that is caught, and for SIGCHLD where that is one of them;
 * what else is ignored stays so. Then no signal is blocked. */
void os_signals_reset(struct os_signals suspects);

/* Whether a child of this process may be reaped as soon as it ends, by the kernel or by a handler or another thread of
 * the program's. */
bool os_children_may_vanish(void);

/* Whether this process ignores the ends of its children; and the default again. */
bool os_children_are_ignored(void);
void os_heed_children(void);

/* Let a signal do nothing here, and by default what it does in a process that calls os_signals_reset() later. One that
 * is ignored stays so. */
void os_signal_disarm(int number);

/* Do what the signal does by default when it comes from the parent, and nothing when it comes from anybody else. */
void os_signal_obey_parent(int number);

/* Ignore a signal, here and in what is forked and executed from here. */
void os_signal_ignore(int number);

/* Call a handler at a signal, unless it is ignored; *before gets what was done. System calls go on where they can.
 * Returns whether it is called from now on. */
bool os_signal_catch(int number, void (*handler)(int), struct sigaction *before);

/* Call a handler at a signal, if it does by default what it does here. Returns whether it is called from now on. */
bool os_signal_catch_default(int number, void (*handler)(int));

/* Do again what was done before, unless the program has chosen something else than the handler meanwhile. */
void os_signal_put_back(int number, void (*handler)(int), const struct sigaction *before);

/* In a handler of the signal: do what it does by default, when the handler returns. */
void os_signal_by_default(int number);

/* End this process after so many seconds. Async-signal-safe. Takes what there is of the process's alarm() and SIGALRM.
 */
void os_end_process_after(unsigned seconds);

/* Keep from this thread the signals that a write may raise: SIGPIPE, and SIGXFSZ of a file that may not grow. held gets
 * those that are to be undone; where one is pending already, another changes nothing. */
void os_signals_hold(sigset_t *held, sigset_t *before);

/* Undo that: take the signal, if one was raised, and restore the mask. */
void os_signals_release(const sigset_t *held, const sigset_t *before, bool is_raised);

/* Send it to this thread. */
void os_signal_raise(int number);

#endif
