/* Members and the lock that knows its owner: who lives is what the kernel says, what the dead held goes on. */
#include "arena/heap.h"
#include "arena/layout.h"
#include "arena/ledger.h"
#include "arena/member.h"
#include "arena/owner_lock.h"
#include "harness.h"
#include "os/clock.h"
#include "os/memory.h"
#include <errno.h>
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

struct shared {
    struct owner_lock lock;
    _Atomic(member_owner) owner;
    _Atomic(int) step;
    long count;
};
static struct shared *shared;

static int begin(void **state)
{
    int result = books_open(state);
    shared = mproc_calloc(1, sizeof *shared);
    return result || !shared;
}

static int end(void **state)
{
    mproc_free(shared);
    member_sweep_all();
    return books_check(state);
}

static pid_t start(void (*run)(void))
{
    pid_t pid = fork();
    if (pid == 0) {
        run();
        _exit(0);
    }
    assert_true(pid > 0);
    return pid;
}

static void end_child(pid_t pid, int signal)
{
    if (signal)
        kill(pid, signal);
    assert_int_equal(waitpid(pid, NULL, 0), pid);
}

static bool has_step(void *step)
{
    return atomic_load(&shared->step) == *(int *)step;
}

static void await(int step)
{
    assert_true(wait_until(has_step, &step, 20000));
}

static void stay(void)
{
    atomic_store(&shared->owner, member_self());
    atomic_store(&shared->step, 1);
    for (;;)
        pause();
}

static void a_fork_child_is_a_member_of_its_own(void **state)
{
    (void)state;
    pid_t pid = start(stay);
    await(1);
    assert_true(shared->owner != 0 && shared->owner != member_self());
    assert_int_equal(member_at(member_slot(shared->owner))->pid, pid);
    end_child(pid, SIGKILL);
}

static void a_member_is_dead_when_the_kernel_says_so_and_not_before(void **state)
{
    (void)state;
    pid_t pid = start(stay);
    await(1);
    assert_false(member_is_dead(shared->owner));
    assert_false(member_is_dead(member_self()));
    kill(pid, SIGSTOP);
    assert_int_equal(waitpid(pid, NULL, WUNTRACED), pid);
    assert_false(member_is_dead(shared->owner));
    kill(pid, SIGKILL);
    siginfo_t info;
    assert_int_equal(waitid(P_PID, (id_t)pid, &info, WEXITED | WNOWAIT), 0);
    assert_true(member_is_dead(shared->owner)); /* a zombie holds nothing any more */
    end_child(pid, 0);
}

static void a_swept_slot_is_used_again_by_another_generation(void **state)
{
    (void)state;
    pid_t pid = start(stay);
    await(1);
    member_owner first = shared->owner;
    end_child(pid, SIGKILL);
    member_sweep(first);
    atomic_store(&shared->step, 0);
    pid = start(stay);
    await(1);
    assert_int_equal(member_slot(shared->owner), member_slot(first));
    assert_true(shared->owner >> 32 > first >> 32);
    assert_true(member_is_dead(first));
    assert_false(member_is_dead(shared->owner));
    end_child(pid, SIGKILL);
}

static void a_living_member_is_not_swept(void **state)
{
    (void)state;
    pid_t pid = start(stay);
    await(1);
    member_sweep(shared->owner);
    member_sweep(member_self());
    member_sweep(0);
    assert_false(member_is_dead(shared->owner));
    end_child(pid, SIGKILL);
}

static void leave_and_join_again(void)
{
    member_owner first = member_self();
    member_leave();
    bool left = member_current() == 0 && member_is_dead(first);
    member_owner second = member_self();
    atomic_store(&shared->step, left && second && second != first ? 1 : 2);
}

static void a_member_that_left_may_join_again(void **state)
{
    (void)state;
    end_child(start(leave_and_join_again), 0);
    assert_int_equal(shared->step, 1);
}

static void take_and_stay(void)
{
    owner_lock_acquire(&shared->lock, OS_FOREVER);
    stay();
}

static void take_and_leave(void)
{
    owner_lock_acquire(&shared->lock, OS_FOREVER);
    member_leave();
}

static void a_killed_owner_passes_the_lock_on_and_it_is_told_once(void **state)
{
    (void)state;
    pid_t pid = start(take_and_stay);
    await(1);
    assert_true(owner_lock_is_held(&shared->lock));
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(owner_lock_release(&shared->lock), -EPERM);
    end_child(pid, SIGKILL);
    assert_false(owner_lock_is_held(&shared->lock));
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_NOWAIT), MPROC_OWNER_DIED);
    assert_int_equal(owner_lock_release(&shared->lock), 0);
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_NOWAIT), 0);
    assert_int_equal(owner_lock_release(&shared->lock), 0);
    assert_int_equal(owner_lock_release(&shared->lock), -EPERM);
}

static void leaving_with_a_lock_is_a_death_to_the_lock(void **state)
{
    (void)state;
    end_child(start(take_and_leave), 0);
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_NOWAIT), MPROC_OWNER_DIED);
    assert_int_equal(owner_lock_release(&shared->lock), 0);
}

static void wait_and_tell(void)
{
    atomic_store(&shared->step, 2);
    int result = owner_lock_acquire(&shared->lock, OS_SEC(20));
    atomic_store(&shared->step, 10 + result);
    owner_lock_release(&shared->lock);
}

static void one_that_sleeps_gets_the_lock_of_the_dead(void **state)
{
    (void)state;
    pid_t holder = start(take_and_stay);
    await(1);
    pid_t waiter = start(wait_and_tell);
    await(2);
    end_child(holder, SIGKILL);
    await(10 + MPROC_OWNER_DIED);
    end_child(waiter, 0);
}

static void a_lost_wakeup_costs_no_more_than_a_tick(void **state)
{
    (void)state;
    assert_int_equal(owner_lock_acquire(&shared->lock, OS_FOREVER), 0);
    pid_t waiter = start(wait_and_tell);
    await(2);
    atomic_store(&shared->lock.word, 0); /* free, and nobody is woken */
    await(10);
    end_child(waiter, 0);
}

static void count_up(void)
{
    for (int i = 0; i < 20000; i++) {
        if (owner_lock_acquire(&shared->lock, OS_SEC(60)))
            _exit(1);
        shared->count++;
        owner_lock_release(&shared->lock);
    }
}

static void one_at_a_time_holds_the_lock(void **state)
{
    (void)state;
    pid_t pids[4];
    for (int i = 0; i < 4; i++)
        pids[i] = start(count_up);
    for (int i = 0; i < 4; i++)
        end_child(pids[i], 0);
    assert_int_equal(shared->count, 80000);
}

static void *count_up_in_thread(void *arg)
{
    count_up();
    return arg;
}

static void threads_exclude_each_other_too(void **state)
{
    (void)state;
    pthread_t threads[3];
    for (int i = 0; i < 3; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, count_up_in_thread, NULL), 0);
    for (int i = 0; i < 3; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(shared->count, 60000);
}

static void take_in_custody_and_die(void)
{
    struct custody *custody = &ledger_at(member_slot(member_self()))->custody[3];
    void *block = mproc_alloc(1 << 20);
    atomic_store(&shared->owner, member_self());
    atomic_store(&custody->block, (uintptr_t)block); /* as if killed before mproc_alloc() returned */
    raise(SIGKILL);
}

static void what_a_dead_member_had_not_published_is_freed(void **state)
{
    (void)state;
    size_t before = heap_allocated();
    end_child(start(take_in_custody_and_die), 0);
    assert_int_equal(heap_allocated(), before + (1 << 20));
    member_sweep_all();
    assert_int_equal(heap_allocated(), before);
}

/* Be the sweeper of the member in shared->owner for a moment, or until killed. */
static void hold_the_sweep(bool for_ever)
{
    atomic_store(&member_at(member_slot(atomic_load(&shared->owner)))->sweeper, member_self());
    atomic_store(&shared->step, 2);
    if (!for_ever) {
        usleep(5000);
        _exit(0);
    }
    for (;;)
        pause();
}

static void hold_the_sweep_for_a_moment(void)
{
    hold_the_sweep(false);
}

static void hold_the_sweep_for_ever(void)
{
    hold_the_sweep(true);
}

static void a_sweep_waits_for_another_process_that_is_at_it(void **state)
{
    (void)state;
    size_t before = heap_allocated();
    for (int round = 0; round < 2; round++) {
        end_child(start(take_in_custody_and_die), 0);
        assert_int_equal(heap_allocated(), before + (1 << 20));
        atomic_store(&shared->step, 0);
        pid_t sweeper = start(round ? hold_the_sweep_for_ever : hold_the_sweep_for_a_moment);
        await(2);
        int64_t begun = os_now();
        member_sweep_all();
        if (round) { /* it does not wait for ever */
            assert_int_equal(heap_allocated(), before + (1 << 20));
            assert_true(os_now() - begun >= OS_MS(20));
            end_child(sweeper, SIGKILL);
            member_sweep_all();
        }
        assert_int_equal(heap_allocated(), before);
        if (!round)
            end_child(sweeper, 0);
    }
}

static void join_and_exit(void)
{
    if (!member_self())
        _exit(1);
}

static void slots_are_not_used_up(void **state)
{
    (void)state;
    unsigned most = 0;
    for (int i = 0; i < 300; i++) {
        atomic_store(&shared->step, 0);
        pid_t pid = start(i % 2 ? stay : join_and_exit);
        if (i % 2)
            await(1);
        end_child(pid, i % 2 ? SIGKILL : 0);
        member_sweep_all();
        if (i % 2 && member_slot(shared->owner) > most)
            most = member_slot(shared->owner);
    }
    assert_true(most < 8);
}

/* ---- a full table ---- */

#define ORDINARY 8 /* slots that the table has in these tests, but for the reserve */

static int begin_with_small_table(void **state)
{
    int result = begin(state);
    atomic_store(&arena_header()->reserve_begin, ORDINARY);
    return result;
}

static int end_with_small_table(void **state)
{
    atomic_store(&arena_header()->reserve_begin, 0);
    return end(state);
}

static void join_and_tell(void)
{
    int result = member_join();
    atomic_store(&shared->owner, member_current());
    atomic_store(&shared->step, 10 - result);
    if (!result)
        raise(SIGKILL);
}

/* Nobody sweeps but those who come. */
static void the_dead_do_not_fill_the_table(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * ORDINARY; i++) {
        atomic_store(&shared->step, 0);
        end_child(start(join_and_tell), 0);
        assert_int_equal(atomic_load(&shared->step), 10);
        assert_true(member_slot(atomic_load(&shared->owner)) < ORDINARY);
    }
}

static void the_living_fill_the_table_and_the_next_is_told(void **state)
{
    (void)state;
    pid_t living[ORDINARY - 1];
    for (int i = 0; i < ORDINARY - 1; i++) {
        atomic_store(&shared->step, 0);
        living[i] = start(stay);
        await(1);
    }
    for (int i = 0; i < 70; i++) { /* more often than the reserve has slots */
        atomic_store(&shared->step, 0);
        end_child(start(join_and_tell), 0);
        assert_int_equal(atomic_load(&shared->step), 10 + EAGAIN);
    }
    end_child(living[3], SIGKILL);
    atomic_store(&shared->step, 0);
    end_child(start(join_and_tell), 0);
    assert_int_equal(atomic_load(&shared->step), 10);
    for (int i = 0; i < ORDINARY - 1; i++)
        if (i != 3)
            end_child(living[i], SIGKILL);
}

static void *wait_for_end(void *arg)
{
    pause();
    return arg;
}

static void join_beside_a_thread(void)
{
    pthread_t thread;
    if (pthread_create(&thread, NULL, wait_for_end, NULL))
        _exit(1);
    join_and_tell();
}

/* It cannot change its slot, for another thread may hold something already. */
static void a_joiner_with_threads_stays_where_it_swept(void **state)
{
    (void)state;
    for (int i = 0; i < 3 * ORDINARY; i++) {
        atomic_store(&shared->step, 0);
        end_child(start(join_beside_a_thread), 0);
        assert_int_equal(atomic_load(&shared->step), 10);
        assert_true(member_slot(atomic_load(&shared->owner)) <= ORDINARY + 1);
    }
}

static void a_table_that_grows_is_swept_now_and_then(void **state)
{
    (void)state;
    unsigned most = 0;
    for (int i = 0; i < 150; i++) {
        end_child(start(join_and_tell), 0);
        if (member_slot(atomic_load(&shared->owner)) > most)
            most = member_slot(atomic_load(&shared->owner));
    }
    assert_true(most < 64);
}

#define small_table_test(fn) cmocka_unit_test_setup_teardown(fn, begin_with_small_table, end_with_small_table)
#define member_test(fn)      cmocka_unit_test_setup_teardown(fn, begin, end)

int main(void)
{
    const struct CMUnitTest tests[] = {
        member_test(a_fork_child_is_a_member_of_its_own),
        member_test(a_member_is_dead_when_the_kernel_says_so_and_not_before),
        member_test(a_swept_slot_is_used_again_by_another_generation),
        member_test(a_living_member_is_not_swept),
        member_test(a_member_that_left_may_join_again),
        member_test(a_killed_owner_passes_the_lock_on_and_it_is_told_once),
        member_test(leaving_with_a_lock_is_a_death_to_the_lock),
        member_test(one_that_sleeps_gets_the_lock_of_the_dead),
        member_test(a_lost_wakeup_costs_no_more_than_a_tick),
        member_test(one_at_a_time_holds_the_lock),
        member_test(threads_exclude_each_other_too),
        member_test(what_a_dead_member_had_not_published_is_freed),
        member_test(a_sweep_waits_for_another_process_that_is_at_it),
        member_test(slots_are_not_used_up),
        member_test(a_table_that_grows_is_swept_now_and_then),
        small_table_test(the_dead_do_not_fill_the_table),
        small_table_test(the_living_fill_the_table_and_the_next_is_told),
        small_table_test(a_joiner_with_threads_stays_where_it_swept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
