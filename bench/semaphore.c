/* Turns by two semaphores, one for each process: see turns.h. */
#include "check.h"
#include "turns.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

static void *open_semaphores(void)
{
    mproc_semaphore *semaphores = mproc_alloc(2 * sizeof *semaphores);

    must(semaphores != NULL, "mproc_alloc");
    for (unsigned i = 0; i < 2; i++)
        check(mproc_semaphore_init(&semaphores[i], i == 0, MPROC_SEMAPHORE_SIGNAL), "mproc_semaphore_init");
    return semaphores;
}

static void await(void *semaphores, unsigned me)
{
    check(mproc_semaphore_acquire((mproc_semaphore *)semaphores + me, MPROC_FOREVER), "mproc_semaphore_acquire");
}

static void pass(void *semaphores, unsigned me)
{
    check(mproc_semaphore_release((mproc_semaphore *)semaphores + !me, 1), "mproc_semaphore_release");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_semaphores, await, pass};

    return measure_turns(argc, argv, &kind);
}
