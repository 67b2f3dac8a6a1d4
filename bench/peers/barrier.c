/* A process-shared pthread barrier: see rounds.h. */
#include "../rounds.h"

#include <pthread.h>

static void *open_barrier(unsigned parties)
{
    pthread_barrier_t *barrier = shared_pages(sizeof *barrier);
    pthread_barrierattr_t attributes;

    pthread_barrierattr_init(&attributes);
    pthread_barrierattr_setpshared(&attributes, PTHREAD_PROCESS_SHARED);
    must(!pthread_barrier_init(barrier, &attributes, parties), "pthread_barrier_init");
    return barrier;
}

static void meet(void *barrier)
{
    int result = pthread_barrier_wait(barrier);

    must(result == 0 || result == PTHREAD_BARRIER_SERIAL_THREAD, "pthread_barrier_wait");
}

int main(int argc, char **argv)
{
    static const struct rounds_kind kind = {open_barrier, meet};

    return measure_rounds(argc, argv, &kind);
}
