/* mproc_condition: what each call returns, who is woken in which order, and exact exchange between processes and
 * threads. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include "sync/wait_note.h"
#include <errno.h>
#include <mproc/sync.h>
#include <unistd.h>

/* A struct of a user's own: a buffer of limited size, and what the waiters tell. */
struct stage {
    mproc_lock lock;
    mproc_condition changed;
    mproc_condition room;
    int filled;
    int woken;
    int order[8];
    _Atomic(int) number;
    _Atomic(int) result;
};

static struct stage *make(void)
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_lock_init(&stage->lock), 0);
    assert_int_equal(mproc_condition_init(&stage->changed), 0);
    assert_int_equal(mproc_condition_init(&stage->room), 0);
    return stage;
}

static void discard(struct stage *stage)
{
    assert_int_equal(conditions_waiters(&stage->changed), 0);
    assert_int_equal(conditions_waiters(&stage->room), 0);
    assert_int_equal(ledgers_notes(), 0);
    shared_free(stage);
}

static void take(struct stage *stage)
{
    assert_int_equal(mproc_lock_acquire(&stage->lock, MPROC_SEC(20)), 0);
}

static void give(struct stage *stage)
{
    assert_int_equal(mproc_lock_release(&stage->lock), 0);
}

static int notify(struct stage *stage, unsigned count)
{
    take(stage);
    int result = mproc_condition_notify(&stage->changed, count);
    give(stage);
    return result;
}

static bool yes(void *arg)
{
    ++*(int *)arg;
    return true;
}

static bool no(void *arg)
{
    ++*(int *)arg;
    return false;
}

static void a_condition_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_condition own = {{0}};
    struct stage *stage = shared(sizeof *stage);
    int calls = 0;
    assert_int_equal(mproc_lock_init(&stage->lock), 0);
    take(stage);
    assert_int_equal(mproc_condition_init(NULL), -EINVAL);
    assert_int_equal(mproc_condition_init(&own), MPROC_NOT_SHARED);
    for (int i = 0; i < 2; i++) {
        mproc_condition *condition = i ? &stage->changed : NULL;
        assert_int_equal(mproc_condition_wait(condition, &stage->lock, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_condition_wait_for(condition, &stage->lock, yes, &calls, MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_condition_notify(condition, 1), -EINVAL);
        assert_int_equal(mproc_condition_notify_all(condition), -EINVAL);
    }
    assert_int_equal(calls, 0);
    shared_free(stage);
}

static void bad_arguments_change_nothing(void **state)
{
    (void)state;
    struct stage *stage = make();
    mproc_lock *none = shared(sizeof *none);
    int calls = 0;
    take(stage);
    assert_int_equal(mproc_condition_wait(&stage->changed, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_condition_wait(&stage->changed, none, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_condition_wait(&stage->changed, &stage->lock, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, none, yes, &calls, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, NULL, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, yes, &calls, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_condition_notify(&stage->changed, 0), -EINVAL);
    give(stage);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, yes, &calls, MPROC_NOWAIT), -EPERM);
    assert_int_equal(calls, 0);
    shared_free(none);
    discard(stage);
}

static int wait_without_lock(void *arg)
{
    struct stage *stage = arg;
    return -mproc_condition_wait(&stage->changed, &stage->lock, MPROC_NOWAIT);
}

static void who_waits_must_hold_the_lock(void **state)
{
    (void)state;
    struct stage *stage = make();
    assert_int_equal(wait_without_lock(stage), EPERM);
    take(stage);
    assert_int_equal(in_child(wait_without_lock, stage), EPERM);
    give(stage);
    discard(stage);
}

static int hold_for_a_moment(void *arg)
{
    struct stage *stage = arg;
    if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
        return 1;
    stage->woken++;
    return mproc_lock_release(&stage->lock);
}

static void a_wait_ends_at_its_timeout_and_has_the_lock_again(void **state)
{
    (void)state;
    struct stage *stage = make();
    for (int ms = 0; ms < 300; ms = ms * 6 + 1) {
        int64_t begin = now();
        take(stage);
        assert_int_equal(mproc_condition_wait(&stage->changed, &stage->lock, MPROC_MS(ms)), MPROC_TIMEOUT);
        assert_true(now() - begin >= MPROC_MS(ms).nanoseconds);
        give(stage);
    }
    discard(stage);
}

static void the_lock_is_free_while_one_waits(void **state)
{
    (void)state;
    struct stage *stage = make();
    take(stage);
    pid_t child = child_start(hold_for_a_moment, stage);
    while (stage->woken == 0)
        assert_int_equal(mproc_condition_wait(&stage->changed, &stage->lock, MPROC_MS(10)), MPROC_TIMEOUT);
    give(stage);
    assert_int_equal(child_finish(child), 0);
    discard(stage);
}

/* Wait, and write down in which order one was woken. */
static int wait_in_line(void *arg)
{
    struct stage *stage = arg;
    if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
        return 1;
    int number = atomic_fetch_add(&stage->number, 1);
    int result = mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20));
    stage->order[stage->woken++] = number;
    mproc_lock_release(&stage->lock);
    return result;
}

static void start_line(struct stage *stage, pid_t *children, int count)
{
    for (int i = 0; i < count; i++) {
        children[i] = child_start(wait_in_line, stage);
        conditions_await_waiters(&stage->changed, i + 1);
    }
}

static void waiters_are_woken_first_in_first_out(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t children[6];
    assert_int_equal(notify(stage, 3), 0); /* nobody waits, and nobody will remember */
    start_line(stage, children, 6);
    assert_int_equal(notify(stage, 1), 0);
    assert_int_equal(child_finish(children[0]), 0);
    assert_int_equal(conditions_waiters(&stage->changed), 5);
    assert_int_equal(notify(stage, 1), 0);
    assert_int_equal(child_finish(children[1]), 0);
    assert_int_equal(notify(stage, 2), 0);
    assert_int_equal(child_finish(children[2]), 0);
    assert_int_equal(child_finish(children[3]), 0);
    assert_int_equal(conditions_waiters(&stage->changed), 2);
    assert_int_equal(notify(stage, 100), 0);
    assert_int_equal(child_finish(children[4]), 0);
    assert_int_equal(child_finish(children[5]), 0);
    assert_int_equal(stage->woken, 6);
    assert_int_equal(stage->order[0], 0);
    assert_int_equal(stage->order[1], 1);
    assert_int_equal(stage->order[2] + stage->order[3], 2 + 3);
    discard(stage);
}

static void notify_all_wakes_all_also_without_the_lock(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t children[4];
    start_line(stage, children, 4);
    assert_int_equal(mproc_condition_notify_all(&stage->changed), 0);
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_finish(children[i]), 0);
    discard(stage);
}

static int wait_briefly_in_line(void *arg)
{
    struct stage *stage = arg;
    if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
        return 1;
    int result = mproc_condition_wait(&stage->changed, &stage->lock, MPROC_MS(1));
    mproc_lock_release(&stage->lock);
    return result;
}

static void who_leaves_the_line_is_no_gap_in_it(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t children[3];
    children[0] = child_start(wait_in_line, stage);
    conditions_await_waiters(&stage->changed, 1);
    assert_int_equal(in_child(wait_briefly_in_line, stage), MPROC_TIMEOUT);
    children[1] = child_start(wait_in_line, stage);
    conditions_await_waiters(&stage->changed, 2);
    assert_int_equal(in_child(wait_briefly_in_line, stage), MPROC_TIMEOUT);
    children[2] = child_start(wait_in_line, stage);
    conditions_await_waiters(&stage->changed, 3);
    assert_int_equal(in_thread(wait_briefly_in_line, stage), MPROC_TIMEOUT);
    assert_int_equal(notify(stage, 2), 0);
    assert_int_equal(child_finish(children[0]), 0);
    assert_int_equal(child_finish(children[1]), 0);
    assert_int_equal(notify(stage, 1), 0);
    assert_int_equal(child_finish(children[2]), 0);
    discard(stage);
}

static int wait_late(void *arg)
{
    struct stage *stage = arg;
    if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
        return 1;
    int result = mproc_condition_wait(&stage->changed, &stage->lock, MPROC_MS(30));
    mproc_lock_release(&stage->lock);
    return result;
}

static void who_is_notified_before_it_has_the_lock_again_was_in_time(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t child = child_start(wait_late, stage);
    conditions_await_waiters(&stage->changed, 1);
    take(stage);
    usleep(60000); /* its time is over, and it waits for the lock */
    assert_int_equal(mproc_condition_notify(&stage->changed, 1), 0);
    give(stage);
    assert_int_equal(child_finish(child), 0);
    discard(stage);
}

static void so_many_threads_can_wait_and_no_more(void **state)
{
    (void)state;
    struct stage *stage = make();
    wait_note_ref refs[WAIT_NOTE_COUNT];
    unsigned slot = member_slot(member_self());
    take(stage);
    for (int i = 0; i < WAIT_NOTE_COUNT; i++)
        assert_int_not_equal(refs[i] = wait_note_claim(slot, stage, 0), 0);
    assert_int_equal(mproc_condition_wait(&stage->changed, &stage->lock, MPROC_FOREVER), -ENOSPC);
    for (int i = 0; i < WAIT_NOTE_COUNT; i++)
        wait_note_set_state(wait_note_at(refs[i]), WAIT_NOTE_FREE);
    assert_int_equal(mproc_condition_wait(&stage->changed, &stage->lock, MPROC_NOWAIT), MPROC_TIMEOUT);
    give(stage);
    discard(stage);
}

/* ---- waiting for a predicate ---- */

static void a_predicate_that_is_true_needs_no_wait(void **state)
{
    (void)state;
    struct stage *stage = make();
    int calls = 0;
    take(stage);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, yes, &calls, MPROC_FOREVER), 0);
    assert_int_equal(calls, 1);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, no, &calls, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(calls, 3);
    int64_t begin = now();
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, no, &calls, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_true(now() - begin >= MPROC_MS(20).nanoseconds);
    give(stage);
    discard(stage);
}

static bool is_filled(void *arg)
{
    return ((struct stage *)arg)->filled == 3;
}

static int fill_slowly(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < 3; i++) {
        take(stage);
        stage->filled++;
        mproc_condition_notify_all(&stage->changed);
        give(stage);
        usleep(1000);
    }
    return 0;
}

static void a_predicate_is_asked_until_it_is_true(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t child = child_start(fill_slowly, stage);
    take(stage);
    assert_int_equal(mproc_condition_wait_for(&stage->changed, &stage->lock, is_filled, stage, MPROC_SEC(20)), 0);
    assert_int_equal(stage->filled, 3);
    give(stage);
    assert_int_equal(child_finish(child), 0);
    discard(stage);
}

/* ---- many at once ---- */

enum {
    ROUNDS = 3000,
    SIZE = 3
};

static int put(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
            return 1;
        while (stage->filled == SIZE)
            if (mproc_condition_wait(&stage->room, &stage->lock, MPROC_SEC(20)))
                return 2;
        stage->filled++;
        mproc_condition_notify(&stage->changed, 1);
        mproc_lock_release(&stage->lock);
    }
    return 0;
}

static int get(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (mproc_lock_acquire(&stage->lock, MPROC_SEC(20)))
            return 1;
        while (stage->filled == 0)
            if (mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20)))
                return 2;
        stage->filled--;
        mproc_condition_notify(&stage->room, 1);
        mproc_lock_release(&stage->lock);
    }
    return 0;
}

static int put_or_get(void *arg)
{
    struct stage *stage = arg;
    return atomic_fetch_add(&stage->number, 1) % 2 ? put(arg) : get(arg);
}

static void no_wake_up_is_lost_between_processes(void **state)
{
    (void)state;
    struct stage *stage = make();
    children_run(put_or_get, stage, 4);
    assert_int_equal(stage->filled, 0);
    discard(stage);
}

static void no_wake_up_is_lost_between_threads(void **state)
{
    (void)state;
    struct stage *stage = make();
    threads_run(put_or_get, stage, 4);
    assert_int_equal(stage->filled, 0);
    discard(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_condition_must_be_in_shared_memory_and_set_up),
        unit(bad_arguments_change_nothing),
        unit(who_waits_must_hold_the_lock),
        unit(a_wait_ends_at_its_timeout_and_has_the_lock_again),
        unit(the_lock_is_free_while_one_waits),
        unit(waiters_are_woken_first_in_first_out),
        unit(notify_all_wakes_all_also_without_the_lock),
        unit(who_leaves_the_line_is_no_gap_in_it),
        unit(who_is_notified_before_it_has_the_lock_again_was_in_time),
        unit(so_many_threads_can_wait_and_no_more),
        unit(a_predicate_that_is_true_needs_no_wait),
        unit(a_predicate_is_asked_until_it_is_true),
        unit(no_wake_up_is_lost_between_processes),
        unit(no_wake_up_is_lost_between_threads),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
