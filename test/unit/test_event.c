/* mproc_event: what each call returns, who is woken by what, and processes that are killed or stopped. */
#include "children.h"
#include "harness.h"
#include <errno.h>
#include <mproc/sync.h>
#include <signal.h>
#include <unistd.h>

/* A struct of a user's own. */
struct stage {
    mproc_event event;
    mproc_event other;
    _Atomic(int) ready;
    _Atomic(int) turn;
    long data;
};

static struct stage *make(void)
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_event_init(&stage->event), 0);
    assert_int_equal(mproc_event_init(&stage->other), 0);
    return stage;
}

static void an_event_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_event own = {{0}};
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_event_init(NULL), -EINVAL);
    assert_int_equal(mproc_event_init(&own), MPROC_NOT_SHARED);
    assert_int_equal(mproc_event_set(NULL), -EINVAL);
    assert_int_equal(mproc_event_clear(NULL), -EINVAL);
    assert_int_equal(mproc_event_wait(NULL, MPROC_FOREVER), -EINVAL);
    assert_false(mproc_event_is_set(NULL));
    assert_int_equal(mproc_event_set(&stage->event), -EINVAL);
    assert_int_equal(mproc_event_clear(&stage->event), -EINVAL);
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_FOREVER), -EINVAL);
    assert_false(mproc_event_is_set(&stage->event));
    assert_int_equal(mproc_event_init(&stage->event), 0);
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_NS(-2)), -EINVAL);
    shared_free(stage);
}

static void an_event_is_set_until_it_is_cleared(void **state)
{
    (void)state;
    struct stage *stage = make();
    assert_false(mproc_event_is_set(&stage->event));
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), MPROC_TIMEOUT);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_event_set(&stage->event), 0);
        assert_int_equal(mproc_event_set(&stage->event), 0);
        assert_true(mproc_event_is_set(&stage->event));
        assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_event_wait(&stage->event, MPROC_FOREVER), 0);
        assert_int_equal(mproc_event_clear(&stage->event), 0);
        assert_int_equal(mproc_event_clear(&stage->event), 0);
        assert_false(mproc_event_is_set(&stage->event));
        assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), MPROC_TIMEOUT);
    }
    shared_free(stage);
}

static void a_wait_ends_at_its_timeout(void **state)
{
    (void)state;
    struct stage *stage = make();
    for (int ms = 1; ms < 300; ms *= 6) {
        int64_t begin = now();
        assert_int_equal(mproc_event_wait(&stage->event, MPROC_MS(ms)), MPROC_TIMEOUT);
        assert_true(now() - begin >= MPROC_MS(ms).nanoseconds);
    }
    shared_free(stage);
}

static int wait_for_event(void *arg)
{
    struct stage *stage = arg;
    atomic_fetch_add(&stage->ready, 1);
    return mproc_event_wait(&stage->event, MPROC_SEC(20));
}

static void all_that_sleep_are_woken_also_when_it_is_cleared_at_once(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t children[4];
    for (int i = 0; i < 4; i++)
        children[i] = child_start(wait_for_event, stage);
    for (int i = 0; i < 4; i++)
        child_await_sleep(children[i]);
    await_value(&stage->ready, 4);
    mproc_event_set(&stage->event);
    mproc_event_clear(&stage->event);
    for (int i = 0; i < 4; i++)
        assert_int_equal(child_finish(children[i]), 0);
    shared_free(stage);
}

static void set_for_five(void *arg)
{
    struct stage *stage = arg;
    pid_t children[5];
    for (int i = 0; i < 5; i++)
        children[i] = child_start(wait_for_event, stage);
    for (int i = 0; i < 5; i++)
        child_await_sleep(children[i]);
    mproc_event_set(&stage->event);
    for (int i = 0; i < 5; i++)
        assert_int_equal(child_finish(children[i]), 0);
    mproc_event_clear(&stage->event);
}

static void all_that_sleep_are_woken_at_once(void **state)
{
    (void)state;
    struct stage *stage = make();
    assert_true(shortest(set_for_five, stage) < MPROC_MS(40).nanoseconds);
    shared_free(stage);
}

static void who_is_stopped_while_it_is_set_and_cleared_does_not_miss_it(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t child = child_start(wait_for_event, stage);
    await_value(&stage->ready, 1);
    child_await_sleep(child);
    kill(child, SIGSTOP);
    for (int i = 0; i < 1000; i++) {
        mproc_event_set(&stage->event);
        mproc_event_clear(&stage->event);
    }
    kill(child, SIGCONT);
    assert_int_equal(child_finish(child), 0);
    shared_free(stage);
}

static void a_killed_waiter_takes_nobodys_wake_up_along(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t victim = child_start(wait_for_event, stage);
    child_await_sleep(victim);
    pid_t waiter = child_start(wait_for_event, stage);
    await_value(&stage->ready, 2);
    child_await_sleep(waiter);
    kill(victim, SIGSTOP);
    mproc_event_set(&stage->event);
    child_kill(victim);
    assert_int_equal(child_finish(waiter), 0);
    shared_free(stage);
}

enum {
    TURNS = 2000
};

/* Ping and pong by two events, each of which the waiter clears. */
static int play(struct stage *stage, mproc_event *mine, mproc_event *theirs)
{
    for (int i = 0; i < TURNS; i++) {
        if (mproc_event_wait(mine, MPROC_SEC(20)))
            return 1;
        mproc_event_clear(mine);
        stage->data++;
        mproc_event_set(theirs);
    }
    return 0;
}

static int ping(void *arg)
{
    struct stage *stage = arg;
    return play(stage, &stage->event, &stage->other);
}

static int pong(void *arg)
{
    struct stage *stage = arg;
    return play(stage, &stage->other, &stage->event);
}

static void no_wake_up_is_lost_between_two_processes(void **state)
{
    (void)state;
    struct stage *stage = make();
    pid_t a = child_start(ping, stage);
    pid_t b = child_start(pong, stage);
    int64_t begin = now();
    mproc_event_set(&stage->event);
    assert_int_equal(child_finish(a), 0);
    assert_int_equal(child_finish(b), 0);
    assert_int_equal(stage->data, 2 * TURNS);
    assert_true(now() - begin < MPROC_MS(100).nanoseconds * TURNS / 10); /* each lost one would have cost 100 ms */
    shared_free(stage);
}

static int ping_or_pong(void *arg)
{
    struct stage *stage = arg;
    return atomic_fetch_add(&stage->turn, 1) == 0 ? ping(arg) : pong(arg);
}

static void no_wake_up_is_lost_between_two_threads(void **state)
{
    (void)state;
    struct stage *stage = make();
    mproc_event_set(&stage->event);
    threads_run(ping_or_pong, stage, 2);
    assert_int_equal(stage->data, 2 * TURNS);
    shared_free(stage);
}

static int use_for_ever(void *arg)
{
    struct stage *stage = arg;
    while (mproc_event_set(&stage->event) == 0) {
        mproc_event_wait(&stage->event, MPROC_US(100));
        mproc_event_clear(&stage->event);
        mproc_event_wait(&stage->event, MPROC_US(100));
    }
    return 1;
}

static void a_storm_of_kills_leaves_the_event_whole(void **state)
{
    (void)state;
    struct stage *stage = make();
    kill_storm(use_for_ever, stage, 4, 500);
    mproc_event_clear(&stage->event);
    assert_false(mproc_event_is_set(&stage->event));
    pid_t waiter = child_start(wait_for_event, stage);
    await_value(&stage->ready, 1);
    child_await_sleep(waiter);
    mproc_event_set(&stage->event);
    assert_int_equal(child_finish(waiter), 0);
    shared_free(stage);
}

static void operate(void *arg)
{
    struct stage *stage = arg;
    mproc_event_clear(&stage->event);
    mproc_event_wait(&stage->event, MPROC_NOWAIT);
    mproc_event_wait(&stage->event, MPROC_US(1));
    mproc_event_set(&stage->event);
    mproc_event_wait(&stage->event, MPROC_FOREVER);
}

static void check(void *arg)
{
    struct stage *stage = arg;
    bool set = mproc_event_is_set(&stage->event);
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), set ? 0 : MPROC_TIMEOUT);
    assert_int_equal(mproc_event_set(&stage->event), 0);
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_event_clear(&stage->event), 0);
    assert_int_equal(mproc_event_wait(&stage->event, MPROC_NOWAIT), MPROC_TIMEOUT);
}

static void a_death_at_any_instruction_leaves_the_event_whole(void **state)
{
    (void)state;
    struct stage *stage = make();
    struct stepping stepping = {.prepare = operate, .operate = operate, .check = check};
    kill_at_each_instruction(&stepping, stage);
    shared_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_event_must_be_in_shared_memory_and_set_up),
        unit(an_event_is_set_until_it_is_cleared),
        unit(a_wait_ends_at_its_timeout),
        unit(all_that_sleep_are_woken_also_when_it_is_cleared_at_once),
        unit(all_that_sleep_are_woken_at_once),
        unit(who_is_stopped_while_it_is_set_and_cleared_does_not_miss_it),
        unit(a_killed_waiter_takes_nobodys_wake_up_along),
        unit(no_wake_up_is_lost_between_two_processes),
        unit(no_wake_up_is_lost_between_two_threads),
        unit(a_storm_of_kills_leaves_the_event_whole),
        unit(a_death_at_any_instruction_leaves_the_event_whole),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
