/* Threads of the library's own. Called by src/pool, where a program asks for callbacks; nothing else starts one. */
#include "os/thread.h"

#include "os/fault.h"
#include "os/signal.h"

int os_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg)
{
    int fault = os_fault(OS_THREAD_CREATE);
    if (fault)
        return fault;
    sigset_t before;
    os_signals_block(&before); /* the thread begins with the mask of its maker */
    int error = pthread_create(thread, NULL, run, arg);
    os_signals_restore(&before);
    return -error;
}
