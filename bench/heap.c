/* Nanoseconds for an mproc_alloc and an mproc_free of a small block in one process: heap [BYTES [LOOPS]]. */
#include "check.h"
#include "measure.h"

#include <mproc/memory.h>

int main(int argc, char **argv)
{
    size_t size = argument(argc, argv, 1, 64);
    size_t loops = argument(argc, argv, 2, 10000000);

    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        volatile char *block = mproc_alloc(size);
        must(block != NULL, "mproc_alloc");
        block[0] = 1;
        check(mproc_free((void *)block), "mproc_free");
    }
    report((seconds_now() - begin) * 1e9 / (double)loops);
    return 0;
}
