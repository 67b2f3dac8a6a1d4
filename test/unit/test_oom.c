/* Whether a kill is laid at the door of the kernel's OOM killer. */
#include "harness.h"

#include "os/clock.h"
#include "os/proc.h"
#include "process/oom.h"
#include <errno.h>

static void the_count_is_found_among_others(void **state)
{
    uint64_t count = 99;
    (void)state;
    assert_int_equal(os_proc_parse_oom_kills("pgfault 5\noom_kill 17\nnumber 3\n", &count), 0);
    assert_int_equal(count, 17);
    assert_int_equal(os_proc_parse_oom_kills("oom_kill 0\n", &count), 0);
    assert_int_equal(count, 0);
    assert_int_equal(os_proc_parse_oom_kills("a 1\noom_kill 18446744073709551615", &count), 0);
    assert_int_equal(count, UINT64_MAX);
}

static void a_text_without_the_count_is_seen(void **state)
{
    static const char *const texts[] = {
        "", "\n", "oom_kill", "oom_kill ", "oom_kill x\n", "oom_killer 5\n", "no_oom_kill 5\n", "pgfault 5\n"};
    uint64_t count;
    (void)state;
    for (size_t i = 0; i < sizeof texts / sizeof *texts; i++)
        assert_int_equal(os_proc_parse_oom_kills(texts[i], &count), -ENOENT);
}

static void this_machine_tells(void **state)
{
    uint64_t count, later;
    (void)state;
    if (os_proc_oom_kills(&count) == -ENOENT)
        skip();
    assert_int_equal(os_proc_oom_kills(&later), 0);
    assert_true(later >= count);
}

static void a_kill_is_explained_when_the_count_has_grown(void **state)
{
    struct oom_watch watch = {.counts = true, .count = 5};
    (void)state;
    assert_false(oom_explains(&watch, 5, OS_SEC(10)));
    assert_true(oom_explains(&watch, 6, OS_SEC(11)));
    assert_false(oom_explains(&watch, 6, OS_SEC(11)));
    assert_false(oom_explains(&watch, 6, OS_SEC(20)));
    assert_true(oom_explains(&watch, 7, OS_SEC(21)));
}

static void workers_that_were_killed_together_are_all_explained(void **state)
{
    struct oom_watch watch = {.counts = true, .count = 5};
    (void)state;
    assert_true(oom_explains(&watch, 7, OS_SEC(10)));
    assert_true(oom_explains(&watch, 7, OS_SEC(10) + OS_MS(5)));
    assert_false(oom_explains(&watch, 7, OS_SEC(10) + OS_MS(6)));
}

static void another_process_that_was_killed_explains_nothing_later(void **state)
{
    struct oom_watch watch = {.counts = true, .count = 5};
    (void)state;
    assert_true(oom_explains(&watch, 9, OS_SEC(10)));
    assert_false(oom_explains(&watch, 9, OS_SEC(13)));
    assert_false(oom_explains(&watch, 9, OS_SEC(13)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_count_is_found_among_others),
        unit(a_text_without_the_count_is_seen),
        unit(this_machine_tells),
        unit(a_kill_is_explained_when_the_count_has_grown),
        unit(workers_that_were_killed_together_are_all_explained),
        unit(another_process_that_was_killed_explains_nothing_later),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
