/* Processes by fork: exit codes, signals and ends, handles, and bad input. */
#include "children.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- exit codes ---- */

static int exit_with(void *arg)
{
    exit(*(int *)arg);
}

static int leave_at_once(void *arg)
{
    _exit(*(int *)arg);
}

static int raise_signal(void *arg)
{
    raise(*(int *)arg);
    return 0;
}

static int abort_it(void *arg)
{
    (void)arg;
    abort();
}

static void the_exit_code_is_what_the_target_returns(void **state)
{
    int codes[] = {0, 1, 3, 255};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_int_equal(run(return_int, &codes[i], NULL), codes[i]);
        assert_int_equal(run(exit_with, &codes[i], NULL), codes[i]);
        assert_int_equal(run(leave_at_once, &codes[i], NULL), codes[i]);
    }
}

static void the_kernel_keeps_the_low_8_bits(void **state)
{
    int codes[] = {256, -1, 0x1203};
    (void)state;
    for (size_t i = 0; i < sizeof codes / sizeof *codes; i++) {
        assert_int_equal(run(return_int, &codes[i], NULL), codes[i] & 0xff);
        assert_int_equal(run(exit_with, &codes[i], NULL), codes[i] & 0xff);
    }
}

static void the_exit_code_of_a_killed_process_is_minus_its_signal(void **state)
{
    int signals[] = {SIGKILL, SIGTERM, SIGUSR1};
    (void)state;
    for (size_t i = 0; i < sizeof signals / sizeof *signals; i++)
        assert_int_equal(run(raise_signal, &signals[i], NULL), -signals[i]);
    assert_int_equal(run(abort_it, NULL, NULL), -SIGABRT);
}

static void a_running_process_has_no_exit_code(void **state)
{
    int exitcode = 77;
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, NULL);
    assert_true(mproc_process_is_alive(process));
    assert_int_equal(mproc_process_exitcode(process, &exitcode), MPROC_RUNNING);
    assert_int_equal(exitcode, 77);
    assert_int_equal(mproc_process_join(process, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_process_join(process, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(mproc_process_kill(process), 0);
    assert_int_equal(finish(process), -SIGKILL);
}

/* ---- signals and ends ---- */

static void each_signal_does_what_it_is_called(void **state)
{
    int (*const calls[])(mproc_process *) = {mproc_process_terminate, mproc_process_kill, mproc_process_interrupt};
    int signals[] = {SIGTERM, SIGKILL, SIGINT};
    (void)state;
    for (size_t i = 0; i < 3; i++) {
        mproc_process *process = start(sleep_for_ever, NULL, NULL);
        assert_int_equal(calls[i](process), 0);
        assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
        assert_int_equal(calls[i](process), 0);
        assert_int_equal(finish(process), -signals[i]);
    }
}

static void a_signal_after_the_end_goes_to_nobody(void **state)
{
    int zero = 0;
    (void)state;
    mproc_process *process = start(return_int, &zero, NULL);
    assert_true(await_gone(mproc_process_pid(process)));
    assert_int_equal(mproc_process_kill(process), 0);
    assert_int_equal(finish(process), 0);
}

static void a_joined_process_may_be_joined_again(void **state)
{
    int code = 4;
    (void)state;
    mproc_process *process = start(return_int, &code, NULL);
    pid_t pid = mproc_process_pid(process);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_join(process, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_process_pid(process), pid);
    assert_int_equal(finish(process), 4);
}

static int join_it(void *arg)
{
    return mproc_process_join(arg, MPROC_FOREVER);
}

static void many_threads_may_join_one_process(void **state)
{
    _Atomic(int) *go = shared(sizeof *go);
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, NULL);
    assert_int_equal(mproc_process_terminate(process), 0);
    threads_run(join_it, process, 8);
    assert_int_equal(finish(process), -SIGTERM);
    shared_free(go);
}

static void a_sentinel_is_readable_at_the_end(void **state)
{
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, NULL);
    struct pollfd end = {.fd = mproc_process_sentinel(process), .events = POLLIN};
    assert_int_equal(poll(&end, 1, 0), 0);
    mproc_process_kill(process);
    assert_int_equal(poll(&end, 1, PATIENCE_MS), 1);
    assert_true(end.revents & POLLIN);
    assert_int_equal(finish(process), -SIGKILL);
}

static int run_and_tell(void *arg)
{
    _Atomic(int) *exitcode = arg;
    atomic_store(exitcode, run(return_int, &(int){5}, NULL));
    return 0;
}

static void a_child_can_wait_for_its_own_where_its_parent_ignores_sigchld(void **state)
{
    _Atomic(int) *exitcode = shared(sizeof *exitcode);
    (void)state;
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    mproc_process *process = start(run_and_tell, exitcode, NULL);
    assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    signal(SIGCHLD, before);
    mproc_process_free(process);
    assert_int_equal(atomic_load(exitcode), 5);
    shared_free(exitcode);
}

static void children_of_the_program_are_left_alone(void **state)
{
    int zero = 0, status;
    (void)state;
    pid_t other = fork();
    if (other == 0)
        _exit(9);
    assert_true(await_gone(other));
    for (int i = 0; i < 10; i++)
        assert_int_equal(run(return_int, &zero, NULL), 0);
    mproc_active_children(NULL, 0);
    assert_int_equal(waitpid(other, &status, WNOHANG), other);
    assert_int_equal(WEXITSTATUS(status), 9);
}

/* ---- handles ---- */

static void active_children_are_those_that_have_not_ended(void **state)
{
    mproc_process *children[4] = {NULL};
    int zero = 0;
    (void)state;
    assert_int_equal(mproc_active_children(children, 4), 0);
    mproc_process *runs = start(sleep_for_ever, NULL, NULL);
    mproc_process *ended = start(return_int, &zero, NULL);
    assert_true(await_gone(mproc_process_pid(ended)));
    assert_int_equal(mproc_active_children(children, 4), 1);
    assert_ptr_equal(children[0], runs);
    assert_int_equal(waitpid(mproc_process_pid(ended), NULL, WNOHANG), -1); /* it was joined */
    mproc_process *second = start(sleep_for_ever, NULL, NULL);
    assert_int_equal(mproc_active_children(children, 1), 2);
    assert_int_equal(mproc_active_children(NULL, 0), 2);
    assert_int_equal(mproc_active_children(NULL, 1), -EINVAL);
    mproc_process_kill(runs);
    mproc_process_kill(second);
    assert_int_equal(finish(runs), -SIGKILL);
    assert_int_equal(finish(second), -SIGKILL);
    assert_int_equal(finish(ended), 0);
}

static int ask_inherited_handle(void *arg)
{
    mproc_process *process = arg;
    int exitcode;
    if (mproc_process_join(process, MPROC_FOREVER) != MPROC_FOREIGN ||
        mproc_process_exitcode(process, &exitcode) != MPROC_FOREIGN)
        return 1;
    if (!mproc_process_is_alive(process) || mproc_process_pid(process) <= 0)
        return 2;
    if (mproc_active_children(NULL, 0) != 0)
        return 3;
    mproc_process_free(process);
    return mproc_process_pid(process) == -EINVAL ? 0 : 4;
}

static void an_inherited_handle_can_be_asked_but_not_joined(void **state)
{
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, NULL);
    assert_int_equal(run(ask_inherited_handle, process, NULL), 0);
    assert_int_equal(in_child(ask_inherited_handle, process), 0);
    assert_true(mproc_process_is_alive(process));
    mproc_process_kill(process);
    assert_int_equal(finish(process), -SIGKILL);
}

static void what_is_no_handle_is_refused(void **state)
{
    int zero = 0, exitcode;
    (void)state;
    mproc_process *freed = start(return_int, &zero, NULL);
    assert_int_equal(mproc_process_join(freed, MPROC_FOREVER), 0);
    mproc_process_free(freed);
    mproc_process *const bad[] = {NULL, (mproc_process *)&zero, freed};
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(mproc_process_join(bad[i], MPROC_NOWAIT), -EINVAL);
        assert_int_equal(mproc_process_exitcode(bad[i], &exitcode), -EINVAL);
        assert_int_equal(mproc_process_pid(bad[i]), -EINVAL);
        assert_int_equal(mproc_process_sentinel(bad[i]), -EINVAL);
        assert_int_equal(mproc_process_kill(bad[i]), -EINVAL);
        assert_false(mproc_process_is_alive(bad[i]));
        assert_false(mproc_process_is_daemon(bad[i]));
        assert_null(mproc_process_name(bad[i]));
        assert_null(mproc_process_free(bad[i]));
    }
}

static void a_freed_process_goes_on_and_is_reaped_some_time(void **state)
{
    _Atomic(int) *done = shared(sizeof *done);
    pid_t pids[30];
    (void)state;
    int zero = 0;
    for (int i = 0; i < 30; i++) {
        mproc_process *process = start(return_int, &zero, NULL);
        pids[i] = mproc_process_pid(process);
        mproc_process_free(process);
    }
    for (int i = 0; i < 30; i++)
        assert_true(await_gone(pids[i]));
    for (int i = 0; i < 5; i++) /* each start reaps a few */
        assert_int_equal(run(return_int, &zero, NULL), 0);
    for (int i = 0; i < 30; i++)
        assert_int_equal(waitpid(pids[i], NULL, WNOHANG), -1);
    shared_free(done);
}

static void bad_arguments_start_nothing(void **state)
{
    int zero = 0;
    mproc_process *process = (mproc_process *)&zero;
    mproc_connection *none = NULL;
    (void)state;
    const mproc_process_options bad[] = {
        {.method = (enum mproc_start_method)4},         {.method = (enum mproc_start_method) - 1},
        {.connections = &none, .connection_count = 1},  {.connection_count = 1},
        {.connections = &none, .connection_count = 65},
    };
    assert_int_equal(mproc_process_start(NULL, return_int, &zero, NULL), -EINVAL);
    assert_int_equal(mproc_process_start(&process, NULL, &zero, NULL), -EINVAL);
    assert_null(process);
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mproc_process_start(&process, return_int, &zero, &bad[i]), -EINVAL);
    assert_int_equal(mproc_process_start(&process, return_int, NULL, &(mproc_process_options){.arg_size = 4}), -EINVAL);
    process = start(sleep_for_ever, NULL, NULL);
    assert_int_equal(mproc_process_join(process, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_process_exitcode(process, NULL), -EINVAL);
    mproc_process_kill(process);
    assert_int_equal(finish(process), -SIGKILL);
}

static void fresh_processes_need_mproc_init(void **state)
{
    int zero = 0;
    mproc_process *process;
    (void)state;
    assert_int_equal(
        mproc_process_start(&process, return_int, &zero,
                            &(mproc_process_options){.method = MPROC_START_SPAWN, .arg_size = sizeof zero}),
        MPROC_NOT_INITIALIZED);
    assert_null(process);
    assert_int_equal(
        mproc_process_start(&process, return_int, &zero, &(mproc_process_options){.method = MPROC_START_FORKSERVER}),
        MPROC_NOT_INITIALIZED);
    assert_null(process);
}

static void the_default_method_is_fork(void **state)
{
    (void)state;
    assert_int_equal(mproc_start_method_get(), MPROC_START_FORK);
    assert_int_equal(mproc_start_method_set((enum mproc_start_method)7), -EINVAL);
    assert_int_equal(mproc_start_method_set(MPROC_START_SPAWN), 0);
    assert_int_equal(mproc_start_method_get(), MPROC_START_SPAWN);
    mproc_process *process;
    assert_int_equal(mproc_process_start(&process, sleep_for_ever, NULL, NULL), MPROC_NOT_INITIALIZED);
    assert_int_equal(mproc_start_method_set(MPROC_START_DEFAULT), 0);
    assert_int_equal(mproc_start_method_get(), MPROC_START_FORK);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_exit_code_is_what_the_target_returns),
        unit(the_kernel_keeps_the_low_8_bits),
        unit(the_exit_code_of_a_killed_process_is_minus_its_signal),
        unit(a_running_process_has_no_exit_code),
        unit(each_signal_does_what_it_is_called),
        unit(a_signal_after_the_end_goes_to_nobody),
        unit(a_joined_process_may_be_joined_again),
        unit(many_threads_may_join_one_process),
        unit(a_sentinel_is_readable_at_the_end),
        unit(a_child_can_wait_for_its_own_where_its_parent_ignores_sigchld),
        unit(children_of_the_program_are_left_alone),
        unit(active_children_are_those_that_have_not_ended),
        unit(an_inherited_handle_can_be_asked_but_not_joined),
        unit(what_is_no_handle_is_refused),
        unit(a_freed_process_goes_on_and_is_reaped_some_time),
        unit(bad_arguments_start_nothing),
        unit(fresh_processes_need_mproc_init),
        unit(the_default_method_is_fork),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
