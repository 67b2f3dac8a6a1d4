/* Synchronization objects when system calls fail, and that they make none while nobody is in the way. */
#include "arena/member.h"
#include "harness.h"
#include "plan.h"
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/wait.h>
#include <unistd.h>

struct objects {
    mproc_lock lock;
    mproc_rlock rlock;
    mproc_semaphore semaphore;
    mproc_semaphore signal;
    mproc_event event;
    mproc_condition condition;
    mproc_barrier barrier;
    _Atomic(int) ready;
};

static struct objects *make(unsigned value)
{
    struct objects *objects = mproc_calloc(1, sizeof *objects);
    assert_non_null(objects);
    assert_int_equal(mproc_lock_init(&objects->lock), 0);
    assert_int_equal(mproc_rlock_init(&objects->rlock), 0);
    assert_int_equal(mproc_semaphore_init(&objects->semaphore, value, MPROC_SEMAPHORE_BOUNDED), 0);
    assert_int_equal(mproc_semaphore_init(&objects->signal, value, MPROC_SEMAPHORE_SIGNAL), 0);
    assert_int_equal(mproc_event_init(&objects->event), 0);
    assert_int_equal(mproc_condition_init(&objects->condition), 0);
    assert_int_equal(mproc_barrier_init(&objects->barrier, value ? 1 : 2, NULL, NULL), 0);
    return objects;
}

static void use_all(struct objects *objects)
{
    assert_int_equal(mproc_lock_acquire(&objects->lock, MPROC_FOREVER), 0);
    assert_int_equal(mproc_condition_notify(&objects->condition, 1), 0);
    assert_int_equal(mproc_condition_notify_all(&objects->condition), 0);
    assert_int_equal(mproc_lock_release(&objects->lock), 0);
    assert_int_equal(mproc_rlock_acquire(&objects->rlock, MPROC_SEC(1)), 0);
    assert_int_equal(mproc_rlock_acquire(&objects->rlock, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_rlock_release(&objects->rlock), 0);
    assert_int_equal(mproc_rlock_release(&objects->rlock), 0);
    assert_int_equal(mproc_semaphore_acquire(&objects->semaphore, MPROC_FOREVER), 0);
    assert_int_equal(mproc_semaphore_release(&objects->semaphore, 1), 0);
    assert_int_equal(mproc_semaphore_acquire(&objects->signal, MPROC_FOREVER), 0);
    assert_int_equal(mproc_semaphore_release(&objects->signal, 1), 0);
    assert_int_equal(mproc_event_set(&objects->event), 0);
    assert_int_equal(mproc_event_wait(&objects->event, MPROC_FOREVER), 0);
    assert_int_equal(mproc_event_clear(&objects->event), 0);
    assert_int_equal(mproc_event_wait(&objects->event, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_barrier_wait(&objects->barrier, NULL, MPROC_FOREVER), 0);
    assert_int_equal(mproc_barrier_reset(&objects->barrier), 0);
}

static void *do_nothing(void *arg)
{
    return arg;
}

static void uncontended_operations_make_no_system_call(void **state)
{
    (void)state;
    struct objects *objects = make(1);
    use_all(objects);
    for (int threads = 1; threads <= 2; threads++) {
        pthread_t thread;
        fault_reset();
        for (int i = 0; i < 100; i++)
            use_all(objects);
        for (int call = 0; call < OS_CALL_COUNT; call++)
            assert_int_equal(fault_count((enum os_call)call), 0);
        assert_int_equal(pthread_create(&thread, NULL, do_nothing, NULL), 0);
        assert_int_equal(pthread_join(thread, NULL), 0);
    }
    mproc_free(objects);
}

/* ---- waits ---- */

/* A wait at an object at which there is nothing to be had. */
typedef int wait_function(struct objects *objects, mproc_time timeout);

static int wait_lock(struct objects *objects, mproc_time timeout)
{
    return mproc_lock_acquire(&objects->lock, timeout);
}

static int wait_rlock(struct objects *objects, mproc_time timeout)
{
    return mproc_rlock_acquire(&objects->rlock, timeout);
}

static int wait_semaphore(struct objects *objects, mproc_time timeout)
{
    return mproc_semaphore_acquire(&objects->semaphore, timeout);
}

static int wait_signal(struct objects *objects, mproc_time timeout)
{
    return mproc_semaphore_acquire(&objects->signal, timeout);
}

static int wait_event(struct objects *objects, mproc_time timeout)
{
    return mproc_event_wait(&objects->event, timeout);
}

/* The condition has a lock of its own here, in the place of the rlock. */
static int wait_condition(struct objects *objects, mproc_time timeout)
{
    mproc_lock *lock = (mproc_lock *)(void *)&objects->rlock;
    if (mproc_lock_init(lock) || mproc_lock_acquire(lock, MPROC_FOREVER))
        return -1;
    int result = mproc_condition_wait(&objects->condition, lock, timeout);
    return mproc_lock_release(lock) ? -1 : result;
}

static int wait_barrier(struct objects *objects, mproc_time timeout)
{
    int result = mproc_barrier_wait(&objects->barrier, NULL, timeout);
    return mproc_barrier_reset(&objects->barrier) ? -1 : result;
}

struct attempt {
    struct objects *objects;
    wait_function *wait;
};

static int wait_for_a_while(void *arg)
{
    const struct attempt *attempt = arg;
    return attempt->wait(attempt->objects, MPROC_MS(2));
}

static void check_timeout(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    (void)fault;
    assert_int_equal(result, MPROC_TIMEOUT);
}

/* In a child: hold both locks. */
static pid_t start_holder(struct objects *objects)
{
    pid_t child = fork();
    if (child == 0) {
        if (mproc_lock_acquire(&objects->lock, MPROC_NOWAIT) || mproc_rlock_acquire(&objects->rlock, MPROC_NOWAIT))
            _exit(1);
        atomic_store(&objects->ready, 1);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    while (!atomic_load(&objects->ready))
        usleep(100);
    return child;
}

static void a_wait_ends_at_its_timeout_whatever_call_fails(void **state)
{
    (void)state;
    static wait_function *const waits[] = {wait_lock,  wait_rlock,     wait_semaphore, wait_signal,
                                           wait_event, wait_condition, wait_barrier};
    struct objects *objects = make(0);
    pid_t holder = start_holder(objects);
    books_allow_child(holder);
    books_forgive();
    for (size_t i = 0; i < sizeof waits / sizeof *waits; i++) {
        struct attempt attempt = {objects, waits[i]};
        assert_true(fault_walk(wait_for_a_while, check_timeout, &attempt) > 0);
    }
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    mproc_free(objects);
    books_forgive();
}

/* ---- wake-ups ---- */

/* What ends each wait, in the same order. */
static void wake_semaphore(struct objects *objects)
{
    mproc_semaphore_release(&objects->signal, 1);
}

static void wake_event(struct objects *objects)
{
    mproc_event_set(&objects->event);
}

static void wake_condition(struct objects *objects)
{
    mproc_condition_notify(&objects->condition, 1);
}

static void wake_barrier(struct objects *objects)
{
    mproc_barrier_wait(&objects->barrier, NULL, MPROC_NOWAIT);
}

static void wake_lock(struct objects *objects)
{
    mproc_lock_release(&objects->lock);
}

static const struct {
    wait_function *wait;
    void (*wake)(struct objects *objects);
} pairs[] = {
    {wait_signal, wake_semaphore}, {wait_event, wake_event}, {wait_condition, wake_condition},
    {wait_barrier, wake_barrier},  {wait_lock, wake_lock},
};

struct sleeper {
    struct objects *objects;
    wait_function *wait;
    int result;
};

static void *sleep_long(void *arg)
{
    struct sleeper *sleeper = arg;
    sleeper->result = sleeper->wait(sleeper->objects, MPROC_SEC(20));
    return NULL;
}

static void a_wake_up_that_fails_is_made_good_by_the_tick(void **state)
{
    (void)state;
    for (size_t i = 0; i < sizeof pairs / sizeof *pairs; i++) {
        struct sleeper sleeper = {make(0), pairs[i].wait, -1};
        pthread_t thread;
        assert_int_equal(mproc_lock_acquire(&sleeper.objects->lock, MPROC_NOWAIT), 0);
        fault_reset();
        assert_int_equal(pthread_create(&thread, NULL, sleep_long, &sleeper), 0);
        while (fault_count(OS_FUTEX_WAIT) == 0)
            usleep(100);
        usleep(5000);
        fault_arm(OS_FUTEX_WAKE, 0, ENOMEM);
        pairs[i].wake(sleeper.objects);
        assert_int_equal(pthread_join(thread, NULL), 0);
        fault_disarm();
        assert_int_equal(sleeper.result, 0);
        mproc_free(sleeper.objects);
    }
}

/* In a child: hold the only unit. */
static pid_t start_holder_of_unit(struct objects *objects)
{
    pid_t child = fork();
    if (child == 0) {
        if (mproc_semaphore_acquire(&objects->semaphore, MPROC_NOWAIT))
            _exit(1);
        atomic_store(&objects->ready, 1);
        for (;;)
            pause();
    }
    assert_true(child > 0);
    while (!atomic_load(&objects->ready))
        usleep(100);
    return child;
}

static void the_sweep_wakes_who_waits_for_what_the_dead_held(void **state)
{
    (void)state;
    struct sleeper sleeper = {make(1), wait_semaphore, -1};
    pthread_t thread;
    pid_t holder = start_holder_of_unit(sleeper.objects);
    kill(holder, SIGKILL);
    assert_int_equal(waitpid(holder, NULL, 0), holder);
    fault_reset();
    assert_int_equal(pthread_create(&thread, NULL, sleep_long, &sleeper), 0);
    while (fault_count(OS_FUTEX_WAIT) == 0)
        usleep(100);
    member_sweep_all();
    assert_true(fault_count(OS_FUTEX_WAKE) > 0);
    assert_int_equal(pthread_join(thread, NULL), 0);
    assert_int_equal(sleeper.result, 0);
    mproc_free(sleeper.objects);
}

/* ---- becoming a member ---- */

/* In a fork child, which has a slot to take first. */
static int use_in_child(void *arg)
{
    const struct attempt *attempt = arg;
    int status;
    pid_t child = fork();
    if (child == 0) {
        int result = attempt->wait(attempt->objects, MPROC_SEC(1));
        if (result == -ENOLCK || result == -ENOMEM || result == -ENOSPC || result == -EAGAIN || result == -EINTR) {
            fault_disarm();
            _exit(attempt->wait(attempt->objects, MPROC_SEC(1)) ? 1 : 99);
        }
        _exit(result ? 2 : 0);
    }
    if (child < 0 || waitpid(child, &status, 0) != child || !WIFEXITED(status))
        return -1;
    member_sweep_all();
    return WEXITSTATUS(status);
}

static void check_use(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    (void)fault;
    assert_true(result == 0 || result == 99);
}

static int use_lock(struct objects *objects, mproc_time timeout)
{
    int result = mproc_lock_acquire(&objects->lock, timeout);
    return result ? result : mproc_lock_release(&objects->lock);
}

static int use_rlock(struct objects *objects, mproc_time timeout)
{
    int result = mproc_rlock_acquire(&objects->rlock, timeout);
    return result ? result : mproc_rlock_release(&objects->rlock);
}

static int use_semaphore(struct objects *objects, mproc_time timeout)
{
    int result = mproc_semaphore_acquire(&objects->semaphore, timeout);
    return result ? result : mproc_semaphore_release(&objects->semaphore, 1);
}

static void who_cannot_become_a_member_is_told_and_changes_nothing(void **state)
{
    (void)state;
    static wait_function *const uses[] = {use_lock, use_rlock, use_semaphore, wait_barrier};
    struct objects *objects = make(1);
    books_forgive();
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        struct attempt attempt = {objects, uses[i]};
        fault_walk(use_in_child, check_use, &attempt);
        assert_int_equal(mproc_semaphore_value(&objects->semaphore), 1);
        assert_false(mproc_lock_is_locked(&objects->lock));
        assert_false(mproc_rlock_is_locked(&objects->rlock));
        assert_false(mproc_barrier_is_broken(&objects->barrier));
    }
    mproc_free(objects);
    books_forgive();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(uncontended_operations_make_no_system_call),
        unit(a_wait_ends_at_its_timeout_whatever_call_fails),
        unit(a_wake_up_that_fails_is_made_good_by_the_tick),
        unit(the_sweep_wakes_who_waits_for_what_the_dead_held),
        unit(who_cannot_become_a_member_is_told_and_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
