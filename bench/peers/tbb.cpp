/* Nanoseconds an item of a parallel_for of oneTBB that calls the pool's task through a pointer: tbb [ITEMS [LOOPS
 * [CHUNK]]]. Without a chunk the library finds one, as its manual advises; with one, the range is cut down to it.
 * Starting the threads and a first loop are outside the time. */
#include "../squares.h"

#include <tbb/blocked_range.h>
#include <tbb/parallel_for.h>

using range = tbb::blocked_range<size_t>;

static void square_all(bench_task *task, const long *in, long *out, size_t count, size_t chunk)
{
    auto part = [=](const range &items) {
        for (size_t i = items.begin(); i < items.end(); i++)
            task(nullptr, &in[i], &out[i]);
    };

    if (chunk > 0)
        tbb::parallel_for(range(0, count, chunk), part, tbb::simple_partitioner());
    else
        tbb::parallel_for(range(0, count), part);
}

int main(int argc, char **argv)
{
    size_t count = argument(argc, argv, 1, 10000000);
    size_t loops = argument(argc, argv, 2, 5);
    size_t chunk = argument(argc, argv, 3, 0);
    long *in = static_cast<long *>(malloc(count * sizeof *in)), *out = static_cast<long *>(malloc(count * sizeof *out));
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
