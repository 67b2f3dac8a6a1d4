/* mproc_barrier: what each call returns, who goes on when, breaking and mending. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include "sync/wait_note.h"
#include <errno.h>
#include <mproc/sync.h>
#include <signal.h>
#include <unistd.h>

enum {
    PARTIES = 4
};

/* A struct of a user's own. */
struct stage {
    char name[3];
    mproc_barrier barrier;
    _Atomic(int) ready;
    _Atomic(int) actions;
    _Atomic(int) action_result;
    _Atomic(int) arrived;
    _Atomic(int) wrong;
    _Atomic(int) seen[PARTIES];
    long count;
};

static int act(void *arg)
{
    struct stage *stage = arg;
    atomic_fetch_add(&stage->actions, 1);
    return atomic_load(&stage->action_result);
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
    assert_int_equal(atomic_load(&stage->wrong), 0);
    shared_free(stage);
}

static int waiting(struct stage *stage)
{
    return mproc_barrier_waiting(&stage->barrier);
}

struct crowd {
    struct stage *stage;
    int count;
};

static bool is_crowd(void *arg)
{
    const struct crowd *crowd = arg;
    return waiting(crowd->stage) == crowd->count;
}

static void await_waiting(struct stage *stage, int count)
{
    struct crowd crowd = {stage, count};
    assert_true(wait_until(is_crowd, &crowd, 20000));
}

static int arrive(void *arg)
{
    return mproc_barrier_wait(&((struct stage *)arg)->barrier, NULL, MPROC_SEC(20));
}

static void start_parties(struct stage *stage, pid_t *children, int count)
{
    for (int i = 0; i < count; i++)
        children[i] = child_start(arrive, stage);
    await_waiting(stage, count);
}

static void finish_parties(const pid_t *children, int count, int result)
{
    for (int i = 0; i < count; i++)
        assert_int_equal(child_finish(children[i]), result);
}

static void a_barrier_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_barrier own = {{0}};
    struct stage *stage = shared(sizeof *stage);
    mproc_barrier *barrier = &stage->barrier;
    assert_int_equal(mproc_barrier_init(NULL, 1, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_barrier_init(&own, 1, NULL, NULL), MPROC_NOT_SHARED);
    assert_int_equal(mproc_barrier_init(barrier, 0, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_barrier_init(barrier, (1 << 16) + 1, NULL, NULL), -EINVAL);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mproc_barrier_wait(barrier, NULL, MPROC_FOREVER), -EINVAL);
        assert_int_equal(mproc_barrier_abort(barrier), -EINVAL);
        assert_int_equal(mproc_barrier_reset(barrier), -EINVAL);
        assert_int_equal(mproc_barrier_waiting(barrier), -EINVAL);
        assert_int_equal(mproc_barrier_parties(barrier), -EINVAL);
        assert_false(mproc_barrier_is_broken(barrier));
        barrier = NULL;
    }
    assert_int_equal(mproc_barrier_init(&stage->barrier, 1 << 16, NULL, NULL), 0);
    assert_int_equal(mproc_barrier_parties(&stage->barrier), 1 << 16);
    assert_int_equal(waiting(stage), 0);
    assert_int_equal(mproc_barrier_wait(&stage->barrier, NULL, MPROC_NS(-2)), -EINVAL);
    assert_false(mproc_barrier_is_broken(&stage->barrier));
    shared_free(stage);
}

static void one_party_waits_for_nobody(void **state)
{
    (void)state;
    struct stage *stage = make(1, act);
    for (int i = 1; i < 50; i++) {
        unsigned index = 7;
        assert_int_equal(mproc_barrier_wait(&stage->barrier, &index, MPROC_NOWAIT), 0);
        assert_int_equal(index, 0);
        assert_int_equal(atomic_load(&stage->actions), i);
        assert_int_equal(waiting(stage), 0);
    }
    discard(stage);
}

static void all_wait_until_the_last_has_come(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, NULL);
    for (int round = 0; round < 3; round++) {
        pid_t children[PARTIES - 1];
        unsigned index = 7;
        start_parties(stage, children, PARTIES - 1);
        assert_int_equal(mproc_barrier_wait(&stage->barrier, &index, MPROC_NOWAIT), 0);
        assert_int_equal(index, 0);
        assert_int_equal(waiting(stage), 0);
        finish_parties(children, PARTIES - 1, 0);
    }
    discard(stage);
}

enum {
    ROUNDS = 2000
};

/* In each round each index is given once, the action was called once before anybody goes on, and nobody is a round
 * ahead. */
static int go_round(void *arg)
{
    struct stage *stage = arg;
    for (int round = 0; round < ROUNDS; round++) {
        unsigned index = 7;
        if (atomic_load(&stage->actions) != round)
            atomic_store(&stage->wrong, 1);
        int result = mproc_barrier_wait(&stage->barrier, &index, MPROC_SEC(20));
        if (result || index >= PARTIES)
            return 1;
        if (atomic_load(&stage->actions) != round + 1)
            atomic_store(&stage->wrong, 2);
        atomic_fetch_add(&stage->seen[index], 1);
        result = mproc_barrier_wait(&stage->barrier, NULL, MPROC_SEC(20));
        if (result)
            return 2;
    }
    return 0;
}

static int act_every_other_time(void *arg)
{
    struct stage *stage = arg;
    if (stage->count++ % 2 == 0)
        atomic_fetch_add(&stage->actions, 1);
    return 0;
}

static void check_rounds(struct stage *stage)
{
    assert_int_equal(atomic_load(&stage->wrong), 0);
    for (int i = 0; i < PARTIES; i++)
        assert_int_equal(atomic_load(&stage->seen[i]), ROUNDS);
    assert_int_equal(stage->count, 2 * ROUNDS);
    discard(stage);
}

static void processes_go_round_together(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, act_every_other_time);
    children_run(go_round, stage, PARTIES);
    check_rounds(stage);
}

static void threads_go_round_together(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, act_every_other_time);
    threads_run(go_round, stage, PARTIES);
    check_rounds(stage);
}

/* More processes than parties: whoever comes meets the next one. */
static int meet_others(void *arg)
{
    struct stage *stage = arg;
    for (;;) {
        int result = arrive(stage);
        if (result)
            return atomic_load(&stage->ready) ? 0 : 1;
        atomic_fetch_add(&stage->arrived, 1);
    }
}

static void more_processes_than_parties_meet_in_pairs(void **state)
{
    (void)state;
    struct stage *stage = make(2, act);
    pid_t children[5];
    for (int i = 0; i < 5; i++)
        children[i] = child_start(meet_others, stage);
    await_value(&stage->arrived, ROUNDS);
    atomic_store(&stage->ready, 1);
    mproc_barrier_abort(&stage->barrier);
    finish_parties(children, 5, 0);
    int pairs = atomic_load(&stage->arrived) / 2;
    assert_int_equal(atomic_load(&stage->arrived), 2 * pairs);
    assert_in_range(atomic_load(&stage->actions), pairs, pairs + 1); /* one may have been aborted in the action */
    discard(stage);
}

/* ---- breaking ---- */

static void a_timeout_breaks_the_barrier(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, NULL);
    pid_t children[2];
    unsigned index = 7;
    start_parties(stage, children, 2);
    int64_t begin = now();
    assert_int_equal(mproc_barrier_wait(&stage->barrier, &index, MPROC_MS(120)), MPROC_TIMEOUT);
    assert_true(now() - begin >= MPROC_MS(120).nanoseconds);
    assert_int_equal(index, 7);
    finish_parties(children, 2, MPROC_BROKEN);
    assert_true(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(waiting(stage), 0);
    assert_int_equal(arrive(stage), MPROC_BROKEN);
    assert_int_equal(in_child(arrive, stage), MPROC_BROKEN);
    discard(stage);
}

static void who_does_not_want_to_wait_breaks_it_unless_it_is_the_last(void **state)
{
    (void)state;
    struct stage *stage = make(2, NULL);
    pid_t child;
    start_parties(stage, &child, 1);
    assert_int_equal(mproc_barrier_wait(&stage->barrier, NULL, MPROC_NOWAIT), 0);
    finish_parties(&child, 1, 0);
    assert_int_equal(mproc_barrier_wait(&stage->barrier, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_true(mproc_barrier_is_broken(&stage->barrier));
    discard(stage);
}

static void an_abort_breaks_it_until_a_reset(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, NULL);
    for (int round = 0; round < 30; round++) {
        pid_t children[PARTIES - 1];
        if (round % 3)
            start_parties(stage, children, PARTIES - 1);
        assert_int_equal(mproc_barrier_abort(&stage->barrier), 0);
        assert_int_equal(mproc_barrier_abort(&stage->barrier), 0);
        assert_true(mproc_barrier_is_broken(&stage->barrier));
        assert_int_equal(arrive(stage), MPROC_BROKEN);
        if (round % 3)
            finish_parties(children, PARTIES - 1, MPROC_BROKEN);
        assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
        assert_false(mproc_barrier_is_broken(&stage->barrier));
        assert_int_equal(waiting(stage), 0);
        start_parties(stage, children, PARTIES - 1);
        assert_int_equal(arrive(stage), 0);
        finish_parties(children, PARTIES - 1, 0);
    }
    discard(stage);
}

static void a_reset_sends_those_away_that_wait(void **state)
{
    (void)state;
    struct stage *stage = make(PARTIES, NULL);
    pid_t children[PARTIES - 1];
    start_parties(stage, children, 2);
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    finish_parties(children, 2, MPROC_BROKEN);
    assert_false(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    start_parties(stage, children, PARTIES - 1);
    assert_int_equal(arrive(stage), 0);
    finish_parties(children, PARTIES - 1, 0);
    discard(stage);
}

static void an_action_that_fails_breaks_it_for_all(void **state)
{
    (void)state;
    struct stage *stage = make(2, act);
    pid_t child;
    atomic_store(&stage->action_result, -5);
    start_parties(stage, &child, 1);
    assert_int_equal(arrive(stage), MPROC_BROKEN);
    finish_parties(&child, 1, MPROC_BROKEN);
    assert_true(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    atomic_store(&stage->action_result, 0);
    start_parties(stage, &child, 1);
    assert_int_equal(arrive(stage), 0);
    finish_parties(&child, 1, 0);
    assert_int_equal(atomic_load(&stage->actions), 2);
    discard(stage);
}

static int act_until_told(void *arg)
{
    struct stage *stage = arg;
    atomic_fetch_add(&stage->actions, 1);
    while (!atomic_load(&stage->ready))
        usleep(100);
    return 0;
}

static void who_comes_during_the_action_takes_part_in_the_next_round(void **state)
{
    (void)state;
    struct stage *stage = make(2, act_until_told);
    pid_t children[2];
    start_parties(stage, children, 1);
    children[1] = child_start(arrive, stage);
    await_value(&stage->actions, 1);
    pid_t late = child_start(arrive, stage);
    child_await_sleep(late);
    assert_int_equal(waiting(stage), 2);
    atomic_store(&stage->ready, 1);
    finish_parties(children, 2, 0);
    await_waiting(stage, 1);
    assert_int_equal(arrive(stage), 0);
    assert_int_equal(child_finish(late), 0);
    discard(stage);
}

static void a_reset_during_the_action_sends_all_away(void **state)
{
    (void)state;
    struct stage *stage = make(2, act_until_told);
    pid_t children[2];
    start_parties(stage, children, 1);
    children[1] = child_start(arrive, stage);
    await_value(&stage->actions, 1);
    assert_int_equal(mproc_barrier_reset(&stage->barrier), 0);
    atomic_store(&stage->ready, 1);
    finish_parties(children, 2, MPROC_BROKEN);
    assert_false(mproc_barrier_is_broken(&stage->barrier));
    assert_int_equal(waiting(stage), 0);
    discard(stage);
}

static void so_many_threads_can_wait_and_no_more(void **state)
{
    (void)state;
    struct stage *stage = make(1, NULL);
    wait_note_ref refs[WAIT_NOTE_COUNT];
    unsigned slot = member_slot(member_self());
    for (int i = 0; i < WAIT_NOTE_COUNT; i++)
        assert_int_not_equal(refs[i] = wait_note_claim(slot, stage, 0), 0);
    assert_int_equal(arrive(stage), -ENOSPC);
    for (int i = 0; i < WAIT_NOTE_COUNT; i++)
        wait_note_set_state(wait_note_at(refs[i]), WAIT_NOTE_FREE);
    assert_int_equal(arrive(stage), 0);
    discard(stage);
}

static bool is_broken(void *stage)
{
    return mproc_barrier_is_broken(&((struct stage *)stage)->barrier);
}

static bool nobody_waits(void *stage)
{
    return waiting(stage) == 0;
}

/* Whoever only asks does what those do that sleep. */
static void who_asks_again_and_again_sees_a_killed_party(void **state)
{
    bool (*const asks[])(void *) = {is_broken, nobody_waits};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct stage *stage = make(2, NULL);
        pid_t party = child_start(arrive, stage);
        child_await_sleep(party);
        assert_int_equal(waiting(stage), 1);
        child_kill(party);
        assert_true(wait_until(asks[i], stage, 20000));
        discard(stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_barrier_must_be_in_shared_memory_and_set_up),
        unit(one_party_waits_for_nobody),
        unit(all_wait_until_the_last_has_come),
        unit(processes_go_round_together),
        unit(threads_go_round_together),
        unit(more_processes_than_parties_meet_in_pairs),
        unit(a_timeout_breaks_the_barrier),
        unit(who_does_not_want_to_wait_breaks_it_unless_it_is_the_last),
        unit(an_abort_breaks_it_until_a_reset),
        unit(a_reset_sends_those_away_that_wait),
        unit(an_action_that_fails_breaks_it_for_all),
        unit(who_comes_during_the_action_takes_part_in_the_next_round),
        unit(a_reset_during_the_action_sends_all_away),
        unit(so_many_threads_can_wait_and_no_more),
        unit(who_asks_again_and_again_sees_a_killed_party),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
