/* Turns by an mproc_condition and its lock: see turns.h. */
#include "check.h"
#include "turns.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

struct shared {
    mproc_lock lock;
    mproc_condition changed;
    unsigned turn; /* whose it is, under lock */
};

static void *open_shared(void)
{
    struct shared *shared = mproc_alloc(sizeof *shared);

    must(shared != NULL, "mproc_alloc");
    check(mproc_lock_init(&shared->lock), "mproc_lock_init");
    check(mproc_condition_init(&shared->changed), "mproc_condition_init");
    shared->turn = 0;
    return shared;
}

static void await(void *memory, unsigned me)
{
    struct shared *shared = memory;

    check(mproc_lock_acquire(&shared->lock, MPROC_FOREVER), "mproc_lock_acquire");
    while (shared->turn != me)
        check(mproc_condition_wait(&shared->changed, &shared->lock, MPROC_FOREVER), "mproc_condition_wait");
    check(mproc_lock_release(&shared->lock), "mproc_lock_release");
}

static void pass(void *memory, unsigned me)
{
    struct shared *shared = memory;

    check(mproc_lock_acquire(&shared->lock, MPROC_FOREVER), "mproc_lock_acquire");
    shared->turn = !me;
    check(mproc_condition_notify(&shared->changed, 1), "mproc_condition_notify");
    check(mproc_lock_release(&shared->lock), "mproc_lock_release");
}

int main(int argc, char **argv)
{
    static const struct turns_kind kind = {open_shared, await, pass};

    return measure_turns(argc, argv, &kind);
}
