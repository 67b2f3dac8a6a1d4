/* A process-shared pthread mutex: mutex plain|robust, and then as in locks.h. */
#include "../locks.h"

static bool robust;

static void *open_lock(void)
{
    pthread_mutex_t *mutex = shared_pages(sizeof *mutex);
    pthread_mutexattr_t attributes;

    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    pthread_mutexattr_setrobust(&attributes, robust ? PTHREAD_MUTEX_ROBUST : PTHREAD_MUTEX_STALLED);
    must(!pthread_mutex_init(mutex, &attributes), "pthread_mutex_init");
    return mutex;
}

static void acquire(void *mutex)
{
    must(!pthread_mutex_lock(mutex), "pthread_mutex_lock");
}

static void release(void *mutex)
{
    must(!pthread_mutex_unlock(mutex), "pthread_mutex_unlock");
}

int main(int argc, char **argv)
{
    static const struct lock_kind kind = {open_lock, acquire, release};

    must(argc > 1, "plain or robust");
    robust = !strcmp(argv[1], "robust");
    must(robust || !strcmp(argv[1], "plain"), "plain or robust");
    return measure_lock(argc - 1, argv + 1, &kind);
}
