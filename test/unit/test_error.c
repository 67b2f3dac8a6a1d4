/* The words for results, and the version. */
#include "harness.h"

#include <errno.h>
#include <limits.h>
#include <mproc/base.h>
#include <pthread.h>
#include <stdio.h>
#include <string.h>

static void each_condition_has_its_own_sentence(void **state)
{
    (void)state;
    for (int a = 0; a <= MPROC_KEY_EXPOSED; a++) {
        assert_true(strlen(mproc_strerror(a)) > 5);
        assert_null(strstr(mproc_strerror(a), "Unknown"));
        for (int b = 0; b < a; b++)
            assert_string_not_equal(mproc_strerror(a), mproc_strerror(b));
    }
    assert_non_null(strstr(mproc_strerror(MPROC_KEY_EXPOSED + 1), "Unknown")); /* a new one needs its sentence */
}

static void an_errno_has_the_words_of_the_system(void **state)
{
    (void)state;
    assert_string_equal(mproc_strerror(-ENOENT), "No such file or directory");
    assert_string_equal(mproc_strerror(-EINVAL), "Invalid argument");
}

static void what_is_no_result_is_named_by_its_number(void **state)
{
    char expected[48];
    const int numbers[] = {4711, -4711, INT_MAX, INT_MIN, INT_MIN + 1};

    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        snprintf(expected, sizeof expected, "Unknown result %d", numbers[i]);
        assert_string_equal(mproc_strerror(numbers[i]), expected);
    }
}

static void *ask(void *arg)
{
    mproc_strerror(*(int *)arg);
    return NULL;
}

static void a_sentence_is_safe_from_other_threads(void **state)
{
    pthread_t thread;
    int other = 8888;

    (void)state;
    const char *text = mproc_strerror(9999);
    assert_int_equal(pthread_create(&thread, NULL, ask, &other), 0);
    pthread_join(thread, NULL);
    assert_string_equal(text, "Unknown result 9999");
}

static void the_version_is_that_of_the_header(void **state)
{
    char expected[32];

    (void)state;
    snprintf(expected, sizeof expected, "%d.%d.%d", MPROC_VERSION_MAJOR, MPROC_VERSION_MINOR, MPROC_VERSION_PATCH);
    assert_string_equal(mproc_version(), expected);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_condition_has_its_own_sentence),      unit(an_errno_has_the_words_of_the_system),
        unit(what_is_no_result_is_named_by_its_number), unit(a_sentence_is_safe_from_other_threads),
        unit(the_version_is_that_of_the_header),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
