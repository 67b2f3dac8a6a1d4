/* Turns by a process-shared pthread condition and its mutex: see turns.h. */
#include "../turns.h"

#include <pthread.h>

struct shared {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    unsigned turn; /* whose it is, under the mutex */
};

static void *open_shared(void)
{
    struct shared *shared = shared_pages(sizeof *shared);
    pthread_mutexattr_t mutex;
    pthread_condattr_t changed;

    pthread_mutexattr_init(&mutex);
    pthread_mutexattr_setpshared(&mutex, PTHREAD_PROCESS_SHARED);
    must(!pthread_mutex_init(&shared->mutex, &mutex), "pthread_mutex_init");
    pthread_condattr_init(&changed);
    pthread_condattr_setpshared(&changed, PTHREAD_PROCESS_SHARED);
    must(!pthread_cond_init(&shared->changed, &changed), "pthread_cond_init");
    return shared;
}

static void await(void *memory, unsigned me)
{
    struct shared *shared = memory;

    must(!pthread_mutex_lock(&shared->mutex), "pthread_mutex_lock");
    while (shared->turn != me)
        must(!pthread_cond_wait(&shared->changed, &shared->mutex), "pthread_cond_wait");
    must(!pthread_mutex_unlock(&shared->mutex), "pthread_mutex_unlock");
}

static void pass(void *memory, unsigned me)
{
    struct shared *shared = memory;

    must(!pthread_mutex_lock(&shared->mutex), "pthread_mutex_lock");
    shared->turn = !me;
    must(!pthread_cond_signal(&shared->changed), "pthread_cond_signal");
    must(!pthread_mutex_unlock(&shared->mutex), "pthread_mutex_unlock");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_shared, await, pass};

    return measure_turns(argc, argv, &kind);
}
