/* Whether a wait that a user began is to end early, because the program's check says so: see mproc_wait_check_set().
 *
 * A timeout or deadline whose lowest bit is 1 is a user's (os/clock.h). Only such a wait may end early, and it ends as
 * if its time were over: os_until() is 0, so whatever waits looks a last time, undoes what it has begun, and returns
 * MPROC_TIMEOUT, by the same path as ever. os_outcome() then tells the two apart, where the public function returns. */
#ifndef MPROC_OS_WAIT_CHECK_H
#define MPROC_OS_WAIT_CHECK_H

#include "util/atomic.h"
#include <mproc/base.h>
#include <stdbool.h>

/* What is known of the wait of this thread: 0, or these. */
#define OS_WAIT_INTERRUPTED 1u /* the check has said that it is to end */
#define OS_WAIT_SIGNALLED   2u /* a signal handler has run during a sleep since the check was last asked */

extern __thread unsigned os_wait_state __attribute__((tls_model("initial-exec")));
extern _Atomic(mproc_wait_check *) os_wait_registered;

/* A user's wait begins in this thread: whatever the check said before is forgotten. */
static inline void os_wait_begin(void)
{
    os_wait_state = 0;
}

bool os_wait_ask(void);

/* Whether the wait of this thread is to end. Asks the check, until it has said so once. */
static inline bool os_wait_is_interrupted(void)
{
    bool may_be = os_wait_state || load_relaxed(&os_wait_registered);
    return __builtin_expect(may_be, 0) && os_wait_ask();
}

/* A signal handler has run in this thread during a sleep. */
static inline void os_wait_signalled(void)
{
    os_wait_state |= OS_WAIT_SIGNALLED;
}

/* The result of a public function: MPROC_INTERRUPTED for the MPROC_TIMEOUT of a wait that was interrupted, else the
 * result itself. */
static inline int os_outcome(int result, mproc_time timeout)
{
    bool may_be = result == MPROC_TIMEOUT && timeout.nanoseconds != 0;
    return may_be && (os_wait_state & OS_WAIT_INTERRUPTED) ? MPROC_INTERRUPTED : result;
}

#endif
