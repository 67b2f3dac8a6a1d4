/* What is known about the end of a process that a program has started itself. */
#include "children.h"
#include "faults.h"
#include "groups.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};

static volatile uintptr_t place = ADDRESS; /* nothing that a compiler could foresee */
HERE int fault(void *arg)
{
    (void)arg;
    write_at((volatile long *)place);
    after = 2;
    return 0;
}

HERE int use_much_and_abort(void *arg)
{
    size_t size = 32 << 20;
    (void)arg;
    volatile char *bytes = malloc(size);
    for (size_t i = 0; i < size; i += 1024)
        bytes[i] = 1;
    for (volatile long i = 0; i < 30000000; i++) {
    }
    abort();
}

static int fork_and_return(void *arg)
{
    pid_t copy = fork();
    if (copy == 0)
        abort();
    waitpid(copy, NULL, 0);
    return *(int *)arg;
}

static mproc_postmortem end_of(mproc_process *process)
{
    mproc_postmortem postmortem;
    assert_int_equal(mproc_process_join(process, MPROC_MS(PATIENCE_MS)), 0);
    assert_int_equal(mproc_process_postmortem(process, &postmortem), 0);
    assert_int_equal(postmortem.pid, mproc_process_pid(process));
    assert_true(postmortem.wall.nanoseconds > 0);
    assert_null(mproc_process_free(process));
    return postmortem;
}

static mproc_postmortem run_to_end(mproc_target *fn, enum mproc_start_method method, bool leaves_words)
{
    return end_of(start(fn, &(int){3},
                        &(mproc_process_options){
                            .name = "victim", .method = method, .arg_size = sizeof(int), .postmortem = leaves_words}));
}

static void a_process_that_a_fault_ends_tells_where_it_was(void **state)
{
    char text[4096];
    (void)state;
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        mproc_postmortem end = run_to_end(fault, methods[i], true);
        assert_int_equal(end.exit, -SIGSEGV);
        assert_int_equal(end.cause, MPROC_CAUSE_SIGNAL);
        assert_true(end.has_address);
        assert_true(end.address == ADDRESS);
        assert_true(end.frame_count >= 2);
        assert_string_equal(end.frames[0].function, "write_at");
        assert_string_equal(end.frames[1].function, "fault");
        assert_int_equal(frame_of(&end, "main"), -1);
        assert_true(mproc_postmortem_text(&end, text, sizeof text) < sizeof text);
        assert_non_null(strstr(text, "process victim (pid "));
        assert_non_null(strstr(text, "died of SIGSEGV"));
        assert_non_null(strstr(text, "its peak memory was"));
        assert_non_null(strstr(text, " in write_at+"));
    }
}

static void what_a_process_has_used_is_known(void **state)
{
    (void)state;
    for (int leaves_words = 0; leaves_words < 2; leaves_words++) {
        mproc_postmortem end = run_to_end(use_much_and_abort, MPROC_START_FORK, leaves_words);
        assert_int_equal(end.exit, -SIGABRT);
        assert_true(end.peak_memory >= (size_t)32 << 20);
        assert_true(end.cpu.nanoseconds > 1000000 && end.wall.nanoseconds > 1000000);
        assert_int_equal(end.frame_count > 0, leaves_words);
        assert_false(end.has_address);
    }
}

static void a_process_that_returns_has_no_stack(void **state)
{
    (void)state;
    mproc_postmortem end = run_to_end(return_int, MPROC_START_FORK, true);
    assert_int_equal(end.exit, 3);
    assert_int_equal(end.cause, MPROC_CAUSE_EXIT);
    assert_int_equal(end.frame_count, 0);
    assert_true(end.peak_memory > 0);
    assert_int_equal(end.worker, 0);
}

static void a_copy_of_the_process_leaves_no_words_in_its_place(void **state)
{
    (void)state;
    mproc_postmortem end = run_to_end(fork_and_return, MPROC_START_FORK, true);
    assert_int_equal(end.exit, 3);
    assert_int_equal(end.frame_count, 0);
}

static void a_killed_process_was_not_killed_by_the_kernel(void **state)
{
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.postmortem = true});
    mproc_process_kill(process);
    mproc_postmortem end = end_of(process);
    assert_int_equal(end.exit, -SIGKILL);
    assert_int_equal(end.cause, MPROC_CAUSE_SIGNAL);
    assert_int_equal(end.frame_count, 0);
}

static void a_terminated_process_tells_where_it_hung(void **state)
{
    (void)state;
    mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.postmortem = true});
    child_await_sleep(mproc_process_pid(process));
    mproc_process_terminate(process);
    mproc_postmortem end = end_of(process);
    assert_int_equal(end.exit, -SIGTERM);
    assert_true(frame_of(&end, "sleep_for_ever") >= 0);
}

static void the_member_of_a_group_has_one_too(void **state)
{
    mproc_process *member;
    mproc_postmortem end;
    (void)state;
    mproc_group *group = make_group(false);
    assert_int_equal(mproc_group_start(group, &member, fault, NULL, &(mproc_process_options){.postmortem = true}), 0);
    assert_int_equal(mproc_group_wait_all(group, MPROC_MS(PATIENCE_MS)), MPROC_TASK_FAILED);
    assert_int_equal(mproc_process_postmortem(member, &end), 0);
    assert_true(frame_of(&end, "fault") >= 0);
    mproc_group_free(group);
}

static void one_that_has_not_ended_has_none(void **state)
{
    mproc_postmortem end, before;
    (void)state;
    memset(&end, 5, sizeof end);
    before = end;
    mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.postmortem = true});
    assert_int_equal(mproc_process_postmortem(process, &end), MPROC_RUNNING);
    assert_int_equal(mproc_process_postmortem(mproc_current_process(), &end), MPROC_RUNNING);
    assert_int_equal(mproc_process_postmortem(process, NULL), -EINVAL);
    assert_int_equal(mproc_process_postmortem(NULL, &end), -EINVAL);
    assert_memory_equal(&end, &before, sizeof end);
    mproc_process_kill(process);
    assert_int_equal(finish(process), -SIGKILL);
    assert_int_equal(mproc_process_postmortem(process, &end), -EINVAL);
}

static int use_own_handler(void *arg)
{
    signal(SIGSEGV, (void (*)(int))_exit); /* with the number of the signal */
    return fault(arg);
}

static void a_handler_of_the_targets_own_is_called(void **state)
{
    (void)state;
    mproc_postmortem end = run_to_end(use_own_handler, MPROC_START_FORK, true);
    assert_int_equal(end.exit, SIGSEGV);
    assert_int_equal(end.frame_count, 0);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(a_process_that_a_fault_ends_tells_where_it_was),
        unit(what_a_process_has_used_is_known),
        unit(a_process_that_returns_has_no_stack),
        unit(a_copy_of_the_process_leaves_no_words_in_its_place),
        unit(a_killed_process_was_not_killed_by_the_kernel),
        unit(a_terminated_process_tells_where_it_hung),
        unit(the_member_of_a_group_has_one_too),
        unit(one_that_has_not_ended_has_none),
        unit(a_handler_of_the_targets_own_is_called),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
