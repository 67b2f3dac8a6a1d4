/* What runs in every forked child. There each page that is touched first costs a fault, of the C library's code as well
 * as of our data, and the faults make up most of what a start costs beyond the fork itself. So what is done in handlers
 * of fork() and at the start and end of a child is kept together and calls little. For the same reason the library's
 * static data should stay small, scripts/lint says how small: large buffers come from malloc(). */
#ifndef MPROC_OS_FORK_H
#define MPROC_OS_FORK_H

#include <pthread.h>
#include <stdbool.h>
#include <string.h>

/* Of a function: it lies beside the others that have this. */
#define OS_FORK_PATH __attribute__((section(".text.hot.fork")))

#if defined(__SANITIZE_THREAD__)
#define OS_FORK_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define OS_FORK_TSAN 1
#endif
#endif

/* In the child, where no other thread is left: the mutex is free. held: this thread took it before the fork. */
static inline void os_mutex_reset(pthread_mutex_t *mutex, bool held)
{
#ifdef OS_FORK_TSAN
    if (held)
        pthread_mutex_unlock(mutex);
    else
        pthread_mutex_init(mutex, NULL);
#else
    const pthread_mutex_t unlocked = PTHREAD_MUTEX_INITIALIZER; /* no static one: that would be a page of constants */
    (void)held;
    memcpy(mutex, &unlocked, sizeof unlocked);
#endif
}

#endif
