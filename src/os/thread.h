/* Threads of the library's own, and the turns that threads take. */
#ifndef MPROC_OS_THREAD_H
#define MPROC_OS_THREAD_H

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

/* Start a thread in which every signal is blocked: they are the program's, and its threads'. 0 or -EAGAIN. */
int os_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);

int os_mutex_await(pthread_mutex_t *mutex, int64_t deadline);

/* Lock a mutex, waiting until the deadline of os/clock.h at most: 0 or MPROC_TIMEOUT. */
static inline int os_mutex_take(pthread_mutex_t *mutex, int64_t deadline)
{
    return pthread_mutex_trylock(mutex) == 0 ? 0 : os_mutex_await(mutex, deadline);
}

/* Let another thread have this CPU, if one waits for it. */
void os_thread_yield(void);

/* Whether this thread is the only one of the process, by the kernel's word. False where it does not tell. */
bool os_thread_is_alone(void);

#endif
