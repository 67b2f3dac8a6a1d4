/* Nanoseconds for a lock and an unlock of a process-shared pthread mutex that nobody else wants:
 * mutex plain|robust [LOOPS]. */
#include "../measure.h"

#include <pthread.h>
#include <string.h>

int main(int argc, char **argv)
{
    bool robust = argc > 1 && !strcmp(argv[1], "robust");
    size_t loops = argument(argc, argv, 2, 10000000);
    pthread_mutex_t *mutex = shared_pages(sizeof *mutex);
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
    must(!pthread_mutex_init(mutex, &attributes), "pthread_mutex_init");
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        must(!pthread_mutex_lock(mutex), "pthread_mutex_lock");
        must(!pthread_mutex_unlock(mutex), "pthread_mutex_unlock");
    }
    report((seconds_now() - begin) * 1e9 / (double)loops);
    return 0;
}
