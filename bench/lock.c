/* Nanoseconds for an acquire and a release of an mproc_lock that nobody else wants: lock [LOOPS]. */
#include "check.h"
#include "measure.h"

#include <mproc/memory.h>
#include <mproc/sync.h>

int main(int argc, char **argv)
{
    size_t loops = argument(argc, argv, 1, 10000000);
    mproc_lock *lock = mproc_alloc(sizeof *lock);

    must(lock != NULL, "mproc_alloc");
    check(mproc_lock_init(lock), "mproc_lock_init");
    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        check(mproc_lock_acquire(lock, MPROC_FOREVER), "mproc_lock_acquire");
        check(mproc_lock_release(lock), "mproc_lock_release");
    }
    report((seconds_now() - begin) * 1e9 / (double)loops);
    return 0;
}
