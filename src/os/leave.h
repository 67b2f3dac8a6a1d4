/* What the library does when the program ends. exit() may be called in a handler of a signal that came to a thread in
 * the midst of the library: locks that it holds are never given back, and what they guard is half changed. So what is
 * done then waits for no lock for long. Where one is not to be had, the rest of that work is left out: shared data is
 * mended by others, as after a death, and children are tied to this process's life. */
#ifndef MPROC_OS_LEAVE_H
#define MPROC_OS_LEAVE_H

#include "util/atomic.h"
#include <pthread.h>
#include <stdbool.h>

extern _Atomic(bool) os_leave_begun;

/* Do some work at the end of the program, to its end or until os_leave_give_up() in it. */
void os_leave(void (*work)(void));

/* Whether this thread is in os_leave(). */
bool os_leave_is_own(void);

/* Leave the work out from here on. Only where os_leave_is_own(). */
_Noreturn void os_leave_give_up(void);

/* In a forked child: whatever the parent is at. */
void os_leave_forget(void);

void os_leave_lock(pthread_mutex_t *mutex);

/* Lock a mutex that is never held for long; in os_leave() for a while at most. */
static inline void os_mutex_lock(pthread_mutex_t *mutex)
{
    if (__builtin_expect(load_relaxed(&os_leave_begun), 0))
        os_leave_lock(mutex);
    else
        pthread_mutex_lock(mutex);
}

#endif
