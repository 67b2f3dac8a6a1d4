/* The report on a worker that died: what it says, and that it is cut off as snprintf() does it. */
#include "harness.h"

#include <mproc/postmortem.h>
#include <signal.h>
#include <string.h>

static const mproc_postmortem fault = {
    .index = 17,
    .worker = 2,
    .pid = 4711,
    .exit = -SIGSEGV,
    .cause = MPROC_CAUSE_SIGNAL,
    .wall = MPROC_NS(1004999999),
    .cpu = MPROC_NS(2000000),
    .peak_memory = (size_t)13 << 18,
    .has_address = true,
    .address = 0x10,
    .frame_count = 3,
    .frames = {{.address = 0x5511c9, .offset = 0x19, .object_offset = 0x11c9, .function = "parse", .object = "demo"},
               {.address = 0x55121b, .offset = 0x121b, .object_offset = 0x121b, .object = "demo"},
               {.address = 0x10}},
};

static const char fault_text[] = "item 17: worker 2 (pid 4711) died of SIGSEGV (Segmentation fault) at address 0x10\n"
                                 "after 1.004 s, 0.002 s of CPU time; the worker's peak memory was 3.2 MiB\n"
                                 "  #0 0x5511c9 in parse+0x19 (demo+0x11c9)\n"
                                 "  #1 0x55121b in demo+0x121b\n"
                                 "  #2 0x10 in ?\n";

static void a_report_says_what_is_known(void **state)
{
    char text[1024];
    (void)state;
    assert_int_equal(mproc_postmortem_text(&fault, text, sizeof text), sizeof fault_text - 1);
    assert_string_equal(text, fault_text);
}

static void a_report_is_cut_off_to_what_fits(void **state)
{
    char text[sizeof fault_text + 1];
    (void)state;
    for (size_t size = 1; size <= sizeof fault_text; size++) {
        memset(text, 'x', sizeof text);
        assert_int_equal(mproc_postmortem_text(&fault, text, size), sizeof fault_text - 1);
        assert_memory_equal(text, fault_text, size - 1);
        assert_int_equal(text[size - 1], '\0');
        assert_int_equal(text[size], 'x');
    }
    assert_int_equal(mproc_postmortem_text(&fault, NULL, 0), sizeof fault_text - 1);
    assert_int_equal(mproc_postmortem_text(&fault, text, 0), sizeof fault_text - 1);
    assert_int_equal(mproc_postmortem_text(NULL, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static void a_report_says_why(void **state)
{
    static const struct {
        enum mproc_cause cause;
        int exit;
        const char *line;
    } causes[] = {
        {MPROC_CAUSE_EXIT, 3, "left with exit code 3\n"},
        {MPROC_CAUSE_SIGNAL, -SIGKILL, "died of SIGKILL (Killed)\n"},
        {MPROC_CAUSE_SIGNAL, -4000, "died of signal 4000\n"},
        {MPROC_CAUSE_LATE, -SIGTERM, "died of SIGTERM (Terminated): the item took too long\n"},
        {MPROC_CAUSE_LIMIT, -SIGABRT, "died of SIGABRT (Aborted): it was at its memory limit\n"},
        {MPROC_CAUSE_OOM_KILLER, -SIGKILL, "died of SIGKILL (Killed): the kernel's OOM killer\n"},
    };
    char text[1024];
    (void)state;
    for (size_t i = 0; i < sizeof causes / sizeof *causes; i++) {
        mproc_postmortem death = {.worker = 1, .pid = 5, .cause = causes[i].cause, .exit = causes[i].exit};
        mproc_postmortem_text(&death, text, sizeof text);
        assert_non_null(strstr(text, causes[i].line));
        assert_int_equal(strncmp(text, "item 0: worker 1 (pid 5) ", 25), 0);
        assert_null(strstr(text, "CPU")); /* what is not known is not told */
    }
}

static void a_report_tells_that_an_item_was_tried_again(void **state)
{
    const mproc_postmortem death = {.index = 3, .attempt = 1, .worker = 1, .cause = MPROC_CAUSE_EXIT};
    char text[1024];
    (void)state;
    mproc_postmortem_text(&death, text, sizeof text);
    assert_int_equal(strncmp(text, "item 3, tried again: worker 1 ", 30), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_report_says_what_is_known),
        unit(a_report_is_cut_off_to_what_fits),
        unit(a_report_says_why),
        unit(a_report_tells_that_an_item_was_tried_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
