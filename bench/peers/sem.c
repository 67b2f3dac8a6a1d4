/* A process-shared POSIX semaphore with one unit as a lock: see locks.h. */
#include "../locks.h"

#include <semaphore.h>

static void *open_lock(void)
{
    sem_t *semaphore = shared_pages(sizeof *semaphore);

    must(!sem_init(semaphore, 1, 1), "sem_init");
    return semaphore;
}

static void acquire(void *semaphore)
{
    must(!sem_wait(semaphore), "sem_wait");
}

static void release(void *semaphore)
{
    must(!sem_post(semaphore), "sem_post");
}

int main(int argc, char **argv)
{
    static const struct lock_kind kind = {open_lock, acquire, release};

    return measure_lock(argc, argv, &kind);
}
