/* A parallel_for of oneTBB with a grain of 1 at tasks that take a CPU for a while: see tasks.h. */
#include "../tasks.h"

#include <tbb/parallel_for.h>

static void run(bench_task *task, const struct tasks *tasks)
{
    tbb::parallel_for(size_t{0}, tasks->count, [=](size_t i) { task(nullptr, &tasks->in[i], &tasks->out[i]); });
}

int main(int argc, char **argv)
{
    static const struct runner runner = {malloc, run};

    return measure_tasks(argc, argv, &runner);
}
