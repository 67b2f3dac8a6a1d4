/* mproc_semaphore: what each call returns, exact counts between processes and threads, and holders that are killed or
 * stopped at any moment. */
#include "children.h"
#include "harness.h"
#include "ledgers.h"
#include "sync/ledger.h"
#include <errno.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* A struct of a user's own. */
struct stage {
    char name[5];
    mproc_semaphore semaphore;
    _Atomic(int) ready;
    _Atomic(int) inside;
    _Atomic(int) most;
    _Atomic(int) wrong;
    mproc_semaphore more[3];
};

static struct stage *make(unsigned value, unsigned flags)
{
    struct stage *stage = shared(sizeof *stage);
    assert_int_equal(mproc_semaphore_init(&stage->semaphore, value, flags), 0);
    return stage;
}

/* Free it so that units which are still held are held of nothing. */
static void discard(void *memory, size_t size)
{
    memset(memory, 0, size);
    shared_free(memory);
}

static int value(struct stage *stage)
{
    return mproc_semaphore_value(&stage->semaphore);
}

static int try_acquire(void *arg)
{
    return mproc_semaphore_acquire(&((struct stage *)arg)->semaphore, MPROC_NOWAIT);
}

static int release(void *arg)
{
    return -mproc_semaphore_release(&((struct stage *)arg)->semaphore, 1);
}

static void a_semaphore_must_be_in_shared_memory_and_set_up(void **state)
{
    (void)state;
    mproc_semaphore own = {{0}};
    struct stage *stage = shared(sizeof *stage);
    mproc_semaphore *semaphore = &stage->semaphore;
    assert_int_equal(mproc_semaphore_init(NULL, 1, 0), -EINVAL);
    assert_int_equal(mproc_semaphore_init(&own, 1, 0), MPROC_NOT_SHARED);
    assert_int_equal(mproc_semaphore_init(semaphore, 1u << 31, 0), -EINVAL);
    assert_int_equal(mproc_semaphore_init(semaphore, 1, 4), -EINVAL);
    assert_int_equal(mproc_semaphore_init((mproc_semaphore *)(void *)((char *)semaphore + 8), 1, 0), -EINVAL);
    assert_int_equal(mproc_semaphore_acquire(NULL, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_semaphore_release(NULL, 1), -EINVAL);
    assert_int_equal(mproc_semaphore_value(NULL), -EINVAL);
    assert_int_equal(mproc_semaphore_acquire(semaphore, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_semaphore_release(semaphore, 1), -EINVAL);
    assert_int_equal(mproc_semaphore_value(semaphore), -EINVAL);
    discard(stage, sizeof *stage);
}

static void bad_arguments_change_nothing(void **state)
{
    (void)state;
    struct stage *stage = make(1, MPROC_SEMAPHORE_BOUNDED);
    assert_int_equal(mproc_semaphore_acquire(&stage->semaphore, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 0), -EINVAL);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 1), -EOVERFLOW);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, UINT32_MAX), -EOVERFLOW);
    assert_int_equal(value(stage), 1);
    discard(stage, sizeof *stage);
}

static void units_are_taken_and_given_back(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct stage *stage = make(2, flags);
        assert_int_equal(try_acquire(stage), 0);
        assert_int_equal(value(stage), 1);
        assert_int_equal(mproc_semaphore_acquire(&stage->semaphore, MPROC_FOREVER), 0);
        assert_int_equal(value(stage), 0);
        assert_int_equal(try_acquire(stage), MPROC_TIMEOUT);
        assert_int_equal(in_child(try_acquire, stage), MPROC_TIMEOUT);
        assert_int_equal(release(stage), 0);
        assert_int_equal(in_thread(try_acquire, stage), 0);
        assert_int_equal(mproc_semaphore_release(&stage->semaphore, 2), 0);
        assert_int_equal(value(stage), 2);
        assert_int_equal(ledgers_units(), 0);
        discard(stage, sizeof *stage);
    }
}

static void a_release_is_all_or_nothing(void **state)
{
    (void)state;
    struct stage *stage = make(3, MPROC_SEMAPHORE_BOUNDED);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 3), -EOVERFLOW);
    assert_int_equal(value(stage), 1);
    assert_int_equal(ledgers_units(), 2);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 2), 0);
    assert_int_equal(value(stage), 3);
    discard(stage, sizeof *stage);

    stage = make(5, 0);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, INT32_MAX), -EOVERFLOW);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, INT32_MAX - 5), 0);
    assert_int_equal(value(stage), INT32_MAX);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 1), -EOVERFLOW);
    assert_int_equal(value(stage), INT32_MAX);
    discard(stage, sizeof *stage);
}

static void a_wait_ends_at_its_timeout(void **state)
{
    (void)state;
    struct stage *stage = make(0, 0);
    for (int ms = 1; ms < 300; ms *= 6) {
        int64_t begin = now();
        assert_int_equal(mproc_semaphore_acquire(&stage->semaphore, MPROC_MS(ms)), MPROC_TIMEOUT);
        assert_true(now() - begin >= MPROC_MS(ms).nanoseconds);
    }
    discard(stage, sizeof *stage);
}

static int acquire(void *arg)
{
    return mproc_semaphore_acquire(&((struct stage *)arg)->semaphore, MPROC_SEC(20));
}

static void release_for_five(void *arg)
{
    struct stage *stage = arg;
    pid_t children[5];
    for (int i = 0; i < 5; i++)
        children[i] = child_start(acquire, stage);
    for (int i = 0; i < 5; i++)
        child_await_sleep(children[i]);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 5), 0);
    for (int i = 0; i < 5; i++)
        assert_int_equal(child_finish(children[i]), 0);
    assert_int_equal(value(stage), 0);
}

static void a_release_wakes_at_once_as_many_as_it_has_units(void **state)
{
    (void)state;
    struct stage *stage = make(0, MPROC_SEMAPHORE_SIGNAL);
    assert_true(shortest(release_for_five, stage) < MPROC_MS(40).nanoseconds);
    discard(stage, sizeof *stage);
}

static void *acquire_and_release(void *arg)
{
    assert_int_equal(acquire(arg), 0);
    assert_int_equal(release(arg), 0);
    return NULL;
}

/* ---- the dead ---- */

static int hold_three(void *arg)
{
    struct stage *stage = arg;
    if (acquire(arg) || acquire(arg) || acquire(arg) || acquire(arg) || release(arg))
        return 1;
    atomic_store(&stage->ready, 1);
    for (;;)
        pause();
}

static bool is_full(void *arg)
{
    struct stage *stage = arg;
    member_tick();
    return value(stage) >= 4;
}

static void units_of_a_killed_process_come_back(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(value(stage), 1);
    assert_int_equal(ledgers_units(), 3);
    child_kill(holder);
    assert_true(wait_until(is_full, stage, 5000));
    assert_int_equal(value(stage), 4);
    assert_int_equal(ledgers_units(), 0);
    discard(stage, sizeof *stage);
}

static void units_of_a_killed_process_do_not_exceed_the_bound(void **state)
{
    (void)state;
    struct stage *stage = make(4, MPROC_SEMAPHORE_BOUNDED);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(mproc_semaphore_release(&stage->semaphore, 2), 0);
    child_kill(holder);
    member_sweep_all();
    assert_int_equal(value(stage), 4);
    discard(stage, sizeof *stage);
}

static void events_of_a_killed_process_do_not_come_back(void **state)
{
    (void)state;
    struct stage *stage = make(4, MPROC_SEMAPHORE_SIGNAL);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(ledgers_units(), 0);
    child_kill(holder);
    member_sweep_all();
    assert_int_equal(value(stage), 1);
    discard(stage, sizeof *stage);
}

static void who_leaves_in_good_order_gives_back_at_once(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(in_child(acquire, stage), 0); /* exits, and nobody asked it to leave */
    member_sweep_all();
    assert_int_equal(value(stage), 1);
    child_kill(holder);
    member_sweep_all();
    assert_int_equal(value(stage), 4);
    discard(stage, sizeof *stage);
}

static void a_sleeping_waiter_gets_what_a_killed_process_held(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(try_acquire(stage), 0);
    pid_t waiter = child_start(acquire, stage);
    child_await_sleep(waiter);
    child_kill(holder);
    assert_int_equal(child_finish(waiter), 0);
    discard(stage, sizeof *stage);
}

static bool can_acquire(void *arg)
{
    return try_acquire(arg) == 0;
}

static void who_asks_again_and_again_gets_what_a_killed_process_held(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(try_acquire(stage), 0);
    child_kill(holder);
    assert_true(wait_until(can_acquire, stage, 5000));
    discard(stage, sizeof *stage);
}

static bool has_value(void *arg)
{
    struct stage *stage = arg;
    return value(stage) > 0;
}

static void who_asks_for_the_value_again_and_again_sees_what_a_killed_process_held(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(value(stage), 0);
    child_kill(holder);
    assert_true(wait_until(has_value, stage, 20000));
    assert_int_equal(release(stage), 0);
    discard(stage, sizeof *stage);
}

static void a_waiter_that_is_killed_when_it_was_woken_strands_nobody(void **state)
{
    (void)state;
    struct stage *stage = make(0, 0);
    for (int round = 0; round < 10; round++) {
        pid_t victim = child_start(acquire, stage);
        child_await_sleep(victim);
        pid_t waiter = child_start(acquire, stage);
        child_await_sleep(waiter);
        kill(victim, SIGSTOP); /* so that it is woken and does not run */
        assert_int_equal(release(stage), 0);
        child_kill(victim);
        assert_int_equal(child_finish(waiter), 0);
        member_sweep_all(); /* it ended with the unit */
        assert_int_equal(value(stage), 1);
        assert_int_equal(mproc_semaphore_init(&stage->semaphore, 0, 0), 0);
    }
    discard(stage, sizeof *stage);
}

/* ---- whose units they are ---- */

static int release_two(void *arg)
{
    return -mproc_semaphore_release(&((struct stage *)arg)->semaphore, 2);
}

static void a_process_that_holds_nothing_adds_a_unit(void **state)
{
    (void)state;
    struct stage *stage = make(1, 0);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(in_child(release, stage), 0);
    assert_int_equal(value(stage), 1);
    assert_int_equal(ledgers_units(), 1);
    assert_int_equal(release(stage), 0);
    assert_int_equal(value(stage), 2);
    assert_int_equal(ledgers_units(), 0);
    discard(stage, sizeof *stage);
}

static void a_process_that_gives_back_more_than_it_holds_adds_the_rest(void **state)
{
    (void)state;
    struct stage *stage = make(1, 0);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(in_thread(release_two, stage), 0);
    assert_int_equal(value(stage), 2);
    assert_int_equal(ledgers_units(), 0);
    discard(stage, sizeof *stage);
}

static void a_fork_child_does_not_hold_what_its_parent_holds(void **state)
{
    (void)state;
    struct stage *stage = make(2, 0);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(in_child(try_acquire, stage), 0);
    member_sweep_all();
    assert_int_equal(value(stage), 1);
    assert_int_equal(ledgers_units(), 1);
    assert_int_equal(release(stage), 0);
    discard(stage, sizeof *stage);
}

enum {
    MANY = HOLDING_COUNT + 40
};

static void so_many_semaphores_can_be_held_and_no_more(void **state)
{
    (void)state;
    mproc_semaphore *many = shared(MANY * sizeof *many);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mproc_semaphore_init(&many[i], 2, 0), 0);
    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < HOLDING_COUNT; i++)
            assert_int_equal(mproc_semaphore_acquire(&many[i], MPROC_FOREVER), 0);
        for (int i = HOLDING_COUNT; i < MANY; i++) {
            assert_int_equal(mproc_semaphore_acquire(&many[i], MPROC_FOREVER), -ENOSPC);
            assert_int_equal(mproc_semaphore_value(&many[i]), 2);
        }
        assert_int_equal(mproc_semaphore_acquire(&many[7], MPROC_FOREVER), 0);
        assert_int_equal(ledgers_units(), HOLDING_COUNT + 1);
        assert_int_equal(mproc_semaphore_release(&many[7], 2), 0);
        assert_int_equal(mproc_semaphore_acquire(&many[MANY - 1], MPROC_FOREVER), 0);
        assert_int_equal(mproc_semaphore_release(&many[MANY - 1], 1), 0);
        for (int i = 0; i < HOLDING_COUNT; i++)
            assert_int_equal(mproc_semaphore_release(&many[i], 1), 0);
        assert_int_equal(ledgers_units(), 0);
        assert_int_equal(mproc_semaphore_init(&many[7], 2, 0), 0);
    }
    discard(many, MANY * sizeof *many);
}

static void what_was_held_of_freed_semaphores_takes_no_room(void **state)
{
    (void)state;
    for (int round = 0; round < 2; round++) {
        mproc_semaphore *many = shared(HOLDING_COUNT * sizeof *many);
        for (int i = 0; i < HOLDING_COUNT; i++) {
            assert_int_equal(mproc_semaphore_init(&many[i], 1, 0), 0);
            assert_int_equal(mproc_semaphore_acquire(&many[i], MPROC_FOREVER), 0);
        }
        discard(many, HOLDING_COUNT * sizeof *many);
    }
    struct stage *stage = make(1, 0);
    assert_int_equal(try_acquire(stage), 0);
    assert_int_equal(release(stage), 0);
    discard(stage, sizeof *stage);
}

static void a_sweep_does_not_touch_what_came_after_a_freed_semaphore(void **state)
{
    (void)state;
    struct stage *stage = make(4, 0);
    pid_t holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    child_kill(holder);
    assert_int_equal(mproc_semaphore_init(&stage->semaphore, 7, 0), 0);
    member_sweep_all();
    assert_int_equal(value(stage), 7);
    assert_int_equal(ledgers_units(), 0);

    atomic_store(&stage->ready, 0);
    holder = child_start(hold_three, stage);
    await_value(&stage->ready, 1);
    child_kill(holder);
    memset(stage, 0xa5, sizeof *stage);
    member_sweep_all();
    for (size_t i = 0; i < sizeof *stage; i++)
        assert_int_equal(((unsigned char *)stage)[i], 0xa5);
    assert_int_equal(ledgers_units(), 0);
    discard(stage, sizeof *stage);
}

/* While another thread is at its operation, one waits, and goes on when that is over. White box. */
static void wait_for_a_thread(void *arg)
{
    struct stage *stage = arg;
    pthread_t thread;
    struct holding *holding = holding_at(member_slot(member_self()), holding_place((void *)&stage->semaphore));
    uint64_t number = holding_try_enter(holding);
    assert_true(number > 0);
    atomic_store(&holding->cell.word, 0);
    assert_int_equal(pthread_create(&thread, NULL, acquire_and_release, stage), 0);
    while (!(atomic_load(&holding->cell.word) & WAIT_CELL_SLEEPERS))
        usleep(100);
    usleep(3000);
    operation_cancel((struct operation){holding, number});
    assert_int_equal(pthread_join(thread, NULL), 0);
}

static void a_thread_waits_for_the_operation_of_another_no_longer_than_it_takes(void **state)
{
    (void)state;
    struct stage *stage = make(1, 0);
    acquire_and_release(stage);
    assert_true(shortest(wait_for_a_thread, stage) < MPROC_MS(40).nanoseconds);
    assert_int_equal(value(stage), 1);
    discard(stage, sizeof *stage);
}

/* ---- many at once ---- */

enum {
    ROUNDS = 5000
};

/* No more than two at a time are inside. */
static int go_in_and_out(void *arg)
{
    struct stage *stage = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (acquire(arg))
            return 1;
        int inside = atomic_fetch_add(&stage->inside, 1) + 1;
        if (inside > atomic_load(&stage->most))
            atomic_store(&stage->most, inside);
        atomic_fetch_sub(&stage->inside, 1);
        if (release(arg))
            return 2;
    }
    return 0;
}

static int go_in_and_out_by_threads(void *arg)
{
    threads_run(go_in_and_out, arg, 3);
    return 0;
}

static void processes_and_threads_count_exactly(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct stage *stage = make(2, flags);
        children_run(go_in_and_out, stage, 4);
        threads_run(go_in_and_out, stage, 4);
        children_run(go_in_and_out_by_threads, stage, 2);
        assert_in_range(atomic_load(&stage->most), 1, 2);
        assert_int_equal(value(stage), 2);
        member_sweep_all();
        assert_int_equal(value(stage), 2);
        assert_int_equal(ledgers_units(), 0);
        discard(stage, sizeof *stage);
    }
}

/* A semaphore as a lock, for the sanitizer of threads: what it guards is no atomic. */
struct guarded {
    mproc_semaphore semaphore;
    long count;
};

static int count_up(void *arg)
{
    struct guarded *guarded = arg;
    for (int i = 0; i < ROUNDS; i++) {
        if (mproc_semaphore_acquire(&guarded->semaphore, MPROC_SEC(20)))
            return 1;
        guarded->count++;
        if (mproc_semaphore_release(&guarded->semaphore, 1))
            return 2;
    }
    return 0;
}

static void a_unit_passes_on_what_was_done_with_it(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags++) {
        struct guarded *guarded = shared(sizeof *guarded);
        assert_int_equal(mproc_semaphore_init(&guarded->semaphore, 1, flags), 0);
        threads_run(count_up, guarded, 4);
        children_run(count_up, guarded, 2);
        assert_int_equal(guarded->count, 6 * ROUNDS);
        shared_free(guarded);
    }
}

static int produce(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        if (release(arg))
            return 1;
    return 0;
}

static int consume(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        if (acquire(arg))
            return 1;
    return 0;
}

static void no_signal_is_lost(void **state)
{
    (void)state;
    for (unsigned flags = 0; flags < 4; flags += MPROC_SEMAPHORE_SIGNAL) {
        struct stage *stage = make(0, flags);
        pid_t consumers[2] = {child_start(consume, stage), child_start(consume, stage)};
        children_run(produce, stage, 2);
        assert_int_equal(child_finish(consumers[0]), 0);
        assert_int_equal(child_finish(consumers[1]), 0);
        member_sweep_all();
        assert_int_equal(value(stage),
                         flags & MPROC_SEMAPHORE_SIGNAL ? 0 : 2 * ROUNDS); /* units of the dead come back */
        discard(stage, sizeof *stage);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_semaphore_must_be_in_shared_memory_and_set_up),
        unit(bad_arguments_change_nothing),
        unit(units_are_taken_and_given_back),
        unit(a_release_is_all_or_nothing),
        unit(a_wait_ends_at_its_timeout),
        unit(a_release_wakes_at_once_as_many_as_it_has_units),
        unit(units_of_a_killed_process_come_back),
        unit(units_of_a_killed_process_do_not_exceed_the_bound),
        unit(events_of_a_killed_process_do_not_come_back),
        unit(who_leaves_in_good_order_gives_back_at_once),
        unit(a_sleeping_waiter_gets_what_a_killed_process_held),
        unit(who_asks_again_and_again_gets_what_a_killed_process_held),
        unit(who_asks_for_the_value_again_and_again_sees_what_a_killed_process_held),
        unit(a_waiter_that_is_killed_when_it_was_woken_strands_nobody),
        unit(a_process_that_holds_nothing_adds_a_unit),
        unit(a_process_that_gives_back_more_than_it_holds_adds_the_rest),
        unit(a_fork_child_does_not_hold_what_its_parent_holds),
        unit(so_many_semaphores_can_be_held_and_no_more),
        unit(what_was_held_of_freed_semaphores_takes_no_room),
        unit(a_sweep_does_not_touch_what_came_after_a_freed_semaphore),
        unit(a_thread_waits_for_the_operation_of_another_no_longer_than_it_takes),
        unit(processes_and_threads_count_exactly),
        unit(a_unit_passes_on_what_was_done_with_it),
        unit(no_signal_is_lost),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
