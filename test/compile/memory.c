/* What another process wrote into shared memory is read after its end, with plain variables, however hard the compiler
 * optimizes: each way to get such memory, and each way in which the parent may look. Built by test_memory.sh with
 * several compilers and levels. The exit code is 0, or the number of the first look that saw an old value. */
#include <mproc.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    VALUE = 42,
    NAPS = 500 /* of 20 ms: as long as a busy machine may need */
};

static int store(void *arg)
{
    *(int *)arg = VALUE;
    return 0;
}

static int seen_after_wait(int *word)
{
    *word = 1;
    if (fork() == 0)
        _exit(store(word));
    wait(NULL);
    return *word;
}

static int seen_after_join(int *word)
{
    mproc_process *process;

    *word = 1;
    if (mproc_process_start(&process, store, word, NULL) || mproc_process_join(process, MPROC_SEC(60)))
        return -1;
    mproc_process_free(process);
    return *word;
}

static int seen_between_calls(int *word)
{
    int naps = 0;

    *word = 1;
    if (fork() == 0)
        _exit(store(word));
    while (*word == 1 && naps++ < NAPS)
        usleep(20000);
    int seen = *word;
    wait(NULL);
    return seen;
}

static int seen_under_a_lock(int *word)
{
    mproc_lock *lock = mproc_alloc(sizeof *lock);
    int seen = 1;

    if (!lock || mproc_lock_init(lock))
        return -1;
    *word = 1;
    if (fork() == 0) {
        mproc_lock_acquire(lock, MPROC_FOREVER);
        store(word);
        mproc_lock_release(lock);
        _exit(0);
    }
    for (int naps = 0; seen == 1 && naps < NAPS; naps++) {
        mproc_lock_acquire(lock, MPROC_FOREVER);
        seen = *word;
        mproc_lock_release(lock);
        usleep(20000);
    }
    wait(NULL);
    mproc_free(lock);
    return seen;
}

/* 0, or which of the four looks failed. */
static int look(int *word)
{
    if (!word)
        return 9;
    if (seen_after_wait(word) != VALUE)
        return 1;
    if (seen_after_join(word) != VALUE)
        return 2;
    if (seen_between_calls(word) != VALUE)
        return 3;
    return seen_under_a_lock(word) == VALUE ? 0 : 4;
}

/* The pointers are local to a function that the compiler sees whole, where a promise about them would be believed. */
int main(void)
{
    int *taken = mproc_alloc(sizeof *taken);
    int failed = look(taken);
    if (failed)
        return failed;
    int *zeroed = mproc_calloc(1, sizeof *zeroed);
    failed = look(zeroed);
    if (failed)
        return 10 + failed;
    int *moved = mproc_realloc(taken, 100000);
    failed = look(moved);
    if (failed)
        return 20 + failed;
    mproc_array *array;
    if (mproc_array_create(&array, 4, sizeof(int)))
        return 39;
    failed = look(mproc_array_data(array));
    if (failed)
        return 30 + failed;
    mproc_shared_memory *named;
    if (mproc_shared_memory_create(&named, NULL, sizeof(int)))
        return 49;
    failed = look(mproc_shared_memory_data(named));
    mproc_shared_memory_free(named);
    return failed ? 40 + failed : 0;
}
