/* The end of groups, with everything that descends from them. */
#include "children.h"
#include "groups.h"
#include "harness.h"
#include "processes.h"

#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

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
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, note_and_return_at_term, tree);
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
    mproc_group *group = make_group(false);
    mproc_process *stubborn = add_member(group, note_and_ignore, tree);
    mproc_process *obedient = add_member(group, note_and_sleep, tree);
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
        mproc_group *group = make_group(false);
        for (int i = 0; i < 3; i++)
            add_member(group, grow, tree);
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
    mproc_group *group = make_group(false);
    add_member(group, make_orphans, orphans);
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
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, start_and_die, tree);
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
        mproc_group *group = make_group(false);
        for (int k = 0; k < 3; k++)
            add_member(group, hop, tree);
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
    mproc_group *group = make_group(false);
    add_member(group, fork_at_term, tree);
    await_notes(tree, 1);
    assert_int_equal(mproc_group_terminate(group, MPROC_SEC(1)), 0);
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
    mproc_group *group = make_group(false);
    add_member(group, fork_at_term_and_end, tree);
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
    mproc_group *group = make_group(false);
    add_member(group, note_and_ignore, tree);
    await_notes(tree, 1);
    raise(SIGKILL); /* and so the inner member is an orphan */
    return 0;
}

static void a_group_within_a_group_ends_with_it(void **state)
{
    struct tree_pids *tree = shared(sizeof *tree);
    (void)state;
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, make_inner_group, tree);
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
    mproc_group *group = make_group(false), *second = make_group(false);
    add_member(group, note_and_sleep, tree);
    mproc_process *member = add_member(second, note_and_sleep, others);
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
        mproc_group *group = make_group(false);
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
        mproc_group *group = make_group(false);
        pid_t pid = mproc_process_pid(add_member(group, note_and_sleep, tree));
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
    mproc_group *group = make_group(false);
    assert_int_equal(mproc_group_terminate(group, MPROC_FOREVER), 0);
    add_member(group, return_int, &zero);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_terminate(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    mproc_group_free(group);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
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
