/* Threads of the library's own, and the turns that threads take. */
#define _GNU_SOURCE
#include "os/thread.h"

#include "os/clock.h"
#include "os/fault.h"
#include "os/signal.h"
#include <errno.h>
#include <sched.h>
#include <sys/stat.h>

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

int os_mutex_await(pthread_mutex_t *mutex, int64_t deadline)
{
    for (;;) {
        int64_t nap = os_nap(deadline);
        if (nap == 0)
            return MPROC_TIMEOUT;
        int64_t until = os_now() + nap;
        struct timespec end = {.tv_sec = until / 1000000000, .tv_nsec = until % 1000000000};
        int error = pthread_mutex_clocklock(mutex, CLOCK_MONOTONIC, &end);
        if (error != ETIMEDOUT)
            return -error;
    }
}

void os_thread_yield(void)
{
    sched_yield();
}

/* A folder for each thread, beside the two links that every folder has. */
bool os_thread_is_alone(void)
{
    struct stat status;
    return !os_fault(OS_FSTAT) && stat("/proc/self/task", &status) == 0 && status.st_nlink == 3;
}
