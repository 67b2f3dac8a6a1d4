/* mproc_rlock: what each call returns, counting, exclusion between threads and processes, and owners that die. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include <errno.h>
#include <mproc/process.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

/* A struct of a user's own: counters that must be equal whenever the lock is free. */
struct guarded {
    mproc_rlock lock;
    long first;
    long second;
    _Atomic(int) ready;
    _Atomic(int) wrong;
};

static struct guarded *make(void)
{
    struct guarded *guarded = shared(sizeof *guarded);
    assert_int_equal(mproc_rlock_init(&guarded->lock), 0);
    return guarded;
}

static int acquire(void *arg)
{
    return mproc_rlock_acquire(&((struct guarded *)arg)->lock, MPROC_SEC(20));
}

static int try_acquire(void *arg)
{
    return mproc_rlock_acquire(&((struct guarded *)arg)->lock, MPROC_NOWAIT);
}

static int release(void *arg)
{
    return -mproc_rlock_release(&((struct guarded *)arg)->lock);
}

static void an_rlock_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_rlock own = {{0}};
    struct guarded *guarded = shared(sizeof *guarded);
    assert_int_equal(mproc_rlock_init(NULL), -EINVAL);
    assert_int_equal(mproc_rlock_init(&own), MPROC_NOT_SHARED);
    assert_int_equal(mproc_rlock_acquire(NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_rlock_release(NULL), -EINVAL);
    assert_false(mproc_rlock_is_locked(NULL));
    assert_int_equal(mproc_rlock_acquire(&guarded->lock, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_rlock_release(&guarded->lock), -EINVAL);
    assert_false(mproc_rlock_is_locked(&guarded->lock));
    assert_int_equal(mproc_lock_init((mproc_lock *)(void *)&guarded->lock), 0);
    assert_int_equal(mproc_rlock_acquire(&guarded->lock, MPROC_FOREVER), -EINVAL);
    shared_free(guarded);
}

static void a_bad_timeout_changes_nothing(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(mproc_rlock_acquire(&guarded->lock, MPROC_NS(-2)), -EINVAL);
    assert_false(mproc_rlock_is_locked(&guarded->lock));
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(mproc_rlock_acquire(&guarded->lock, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(release(guarded), 0);
    assert_int_equal(release(guarded), EPERM);
    shared_free(guarded);
}

static void the_holder_counts(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(release(guarded), EPERM);
    for (int i = 0; i < 5; i++)
        assert_int_equal(try_acquire(guarded), 0);
    for (int i = 0; i < 5; i++) {
        assert_true(mproc_rlock_is_locked(&guarded->lock));
        assert_int_equal(in_thread(try_acquire, guarded), MPROC_TIMEOUT);
        assert_int_equal(in_thread(release, guarded), EPERM);
        assert_int_equal(in_child(try_acquire, guarded), MPROC_TIMEOUT);
        assert_int_equal(in_child(release, guarded), EPERM);
        assert_int_equal(release(guarded), 0);
    }
    assert_false(mproc_rlock_is_locked(&guarded->lock));
    assert_int_equal(release(guarded), EPERM);
    assert_int_equal(in_thread(try_acquire, guarded), 0);
    shared_free(guarded);
}

/* White box: the count is the word after those of the thread. */
static void the_count_does_not_overflow(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    _Atomic(uint32_t) *count = (_Atomic(uint32_t) *)(void *)&guarded->lock.opaque[3];
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(atomic_load(count), 1);
    atomic_store(count, INT32_MAX - 1);
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(try_acquire(guarded), -EOVERFLOW);
    assert_int_equal(release(guarded), 0);
    assert_int_equal(try_acquire(guarded), 0);
    atomic_store(count, 1);
    assert_int_equal(release(guarded), 0);
    shared_free(guarded);
}

/* ---- threads that end ---- */

static void *acquire_and_return(void *arg)
{
    acquire(arg);
    return NULL;
}

static void *acquire_and_exit(void *arg)
{
    acquire(arg);
    acquire(arg);
    pthread_exit(NULL);
}

static void *acquire_and_vanish(void *arg)
{
    acquire(arg);
    syscall(SYS_exit, 0);
    return NULL;
}

static void *acquire_and_wait(void *arg)
{
    acquire(arg);
    atomic_store(&((struct guarded *)arg)->ready, 1);
    for (;;)
        pause();
    return NULL;
}

static void end_thread(void *(*run)(void *arg), struct guarded *guarded)
{
    pthread_t thread;
    atomic_store(&guarded->ready, 0);
    assert_int_equal(pthread_create(&thread, NULL, run, guarded), 0);
    if (run == acquire_and_wait) {
        await_value(&guarded->ready, 1);
        assert_true(mproc_rlock_is_locked(&guarded->lock));
        assert_int_equal(try_acquire(guarded), MPROC_TIMEOUT);
        pthread_cancel(thread);
    }
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_thread_that_ends_in_any_way_passes_the_lock_on(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    void *(*const ways[])(void *) = {acquire_and_return, acquire_and_exit, acquire_and_wait, acquire_and_vanish};
    for (size_t i = 0; i < sizeof ways / sizeof *ways; i++) {
        end_thread(ways[i], guarded);
        assert_false(mproc_rlock_is_locked(&guarded->lock));
        assert_int_equal(release(guarded), EPERM);
        assert_int_equal(try_acquire(guarded), MPROC_OWNER_DIED);
        assert_int_equal(in_thread(try_acquire, guarded), MPROC_TIMEOUT);
        assert_int_equal(release(guarded), 0);
        assert_int_equal(release(guarded), EPERM);
        end_thread(ways[i], guarded);
        assert_int_equal(in_thread(try_acquire, guarded), MPROC_OWNER_DIED); /* and ends with it */
        assert_int_equal(in_child(try_acquire, guarded), MPROC_OWNER_DIED);
        assert_int_equal(try_acquire(guarded), MPROC_OWNER_DIED);
        assert_int_equal(release(guarded), 0);
    }
    shared_free(guarded);
}

static void *live_on(void *arg)
{
    atomic_store(&((struct guarded *)arg)->ready, 1);
    for (;;)
        pause();
    return NULL;
}

/* The process lives on in another thread. */
static int end_first_thread(void *arg)
{
    struct guarded *guarded = arg;
    pthread_t thread;
    if (acquire(guarded) || pthread_create(&thread, NULL, live_on, guarded))
        return 1;
    pthread_exit(NULL);
}

static void the_first_thread_of_a_process_that_lives_on_passes_it_on_too(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pid_t child = child_start(end_first_thread, guarded);
    await_value(&guarded->ready, 1);
    assert_int_equal(acquire(guarded), MPROC_OWNER_DIED);
    assert_int_equal(release(guarded), 0);
    child_kill(child);
    shared_free(guarded);
}

static int wait_for_dead_thread(void *arg)
{
    struct guarded *guarded = arg;
    atomic_store(&guarded->ready, 2);
    return acquire(arg);
}

static void one_that_sleeps_gets_the_lock_of_a_thread_that_ends(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pthread_t thread;
    assert_int_equal(pthread_create(&thread, NULL, acquire_and_wait, guarded), 0);
    await_value(&guarded->ready, 1);
    pid_t waiter = child_start(wait_for_dead_thread, guarded);
    await_value(&guarded->ready, 2);
    child_await_sleep(waiter);
    pthread_cancel(thread);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(child_finish(waiter), MPROC_OWNER_DIED);
    shared_free(guarded);
}

/* More than the ledger has cells for, each with a lock of its own. */
enum {
    CROWD = 150
};

struct crowd {
    struct guarded guarded[CROWD];
    pthread_barrier_t all;
    _Atomic(int) next;
};

static void *acquire_among_many(void *arg)
{
    struct crowd *crowd = arg;
    pthread_barrier_wait(&crowd->all); /* all live at a time */
    acquire(&crowd->guarded[atomic_fetch_add(&crowd->next, 1)]);
    pthread_barrier_wait(&crowd->all);
    return NULL;
}

static void run_crowd(struct crowd *crowd)
{
    pthread_t threads[CROWD];
    atomic_store(&crowd->next, 0);
    pthread_barrier_init(&crowd->all, NULL, CROWD);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, acquire_among_many, crowd), 0);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_join(threads[i], NULL), 0);
    pthread_barrier_destroy(&crowd->all);
}

static int many_threads(void *arg)
{
    struct crowd *crowd = arg;
    for (int round = 0; round < 2; round++) {
        for (int i = 0; i < CROWD; i++)
            if (mproc_rlock_init(&crowd->guarded[i].lock))
                return 1;
        run_crowd(crowd);

        for (int i = 0; i < CROWD; i++) { /* others have their cells meanwhile, and are not taken for them */
            struct guarded *other = &crowd->guarded[i];
            if (in_thread(try_acquire, other) != MPROC_OWNER_DIED || try_acquire(other) != MPROC_OWNER_DIED ||
                try_acquire(other) || release(other) || release(other))
                return 2;
        }
    }
    return 0;
}

static void many_threads_are_told_apart(void **state)
{
    (void)state;
    struct crowd *crowd = shared(sizeof *crowd);
    assert_int_equal(in_child(many_threads, crowd), 0);
    shared_free(crowd);
    member_sweep_all();
}

/* A child that ends in good order though threads of it have cells. */
static int leave_threads(void *arg)
{
    struct guarded *guarded = arg;
    pthread_t thread;
    if (pthread_create(&thread, NULL, acquire_and_wait, guarded))
        return 1;
    await_value(&guarded->ready, 1);
    return 0;
}

static int do_nothing(void *arg)
{
    return arg != NULL;
}

static void run_process(mproc_target *target, void *arg)
{
    mproc_process *process;
    assert_int_equal(mproc_process_start(&process, target, arg, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_SEC(20)), 0);
    process = mproc_process_free(process);
}

static void a_process_that_ends_with_threads_leaves_nothing(void **state)
{
    (void)state;
    run_process(do_nothing, NULL);
    books_forgive(); /* what the start of processes keeps is no leak */
    struct guarded *guarded = make();
    for (int i = 0; i < 10; i++) {
        atomic_store(&guarded->ready, 0);
        run_process(leave_threads, guarded);
        assert_int_equal(try_acquire(guarded), MPROC_OWNER_DIED);
        assert_int_equal(release(guarded), 0);
        assert_int_equal(member_in_slot(member_slot(member_self()) + 1), 0);
    }
    shared_free(guarded);
}

static int hold_twice(void *arg)
{
    struct guarded *guarded = arg;
    if (acquire(arg) < 0 || acquire(arg) < 0)
        return 1;
    atomic_store(&guarded->ready, 1);
    for (;;)
        pause();
}

static void a_killed_owner_passes_the_lock_on_whatever_its_count(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pid_t owner = child_start(hold_twice, guarded);
    await_value(&guarded->ready, 1);
    assert_int_equal(try_acquire(guarded), MPROC_TIMEOUT);
    pid_t waiter = child_start(acquire, guarded);
    child_await_sleep(waiter);
    child_kill(owner);
    assert_int_equal(child_finish(waiter), MPROC_OWNER_DIED);
    assert_int_equal(try_acquire(guarded), MPROC_OWNER_DIED);
    assert_int_equal(try_acquire(guarded), 0);
    assert_int_equal(release(guarded), 0);
    assert_int_equal(release(guarded), 0);
    assert_int_equal(release(guarded), EPERM);
    shared_free(guarded);
}

static int fork_while_holding(void *arg)
{
    if (acquire(arg))
        return 1;
    if (in_child(try_acquire, arg) != MPROC_TIMEOUT || in_child(release, arg) != EPERM)
        return 2;
    return release(arg);
}

static void a_fork_child_does_not_hold_what_its_parent_holds(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    assert_int_equal(fork_while_holding(guarded), 0);
    assert_int_equal(in_thread(fork_while_holding, guarded), 0);
    shared_free(guarded);
}

static void a_wait_ends_at_its_timeout(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    pid_t owner = child_start(hold_twice, guarded);
    await_value(&guarded->ready, 1);
    int64_t begin = now();
    assert_int_equal(mproc_rlock_acquire(&guarded->lock, MPROC_MS(120)), MPROC_TIMEOUT);
    assert_true(now() - begin >= MPROC_MS(120).nanoseconds);
    child_kill(owner);
    shared_free(guarded);
}

enum {
    ROUNDS = 10000
};

static int count_up(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (acquire(arg) || acquire(arg))
            return 1;
        guarded->first++;
        if (release(arg))
            return 2;
        guarded->second++;
        if (release(arg))
            return 2;
    }
    return 0;
}

static void processes_and_threads_count_exactly(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    children_run(count_up, guarded, 4);
    threads_run(count_up, guarded, 4);
    assert_int_equal(guarded->first, 8 * ROUNDS);
    assert_int_equal(guarded->second, 8 * ROUNDS);
    shared_free(guarded);
}

/* Change both counters under a count of two, and mend them where a dead owner left them apart. */
static int change_both(void *arg)
{
    struct guarded *guarded = arg;
    int result = acquire(arg);
    if (result == MPROC_OWNER_DIED)
        guarded->second = guarded->first;
    else if (result || guarded->first != guarded->second)
        atomic_store(&guarded->wrong, 1);
    guarded->first++;
    if (acquire(arg))
        atomic_store(&guarded->wrong, 2);
    __asm__ __volatile__("" ::: "memory");
    if (release(arg))
        atomic_store(&guarded->wrong, 3);
    guarded->second++;
    return release(arg);
}

static int change_both_for_ever(void *arg)
{
    while (change_both(arg) == 0) {
    }
    return 1;
}

static void check_both(void *arg)
{
    struct guarded *guarded = arg;
    assert_int_equal(change_both(arg), 0);
    assert_int_equal(release(arg), EPERM);
    assert_int_equal(atomic_load(&guarded->wrong), 0);
    assert_int_equal(guarded->first, guarded->second);
}

static void a_storm_of_kills_leaves_lock_and_data_whole(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    kill_storm(change_both_for_ever, guarded, 4, 1000);
    check_both(guarded);
    shared_free(guarded);
}

static void operate(void *arg)
{
    change_both(arg);
}

static void a_death_at_any_instruction_is_told_or_left_no_trace(void **state)
{
    (void)state;
    struct guarded *guarded = make();
    struct stepping stepping = {.prepare = operate, .operate = operate, .check = check_both};
    kill_at_each_instruction(&stepping, guarded);
    shared_free(guarded);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_rlock_must_be_in_shared_memory_and_set_up),
        unit(a_bad_timeout_changes_nothing),
        unit(the_holder_counts),
        unit(the_count_does_not_overflow),
        unit(a_thread_that_ends_in_any_way_passes_the_lock_on),
        unit(the_first_thread_of_a_process_that_lives_on_passes_it_on_too),
        unit(one_that_sleeps_gets_the_lock_of_a_thread_that_ends),
        unit(many_threads_are_told_apart),
        unit(a_process_that_ends_with_threads_leaves_nothing),
        unit(a_killed_owner_passes_the_lock_on_whatever_its_count),
        unit(a_fork_child_does_not_hold_what_its_parent_holds),
        unit(a_wait_ends_at_its_timeout),
        unit(processes_and_threads_count_exactly),
        unit(a_storm_of_kills_leaves_lock_and_data_whole),
        unit(a_death_at_any_instruction_is_told_or_left_no_trace),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
