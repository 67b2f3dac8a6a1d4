/* Nanoseconds an item of a parallel loop of OpenMP that calls the pool's task through a pointer, a thread for each CPU:
 * openmp [ITEMS [LOOPS]]. Starting the threads and a first loop are outside the time. */
#include "../squares.h"

static void square_all(square_task *task, const long *in, long *out, size_t count)
{
#pragma omp parallel for schedule(dynamic, 4096)
    for (size_t i = 0; i < count; i++)
        task(NULL, &in[i], &out[i]);
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
        square_all(opaque_task(), in, out, count);
    }
    report((seconds_now() - begin) * 1e9 / (double)count / (double)loops);
    must_be_squares(in, out, count);
    return 0;
}
