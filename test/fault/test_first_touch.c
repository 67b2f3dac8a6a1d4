/* The first touch of anything shared, in a process that is no member yet: when a system call fails in it, the touch
 * says so, and nothing was done. */
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <mproc/sync.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run fn in a forked child, in which the first system call of this kind fails. */
static void touch(enum os_call call, bool (*fn)(void *), void *arg)
{
    int status;

    fault_arm(call, 0, ENOMEM);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(fn(arg) ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    fault_disarm();
    assert_int_equal(status, 0);
}

static bool take_lock(void *arg)
{
    mproc_lock *lock = arg;
    return mproc_lock_acquire(lock, MPROC_NOWAIT) != 0 || mproc_lock_release(lock) == 0;
}

static void a_lock_is_held_when_its_acquire_succeeds(void **state)
{
    mproc_lock *lock = mproc_alloc(sizeof *lock);

    (void)state;
    assert_non_null(lock);
    assert_int_equal(mproc_lock_init(lock), 0);
    for (int call = 0; call < OS_CALL_COUNT; call++)
        touch((enum os_call)call, take_lock, lock);
    assert_int_equal(mproc_free(lock), 0);
}

static bool take_block(void *arg)
{
    (void)arg;
    errno = 0;
    void *block = mproc_alloc(1);
    return block ? mproc_free(block) == 0 : errno != 0;
}

static void an_allocation_gives_a_block_or_a_reason(void **state)
{
    (void)state;
    for (int call = 0; call < OS_CALL_COUNT; call++)
        touch((enum os_call)call, take_block, NULL);
}

static bool free_block(void *block)
{
    return mproc_free(block) != 0 || mproc_usable_size(block) == 0;
}

static void a_block_is_free_when_its_free_succeeds(void **state)
{
    (void)state;
    for (int call = 0; call < OS_CALL_COUNT; call++) {
        void *block = mproc_alloc(1);
        assert_non_null(block);
        touch((enum os_call)call, free_block, block);
        if (mproc_usable_size(block))
            assert_int_equal(mproc_free(block), 0);
    }
}

static bool free_queue(void *queue)
{
    return mproc_queue_free(queue) == NULL;
}

static void a_queue_is_freed_whole_or_not_at_all(void **state)
{
    static char large[3000000];
    mproc_memory_statistics before, after;
    mproc_queue *queue;
    size_t size;

    (void)state;
    mproc_memory_usage(&before);
    for (int call = 0; call < OS_CALL_COUNT; call++) {
        assert_int_equal(mproc_queue_create(&queue, NULL), 0);
        for (int i = 0; i < 2; i++)
            assert_int_equal(mproc_queue_put(queue, large, sizeof large, MPROC_NOWAIT), 0);
        touch((enum os_call)call, free_queue, queue);
        mproc_memory_usage(&after);
        if (after.allocated == before.allocated)
            continue;
        for (int i = 0; i < 2; i++)
            assert_int_equal(mproc_queue_get(queue, large, sizeof large, &size, MPROC_NOWAIT), 0);
        mproc_queue_free(queue);
        mproc_memory_usage(&after);
        assert_int_equal(after.allocated, before.allocated);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_lock_is_held_when_its_acquire_succeeds),
        unit(an_allocation_gives_a_block_or_a_reason),
        unit(a_block_is_free_when_its_free_succeeds),
        unit(a_queue_is_freed_whole_or_not_at_all),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
