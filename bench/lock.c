/* An mproc_lock: see locks.h. */
#include "check.h"
#include "locks.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

static void *open_lock(void)
{
    mproc_lock *lock = mproc_alloc(sizeof *lock);

    must(lock != NULL, "mproc_alloc");
    check(mproc_lock_init(lock), "mproc_lock_init");
    return lock;
}

static void acquire(void *lock)
{
    check(mproc_lock_acquire(lock, MPROC_FOREVER), "mproc_lock_acquire");
}

static void release(void *lock)
{
    check(mproc_lock_release(lock), "mproc_lock_release");
}

int main(int argc, char **argv)
{
    static const struct lock_kind kind = {open_lock, acquire, release};

    return measure_lock(argc, argv, &kind);
}
