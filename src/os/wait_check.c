/* The program's check whether waits are to end early. os/wait_check.h says how a wait then ends. */
#include "os/wait_check.h"

#include "util/atomic.h"
#include <dlfcn.h>
#include <stddef.h>

/* Both are set by mproc_wait_check_set() alone, arg before check: whoever sees a check sees its arg. Two threads that
 * set them at the same time are a mistake of the caller. */
_Atomic(mproc_wait_check *) os_wait_registered;
static _Atomic(void *) registered_arg;

__thread unsigned os_wait_state;

void mproc_wait_check_set(mproc_wait_check *check, void *arg)
{
    store_release(&os_wait_registered, NULL);
    store_release(&registered_arg, arg);
    store_release(&os_wait_registered, check);
}

/* CPython runs the handlers of Python functions only when the call returns. It is found by a symbol, which is looked up
 * once: a program does not become a Python program by itself. */
static bool is_in_python(void)
{
    static _Atomic(int) known; /* 0: not looked yet; 1: no; 2: yes */

    int answer = load_relaxed(&known);
    if (answer == 0) {
        answer = dlsym(RTLD_DEFAULT, "PyErr_CheckSignals") ? 2 : 1;
        store_relaxed(&known, answer);
    }
    return answer == 2;
}

bool os_wait_ask(void)
{
    bool ends = (os_wait_state & OS_WAIT_INTERRUPTED) != 0;
    bool was_signalled = (os_wait_state & OS_WAIT_SIGNALLED) != 0;
    mproc_wait_check *check = load_acquire(&os_wait_registered);
    os_wait_state &= ~OS_WAIT_SIGNALLED;
    if (!ends && check)
        ends = check(load_acquire(&registered_arg)) != 0;
    else if (!ends)
        ends = was_signalled && is_in_python();
    if (ends)
        os_wait_state |= OS_WAIT_INTERRUPTED;
    return ends;
}
