/* The signals that end a process, handled on a stack of their own and then passed on, so that the process ends as it
 * would have ended. All but os_crash_listen() may be called in a handler. */
#ifndef MPROC_OS_CRASH_H
#define MPROC_OS_CRASH_H

#include <signal.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

typedef void os_crash_handler(int number, siginfo_t *info, void *context);

/* Call the handler when a signal comes that would end this process by an error of its own, or SIGTERM: on a stack made
 * for this thread, on their own in other threads. Signals that are ignored or handled already stay so. 0 or -errno. */
int os_crash_listen(os_crash_handler *handler);

/* Have the threads that this process makes from now on get a stack for their signals too: those made by object files
 * that are loaded now. To be called again when more were loaded. */
void os_crash_listen_in_threads(void);

/* In that handler: let this thread get the signal once more when the handler returns, to be handled by default, with
 * what the kernel said about it. */
void os_crash_pass_on(int number, siginfo_t *info);

/* The address that the signal tells of. False when it tells of none. */
bool os_crash_address(int number, const siginfo_t *info, uintptr_t *address);

/* In that handler: from now on a fault in it calls the handler anew, also one of the same kind, and `over` is called in
 * this thread when so many nanoseconds have passed. Both are to leave by siglongjmp(), and os_crash_pass_on() ends it.
 */
void os_crash_guard(int number, int64_t span, void (*over)(int number));

pid_t os_thread_id(void);
void os_signal_thread(pid_t thread, int number);

/* Sleep for so long, or until a signal is handled. */
void os_sleep(int64_t span);

#endif
