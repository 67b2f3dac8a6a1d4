/* The limit of the pool work where there is nothing to share out: nanoseconds an item of the plain loop, which the
 * compiler may inline, in one process: loop [ITEMS [LOOPS]]. A first loop is outside the time. */
#include "../squares.h"

static __attribute__((noinline)) void square_all(const long *in, long *out, size_t count)
{
    for (size_t i = 0; i < count; i++)
        out[i] = in[i] * in[i];
}

int main(int argc, char **argv)
{
    size_t count = argument(argc, argv, 1, 10000000);
    size_t loops = argument(argc, argv, 2, 5);
    long *in = malloc(count * sizeof *in), *out = malloc(count * sizeof *out);
    double begin = 0;

    must(in && out, "malloc");
    fill_numbers(in, count);
    for (size_t i = 0; i <= loops; i++) {
        if (i == 1)
            begin = seconds_now();
        square_all(in, out, count);
    }
    report((seconds_now() - begin) * 1e9 / (double)count / (double)loops);
    must_be_squares(in, out, count);
    return 0;
}
