#include "mistakes.h"

#include "harness.h"
#include <errno.h>

void says(int result, int expected, const char *sentence)
{
    assert_string_equal(mproc_last_error(), sentence);
    assert_int_equal(result, expected);
}

void says_null(const void *pointer, int expected, const char *sentence)
{
    int error = errno;
    assert_string_equal(mproc_last_error(), sentence);
    assert_null(pointer);
    assert_int_equal(error, expected);
}
