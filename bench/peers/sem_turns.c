/* Turns by two process-shared POSIX semaphores: see turns.h. */
#include "../turns.h"

#include <semaphore.h>

static void *open_semaphores(void)
{
    sem_t *semaphores = shared_pages(2 * sizeof *semaphores);

    for (unsigned i = 0; i < 2; i++)
        must(!sem_init(&semaphores[i], 1, i == 0), "sem_init");
    return semaphores;
}

static void await(void *semaphores, unsigned me)
{
    must(!sem_wait((sem_t *)semaphores + me), "sem_wait");
}

static void pass(void *semaphores, unsigned me)
{
    must(!sem_post((sem_t *)semaphores + !me), "sem_post");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_semaphores, await, pass};

    return measure_turns(argc, argv, &kind);
}
