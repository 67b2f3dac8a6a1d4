/* OpenMP's schedule(dynamic) with a thread for each CPU at tasks that take a CPU for a while: see tasks.h. */
#include "../tasks.h"

static void run(bench_task *task, const struct tasks *tasks)
{
#pragma omp parallel for schedule(dynamic)
    for (size_t i = 0; i < tasks->count; i++)
        task(NULL, &tasks->in[i], &tasks->out[i]);
}

int main(int argc, char **argv)
{
    static const struct runner runner = {malloc, run};

    return measure_tasks(argc, argv, &runner);
}
