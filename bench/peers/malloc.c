/* Nanoseconds for a malloc and a free of a small block: malloc [BYTES [LOOPS]]. */
#include "../measure.h"

int main(int argc, char **argv)
{
    size_t size = argument(argc, argv, 1, 64);
    size_t loops = argument(argc, argv, 2, 10000000);

    double begin = seconds_now();
    for (size_t i = 0; i < loops; i++) {
        volatile char *block = malloc(size);
        must(block != NULL, "malloc");
        block[0] = 1;
        free((void *)block);
    }
    report((seconds_now() - begin) * 1e9 / (double)loops);
    return 0;
}
