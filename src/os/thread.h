/* Threads of the library's own. */
#ifndef MPROC_OS_THREAD_H
#define MPROC_OS_THREAD_H

#include <pthread.h>

/* Start a thread in which every signal is blocked: they are the program's, and its threads'. 0 or -EAGAIN. */
int os_thread_create(pthread_t *thread, void *(*run)(void *arg), void *arg);

#endif
