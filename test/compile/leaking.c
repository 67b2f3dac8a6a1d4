/* A program that frees some of what it takes from shared memory, and leaves three things: see test_leaks.sh. */
#include <mproc.h>

static void *leave_block(void)
{
    return mproc_alloc(1234);
}

static int leave_in_child(void *arg)
{
    (void)arg;
    return mproc_alloc(5678) == NULL;
}

static int run(enum mproc_start_method method)
{
    mproc_process *process;
    int code = -1;

    if (mproc_process_start(&process, leave_in_child, NULL, &(mproc_process_options){.method = method}) ||
        mproc_process_join(process, MPROC_SEC(60)) || mproc_process_exitcode(process, &code))
        return 1;
    process = mproc_process_free(process);
    return code;
}

int main(void)
{
    mproc_queue *queue, *freed;
    mproc_dict *dict;

    mproc_init();
    for (int i = 0; i < 3; i++)
        if (!leave_block())
            return 1;
    if (mproc_queue_create(&queue, NULL) || mproc_queue_create(&freed, NULL) || mproc_dict_create(&dict))
        return 1;
    freed = mproc_queue_free(freed);
    for (int i = 0; i < 100; i++)
        if (mproc_dict_set(dict, mproc_int(i), mproc_string("a text of some length"), MPROC_SEC(5)))
            return 1;
    dict = mproc_dict_free(dict);
    char *block = mproc_calloc(300, 1000);
    block = mproc_realloc(block, 100000);
    if (!block || block[99999] || mproc_usable_size(block) < 100000 || mproc_free(block))
        return 1;
    return run(MPROC_START_FORK) || run(MPROC_START_SPAWN);
}
