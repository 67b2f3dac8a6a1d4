/* mproc_condition: waiters, notifiers and owners of the lock that are killed or stopped at any moment. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include <errno.h>
#include <mproc/sync.h>
#include <signal.h>
#include <unistd.h>

struct stage {
    mproc_lock lock;
    mproc_condition changed;
    _Atomic(member_owner) victim;
    _Atomic(int) ready;
    _Atomic(int) woken;
    _Atomic(int) wrong;
    _Atomic(int) over;
};

static struct stage *make(void)
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_lock_init(&stage->lock), 0);
    assert_int_equal(mproc_condition_init(&stage->changed), 0);
    return stage;
}

/* What the dead left is swept. Another process that is at it may have been interrupted. */
static bool is_empty(void *arg)
{
    struct stage *stage = arg;
    member_sweep_all();
    return conditions_waiters(&stage->changed) == 0 && ledgers_notes() == 0;
}

/* Nobody waits, and no ledger says so. */
static void check_empty(struct stage *stage)
{
    assert_true(wait_until(is_empty, stage, 10000));
    assert_int_equal(atomic_load(&stage->wrong), 0);
}

static void discard(struct stage *stage)
{
    check_empty(stage);
    shared_free(stage);
}

/* Note the first thing that went wrong, in whatever process. */
static void complain(struct stage *stage, int what)
{
    int nothing = 0;
    atomic_compare_exchange_strong(&stage->wrong, &nothing, what);
}

static void take(struct stage *stage)
{
    int result = mproc_lock_acquire(&stage->lock, MPROC_SEC(100));
    if (result != 0 && result != MPROC_OWNER_DIED)
        complain(stage, 1000 + result);
}

static void give(struct stage *stage)
{
    if (mproc_lock_release(&stage->lock))
        complain(stage, 2);
}

static void notify(struct stage *stage, unsigned count)
{
    take(stage);
    if (mproc_condition_notify(&stage->changed, count))
        complain(stage, 3);
    give(stage);
}

static int wait_once(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    atomic_store(&stage->victim, member_self());
    int result = mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20));
    give(stage);
    return result;
}

static pid_t start_waiter(struct stage *stage)
{
    int before = conditions_waiters(&stage->changed);
    pid_t child = child_start(wait_once, stage);
    conditions_await_waiters(&stage->changed, before + 1);
    child_await_sleep(child);
    return child;
}

static void a_killed_waiter_is_no_gap_in_the_line(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t first = start_waiter(stage);
    pid_t victim = start_waiter(stage);
    pid_t last = start_waiter(stage);
    child_kill(victim);
    member_sweep_all();
    assert_int_equal(conditions_waiters(&stage->changed), 2);
    notify(stage, 2);
    assert_int_equal(child_finish(first), 0);
    assert_int_equal(child_finish(last), 0);
    discard(stage);
}

static void a_signal_to_a_dead_waiter_passes_on(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t victim = start_waiter(stage);
    pid_t next = start_waiter(stage);
    pid_t last = start_waiter(stage);
    child_kill(victim);
    notify(stage, 1); /* nobody knows yet */
    assert_int_equal(child_finish(next), 0);
    member_sweep_all();
    assert_int_equal(conditions_waiters(&stage->changed), 1);
    notify(stage, 1);
    assert_int_equal(child_finish(last), 0);
    discard(stage);
}

static void a_waiter_that_dies_after_it_was_signalled_passes_its_signal_on(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t victim = start_waiter(stage);
    pid_t next = start_waiter(stage);
    kill(victim, SIGSTOP);
    notify(stage, 1);
    assert_int_equal(conditions_waiters(&stage->changed), 1);
    child_kill(victim);
    assert_int_equal(child_finish(next), 0);
    discard(stage);
}

static void a_waiter_that_dies_on_its_way_to_the_lock_passes_its_signal_on(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t victim = start_waiter(stage);
    pid_t next = start_waiter(stage);
    take(stage);
    assert_int_equal(mproc_condition_notify(&stage->changed, 1), 0);
    child_await_sleep(victim);
    usleep(20000);
    child_kill(victim);
    give(stage);
    assert_int_equal(child_finish(next), 0);
    discard(stage);
}

static int notify_and_die(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    mproc_condition_notify(&stage->changed, 1);
    raise(SIGKILL);
    return 1;
}

static void the_death_of_the_locks_owner_is_told_by_the_wait(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t waiter = start_waiter(stage);
    assert_int_equal(in_child(notify_and_die, stage), -SIGKILL);
    assert_int_equal(child_finish(waiter), MPROC_OWNER_DIED);
    discard(stage);
}

static bool never(void *arg)
{
    (void)arg;
    return false;
}

static int wait_for_never(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    int result = mproc_condition_wait_for(&stage->changed, &stage->lock, never, NULL, MPROC_SEC(20));
    give(stage);
    return result;
}

static void the_death_of_the_locks_owner_ends_the_wait_for_a_predicate(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t waiter = child_start(wait_for_never, stage);
    conditions_await_waiters(&stage->changed, 1);
    assert_int_equal(in_child(notify_and_die, stage), -SIGKILL);
    assert_int_equal(child_finish(waiter), MPROC_OWNER_DIED);
    discard(stage);
}

static void a_stopped_waiter_stops_nobody(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t stopped = start_waiter(stage);
    kill(stopped, SIGSTOP);
    for (int i = 0; i < 20; i++) {
        pid_t waiter = start_waiter(stage);
        notify(stage, UINT32_MAX);
        assert_int_equal(child_finish(waiter), 0);
    }
    kill(stopped, SIGCONT);
    assert_int_equal(child_finish(stopped), 0);
    discard(stage);
}

static void a_sweep_does_not_touch_what_came_after_a_freed_condition(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t victim = start_waiter(stage);
    child_kill(victim);
    assert_int_equal(mproc_condition_init(&stage->changed), 0);
    pid_t waiter = start_waiter(stage);
    member_sweep_all();
    assert_int_equal(conditions_waiters(&stage->changed), 1);
    notify(stage, 1);
    assert_int_equal(child_finish(waiter), 0);

    victim = start_waiter(stage);
    child_kill(victim);
    for (int i = 0; i < 3; i++)
        stage->changed.opaque[i] = UINT64_C(0xa5a5a5a5a5a5a5a5);
    member_sweep_all();
    for (int i = 0; i < 3; i++)
        assert_true(stage->changed.opaque[i] == UINT64_C(0xa5a5a5a5a5a5a5a5));
    assert_int_equal(ledgers_notes(), 0);
    shared_free(stage);
}

/* ---- at any instruction ---- */

static void become_member(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    give(stage);
}

static void wait_and_run_out_of_time(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    atomic_store(&stage->ready, 1);
    mproc_condition_wait(&stage->changed, &stage->lock, MPROC_NOWAIT);
    atomic_store(&stage->ready, 0);
    give(stage);
}

/* Who gets the lock while another is in its wait finds it in the line. */
static void look_for_waiter(void *arg)
{
    struct stage *stage = arg;
    if (mproc_lock_acquire(&stage->lock, MPROC_NOWAIT) != 0)
        return;
    if (atomic_load(&stage->ready))
        assert_int_equal(conditions_waiters(&stage->changed), 1);
    give(stage);
}

/* After whatever death nobody is in the line, and who waits then is woken. */
static void check_use(void *arg)
{
    struct stage *stage = arg;
    atomic_store(&stage->ready, 0);
    become_member(stage);
    check_empty(stage);
    pid_t waiter = child_start(wait_once, stage);
    conditions_await_waiters(&stage->changed, 1);
    notify(stage, 1);
    assert_int_equal(child_finish(waiter), 0);
}

static void a_waiter_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make();
    struct stepping stepping = {.prepare = become_member,
                                .operate = wait_and_run_out_of_time,
                                .check = check_use,
                                .meet = look_for_waiter,
                                .stride = 2};
    kill_at_each_instruction(&stepping, stage);
    discard(stage);
}

static void check_empty_line(void *arg)
{
    become_member(arg);
    check_empty(arg);
}

static int notify_all_the_time(void *arg)
{
    struct stage *stage = arg;
    while (!atomic_load(&stage->over)) {
        notify(stage, 1);
        usleep(100);
    }
    return 0;
}

static void wait_to_be_notified(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20));
    give(stage);
}

static void a_waiter_that_is_notified_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t notifier = child_start(notify_all_the_time, stage);
    struct stepping stepping = {
        .prepare = become_member, .operate = wait_to_be_notified, .check = check_empty_line, .stride = 2};
    kill_at_each_instruction(&stepping, stage);
    atomic_store(&stage->over, 1);
    assert_int_equal(child_finish(notifier), 0);
    discard(stage);
}

static int wait_all_the_time(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    while (!atomic_load(&stage->over)) {
        int result = mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20));
        if (result != 0 && result != MPROC_OWNER_DIED)
            complain(stage, 4);
        atomic_fetch_add(&stage->woken, 1);
    }
    give(stage);
    return 0;
}

static void notify_three(void *arg)
{
    notify(arg, 3);
}

/* All three wait again after a while; then all three can be woken. */
static void check_waiters(void *arg)
{
    struct stage *stage = arg;
    become_member(stage); /* takes the lock over, for which the waiters would need a while */
    conditions_await_waiters(&stage->changed, 3);
    int woken = atomic_load(&stage->woken);
    notify(stage, UINT32_MAX);
    await_value(&stage->woken, woken + 3);
    assert_int_equal(atomic_load(&stage->wrong), 0);
}

static void a_notifier_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t waiters[3];
    for (int i = 0; i < 3; i++)
        waiters[i] = child_start(wait_all_the_time, stage);
    struct stepping stepping = {.prepare = become_member, .operate = notify_three, .check = check_waiters, .stride = 4};
    kill_at_each_instruction(&stepping, stage);
    conditions_await_waiters(&stage->changed, 3);
    atomic_store(&stage->over, 1);
    notify(stage, 3);
    for (int i = 0; i < 3; i++)
        assert_int_equal(child_finish(waiters[i]), 0);
    discard(stage);
}

static int wait_behind(void *arg)
{
    struct stage *stage = arg;
    take(stage);
    if (mproc_condition_wait(&stage->changed, &stage->lock, MPROC_SEC(20)) == 0)
        atomic_fetch_add(&stage->woken, 1);
    give(stage);
    return 0;
}

/* In the child that is stepped: let another die that was signalled, with one more in the line behind it. */
static void let_a_signalled_waiter_die(void *arg)
{
    struct stage *stage = arg;
    become_member(stage);
    pid_t victim = start_waiter(stage);
    child_start(wait_behind, stage);
    conditions_await_waiters(&stage->changed, 2);
    kill(victim, SIGSTOP);
    notify(stage, 1);
    child_kill(victim);
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct stage *)arg)->victim));
}

static void check_signal_passed_on(void *arg)
{
    struct stage *stage = arg;
    member_sweep_all();
    await_value(&stage->woken, 1);
    atomic_store(&stage->woken, 0);
    become_member(stage); /* the one that was woken has given the lock up */
    check_empty(stage);
}

static void a_sweeper_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make();
    struct stepping stepping = {
        .prepare = let_a_signalled_waiter_die, .operate = sweep, .check = check_signal_passed_on, .stride = 5};
    kill_at_each_instruction(&stepping, stage);
    discard(stage);
}

/* ---- at random ---- */

static int use_for_ever(void *arg)
{
    struct stage *stage = arg;
    for (unsigned i = (unsigned)getpid(); !atomic_load(&stage->over); i++) {
        take(stage);
        if (i % 3 == 0)
            mproc_condition_notify(&stage->changed, 2);
        else if (i % 7 == 0)
            mproc_condition_notify_all(&stage->changed);
        else
            mproc_condition_wait(&stage->changed, &stage->lock, i % 2 ? MPROC_US(50) : MPROC_MS(5));
        give(stage);
    }
    return 1;
}

static void a_storm_of_kills_leaves_the_condition_whole(void **state)
{
    (void)state;
    struct stage *stage = make();
    kill_storm(use_for_ever, stage, 6, 2000);
    take(stage);
    give(stage);
    check_empty(stage);
    pid_t waiter = start_waiter(stage);
    notify(stage, 1);
    assert_int_equal(child_finish(waiter), 0);
    discard(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_killed_waiter_is_no_gap_in_the_line),
        unit(a_signal_to_a_dead_waiter_passes_on),
        unit(a_waiter_that_dies_after_it_was_signalled_passes_its_signal_on),
        unit(a_waiter_that_dies_on_its_way_to_the_lock_passes_its_signal_on),
        unit(the_death_of_the_locks_owner_is_told_by_the_wait),
        unit(the_death_of_the_locks_owner_ends_the_wait_for_a_predicate),
        unit(a_stopped_waiter_stops_nobody),
        unit(a_sweep_does_not_touch_what_came_after_a_freed_condition),
        unit(a_waiter_may_die_at_any_instruction),
        unit(a_waiter_that_is_notified_may_die_at_any_instruction),
        unit(a_notifier_may_die_at_any_instruction),
        unit(a_sweeper_may_die_at_any_instruction),
        unit(a_storm_of_kills_leaves_the_condition_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
