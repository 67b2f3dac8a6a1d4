/* The line that shows how a map goes on: what it says of which figures, and how it is made to fit. */
#include "harness.h"
#include "pool/host/progress.h"

#include <stdio.h>
#include <string.h>

#define SECOND INT64_C(1000000000)
#define DAY    (86400 * SECOND)

static char line[PROGRESS_BYTES];

static const char *format(const struct progress_figures *figures)
{
    size_t columns = progress_format(line, PROGRESS_COLUMNS, figures);
    assert_int_equal(columns, strlen(line));
    return line;
}

static struct progress_figures figures(size_t done, size_t total, int64_t elapsed)
{
    return (struct progress_figures){.label = "work", .done = done, .total = total, .elapsed = elapsed};
}

static void says(size_t done, size_t total, int64_t elapsed, const char *expected)
{
    const struct progress_figures now = figures(done, total, elapsed);
    assert_string_equal(format(&now), expected);
}

static void a_line_has_count_share_rate_and_time_left(void **state)
{
    (void)state;
    says(100, 400, 10 * SECOND, "work: 100/400  25%  10.0/s  30s left");
}

static void without_a_total_there_is_no_share_and_no_time_left(void **state)
{
    const struct progress_figures now = figures(100, 0, 10 * SECOND);
    (void)state;
    says(100, 0, 10 * SECOND, "work: 100  10.0/s");
    assert_int_equal(progress_format(line, 3, &now), 3);
    assert_string_equal(line, "100");
}

static void nothing_is_known_of_what_has_not_begun(void **state)
{
    (void)state;
    says(0, 400, 0, "work: 0/400  0%  ?/s  ? left");
    says(0, 400, 10 * SECOND, "work: 0/400  0%  ?/s  ? left");
    says(5, 400, 0, "work: 5/400  1%  ?/s  ? left");
}

static void rates_go_from_days_to_thousands_of_millions(void **state)
{
    static const struct {
        size_t done;
        int64_t elapsed;
        const char *rate;
    } rates[] = {
        {1, 2 * DAY, "0.50/d"},          {1, DAY, "1.00/d"},
        {1, 7200 * SECOND, "12.0/d"},    {1, 3600 * SECOND, "1.00/h"},
        {1, 61 * SECOND, "59.0/h"},      {1, 60 * SECOND, "1.00/min"},
        {1, 2 * SECOND, "30.0/min"},     {1, SECOND, "1.00/s"},
        {9994, 1000 * SECOND, "9.99/s"}, {9996, 1000 * SECOND, "10.0/s"},
        {9996, 100 * SECOND, "100/s"},   {9994, 10 * SECOND, "999/s"},
        {9996, 10 * SECOND, "1.00k/s"},  {12345, SECOND, "12.3k/s"},
        {999999, SECOND, "1.00M/s"},     {1234567, SECOND / 1000, "1.23G/s"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof rates / sizeof *rates; i++) {
        char expected[64];
        const struct progress_figures now = figures(rates[i].done, (size_t)1 << 40, rates[i].elapsed);
        snprintf(expected, sizeof expected, "  0%%  %s  ", rates[i].rate);
        if (!strstr(format(&now), expected))
            fail_msg("%s is in \"%s\"", rates[i].rate, line);
    }
}

static void times_go_from_tenths_of_a_second_to_days(void **state)
{
    static const struct {
        int64_t elapsed;
        const char *time;
    } times[] = {
        {0, "0.0s"},
        {SECOND / 10 - 1, "0.0s"},
        {SECOND / 10, "0.1s"},
        {10 * SECOND - 1, "9.9s"},
        {10 * SECOND, "10s"},
        {60 * SECOND - 1, "59s"},
        {60 * SECOND, "1m00s"},
        {3600 * SECOND - 1, "59m59s"},
        {3600 * SECOND, "1h00m"},
        {DAY - 1, "23h59m"},
        {DAY, "1d00h"},
        {100 * DAY + 3600 * SECOND, "100d01h"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof times / sizeof *times; i++) {
        char expected[64];
        struct progress_figures now = figures(1, 1, times[i].elapsed);
        now.state = PROGRESS_DONE;
        snprintf(expected, sizeof expected, "  in %s", times[i].time);
        if (!strstr(format(&now), expected))
            fail_msg("%s is in \"%s\"", times[i].time, line);
    }
    says(1, 2, DAY, "work: 1/2  50%  1.00/d  1d00h left");
    says(1, SIZE_MAX, DAY, "work: 1/18446744073709551615  0%  1.00/d  >9999d left");
}

static void a_hundred_per_cent_is_all(void **state)
{
    (void)state;
    says(999999, 1000000, SECOND, "work: 999999/1000000  99%  1.00M/s  0.0s left");
    says(SIZE_MAX - 1, SIZE_MAX, 1000 * DAY, "work: 18446744073709551614/18446744073709551615  99%  214G/s  0.0s left");
    says(10, 10, SECOND, "work: 10/10  100%  10.0/s  0.0s left");
}

static void the_last_line_says_how_long_it_took(void **state)
{
    struct progress_figures now = figures(50, 100, 5 * SECOND);
    (void)state;
    now.state = PROGRESS_STOPPED;
    assert_string_equal(format(&now), "work: 50/100  50%  10.0/s  stopped after 5.0s");
    now.done = 100;
    now.state = PROGRESS_DONE;
    now.failed = 3;
    assert_string_equal(format(&now), "work: 100/100  100%  20.0/s  in 5.0s  3 failed");
}

static void a_label_may_be_empty_and_moves_no_cursor(void **state)
{
    struct progress_figures now = figures(1, 2, SECOND);
    (void)state;
    now.label = "";
    assert_string_equal(format(&now), "1/2  50%  1.00/s  1.0s left");
    now.label = "a\rb\nc\033[2Jd\177";
    assert_string_equal(format(&now), "a?b?c?[2Jd?: 1/2  50%  1.00/s  1.0s left");
}

static void narrow_lines_leave_out_what_matters_less(void **state)
{
    static const struct {
        size_t columns;
        const char *line;
    } narrow[] = {
        {63, "a rather long label: 100/400  25%  10.0/s  30s left  3 failed"},
        {61, "a rather long label: 100/400  25%  10.0/s  30s left  3 failed"},
        {60, "a rather long labe: 100/400  25%  10.0/s  30s left  3 failed"},
        {50, "a rather: 100/400  25%  10.0/s  30s left  3 failed"},
        {49, "a rather long l: 100/400  25%  30s left  3 failed"},
        {42, "a rather: 100/400  25%  30s left  3 failed"},
        {41, "a rather long lab: 100/400  25%  3 failed"},
        {32, "a rather: 100/400  25%  3 failed"},
        {31, "100/400  25%  3 failed"},
        {21, "25%  3 failed"},
        {12, "25%"},
        {2, "25"},
        {0, ""},
    };
    struct progress_figures now = figures(100, 400, 10 * SECOND);
    (void)state;
    now.label = "a rather long label";
    now.failed = 3;
    for (size_t i = 0; i < sizeof narrow / sizeof *narrow; i++) {
        size_t columns = progress_format(line, narrow[i].columns, &now);
        assert_string_equal(line, narrow[i].line);
        assert_int_equal(columns, strlen(line));
        assert_true(columns <= narrow[i].columns);
    }
}

/* Whatever the width, characters stay whole. */
static void a_label_of_many_bytes_is_cut_between_its_characters(void **state)
{
    struct progress_figures now = figures(1, 2, SECOND);
    char label[2000] = "";
    (void)state;
    for (int i = 0; i < 400; i++)
        strcat(label, "\xf0\x9f\x98\x80");
    now.label = label;
    for (size_t width = 0; width < 300; width++) {
        size_t most = width < PROGRESS_COLUMNS ? width : PROGRESS_COLUMNS;
        assert_true(progress_format(line, width, &now) <= most);
        size_t bytes = strspn(line, "\xf0\x9f\x98\x80");
        assert_int_equal(bytes % 4, 0);
        assert_memory_equal(line, label, bytes);
    }
    memset(label, 0x80, sizeof label - 1);
    assert_true(progress_format(line, PROGRESS_COLUMNS, &now) <= PROGRESS_COLUMNS);
    label[0] = '\xff';
    assert_true(progress_format(line, PROGRESS_COLUMNS, &now) <= PROGRESS_COLUMNS);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_line_has_count_share_rate_and_time_left), unit(without_a_total_there_is_no_share_and_no_time_left),
        unit(nothing_is_known_of_what_has_not_begun),    unit(rates_go_from_days_to_thousands_of_millions),
        unit(times_go_from_tenths_of_a_second_to_days),  unit(a_hundred_per_cent_is_all),
        unit(the_last_line_says_how_long_it_took),       unit(a_label_may_be_empty_and_moves_no_cursor),
        unit(narrow_lines_leave_out_what_matters_less),  unit(a_label_of_many_bytes_is_cut_between_its_characters),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
