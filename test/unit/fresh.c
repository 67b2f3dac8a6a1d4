/* As fresh.h says. */
#include "fresh.h"

#include "processes.h"

enum mproc_start_method fresh_method;

int run_copied(mproc_target *fn, const void *arg, size_t size)
{
    return run(fn, (void *)(uintptr_t)arg, &(mproc_process_options){.method = fresh_method, .arg_size = size});
}

int run_shared(mproc_target *fn, void *arg)
{
    return run(fn, arg, &(mproc_process_options){.method = fresh_method});
}

int by_spawn(void **state)
{
    fresh_method = MPROC_START_SPAWN;
    return books_open(state);
}

int by_server(void **state)
{
    fresh_method = MPROC_START_FORKSERVER;
    return books_open(state);
}
