/* mproc_lock: what each call returns, exclusion between processes and threads, and owners and waiters that die. */
#include "children.h"
#include "harness.h"
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A struct of a user's own: counters that must be equal whenever the lock is free. */
struct guarded {
    char name[3];
    mproc_lock lock;
    long first;
    _Atomic(int) ready;
    _Atomic(int) result;
    long second;
};

static struct guarded *make(void)
{
    struct guarded *guarded = shared(sizeof *guarded);
    assert_int_equal(mproc_lock_init(&guarded->lock), 0);
    return guarded;
}

static void a_lock_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_lock own = {{0}};
    struct guarded *guarded = shared(sizeof *guarded);
    assert_int_equal(mproc_lock_init(NULL), -EINVAL);
    assert_int_equal(mproc_lock_init(&own), MPROC_NOT_SHARED);
    assert_int_equal(mproc_lock_init((mproc_lock *)(void *)((char *)&guarded->lock + 1)), -EINVAL);

    assert_int_equal(mproc_lock_acquire(NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_lock_release(NULL), -EINVAL);
    assert_false(mproc_lock_is_locked(NULL));
    assert_int_equal(mproc_lock_acquire(&guarded->lock, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_lock_release(&guarded->lock), -EINVAL);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    shared_free(guarded);
}

static void a_copy_of_a_lock_is_no_lock(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    struct guarded *copy = shared(sizeof *copy);
    memcpy(copy, guarded, sizeof *copy);
    assert_int_equal(mproc_lock_acquire(&copy->lock, MPROC_FOREVER), -EINVAL);
    shared_free(copy);
    shared_free(guarded);
}

static void a_bad_timeout_changes_nothing(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(mproc_lock_acquire(&guarded->lock, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_lock_acquire(&guarded->lock, MPROC_NS(INT64_MIN)), -EINVAL);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    shared_free(guarded);
}

static int try_acquire(void *arg)
{
    return mproc_lock_acquire(&((struct guarded *)arg)->lock, MPROC_NOWAIT);
}

static int release(void *arg)
{
    return mproc_lock_release(&((struct guarded *)arg)->lock) ? 1 : 0;
}

static void a_lock_has_one_holder(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(mproc_lock_release(&guarded->lock), -EPERM);
    assert_int_equal(mproc_lock_acquire(&guarded->lock, MPROC_FOREVER), 0);
    assert_true(mproc_lock_is_locked(&guarded->lock));
    assert_int_equal(try_acquire(guarded), MPROC_TIMEOUT);
    assert_int_equal(in_thread(try_acquire, guarded), MPROC_TIMEOUT);
    assert_int_equal(in_child(try_acquire, guarded), MPROC_TIMEOUT);
    assert_int_equal(in_child(release, guarded), 1);
    assert_int_equal(mproc_lock_release(&guarded->lock), 0);
    assert_int_equal(mproc_lock_release(&guarded->lock), -EPERM);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    shared_free(guarded);
}

static void any_thread_of_the_process_may_release(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(in_thread(try_acquire, guarded), 0);
    assert_int_equal(mproc_lock_release(&guarded->lock), 0);
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(in_thread(release, guarded), 0);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    shared_free(guarded);
}

static void a_wait_ends_at_its_timeout(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(try_acquire(guarded), 0);
    for (int ms = 1; ms < 300; ms *= 6) {
        int64_t begin = now();
        assert_int_equal(mproc_lock_acquire(&guarded->lock, MPROC_MS(ms)), MPROC_TIMEOUT);
        assert_true(now() - begin >= MPROC_MS(ms).nanoseconds);
    }
    shared_free(guarded);
}

/* Take the lock, say so, and stay. */
static int hold(void *arg)
{
    struct guarded *guarded = arg;
    if (mproc_lock_acquire(&guarded->lock, MPROC_FOREVER) < 0)
        return 1;
    atomic_fetch_add(&guarded->ready, 1);
    for (;;)
        pause();
}

static int acquire_and_tell(void *arg)
{
    struct guarded *guarded = arg;
    atomic_fetch_add(&guarded->ready, 1);
    int result = mproc_lock_acquire(&guarded->lock, MPROC_SEC(20));
    mproc_lock_release(&guarded->lock);
    return result;
}

static void a_killed_owner_passes_the_lock_on_and_that_is_told_once(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pid_t owner = child_start(hold, guarded);
    await_value(&guarded->ready, 1);
    assert_int_equal(try_acquire(guarded), MPROC_TIMEOUT);
    assert_true(mproc_lock_is_locked(&guarded->lock));
    child_kill(owner);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    assert_int_equal(try_acquire(guarded), MPROC_OWNER_DIED);
    assert_int_equal(mproc_lock_release(&guarded->lock), 0);
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(mproc_lock_release(&guarded->lock), 0);
    shared_free(guarded);
}

static void a_sleeping_waiter_gets_the_lock_of_a_killed_owner(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pid_t owner = child_start(hold, guarded);
    await_value(&guarded->ready, 1);
    pid_t waiter = child_start(acquire_and_tell, guarded);
    await_value(&guarded->ready, 2);
    child_await_sleep(waiter);
    child_kill(owner);
    assert_int_equal(child_finish(waiter), MPROC_OWNER_DIED);
    shared_free(guarded);
}

static void a_waiter_that_is_killed_when_it_was_woken_strands_nobody(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    for (int round = 0; round < 20; round++) {
        int ready = atomic_load(&guarded->ready);
        assert_int_equal(try_acquire(guarded), 0);
        pid_t victim = child_start(acquire_and_tell, guarded);
        await_value(&guarded->ready, ready + 1);
        child_await_sleep(victim);
        pid_t waiter = child_start(acquire_and_tell, guarded);
        await_value(&guarded->ready, ready + 2);
        child_await_sleep(waiter);
        kill(victim, SIGSTOP); /* so that it is woken and does not run */
        assert_int_equal(mproc_lock_release(&guarded->lock), 0);
        child_kill(victim);
        int result = child_finish(waiter);
        assert_true(result == 0 || result == MPROC_OWNER_DIED);
    }
    shared_free(guarded);
}

static void a_stopped_waiter_stops_nobody(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(try_acquire(guarded), 0);
    pid_t stopped = child_start(acquire_and_tell, guarded);
    await_value(&guarded->ready, 1);
    child_await_sleep(stopped);
    kill(stopped, SIGSTOP);
    assert_int_equal(mproc_lock_release(&guarded->lock), 0);
    for (int i = 0; i < 100; i++)
        assert_int_equal(in_child(acquire_and_tell, guarded), 0);
    kill(stopped, SIGCONT);
    assert_int_equal(child_finish(stopped), 0);
    shared_free(guarded);
}

enum {
    ROUNDS = 20000
};

static int count_up(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (mproc_lock_acquire(&guarded->lock, MPROC_FOREVER))
            return 1;
        guarded->first++;
        if (mproc_lock_release(&guarded->lock))
            return 2;
    }
    return 0;
}

static void four_processes_count_exactly(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    children_run(count_up, guarded, 4);
    assert_int_equal(guarded->first, 4 * ROUNDS);
    assert_false(mproc_lock_is_locked(&guarded->lock));
    shared_free(guarded);
}

static void threads_count_exactly(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    threads_run(count_up, guarded, 4);
    assert_int_equal(guarded->first, 4 * ROUNDS);
    shared_free(guarded);
}

/* Change both counters, and mend them where a dead owner left them apart. */
static int change_both(struct guarded *guarded)
{
    int result = mproc_lock_acquire(&guarded->lock, MPROC_SEC(20));
    if (result == MPROC_OWNER_DIED)
        guarded->second = guarded->first;
    else if (result || guarded->first != guarded->second)
        atomic_store(&guarded->result, 1);
    guarded->first++;
    __asm__ __volatile__("" ::: "memory");
    guarded->second++;
    return mproc_lock_release(&guarded->lock);
}

static int change_both_for_ever(void *arg)
{
    while (change_both(arg) == 0) {
    }
    return 1;
}

static void a_storm_of_kills_leaves_lock_and_data_whole(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    kill_storm(change_both_for_ever, guarded, 4, 1500);
    assert_int_equal(change_both(guarded), 0);
    assert_int_equal(atomic_load(&guarded->result), 0);
    assert_int_equal(guarded->first, guarded->second);
    assert_true(guarded->first > 1);
    shared_free(guarded);
}

static void step_operate(void *arg)
{
    change_both(arg);
}

static void step_check(void *arg)
{
    struct guarded *guarded = arg;
    assert_int_equal(change_both(guarded), 0);
    assert_int_equal(atomic_load(&guarded->result), 0);
    assert_int_equal(guarded->first, guarded->second);
}

static void a_death_at_any_instruction_is_told_or_left_no_trace(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    struct stepping stepping = {.prepare = step_operate, .operate = step_operate, .check = step_check};
    kill_at_each_instruction(&stepping, guarded);
    shared_free(guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_lock_must_be_in_shared_memory_and_set_up),
        unit(a_copy_of_a_lock_is_no_lock),
        unit(a_bad_timeout_changes_nothing),
        unit(a_lock_has_one_holder),
        unit(any_thread_of_the_process_may_release),
        unit(a_wait_ends_at_its_timeout),
        unit(a_killed_owner_passes_the_lock_on_and_that_is_told_once),
        unit(a_sleeping_waiter_gets_the_lock_of_a_killed_owner),
        unit(a_waiter_that_is_killed_when_it_was_woken_strands_nobody),
        unit(a_stopped_waiter_stops_nobody),
        unit(four_processes_count_exactly),
        unit(threads_count_exactly),
        unit(a_storm_of_kills_leaves_lock_and_data_whole),
        unit(a_death_at_any_instruction_is_told_or_left_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
