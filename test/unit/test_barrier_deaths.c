/* mproc_barrier: parties that are killed or stopped at any moment, and what those learn who look late. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include <mproc/sync.h>
#include <signal.h>
#include <unistd.h>

struct stage {
    mproc_barrier barrier;
    _Atomic(member_owner) victim;
    _Atomic(int) actions;
    _Atomic(int) arrived;
    _Atomic(int) over;
};

static int act(void *arg)
{
    struct stage *stage = arg;
    atomic_fetch_add(&stage->actions, 1);
    return 0;
}

static struct stage *make(unsigned parties, int (*action)(void *arg))
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_barrier_init(&stage->barrier, parties, action, stage), 0);
    return stage;
}

static void discard(struct stage *stage)
{
    member_sweep_all();
    assert_int_equal(ledgers_notes(), 0);
    shared_free(stage);
}

struct crowd {
    struct stage *stage;
    int count;
};

static bool is_crowd(void *arg)
{
    const struct crowd *crowd = arg;
    return mproc_barrier_waiting(&crowd->stage->barrier) == crowd->count;
}

static void await_waiting(struct stage *stage, int count)
{
    struct crowd crowd = {stage, count};
    assert_true(wait_until(is_crowd, &crowd, 20000));
}

static int arrive(void *arg)
{
    struct stage *stage = arg;
    atomic_store(&stage->victim, member_self());
    return mproc_barrier_wait(&stage->barrier, NULL, MPROC_SEC(20));
}

static pid_t start_party(struct stage *stage)
{
    int before = mproc_barrier_waiting(&stage->barrier);
    pid_t child = child_start(arrive, stage);
    await_waiting(stage, before + 1);
    return child;
}

static void a_party_that_is_killed_while_it_waits_breaks_the_barrier(void **state)
{
    (void)state;
    struct stage *stage = make(3, NULL);
    for (int round = 0; round < 3; round++) {
        pid_t victim = start_party(stage);
        pid_t other = start_party(stage);
        child_kill(victim);
        assert_int_equal(child_finish(other), MPROC_BROKEN);
        assert_true(mproc_barrier_is_broken(&stage->barrier));
        assert_int_equal(arrive(stage), MPROC_BROKEN);
        assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    }
    discard(stage);
}

static void a_party_that_is_killed_after_its_phase_breaks_nothing(void **state)
{
    (void)state;
    struct stage *stage = make(2, NULL);
    pid_t victim = start_party(stage);
    child_await_sleep(victim);
    kill(victim, SIGSTOP);
    assert_int_equal(arrive(stage), 0);
    pid_t other = start_party(stage);
    child_kill(victim);
    member_sweep_all();
    assert_false(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(arrive(stage), 0);
    assert_int_equal(child_finish(other), 0);
    discard(stage);
}

static int die(void *arg)
{
    (void)arg;
    return raise(SIGKILL);
}

static void a_death_in_the_action_breaks_the_barrier(void **state)
{
    (void)state;
    struct stage *stage = make(3, die);
    pid_t first = start_party(stage);
    pid_t second = start_party(stage);
    assert_int_equal(in_child(arrive, stage), -SIGKILL);
    assert_int_equal(child_finish(first), MPROC_BROKEN);
    assert_int_equal(child_finish(second), MPROC_BROKEN);
    assert_true(mproc_barrier_is_broken(&stage->barrier));
    discard(stage);
}

static void a_sweep_does_not_touch_what_came_after_a_freed_barrier(void **state)
{
    (void)state;
    struct stage *stage = make(2, NULL);
    pid_t victim = start_party(stage);
    child_kill(victim);
    assert_int_equal(mproc_barrier_init(&stage->barrier, 2, NULL, NULL), 0);
    member_sweep_all();
    assert_false(mproc_barrier_is_broken(&stage->barrier));

    victim = start_party(stage);
    child_kill(victim);
    for (int i = 0; i < 6; i++)
        stage->barrier.opaque[i] = UINT64_C(0xa5a5a5a5a5a5a5a5);
    member_sweep_all();
    for (int i = 0; i < 6; i++)
        assert_true(stage->barrier.opaque[i] == UINT64_C(0xa5a5a5a5a5a5a5a5));
    discard(stage);
}

/* ---- what a slow waiter is told ---- */

/* Let a phase pass with the help of one other process: completed, or sent away. */
static void pass(struct stage *stage, bool complete)
{
    pid_t child = start_party(stage);
    if (complete)
        assert_int_equal(arrive(stage), 0);
    else
        assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    assert_int_equal(child_finish(child), complete ? 0 : MPROC_BROKEN);
}

static void a_stopped_waiter_learns_how_its_own_phase_ended(void **state)
{
    (void)state;
    static const char *const histories[] = {"c",
                                            "r",
                                            "cr",
                                            "rc",
                                            "ccc",
                                            "crrr",
                                            "rccc",
                                            "cccccrccccrr",
                                            "rrrrr",
                                            "crcrcrcrcrcrcrcrcrcr",
                                            "rcrcrcrcrcrcrcrcrcr",
                                            "rccccccccccccccccccccccccccc",
                                            "cccccccccccccccccccccccccccccccccccccccc"};
    for (size_t i = 0; i < sizeof histories / sizeof *histories; i++) {
        const char *history = histories[i];
        struct stage *stage = make(2, NULL);
        pass(stage, i % 2);
        pid_t stopped = start_party(stage);
        child_await_sleep(stopped);
        kill(stopped, SIGSTOP);
        if (history[0] == 'c')
            assert_int_equal(arrive(stage), 0);
        else
            assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
        for (const char *phase = history + 1; *phase; phase++)
            pass(stage, *phase == 'c');
        kill(stopped, SIGCONT);
        assert_int_equal(child_finish(stopped), history[0] == 'c' ? 0 : MPROC_BROKEN);
        discard(stage);
    }
}

/* ---- at any instruction ---- */

static void become_member(void *arg)
{
    (void)arg;
    member_self();
}

static void arrive_last(void *arg)
{
    mproc_barrier_wait(&((struct stage *)arg)->barrier, NULL, MPROC_SEC(20));
}

static int meet_all_the_time(void *arg)
{
    struct stage *stage = arg;
    while (!atomic_load(&stage->over)) {
        int result = mproc_barrier_wait(&stage->barrier, NULL, MPROC_SEC(20));
        if (result != 0 && result != MPROC_BROKEN)
            return 1;
        if (result == MPROC_BROKEN)
            mproc_barrier_reset(&stage->barrier);
        atomic_fetch_add(&stage->arrived, 1);
    }
    return 0;
}

static bool is_whole(void *arg)
{
    struct stage *stage = arg;
    return mproc_barrier_waiting(&stage->barrier) == 1 && !mproc_barrier_is_broken(&stage->barrier);
}

/* The barrier is as good as new, after a reset where it broke, and its other party waits. */
static void check_meeting(void *arg)
{
    struct stage *stage = arg;
    member_sweep_all();
    assert_true(wait_until(is_whole, stage, 20000));
    int actions = atomic_load(&stage->actions);
    assert_int_equal(mproc_barrier_wait(&stage->barrier, NULL, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&stage->actions), actions + 1);
    assert_true(wait_until(is_whole, stage, 20000));
}

static void the_last_party_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make(2, act);
    pid_t other = child_start(meet_all_the_time, stage);
    await_waiting(stage, 1);
    struct stepping stepping = {.prepare = become_member, .operate = arrive_last, .check = check_meeting};
    kill_at_each_instruction(&stepping, stage);
    atomic_store(&stage->over, 1);
    mproc_barrier_abort(&stage->barrier);
    assert_int_equal(child_finish(other), 0);
    discard(stage);
}

static void arrive_and_run_out_of_time(void *arg)
{
    mproc_barrier_wait(&((struct stage *)arg)->barrier, NULL, MPROC_NOWAIT);
}

static void check_whole_or_broken(void *arg)
{
    struct stage *stage = arg;
    bool waited = mproc_barrier_waiting(&stage->barrier) > 0;
    member_sweep_all();
    assert_int_equal(ledgers_notes(), 0);
    assert_int_equal(mproc_barrier_waiting(&stage->barrier), 0);
    if (waited)
        assert_true(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
}

static void a_party_that_is_not_the_last_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make(2, NULL);
    struct stepping stepping = {
        .prepare = become_member, .operate = arrive_and_run_out_of_time, .check = check_whole_or_broken};
    kill_at_each_instruction(&stepping, stage);
    discard(stage);
}

/* In the child that is stepped: let another die while it waits. */
static void let_a_party_die(void *arg)
{
    become_member(arg);
    child_kill(start_party(arg));
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct stage *)arg)->victim));
}

static void a_sweeper_may_die_at_any_instruction(void **state)
{
    (void)state;
    struct stage *stage = make(2, NULL);
    struct stepping stepping = {
        .prepare = let_a_party_die, .operate = sweep, .check = check_whole_or_broken, .stride = 5};
    kill_at_each_instruction(&stepping, stage);
    discard(stage);
}

/* ---- at random ---- */

static void a_storm_of_kills_leaves_the_barrier_whole(void **state)
{
    (void)state;
    struct stage *stage = make(3, act);
    kill_storm(meet_all_the_time, stage, 5, 2000);
    member_sweep_all();
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    assert_true(atomic_load(&stage->arrived) > 0);
    pid_t first = start_party(stage);
    pid_t second = start_party(stage);
    assert_int_equal(arrive(stage), 0);
    assert_int_equal(child_finish(first), 0);
    assert_int_equal(child_finish(second), 0);
    discard(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_party_that_is_killed_while_it_waits_breaks_the_barrier),
        unit(a_party_that_is_killed_after_its_phase_breaks_nothing),
        unit(a_death_in_the_action_breaks_the_barrier),
        unit(a_sweep_does_not_touch_what_came_after_a_freed_barrier),
        unit(a_stopped_waiter_learns_how_its_own_phase_ended),
        unit(the_last_party_may_die_at_any_instruction),
        unit(a_party_that_is_not_the_last_may_die_at_any_instruction),
        unit(a_sweeper_may_die_at_any_instruction),
        unit(a_storm_of_kills_leaves_the_barrier_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
