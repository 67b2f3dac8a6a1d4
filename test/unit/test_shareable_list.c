/* Shareable lists, among mproc programs and with CPython. */
#include "harness.h"

#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char *make_name(void)
{
    static char name[64];
    snprintf(name, sizeof name, "mproc-list-%d", (int)getpid());
    return name;
}

/* One of each kind. */
static mproc_shareable_list *make(void)
{
    mproc_shareable_list *list;
    const mproc_value items[] = {mproc_int(-5),         mproc_double(2.5),        mproc_bool(true), mproc_nil(),
                                 mproc_string("hello"), mproc_bytes("\1\0\2", 3), mproc_string("")};
    assert_int_equal(mproc_shareable_list_create(&list, make_name(), mproc_list_of(items, 7)), 0);
    return list;
}

static void must_have(const mproc_shareable_list *list, int64_t index, mproc_value expected)
{
    mproc_value value;
    assert_int_equal(mproc_shareable_list_get(list, index, &value), 0);
    assert_int_equal(value.kind, expected.kind);
    assert_true(mproc_value_equal(value, expected));
    mproc_value_free(&value);
}

static void items_of_each_kind_are_kept(void **state)
{
    (void)state;
    mproc_shareable_list *list = make(), *other;
    assert_int_equal(mproc_shareable_list_length(list), 7);
    assert_int_equal(mproc_shareable_list_attach(&other, make_name()), 0);
    assert_int_equal(mproc_shareable_list_length(other), 7);
    must_have(other, 0, mproc_int(-5));
    must_have(other, 1, mproc_double(2.5));
    must_have(other, 2, mproc_bool(true));
    must_have(other, 3, mproc_nil());
    must_have(other, 4, mproc_string("hello"));
    must_have(other, -2, mproc_bytes("\1\0\2", 3));
    must_have(other, -1, mproc_string(""));
    mproc_shareable_list_free(other);
    mproc_shareable_list_free(list);
}

static void a_place_takes_what_fits(void **state)
{
    (void)state;
    mproc_shareable_list *list = make();
    assert_int_equal(mproc_shareable_list_set(list, 0, mproc_string("eight by")), 0);
    must_have(list, 0, mproc_string("eight by"));
    assert_int_equal(mproc_shareable_list_set(list, 0, mproc_string("nine byte")), MPROC_TOO_SMALL);
    must_have(list, 0, mproc_string("eight by")); /* nothing has changed */
    assert_int_equal(mproc_shareable_list_set(list, 4, mproc_double(0.1)), 0);
    must_have(list, 4, mproc_double(0.1));
    assert_int_equal(mproc_shareable_list_set(list, 4, mproc_bytes("x", 1)), 0);
    must_have(list, 4, mproc_bytes("x", 1));
    must_have(list, 5, mproc_bytes("\1\0\2", 3)); /* nor beside it */
    mproc_shareable_list_free(list);
}

static void items_are_found_by_what_they_are(void **state)
{
    (void)state;
    mproc_shareable_list *list = make();
    size_t number = 99;
    assert_int_equal(mproc_shareable_list_set(list, 6, mproc_double(-5)), 0);
    assert_int_equal(mproc_shareable_list_count(list, mproc_int(-5), &number), 0);
    assert_int_equal(number, 2);
    assert_int_equal(mproc_shareable_list_index(list, mproc_double(-5), &number), 0);
    assert_int_equal(number, 0);
    assert_int_equal(mproc_shareable_list_index(list, mproc_string("x"), &number), MPROC_NOT_FOUND);
    mproc_value all;
    assert_int_equal(mproc_shareable_list_copy(list, &all), 0);
    char *text = mproc_value_repr(all);
    assert_string_equal(text, "[-5, 2.5, True, None, 'hello', b'\\x01\\x00\\x02', -5.0]");
    free(text);
    mproc_value_free(&all);
    mproc_shareable_list_free(list);
}

static void wrong_input_is_refused(void **state)
{
    (void)state;
    mproc_shareable_list *list = make(), *other;
    mproc_value value;
    size_t number;
    const mproc_value inner = mproc_list_of(NULL, 0);
    assert_int_equal(mproc_shareable_list_get(list, 7, &value), MPROC_NOT_FOUND);
    assert_int_equal(mproc_shareable_list_get(list, -8, &value), MPROC_NOT_FOUND);
    assert_int_equal(mproc_shareable_list_get(list, INT64_MIN, &value), MPROC_NOT_FOUND);
    assert_int_equal(mproc_shareable_list_set(list, 7, mproc_nil()), MPROC_NOT_FOUND);
    assert_int_equal(mproc_shareable_list_set(list, 0, inner), -EINVAL);
    assert_int_equal(mproc_shareable_list_set(NULL, 0, mproc_nil()), -EINVAL);
    assert_int_equal(mproc_shareable_list_get(NULL, 0, &value), -EINVAL);
    assert_int_equal(mproc_shareable_list_copy(list, NULL), -EINVAL);
    assert_int_equal(mproc_shareable_list_count(NULL, inner, &number), -EINVAL);
    assert_int_equal(mproc_shareable_list_create(&other, make_name(), inner), -EEXIST);
    assert_int_equal(mproc_shareable_list_create(&other, NULL, mproc_int(1)), -EINVAL);
    assert_int_equal(mproc_shareable_list_create(&other, NULL, mproc_list_of(&inner, 1)), -EINVAL);
    assert_int_equal(mproc_shareable_list_attach(&other, "mproc-list-that-is-not"), -ENOENT);
    assert_null(mproc_shareable_list_memory(NULL));
    assert_null(mproc_shareable_list_free(NULL));
    mproc_shareable_list_free(list);
}

/* Every byte of a list is overwritten once by every value that could matter. */
static void whatever_is_written_there_is_looked_at_with_care(void **state)
{
    (void)state;
    static const unsigned char bytes[] = {0, 1, 2, 3, 's', '9', 0x7f, 0x80, 0xff};
    mproc_shareable_list *list = make(), *other;
    mproc_shared_memory *memory = mproc_shareable_list_memory(list);
    unsigned char *base = mproc_shared_memory_data(memory);
    for (size_t i = 0; i < mproc_shared_memory_size(memory); i++) {
        unsigned char was = base[i];
        for (size_t j = 0; j < sizeof bytes; j++) {
            mproc_value all;
            base[i] = bytes[j];
            if (mproc_shareable_list_attach(&other, make_name()) == 0) {
                if (mproc_shareable_list_copy(other, &all) == 0)
                    mproc_value_free(&all);
                mproc_shareable_list_free(other);
            }
        }
        base[i] = was;
    }
    must_have(list, 4, mproc_string("hello"));
    mproc_shareable_list_free(list);
}

static void memory_that_is_no_list_is_broken(void **state)
{
    (void)state;
    mproc_shared_memory *memory;
    mproc_shareable_list *list;
    assert_int_equal(mproc_shared_memory_create(&memory, make_name(), 15), 0);
    assert_int_equal(mproc_shareable_list_attach(&list, make_name()), MPROC_BROKEN);
    mproc_shared_memory_free(memory);
    assert_int_equal(mproc_shared_memory_create(&memory, make_name(), 100), 0);
    memset(mproc_shared_memory_data(memory), 0xff, 100);
    assert_int_equal(mproc_shareable_list_attach(&list, make_name()), MPROC_BROKEN);
    mproc_shared_memory_free(memory);
}

/* ---- CPython ---- */

static int run_python(const char *body)
{
    char command[1500];
    if (system("python3 -c 'import multiprocessing.shared_memory' 2>/dev/null"))
        skip();
    snprintf(command, sizeof command,
             "python3 -c \"\n"
             "from multiprocessing import shared_memory, resource_tracker\n"
             "%s\n"
             "\"",
             body);
    return system(command);
}

static void python_reads_and_writes_our_list(void **state)
{
    (void)state;
    char body[800];
    mproc_shareable_list *list = make();
    snprintf(body, sizeof body,
             "l = shared_memory.ShareableList(name='%s')\n"
             "resource_tracker.unregister(l.shm._name, 'shared_memory')\n"
             "assert list(l) == [-5, 2.5, True, None, 'hello', b'\\x01\\x00\\x02', ''], list(l)\n"
             "l[0] = 7; l[3] = 'none'; l[4] = 'gr\\u00fcn'; l[6] = None; l[2] = False\n"
             "l.shm.close()",
             make_name());
    int status = run_python(body);
    assert_int_equal(status, 0);
    must_have(list, 0, mproc_int(7));
    must_have(list, 2, mproc_bool(false));
    must_have(list, 3, mproc_string("none"));
    must_have(list, 4, mproc_string("gr\303\274n"));
    must_have(list, 6, mproc_nil());
    mproc_shareable_list_free(list);
}

static void we_read_and_write_a_list_of_python(void **state)
{
    (void)state;
    char body[800];
    snprintf(body, sizeof body,
             "l = shared_memory.ShareableList([1, -2.5, 'text', b'bytes', True, None, 'x' * 100], name='%s')\n"
             "resource_tracker.unregister(l.shm._name, 'shared_memory')\n"
             "l.shm.close()",
             make_name());
    assert_int_equal(run_python(body), 0);
    mproc_shareable_list *list;
    assert_int_equal(mproc_shareable_list_attach(&list, make_name()), 0);
    mproc_value value;
    must_have(list, 0, mproc_int(1));
    must_have(list, 1, mproc_double(-2.5));
    must_have(list, 2, mproc_string("text"));
    must_have(list, 3, mproc_bytes("bytes", 5));
    must_have(list, 4, mproc_bool(true));
    must_have(list, 5, mproc_nil());
    assert_int_equal(mproc_shareable_list_get(list, 6, &value), 0);
    assert_int_equal(value.size, 100);
    assert_int_equal(mproc_shareable_list_set(list, 6, mproc_string("from C")), 0);
    assert_int_equal(mproc_shareable_list_set(list, 5, mproc_int(5)), 0);
    mproc_value_free(&value);
    snprintf(body, sizeof body,
             "l = shared_memory.ShareableList(name='%s')\n"
             "resource_tracker.unregister(l.shm._name, 'shared_memory')\n"
             "assert list(l) == [1, -2.5, 'text', b'bytes', True, 5, 'from C'], list(l)\n"
             "l.shm.close()",
             make_name());
    assert_int_equal(run_python(body), 0);
    mproc_shared_memory_own(mproc_shareable_list_memory(list), true);
    mproc_shareable_list_free(list);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(items_of_each_kind_are_kept),
        unit(a_place_takes_what_fits),
        unit(items_are_found_by_what_they_are),
        unit(wrong_input_is_refused),
        unit(whatever_is_written_there_is_looked_at_with_care),
        unit(memory_that_is_no_list_is_broken),
        unit(python_reads_and_writes_our_list),
        unit(we_read_and_write_a_list_of_python),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
