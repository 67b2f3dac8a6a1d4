/* Starts, joins and ends in which each system call fails once: an error, or a child as if nothing had happened; and
 * nothing is left behind. */
#include "harness.h"
#include "plan.h"
#include "process/forkserver.h"

#include <dirent.h>
#include <errno.h>
#include <mproc/process.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    TARGET_RETURNS = 6,
    CANNOT_RUN = 127, /* a child that found out too late to fail its start */
    GROUP_CALLS = 12  /* of each kind, which fail in turn: a group makes thousands */
};

static pid_t server;
static int descriptors;

static int return_int(void *arg)
{
    return *(int *)arg;
}

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int count_descriptors(void)
{
    int count = -1; /* the folder itself */
    DIR *folder = opendir("/proc/self/fd");
    const struct dirent *entry;
    assert_non_null(folder);
    while ((entry = readdir(folder)) != NULL)
        count += entry->d_name[0] != '.';
    closedir(folder);
    return count;
}

/* A server that was replaced may have its descriptors at other places, but no more of them. */
static void allow_another_server(void)
{
    if (forkserver_pid() == server)
        return;
    server = forkserver_pid();
    assert_int_equal(count_descriptors(), descriptors);
    books_forgive();
    books_allow_child(server);
}

/* Start, join, free. A failure after the start is undone by what does not fail a second time. */
static int start_and_join(void *arg)
{
    const mproc_process_options *options = arg;
    mproc_process *process = (mproc_process *)&descriptors;
    int six = TARGET_RETURNS, exitcode;
    int result = mproc_process_start(&process, return_int, &six, options);
    if (result) {
        assert_null(process);
        return result;
    }
    result = mproc_process_join(process, MPROC_FOREVER);
    if (result) {
        assert_int_equal(mproc_process_join(process, MPROC_FOREVER), 0);
    } else {
        result = mproc_process_exitcode(process, &exitcode);
        if (result == 0)
            result = exitcode;
    }
    mproc_process_free(process);
    return result;
}

/* A status that was said to be stolen is still there. */
static void take_what_was_not_stolen(const struct fault *fault)
{
    siginfo_t info = {.si_pid = 0};
    if (fault->call == OS_WAITID && fault->error == ECHILD && waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0)
        waitpid(info.si_pid, NULL, 0);
}

static void expect_an_error_or_a_child(void *arg, int result, const struct fault *fault)
{
    (void)arg;
    if (!fault) {
        assert_int_equal(result, TARGET_RETURNS);
        return;
    }
    if (result != TARGET_RETURNS && result != CANNOT_RUN)
        assert_int_equal(result, -fault->error);
    take_what_was_not_stolen(fault);
    allow_another_server();
}

static void walk(enum mproc_start_method method, bool daemon)
{
    mproc_process_options options = {.method = method, .arg_size = sizeof(int), .daemon = daemon};
    start_and_join(&options);
    server = forkserver_pid();
    descriptors = count_descriptors();
    assert_true(fault_walk(start_and_join, expect_an_error_or_a_child, &options) > 5);
}

static void a_start_by_fork_fails_and_leaves_nothing(void **state)
{
    (void)state;
    walk(MPROC_START_FORK, false);
    walk(MPROC_START_FORK, true);
}

static void a_start_by_spawn_fails_and_leaves_nothing(void **state)
{
    (void)state;
    walk(MPROC_START_SPAWN, true);
}

static void a_start_by_the_server_fails_and_leaves_nothing(void **state)
{
    (void)state;
    walk(MPROC_START_FORKSERVER, true);
}

/* In a host of its own there is no server yet, and no pidfd of its own, and no leash. */
static int start_for_the_first_time(void *arg)
{
    const struct fault *fault = arg;
    const mproc_process_options options = {.method = MPROC_START_FORKSERVER, .arg_size = sizeof(int), .daemon = true};
    fault_arm(fault->call, fault->after, fault->error);
    int result = start_and_join((void *)(uintptr_t)&options);
    bool hit = fault_hits() > 0;
    fault_disarm();
    if (hit && result != -fault->error && result != TARGET_RETURNS && result != CANNOT_RUN && result != -EPIPE)
        return 2;
    if (!hit && result != TARGET_RETURNS)
        return 3;
    return start_and_join((void *)(uintptr_t)&options) == TARGET_RETURNS ? hit : 4;
}

/* Run the function in a process that exits as a program does. */
static int exit_code_of(mproc_target *fn, void *arg)
{
    int status;
    pid_t host = fork();
    if (host == 0)
        exit(fn(arg));
    assert_int_equal(waitpid(host, &status, 0), host);
    assert_true(WIFEXITED(status));
    return WEXITSTATUS(status);
}

static void a_first_start_that_failed_can_be_tried_again(void **state)
{
    static const struct fault kinds[] = {
        {OS_SOCKETPAIR, 0, EMFILE}, {OS_MEMFD_CREATE, 0, EMFILE}, {OS_PIDFD_OPEN, 0, EMFILE}, {OS_OPEN, 0, EMFILE},
        {OS_FORK, 0, EAGAIN},       {OS_EXEC, 0, ENOENT},         {OS_MALLOC, 0, ENOMEM},     {OS_DUP, 0, EMFILE},
    };
    (void)state;
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        struct fault fault = kinds[i];
        int hit;
        do {
            hit = exit_code_of(start_for_the_first_time, &fault);
            assert_true(hit == 0 || hit == 1);
            fault.after++;
        } while (hit);
        assert_true(fault.after > 1);
    }
}

/* ---- groups ---- */

static int run_group(void *arg)
{
    mproc_group *group;
    (void)arg;
    int result = mproc_group_create(&group, NULL);
    if (result)
        return result;
    result = mproc_group_start(group, NULL, sleep_for_ever, NULL, NULL);
    if (!result)
        result = mproc_group_start(group, NULL, sleep_for_ever, NULL, NULL);
    if (!result && mproc_group_wait_all(group, MPROC_NOWAIT) != MPROC_TIMEOUT)
        result = -1;
    int ended = mproc_group_terminate(group, MPROC_MS(5));
    fault_disarm();
    if (ended)
        assert_int_equal(mproc_group_terminate(group, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_group_size(group), 0);
    mproc_group_free(group);
    return result ? result : ended;
}

static void each_call_of_a_group_may_fail(void **state)
{
    static const struct fault kinds[] = {
        {OS_MALLOC, 0, ENOMEM},      {OS_OPEN, 0, EMFILE},      {OS_READ, 0, EIO},
        {OS_PIDFD_OPEN, 0, EMFILE},  {OS_PIDFD_OPEN, 2, ESRCH}, {OS_PIDFD_SIGNAL, 0, EPERM},
        {OS_PIDFD_SIGNAL, 0, ESRCH}, {OS_POLL, 0, EINTR},       {OS_WAITID, 0, EINTR},
    };
    (void)state;
    assert_int_equal(run_group(NULL), 0);
    for (size_t i = 0; i < sizeof kinds / sizeof *kinds; i++) {
        for (long after = kinds[i].after; after < GROUP_CALLS; after++) {
            fault_arm(kinds[i].call, after, kinds[i].error);
            run_group(NULL);
            fault_disarm();
            if (books_check(NULL))
                fail_msg("when call %d number %ld fails with %d", kinds[i].call, after + 1, kinds[i].error);
        }
    }
}

/* ---- SIGCHLD ---- */

/* In a program that was started with SIGCHLD ignored, on a kernel that does not tell how a reaped process ended. */
static int heed_children(void)
{
    struct sigaction action;
    const mproc_process_options options = {.method = MPROC_START_FORK};
    fault_arm(OS_IOCTL, 0, ENOTTY);
    int code = start_and_join((void *)(uintptr_t)&options);
    if (sigaction(SIGCHLD, NULL, &action) || action.sa_handler != SIG_DFL || fault_hits() != 1)
        return 1;
    signal(SIGCHLD, SIG_IGN); /* the program's own choice is left at that */
    mproc_process *process;
    if (mproc_process_start(&process, return_int, &(int){0}, &options))
        return 2;
    mproc_process_join(process, MPROC_FOREVER);
    sigaction(SIGCHLD, NULL, &action);
    return code == TARGET_RETURNS && action.sa_handler == SIG_IGN ? 0 : 3;
}

static void sigchld_that_was_ignored_from_the_start_is_heeded_where_the_kernel_tells_no_ends(void **state)
{
    int status;
    (void)state;
    pid_t child = fork();
    if (child == 0) {
        signal(SIGCHLD, SIG_IGN);
        execl("/proc/self/exe", "test", "--ignoring", (char *)NULL);
        _exit(100);
    }
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
}

/* Use once what a process keeps for its life. */
static int warm_up(void **state)
{
    const mproc_process_options kinds[] = {
        {.method = MPROC_START_FORK, .daemon = true},
        {.method = MPROC_START_FORKSERVER, .arg_size = sizeof(int)},
    };
    (void)state;
    for (size_t i = 0; i < 2; i++)
        if (start_and_join((void *)(uintptr_t)&kinds[i]) != TARGET_RETURNS)
            return -1;
    books_allow_child(forkserver_pid());
    return 0;
}

int main(int argc, char **argv)
{
    mproc_init();
    if (argc > 1 && strcmp(argv[1], "--ignoring") == 0)
        return heed_children();
    const struct CMUnitTest tests[] = {
        unit(a_start_by_fork_fails_and_leaves_nothing),
        unit(a_start_by_spawn_fails_and_leaves_nothing),
        unit(a_start_by_the_server_fails_and_leaves_nothing),
        unit(a_first_start_that_failed_can_be_tried_again),
        unit(each_call_of_a_group_may_fail),
        unit(sigchld_that_was_ignored_from_the_start_is_heeded_where_the_kernel_tells_no_ends),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
