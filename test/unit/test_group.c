/* Groups: waiting for any and for all, stopping on failure, and the end of everything that descends from a group. */
#include "children.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

static mproc_group *make(bool stop_on_failure)
{
    mproc_group *group;
    assert_int_equal(mproc_group_create(&group, &(mproc_group_options){.stop_on_failure = stop_on_failure}), 0);
    return group;
}

static mproc_process *add(mproc_group *group, mproc_target *fn, void *arg)
{
    mproc_process *process;
    assert_int_equal(mproc_group_start(group, &process, fn, arg, NULL), 0);
    return process;
}

/* ---- waiting ---- */

static void all_that_return_0_are_a_success(void **state)
{
    int zero = 0;
    (void)state;
    mproc_group *group = make(false);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NOWAIT), 0);
    for (int i = 0; i < 5; i++)
        add(group, return_int, &zero);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_size(group), 0);
    assert_null(mproc_group_free(group));
}

static void one_that_does_not_is_a_failure(void **state)
{
    int zero = 0, three = 3;
    (void)state;
    mproc_group *group = make(false);
    add(group, return_int, &zero);
    add(group, return_int, &three);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), MPROC_TASK_FAILED);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NOWAIT), MPROC_TASK_FAILED);
    mproc_group_free(group);
}

static void a_wait_for_all_ends_in_time(void **state)
{
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, sleep_for_ever, NULL);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_group_wait_all(group, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_int_equal(mproc_group_size(group), 1);
    mproc_process_kill(process);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), MPROC_TASK_FAILED);
    mproc_group_free(group);
}

static void each_end_is_told_once(void **state)
{
    int codes[] = {0, 1, 2, 3, 4};
    mproc_process *members[5], *ended;
    bool told[5] = {false};
    (void)state;
    mproc_group *group = make(false);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), -ECHILD);
    for (int i = 0; i < 5; i++)
        members[i] = add(group, return_int, &codes[i]);
    for (int i = 0; i < 5; i++) {
        int exitcode;
        assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), 0);
        assert_int_equal(mproc_process_exitcode(ended, &exitcode), 0);
        assert_ptr_equal(members[exitcode], ended);
        assert_false(told[exitcode]);
        told[exitcode] = true;
    }
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), -ECHILD);
    assert_null(ended);
    add(group, return_int, &codes[0]);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), 0);
    mproc_group_free(group);
}

static void a_wait_for_any_ends_in_time(void **state)
{
    mproc_process *ended;
    (void)state;
    mproc_group *group = make(false);
    add(group, sleep_for_ever, NULL);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_NOWAIT), 0);
    mproc_group_free(group);
}

static int wait_for_one(void *arg)
{
    mproc_process *ended;
    return mproc_group_wait_any(arg, &ended, MPROC_FOREVER);
}

static void threads_may_wait_at_once(void **state)
{
    (void)state;
    mproc_group *group = make(false);
    for (int i = 0; i < 8; i++)
        add(group, return_int, &(int){0});
    threads_run(wait_for_one, group, 8);
    assert_int_equal(wait_for_one(group), -ECHILD);
    mproc_group_free(group);
}

static void a_failure_ends_the_rest(void **state)
{
    int codes[] = {0, 9};
    mproc_process *ended;
    (void)state;
    mproc_group *group = make(true);
    mproc_process *first = add(group, sleep_for_ever, NULL);
    add(group, return_int, &codes[0]);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_size(group), 1); /* 0 is no failure */
    add(group, return_int, &codes[1]);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), MPROC_TASK_FAILED);
    int exitcode;
    assert_int_equal(mproc_process_exitcode(first, &exitcode), 0);
    assert_int_equal(exitcode, -SIGTERM);
    mproc_group_free(group);
}

static int ignore_term(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    atomic_store((_Atomic(int) *)arg, 1);
    return sleep_for_ever(NULL);
}

static void a_failure_ends_those_that_ignore_it(void **state)
{
    _Atomic(int) *ready = shared(sizeof *ready);
    int nine = 9, exitcode;
    (void)state;
    mproc_group *group = make(true);
    mproc_process *first = add(group, ignore_term, ready);
    assert_true(await_word(ready));
    add(group, return_int, &nine);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), MPROC_TASK_FAILED);
    assert_int_equal(mproc_process_exitcode(first, &exitcode), 0);
    assert_int_equal(exitcode, -SIGKILL);
    mproc_group_free(group);
    shared_free(ready);
}

/* ---- members ---- */

static void a_handle_belongs_to_its_group(void **state)
{
    int zero = 0;
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, return_int, &zero);
    assert_null(mproc_process_free(process));
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_start(group, NULL, return_int, &zero, NULL), 0);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    mproc_group_free(group);
    assert_int_equal(mproc_process_join(process, MPROC_NOWAIT), -EINVAL);
}

static void members_go_on_without_their_group(void **state)
{
    _Atomic(int) *ready = shared(sizeof *ready);
    (void)state;
    mproc_group *group = make(false);
    pid_t pid = mproc_process_pid(add(group, ignore_term, ready));
    assert_true(await_word(ready));
    mproc_group_free(group);
    assert_false(is_gone(pid));
    kill(pid, SIGKILL);
    assert_true(await_gone(pid));
    assert_int_equal(run(return_int, &(int){0}, NULL), 0); /* a start reaps it */
    assert_int_equal(waitpid(pid, NULL, WNOHANG), -1);
    shared_free(ready);
}

static void bad_arguments_change_nothing(void **state)
{
    mproc_process *process = (mproc_process *)&process;
    (void)state;
    mproc_group *group = make(false);
    assert_int_equal(mproc_group_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_group_start(NULL, &process, sleep_for_ever, NULL, NULL), -EINVAL);
    assert_null(process);
    assert_int_equal(mproc_group_start(group, &process, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_group_start(group, &process, sleep_for_ever, NULL, &(mproc_process_options){.arg_size = 1}),
                     -EINVAL);
    assert_int_equal(mproc_group_wait_any(group, NULL, 0), -EINVAL);
    assert_int_equal(mproc_group_wait_any(NULL, &process, 0), -EINVAL);
    assert_int_equal(mproc_group_wait_any(group, &process, -2), -EINVAL);
    assert_int_equal(mproc_group_wait_all(NULL, 0), -EINVAL);
    assert_int_equal(mproc_group_wait_all(group, -2), -EINVAL);
    assert_int_equal(mproc_group_terminate(NULL, 0), -EINVAL);
    assert_int_equal(mproc_group_terminate(group, -2), -EINVAL);
    assert_int_equal(mproc_group_size(NULL), -EINVAL);
    assert_int_equal(mproc_group_size(group), 0);
    assert_null(mproc_group_free(NULL));
    mproc_group_free(group);
}

static int use_inherited_group(void *arg)
{
    mproc_group *group = arg;
    mproc_process *process;
    return mproc_group_wait_all(group, 0) == -ECHILD && mproc_group_wait_any(group, &process, 0) == -ECHILD &&
                   mproc_group_terminate(group, 0) == -ECHILD && mproc_group_size(group) == -ECHILD &&
                   mproc_group_start(group, NULL, sleep_for_ever, NULL, NULL) == -ECHILD
               ? 0
               : 1;
}

static void a_group_is_of_the_process_that_made_it(void **state)
{
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, sleep_for_ever, NULL);
    assert_int_equal(run(use_inherited_group, group, NULL), 0);
    assert_true(mproc_process_is_alive(process));
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    mproc_group_free(group);
}

/* ---- the end of all ---- */

/* The pids of a family tree, noted by its members themselves. */
struct tree_pids {
    _Atomic(int) count;
    _Atomic(int) pids[256];
};

static void note(struct tree_pids *tree)
{
    int place = atomic_fetch_add(&tree->count, 1);
    if (place < 256)
        atomic_store(&tree->pids[place], getpid());
}

static bool has_noted(void *arg)
{
    const struct tree_pids *tree = ((void **)arg)[0];
    const int *count = ((void **)arg)[1];
    return atomic_load(&tree->count) >= *count && atomic_load(&tree->pids[*count - 1]);
}

static void await_notes(struct tree_pids *tree, int count)
{
    void *both[] = {tree, &count};
    assert_true(wait_until(has_noted, both, PATIENCE_MS));
}

/* The members are reaped, the others may be zombies of whoever reaps orphans here. */
static void expect_all_gone(struct tree_pids *tree)
{
    int count = atomic_load(&tree->count);
    for (int i = 0; i < count && i < 256; i++)
        assert_true(is_gone(tree->pids[i]));
}

static int note_and_sleep(void *arg)
{
    note(arg);
    return sleep_for_ever(NULL);
}

static int note_and_ignore(void *arg)
{
    signal(SIGTERM, SIG_IGN);
    return note_and_sleep(arg);
}

static int note_and_return_at_term(void *arg)
{
    sigset_t term;
    int number;
    sigemptyset(&term);
    sigaddset(&term, SIGTERM);
    sigprocmask(SIG_BLOCK, &term, NULL);
    note(arg);
    sigwait(&term, &number);
    return 8;
}

static void members_may_end_by_themselves(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    int exitcode;
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, note_and_return_at_term, tree);
    await_notes(tree, 1);
    assert_int_equal(mproc_group_terminate(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 8);
    mproc_group_free(group);
    shared_free(tree);
}

static void members_that_ignore_it_are_killed_after_a_grace(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    int exitcode;
    (void)state;
    mproc_group *group = make(false);
    mproc_process *stubborn = add(group, note_and_ignore, tree);
    mproc_process *obedient = add(group, note_and_sleep, tree);
    await_notes(tree, 2);
    assert_int_equal(mproc_group_terminate(group, MPROC_MS(50)), 0);
    assert_int_equal(mproc_process_exitcode(stubborn, &exitcode), 0);
    assert_int_equal(exitcode, -SIGKILL);
    assert_int_equal(mproc_process_exitcode(obedient, &exitcode), 0);
    assert_int_equal(exitcode, -SIGTERM);
    mproc_group_free(group);
    shared_free(tree);
}

/* Descendants of every kind: by the library and by hand, that ignore SIGTERM, and in sessions of their own. */
static int grow(void *arg)
{
    struct tree_pids *tree = arg;
    signal(SIGTERM, SIG_IGN);
    start(note_and_ignore, tree, NULL);
    for (int i = 0; i < 2; i++) {
        if (fork() == 0) {
            if (i)
                setsid();
            if (fork() == 0)
                _exit(note_and_sleep(tree));
            _exit(note_and_ignore(tree));
        }
    }
    return note_and_sleep(tree);
}

static void all_descendants_end(void **state)
{
    (void)state;
    for (int grace = 0; grace < 2; grace++) {
        struct tree_pids *tree = shared(sizeof *tree);
        mproc_group *group = make(false);
        for (int i = 0; i < 3; i++)
            add(group, grow, tree);
        await_notes(tree, 18);
        assert_int_equal(mproc_group_terminate(group, grace ? MPROC_MS(30) : MPROC_NOWAIT), 0);
        expect_all_gone(tree);
        mproc_group_free(group);
        shared_free(tree);
    }
}

/* Daemons in the old way: a new session, and their parents are gone. By exec, they have the group in their environment.
 * What they are called with is said by no other process. */
struct orphans {
    char first[32];
    char second[32];
};

static int make_orphans(void *arg)
{
    const struct orphans *orphans = arg;
    char command[128];
    snprintf(command, sizeof command, "setsid sleep %s & true", orphans->first);
    if (system(command))
        return 1;
    if (fork() == 0) {
        setsid();
        if (fork() == 0) {
            execlp("sleep", "sleep", orphans->second, NULL);
            _exit(1);
        }
        _exit(0);
    }
    return sleep_for_ever(NULL);
}

static int count_sleepers(const char *argument)
{
    char command[128];
    int count = -1;
    snprintf(command, sizeof command, "pgrep -fxc 'sleep %s'", argument);
    FILE *output = popen(command, "r");
    if (fscanf(output, "%d", &count) != 1)
        count = -1;
    pclose(output);
    return count;
}

static bool both_sleep(void *arg)
{
    const struct orphans *orphans = arg;
    return count_sleepers(orphans->first) == 1 && count_sleepers(orphans->second) == 1;
}

static void orphans_that_were_executed_end_too(void **state)
{
    struct orphans *orphans = shared(sizeof *orphans);
    (void)state;
    snprintf(orphans->first, sizeof orphans->first, "1000.%d", (int)getpid());
    snprintf(orphans->second, sizeof orphans->second, "1001.%d", (int)getpid());
    mproc_group *group = make(false);
    add(group, make_orphans, orphans);
    assert_true(wait_until(both_sleep, orphans, PATIENCE_MS));
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    assert_int_equal(count_sleepers(orphans->first), 0);
    assert_int_equal(count_sleepers(orphans->second), 0);
    mproc_group_free(group);
    shared_free(orphans);
}

/* An orphan of the library: a member of the family with the group's mark. */
static int start_and_die(void *arg)
{
    struct tree_pids *tree = arg;
    start(note_and_ignore, tree, NULL);
    await_notes(tree, 1);
    raise(SIGKILL);
    return 0;
}

static void orphans_that_the_library_started_end_too(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, start_and_die, tree);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_false(is_gone(tree->pids[0]));
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    expect_all_gone(tree);
    mproc_group_free(group);
    shared_free(tree);
}

/* Makes a new copy of itself all the time, and ends the old one. */
static int hop(void *arg)
{
    struct tree_pids *tree = arg;
    note(tree);
    for (;;) {
        pid_t next = fork();
        if (next > 0)
            waitpid(next, NULL, 0);
        if (next == 0 && atomic_load(&tree->count) > 200)
            return sleep_for_ever(NULL);
        if (next == 0)
            note(tree);
    }
}

static void a_group_that_keeps_forking_ends(void **state)
{
    (void)state;
    for (int i = 0; i < 3; i++) {
        struct tree_pids *tree = shared(sizeof *tree);
        mproc_group *group = make(false);
        for (int k = 0; k < 3; k++)
            add(group, hop, tree);
        await_notes(tree, 30);
        assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
        expect_all_gone(tree);
        mproc_group_free(group);
        shared_free(tree);
    }
}

/* Forks when it is asked to end. */
static int fork_at_term(void *arg)
{
    note_and_return_at_term(arg);
    if (fork() == 0)
        _exit(note_and_ignore(arg));
    sleep_for_ever(NULL);
    return 0;
}

static void those_that_are_made_during_the_grace_end(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    mproc_group *group = make(false);
    add(group, fork_at_term, tree);
    await_notes(tree, 1);
    assert_int_equal(mproc_group_terminate(group, MPROC_MS(100)), 0);
    assert_int_equal(atomic_load(&tree->count), 2);
    expect_all_gone(tree);
    mproc_group_free(group);
    shared_free(tree);
}

/* As fork_at_term(), but it ends a little later, and so the other has no parent when the grace is over. */
static int fork_at_term_and_end(void *arg)
{
    note_and_return_at_term(arg);
    if (fork() == 0)
        _exit(note_and_ignore(arg));
    usleep(200000);
    _exit(0);
}

static void those_that_are_made_during_the_grace_end_without_their_parents_too(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    mproc_group *group = make(false);
    add(group, fork_at_term_and_end, tree);
    await_notes(tree, 1);
    assert_int_equal(mproc_group_terminate(group, MPROC_MS(500)), 0);
    assert_int_equal(atomic_load(&tree->count), 2);
    expect_all_gone(tree);
    mproc_group_free(group);
    shared_free(tree);
}

static int make_inner_group(void *arg)
{
    struct tree_pids *tree = arg;
    mproc_group *group = make(false);
    add(group, note_and_ignore, tree);
    await_notes(tree, 1);
    raise(SIGKILL); /* and so the inner member is an orphan */
    return 0;
}

static void a_group_within_a_group_ends_with_it(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    mproc_group *group = make(false);
    mproc_process *process = add(group, make_inner_group, tree);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_false(is_gone(tree->pids[0]));
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    expect_all_gone(tree);
    mproc_group_free(group);
    shared_free(tree);
}

static void others_are_left_alone(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    struct tree_pids *others = shared(sizeof *others);
    (void)state;
    mproc_group *group = make(false), *second = make(false);
    add(group, note_and_sleep, tree);
    mproc_process *member = add(second, note_and_sleep, others);
    mproc_process *loner = start(note_and_sleep, others, NULL);
    pid_t stranger = child_start(note_and_sleep, others);
    await_notes(tree, 1);
    await_notes(others, 3);
    assert_int_equal(mproc_group_terminate(group, MPROC_MS(50)), 0);
    expect_all_gone(tree);
    for (int i = 0; i < 3; i++)
        assert_false(is_gone(others->pids[i]));
    assert_true(mproc_process_is_alive(member));
    assert_int_equal(mproc_group_terminate(second, MPROC_NOWAIT), 0);
    child_kill(stranger);
    mproc_process_kill(loner);
    assert_int_equal(finish(loner), -SIGKILL);
    mproc_group_free(group);
    mproc_group_free(second);
    shared_free(others);
    shared_free(tree);
}

static void fresh_members_end_too(void **state)
{
    const enum mproc_start_method methods[] = {MPROC_START_SPAWN, MPROC_START_FORKSERVER};
    (void)state;
    for (size_t i = 0; i < 2; i++) {
        struct tree_pids *tree = shared(sizeof *tree);
        mproc_group *group = make(false);
        assert_int_equal(mproc_group_start(group, NULL, grow, tree, &(mproc_process_options){.method = methods[i]}), 0);
        await_notes(tree, 6);
        assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
        expect_all_gone(tree);
        mproc_group_free(group);
        shared_free(tree);
    }
}

static void a_stopped_member_ends(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    for (int grace = 0; grace < 2; grace++) {
        mproc_group *group = make(false);
        pid_t pid = mproc_process_pid(add(group, note_and_sleep, tree));
        await_notes(tree, 1 + grace);
        kill(pid, SIGSTOP);
        assert_int_equal(mproc_group_terminate(group, grace ? MPROC_FOREVER : MPROC_NOWAIT), 0);
        assert_int_equal(mproc_group_size(group), 0);
        mproc_group_free(group);
    }
    shared_free(tree);
}

static void an_ended_group_is_terminated_at_once(void **state)
{
    int zero = 0;
    (void)state;
    mproc_group *group = make(false);
    assert_int_equal(mproc_group_terminate(group, MPROC_FOREVER), 0);
    add(group, return_int, &zero);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_terminate(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    mproc_group_free(group);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(all_that_return_0_are_a_success),
        unit(one_that_does_not_is_a_failure),
        unit(a_wait_for_all_ends_in_time),
        unit(each_end_is_told_once),
        unit(a_wait_for_any_ends_in_time),
        unit(threads_may_wait_at_once),
        unit(a_failure_ends_the_rest),
        unit(a_failure_ends_those_that_ignore_it),
        unit(a_handle_belongs_to_its_group),
        unit(members_go_on_without_their_group),
        unit(bad_arguments_change_nothing),
        unit(a_group_is_of_the_process_that_made_it),
        unit(members_may_end_by_themselves),
        unit(members_that_ignore_it_are_killed_after_a_grace),
        unit(all_descendants_end),
        unit(orphans_that_were_executed_end_too),
        unit(orphans_that_the_library_started_end_too),
        unit(a_group_that_keeps_forking_ends),
        unit(those_that_are_made_during_the_grace_end),
        unit(those_that_are_made_during_the_grace_end_without_their_parents_too),
        unit(a_group_within_a_group_ends_with_it),
        unit(others_are_left_alone),
        unit(fresh_members_end_too),
        unit(a_stopped_member_ends),
        unit(an_ended_group_is_terminated_at_once),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
