/* mproc_semaphore: processes that are killed or stopped at any moment of what they do with semaphores, and those that
 * are killed while they give back what others held. */
#include "arena/member.h"
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

struct stage {
    mproc_semaphore semaphore;
    _Atomic(member_owner) holder;
    _Atomic(int) ready;
    _Atomic(int) wrong;
    mproc_semaphore more[3];
};

static int value(struct stage *stage)
{
    return mproc_semaphore_value(&stage->semaphore);
}

static int acquire(void *arg)
{
    return mproc_semaphore_acquire(&((struct stage *)arg)->semaphore, MPROC_SEC(20));
}

static int try_acquire(void *arg)
{
    return mproc_semaphore_acquire(&((struct stage *)arg)->semaphore, MPROC_NOWAIT);
}

static int release(void *arg, unsigned count)
{
    return mproc_semaphore_release(&((struct stage *)arg)->semaphore, count);
}

static int hold_three(void *arg)
{
    struct stage *stage = arg;
    if (acquire(arg) || acquire(arg) || acquire(arg))
        return 1;
    atomic_store(&stage->holder, member_self());
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

static struct stage *make_more(void)
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_semaphore_init(&stage->semaphore, 3, 0), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_semaphore_init(&stage->more[i], (unsigned)i + 2, 0), 0);
    return stage;
}

static void use_all(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < 3; i++)
        if (mproc_semaphore_acquire(&stage->more[i], MPROC_SEC(20)))
            atomic_store(&stage->wrong, 1);
    if (mproc_semaphore_acquire(&stage->more[2], MPROC_MS(1)) == 0 && mproc_semaphore_release(&stage->more[2], 1))
        atomic_store(&stage->wrong, 2);
    for (int i = 0; i < 3; i++)
        if (mproc_semaphore_release(&stage->more[i], 1))
            atomic_store(&stage->wrong, 3);
}

static int use_all_for_ever(void *arg)
{
    for (;;)
        use_all(arg);
    return 1;
}

static int use_all_by_threads(void *arg)
{
    threads_run(use_all_for_ever, arg, 2);
    return 1;
}

static void check_more(void *arg)
{
    struct stage *stage = arg;
    member_sweep_all();
    assert_int_equal(ledgers_units(), 0);
    assert_int_equal(atomic_load(&stage->wrong), 0);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_semaphore_value(&stage->more[i]), i + 2);
}

static void a_storm_of_kills_loses_and_makes_no_unit(void **state)
{
    (void)state;
    struct stage *stage = make_more();
    assert_true(kill_storm(use_all_for_ever, stage, 4, 1500) > 10);
    check_more(stage);
    assert_true(kill_storm(use_all_by_threads, stage, 3, 1500) > 10);
    check_more(stage);
    shared_free(stage);
}

/* What a child does before an operation, beginning with becoming a member. */
static void take_none(void *arg)
{
    struct stage *stage = arg;
    if (mproc_semaphore_acquire(&stage->more[0], MPROC_NOWAIT) || mproc_semaphore_release(&stage->more[0], 1))
        _exit(1);
}

static void take_one(void *arg)
{
    take_none(arg);
    if (try_acquire(arg))
        _exit(1);
}

static void take_three(void *arg)
{
    take_one(arg);
    if (try_acquire(arg) || try_acquire(arg))
        _exit(1);
}

static void acquire_one(void *arg)
{
    try_acquire(arg);
}

static void release_one(void *arg)
{
    release(arg, 1);
}

static void release_several(void *arg)
{
    release(arg, 2);
}

static void release_all(void *arg)
{
    release(arg, 3);
}

/* Every kind of operation that changes a holding, and one that fails. */
static const struct {
    void (*prepare)(void *arg);
    void (*operate)(void *arg);
} operations[] = {
    {take_none, acquire_one},  {take_one, acquire_one},       {take_three, acquire_one},
    {take_three, release_one}, {take_three, release_several}, {take_three, release_all},
};

enum {
    OPERATIONS = sizeof operations / sizeof *operations
};

static void check_three(void *arg)
{
    member_sweep_all();
    assert_int_equal(value(arg), 3);
    assert_int_equal(ledgers_units(), 0);
}

/* The stopped process may have what it has, and what is left is ours. */
static void meet(void *arg)
{
    struct stage *stage = arg;
    int before = value(stage);
    for (int i = 0; i < before; i++)
        assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(try_acquire(stage), MPROC_TIMEOUT);
    if (before)
        assert_int_equal(mproc_semaphore_release(&stage->semaphore, (unsigned)before), 0);
    assert_int_equal(value(stage), before);
}

static void a_process_stopped_and_killed_at_any_instruction_stops_nobody_and_loses_nothing(void **state)
{
    (void)state;
    struct stage *stage = make_more();
    for (int i = 0; i < OPERATIONS; i++) {
        struct stepping stepping = {operations[i].prepare, operations[i].operate, check_three, .meet = meet};
        kill_at_each_instruction(&stepping, stage);
    }
    shared_free(stage);
}

/* In the child that is stepped: become a member, and let another die holding. */
static void let_somebody_die(void *arg)
{
    struct stage *stage = arg;
    take_none(arg);
    atomic_store(&stage->ready, 0);
    pid_t holder = fork();
    if (holder == 0)
        hold_three(stage);
    while (!atomic_load(&stage->ready))
        usleep(100);
    kill(holder, SIGKILL);
    child_finish(holder);
}

static void sweep(void *arg)
{
    member_sweep(atomic_load(&((struct stage *)arg)->holder));
}

static void check_four(void *arg)
{
    struct stage *stage = arg;
    member_sweep_all();
    assert_int_equal(value(stage), 4);
    assert_int_equal(ledgers_units(), 0);
}

static void a_sweeper_that_dies_at_any_instruction_is_no_harm(void **state)
{
    (void)state;
    struct stage *stage = make_more();
    assert_int_equal(mproc_semaphore_init(&stage->semaphore, 4, 0), 0);
    struct stepping stepping = {let_somebody_die, sweep, check_four, .stride = 3};
    kill_at_each_instruction(&stepping, stage);
    shared_free(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_storm_of_kills_loses_and_makes_no_unit),
        unit(a_process_stopped_and_killed_at_any_instruction_stops_nobody_and_loses_nothing),
        unit(a_sweeper_that_dies_at_any_instruction_is_no_harm),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
