/* The fault plan itself, and the walk over it, on operations that ask the plan as the wrappers in src/os do. */
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <sys/wait.h>
#include <unistd.h>

static void the_armed_call_fails_once(void **state)
{
    (void)state;
    fault_arm(OS_DUP, 1, EMFILE);
    assert_int_equal(os_fault(OS_DUP), 0);
    assert_int_equal(os_fault(OS_MMAP), 0);
    assert_int_equal(fault_hits(), 0);
    assert_int_equal(os_fault(OS_DUP), -EMFILE);
    assert_int_equal(os_fault(OS_DUP), 0);
    assert_int_equal(fault_hits(), 1);
    fault_disarm();
}

static void nothing_fails_once_disarmed(void **state)
{
    (void)state;
    fault_arm(OS_DUP, 0, EMFILE);
    fault_disarm();
    assert_int_equal(os_fault(OS_DUP), 0);
}

static void a_child_follows_and_counts_in_the_same_plan(void **state)
{
    int status;

    (void)state;
    fault_reset();
    fault_arm(OS_READ, 1, EIO);
    assert_int_equal(os_fault(OS_READ), 0);
    pid_t child = fork();
    assert_true(child >= 0);
    if (child == 0)
        _exit(os_fault(OS_READ) == -EIO ? 0 : 1);
    assert_int_equal(waitpid(child, &status, 0), child);
    assert_int_equal(status, 0);
    assert_int_equal(fault_hits(), 1);
    assert_int_equal(fault_count(OS_READ), 2);
    assert_int_equal(fault_count(OS_WRITE), 0);
    fault_disarm();
}

/* Two duplications and a mapping; returns the first failure. */
static int three_calls(void *arg)
{
    (void)arg;
    int result = os_fault(OS_DUP);
    if (result == 0)
        result = os_fault(OS_DUP);
    return result ? result : os_fault(OS_MMAP);
}

static void check_three_calls(void *arg, int result, const struct fault *fault)
{
    int *runs = arg;

    ++*runs;
    assert_int_equal(result, fault ? -fault->error : 0);
}

static void a_walk_fails_each_call_with_each_error(void **state)
{
    int runs = 0;

    (void)state;
    /* EMFILE at the first and second dup, ENOMEM and EAGAIN at the one mmap. */
    assert_int_equal(fault_walk(three_calls, check_three_calls, &runs), 4);
    assert_true(runs > 4);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_armed_call_fails_once),
        unit(nothing_fails_once_disarmed),
        unit(a_child_follows_and_counts_in_the_same_plan),
        unit(a_walk_fails_each_call_with_each_error),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
