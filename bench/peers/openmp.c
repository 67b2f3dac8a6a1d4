/* Nanoseconds an item of a parallel loop of OpenMP that calls the pool's task through a pointer, a thread for each CPU
 * and schedule(dynamic, CHUNK): openmp [ITEMS [LOOPS [CHUNK]]]. Starting the threads and a first loop are outside the
 * time.
 */
#include "../squares.h"

static void square_all(bench_task *task, const long *in, long *out, size_t count, size_t chunk)
{
#pragma omp parallel for schedule(dynamic, chunk)
    for (size_t i = 0; i < count; i++)
        task(NULL, &in[i], &out[i]);
}

int main(int argc, char **argv)
{
    size_t count = argument(argc, argv, 1, 10000000);
    size_t loops = argument(argc, argv, 2, 5);
    size_t chunk = argument(argc, argv, 3, 4096);
    long *in = malloc(count * sizeof *in), *out = malloc(count * sizeof *out);
    double begin = 0;

    must(in && out, "malloc");
    fill_numbers(in, count);
    for (size_t i = 0; i <= loops; i++) {
        if (i == 1)
            begin = seconds_now();
        square_all(opaque(square), in, out, count, chunk);
    }
    report((seconds_now() - begin) * 1e9 / (double)count / (double)loops);
    must_be_squares(in, out, count);
    return 0;
}
