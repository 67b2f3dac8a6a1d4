/* Groups: waiting for any and for all, stopping on failure, and what a group is to its members. */
#include "children.h"
#include "groups.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <signal.h>
#include <sys/wait.h>

/* ---- waiting ---- */

static void all_that_return_0_are_a_success(void **state)
{
    int zero = 0;
    (void)state;
    mproc_group *group = make_group(false);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NOWAIT), 0);
    for (int i = 0; i < 5; i++)
        add_member(group, return_int, &zero);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_size(group), 0);
    assert_null(mproc_group_free(group));
}

static void one_that_does_not_is_a_failure(void **state)
{
    int zero = 0, three = 3;
    (void)state;
    mproc_group *group = make_group(false);
    add_member(group, return_int, &zero);
    add_member(group, return_int, &three);
    assert_int_equal(mproc_group_wait_all(group, MPROC_FOREVER), MPROC_TASK_FAILED);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NOWAIT), MPROC_TASK_FAILED);
    mproc_group_free(group);
}

static void a_wait_for_all_ends_in_time(void **state)
{
    (void)state;
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, sleep_for_ever, NULL);
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
    mproc_group *group = make_group(false);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), -ECHILD);
    for (int i = 0; i < 5; i++)
        members[i] = add_member(group, return_int, &codes[i]);
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
    add_member(group, return_int, &codes[0]);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), 0);
    mproc_group_free(group);
}

static void a_wait_for_any_ends_in_time(void **state)
{
    mproc_process *ended;
    (void)state;
    mproc_group *group = make_group(false);
    add_member(group, sleep_for_ever, NULL);
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
    mproc_group *group = make_group(false);
    for (int i = 0; i < 8; i++)
        add_member(group, return_int, &(int){0});
    threads_run(wait_for_one, group, 8);
    assert_int_equal(wait_for_one(group), -ECHILD);
    mproc_group_free(group);
}

static void a_failure_ends_the_rest(void **state)
{
    int codes[] = {0, 9};
    mproc_process *ended;
    (void)state;
    mproc_group *group = make_group(true);
    mproc_process *first = add_member(group, sleep_for_ever, NULL);
    add_member(group, return_int, &codes[0]);
    assert_int_equal(mproc_group_wait_any(group, &ended, MPROC_FOREVER), 0);
    assert_int_equal(mproc_group_size(group), 1); /* 0 is no failure */
    add_member(group, return_int, &codes[1]);
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
    mproc_group *group = make_group(true);
    mproc_process *first = add_member(group, ignore_term, ready);
    assert_true(await_word(ready));
    add_member(group, return_int, &nine);
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
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, return_int, &zero);
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
    mproc_group *group = make_group(false);
    pid_t pid = mproc_process_pid(add_member(group, ignore_term, ready));
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
    mproc_group *group = make_group(false);
    assert_int_equal(mproc_group_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_group_start(NULL, &process, sleep_for_ever, NULL, NULL), -EINVAL);
    assert_null(process);
    assert_int_equal(mproc_group_start(group, &process, NULL, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_group_start(group, &process, sleep_for_ever, NULL, &(mproc_process_options){.arg_size = 1}),
                     -EINVAL);
    assert_int_equal(mproc_group_wait_any(group, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_group_wait_any(NULL, &process, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_group_wait_any(group, &process, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_group_wait_all(NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_group_wait_all(group, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_group_terminate(NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_group_terminate(group, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_group_size(NULL), -EINVAL);
    assert_int_equal(mproc_group_size(group), 0);
    assert_null(mproc_group_free(NULL));
    mproc_group_free(group);
}

static int use_inherited_group(void *arg)
{
    mproc_group *group = arg;
    mproc_process *process;
    return mproc_group_wait_all(group, MPROC_NOWAIT) == MPROC_FOREIGN &&
                   mproc_group_wait_any(group, &process, MPROC_NOWAIT) == MPROC_FOREIGN &&
                   mproc_group_terminate(group, MPROC_NOWAIT) == MPROC_FOREIGN && mproc_group_size(group) == -EPERM &&
                   mproc_group_start(group, NULL, sleep_for_ever, NULL, NULL) == MPROC_FOREIGN
               ? 0
               : 1;
}

static void a_group_is_of_the_process_that_made_it(void **state)
{
    (void)state;
    mproc_group *group = make_group(false);
    mproc_process *process = add_member(group, sleep_for_ever, NULL);
    assert_int_equal(run(use_inherited_group, group, NULL), 0);
    assert_true(mproc_process_is_alive(process));
    assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    mproc_group_free(group);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(all_that_return_0_are_a_success), unit(one_that_does_not_is_a_failure),
        unit(a_wait_for_all_ends_in_time),     unit(each_end_is_told_once),
        unit(a_wait_for_any_ends_in_time),     unit(threads_may_wait_at_once),
        unit(a_failure_ends_the_rest),         unit(a_failure_ends_those_that_ignore_it),
        unit(a_handle_belongs_to_its_group),   unit(members_go_on_without_their_group),
        unit(bad_arguments_change_nothing),    unit(a_group_is_of_the_process_that_made_it),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
