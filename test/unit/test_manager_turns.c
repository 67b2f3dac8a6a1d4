/* Locks, queues and the like of a manager's server: who waits, in which order, and what ends a wait. */
#include "children.h"
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

static mproc_manager *manager;

static int begin(void **state)
{
    books_open(state);
    manager = make_manager(NULL, NULL);
    return 0;
}

static int finish(void **state)
{
    manager = mproc_manager_free(manager);
    return books_check(state);
}

static mproc_remote *make(enum mproc_remote_kind kind, int64_t number)
{
    mproc_remote *remote;
    assert_int_equal(mproc_manager_remote(manager, &remote, kind, number, NULL, SOON), 0);
    assert_int_equal((int)mproc_object_type(remote), (int)kind);
    return remote;
}

/* ---- locks ---- */

struct guarded {
    mproc_remote *lock;
    _Atomic(int) *inside;
};

static int enter_often(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < 50; i++) {
        if (mproc_remote_acquire(guarded->lock, SOON))
            return 1;
        if (atomic_fetch_add(guarded->inside, 1) != 0)
            return 2;
        atomic_fetch_sub(guarded->inside, 1);
        if (mproc_remote_release(guarded->lock, SOON))
            return 3;
    }
    return 0;
}

static void a_lock_lets_one_client_in(void **state)
{
    struct guarded guarded = {make(MPROC_REMOTE_LOCK, 0), shared(sizeof(int))};

    (void)state;
    children_run(enter_often, &guarded, 4);
    shared_free((void *)guarded.inside);
}

static void an_rlock_lets_one_thread_in(void **state)
{
    struct guarded guarded = {make(MPROC_REMOTE_RLOCK, 0), shared(sizeof(int))};

    (void)state;
    threads_run(enter_often, &guarded, 4);
    assert_int_equal(mproc_remote_acquire(guarded.lock, SOON), 0);
    assert_int_equal(mproc_remote_acquire(guarded.lock, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_release(guarded.lock, SOON), 0);
    assert_int_equal(mproc_remote_release(guarded.lock, SOON), 0);
    assert_int_equal(mproc_remote_release(guarded.lock, SOON), -EPERM);
    shared_free((void *)guarded.inside);
}

static void a_timeout_ends_a_wait_for_a_lock(void **state)
{
    mproc_remote *lock = make(MPROC_REMOTE_LOCK, 0);

    (void)state;
    assert_int_equal(mproc_remote_acquire(lock, SOON), 0);
    assert_int_equal(mproc_remote_acquire(lock, MPROC_NOWAIT), MPROC_TIMEOUT);
    int64_t before = now();
    assert_int_equal(mproc_remote_acquire(lock, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_true(now() - before >= MPROC_MS(30).nanoseconds);
    assert_int_equal(mproc_remote_release(lock, SOON), 0);
    assert_int_equal(mproc_remote_acquire(lock, SOON), 0);
    assert_int_equal(mproc_remote_acquire(lock, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_remote_wait(lock, SOON), MPROC_NOT_FOUND);
}

static void a_semaphore_counts(void **state)
{
    mproc_remote *plain = make(MPROC_REMOTE_SEMAPHORE, 2), *bounded = make(MPROC_REMOTE_BOUNDED_SEMAPHORE, 1);

    (void)state;
    assert_int_equal(mproc_remote_acquire(plain, SOON), 0);
    assert_int_equal(mproc_remote_acquire(plain, SOON), 0);
    assert_int_equal(mproc_remote_acquire(plain, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_remote_release(plain, SOON), 0);
    assert_int_equal(mproc_remote_acquire(plain, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_release(bounded, SOON), -EOVERFLOW);
    assert_int_equal(mproc_remote_acquire(bounded, SOON), 0);
    assert_int_equal(mproc_remote_release(bounded, SOON), 0);
}

/* ---- events, conditions, barriers ---- */

static int wait_for(void *arg)
{
    return mproc_remote_wait(arg, SOON);
}

static int set_later(void *arg)
{
    return mproc_remote_set(arg, SOON);
}

static void an_event_lets_all_go_on(void **state)
{
    mproc_remote *event = make(MPROC_REMOTE_EVENT, 0);
    bool is_set;

    (void)state;
    assert_int_equal(mproc_remote_wait(event, MPROC_MS(10)), MPROC_TIMEOUT);
    pid_t child = child_start(wait_for, event);
    assert_int_equal(in_child(set_later, event), 0);
    assert_int_equal(child_finish(child), 0);
    assert_int_equal(mproc_remote_is_set(event, &is_set, SOON), 0);
    assert_true(is_set);
    assert_int_equal(mproc_remote_clear(event, SOON), 0);
    assert_int_equal(mproc_remote_is_set(event, &is_set, SOON), 0);
    assert_false(is_set);
}

struct noticed {
    mproc_remote *condition;
    _Atomic(int) *waits;
};

static int wait_for_notice(void *arg)
{
    struct noticed *noticed = arg;
    if (mproc_remote_acquire(noticed->condition, SOON))
        return 1;
    atomic_fetch_add(noticed->waits, 1); /* under the lock, which only the wait gives up */
    if (mproc_remote_wait(noticed->condition, SOON))
        return 2;
    return mproc_remote_release(noticed->condition, SOON);
}

static void a_condition_wakes_as_many_as_it_is_told(void **state)
{
    struct noticed noticed = {make(MPROC_REMOTE_CONDITION, 0), shared(sizeof(int))};
    pid_t children[3];

    (void)state;
    assert_int_equal(mproc_remote_notify(noticed.condition, 1, SOON), -EPERM);
    assert_int_equal(mproc_remote_wait(noticed.condition, SOON), -EPERM);
    for (int i = 0; i < 3; i++)
        children[i] = child_start(wait_for_notice, &noticed);
    await_value(noticed.waits, 3);
    assert_int_equal(mproc_remote_acquire(noticed.condition, SOON), 0);
    assert_int_equal(mproc_remote_notify(noticed.condition, 1, SOON), 0);
    assert_int_equal(mproc_remote_notify(noticed.condition, 9, SOON), 0);
    assert_int_equal(mproc_remote_wait(noticed.condition, MPROC_MS(10)), MPROC_TIMEOUT);
    assert_int_equal(mproc_remote_release(noticed.condition, SOON), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(child_finish(children[i]), 0);
    shared_free((void *)noticed.waits);
}

static void a_barrier_lets_go_on_when_all_are_there_and_breaks_when_one_gives_up(void **state)
{
    mproc_remote *barrier = make(MPROC_REMOTE_BARRIER, 3);

    (void)state;
    children_run(wait_for, barrier, 3);
    pid_t child = child_start(wait_for, barrier);
    assert_int_equal(mproc_remote_wait(barrier, MPROC_MS(200)), MPROC_TIMEOUT);
    assert_int_equal(child_finish(child), MPROC_BROKEN);
    assert_int_equal(mproc_remote_wait(barrier, SOON), MPROC_BROKEN);
    assert_int_equal(mproc_remote_reset(barrier, SOON), 0);
    children_run(wait_for, barrier, 3);
    assert_int_equal(mproc_remote_abort(barrier, SOON), 0);
    assert_int_equal(mproc_remote_wait(barrier, SOON), MPROC_BROKEN);
}

/* ---- queues ---- */

static int put_hundred(void *arg)
{
    for (int i = 0; i < 100; i++)
        if (mproc_remote_put(arg, mproc_int(i), SOON))
            return 1;
    return 0;
}

static void a_queue_keeps_the_order_and_its_limit(void **state)
{
    mproc_remote *queue = make(MPROC_REMOTE_QUEUE, 3);
    mproc_value found;
    size_t size;

    (void)state;
    pid_t child = child_start(put_hundred, queue);
    for (int i = 0; i < 100; i++) {
        assert_int_equal(mproc_remote_get(queue, &found, SOON), 0);
        assert_int_equal(found.integer, i);
        mproc_value_free(&found);
    }
    assert_int_equal(child_finish(child), 0);
    assert_int_equal(mproc_remote_get(queue, &found, MPROC_MS(10)), MPROC_TIMEOUT);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_remote_put(queue, mproc_string("text"), SOON), 0);
    assert_int_equal(mproc_remote_put(queue, mproc_nil(), MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_remote_size(queue, &size, SOON), 0);
    assert_int_equal(size, 3);
}

static void join_waits_until_all_tasks_are_done(void **state)
{
    mproc_remote *queue = make(MPROC_REMOTE_QUEUE, 0);
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_remote_join(queue, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_remote_put(queue, mproc_int(1), SOON), 0);
    assert_int_equal(mproc_remote_join(queue, MPROC_MS(10)), MPROC_TIMEOUT);
    assert_int_equal(mproc_remote_get(queue, &found, SOON), 0);
    assert_int_equal(mproc_remote_task_done(queue, SOON), 0);
    assert_int_equal(mproc_remote_join(queue, SOON), 0);
    assert_int_equal(mproc_remote_task_done(queue, SOON), -EINVAL);
}

static void what_another_object_can_do_is_refused(void **state)
{
    mproc_remote *remote;

    (void)state;
    assert_int_equal(mproc_manager_remote(manager, &remote, (enum mproc_remote_kind)1, 0, NULL, SOON), -EINVAL);
    assert_int_equal(mproc_manager_remote(manager, &remote, MPROC_REMOTE_BARRIER, 0, NULL, SOON), -EINVAL);
    assert_int_equal(mproc_manager_remote(manager, &remote, MPROC_REMOTE_LOCK, 0, "name", SOON), 0);
    assert_int_equal(mproc_manager_remote(manager, &remote, MPROC_REMOTE_EVENT, 0, "name", SOON), -EEXIST);
    assert_int_equal(mproc_remote_acquire(NULL, SOON), -EINVAL);
    assert_null(mproc_remote_free(NULL));
}

#define turns(fn) cmocka_unit_test_setup_teardown(fn, begin, finish)

int main(void)
{
    const struct CMUnitTest tests[] = {
        turns(a_lock_lets_one_client_in),
        turns(an_rlock_lets_one_thread_in),
        turns(a_timeout_ends_a_wait_for_a_lock),
        turns(a_semaphore_counts),
        turns(an_event_lets_all_go_on),
        turns(a_condition_wakes_as_many_as_it_is_told),
        turns(a_barrier_lets_go_on_when_all_are_there_and_breaks_when_one_gives_up),
        turns(a_queue_keeps_the_order_and_its_limit),
        turns(join_waits_until_all_tasks_are_done),
        turns(what_another_object_can_do_is_refused),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
