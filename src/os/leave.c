/* The end of a program, as leave.h says. */
#include "os/leave.h"

#include "os/clock.h"
#include "os/fork.h"
#include "os/thread.h"
#include "util/atomic.h"
#include <setjmp.h>
#include <sys/single_threaded.h>

/* How long to wait for a lock: another thread may have it, and goes on. */
#define PATIENCE OS_MS(200)

_Atomic(bool) os_leave_begun;

/* By the thread that has begun. */
static pthread_t leaver;
static jmp_buf *way_out;

OS_FORK_PATH void os_leave(void (*work)(void))
{
    bool begun = false;
    if (!compare_exchange_acq_rel(&os_leave_begun, &begun, true))
        return; /* exit() was called in it */
    leaver = pthread_self();
    jmp_buf here;
    way_out = &here;
    if (!setjmp(here))
        work();
    way_out = NULL;
    store_release(&os_leave_begun, false);
}

OS_FORK_PATH bool os_leave_is_own(void)
{
    return load_acquire(&os_leave_begun) && pthread_equal(leaver, pthread_self());
}

void os_leave_give_up(void)
{
    longjmp(*way_out, 1);
}

OS_FORK_PATH void os_leave_forget(void)
{
    store_relaxed(&os_leave_begun, false);
}

/* Where there is nobody to wait for: to see that costs a child that ends less than the clock and trylock do. */
static OS_FORK_PATH bool is_free(const pthread_mutex_t *mutex)
{
    return __libc_single_threaded && mutex->__data.__lock == 0;
}

OS_FORK_PATH void os_leave_lock(pthread_mutex_t *mutex)
{
    if (is_free(mutex) || !os_leave_is_own())
        pthread_mutex_lock(mutex);
    else if (os_mutex_take(mutex, os_now() + PATIENCE))
        os_leave_give_up();
}
