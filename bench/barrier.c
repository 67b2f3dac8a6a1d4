/* An mproc_barrier: see rounds.h. */
#include "check.h"
#include "rounds.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

static void *open_barrier(unsigned parties)
{
    mproc_barrier *barrier = mproc_alloc(sizeof *barrier);

    must(barrier != NULL, "mproc_alloc");
    check(mproc_barrier_init(barrier, parties, NULL, NULL), "mproc_barrier_init");
    return barrier;
}

static void meet(void *barrier)
{
    check(mproc_barrier_wait(barrier, NULL, MPROC_FOREVER), "mproc_barrier_wait");
}

int main(int argc, char **argv)
{
    static const struct rounds_kind kind = {open_barrier, meet};

    return measure_rounds(argc, argv, &kind);
}
