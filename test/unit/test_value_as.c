/* Values as C types, and from literals. */
#include "harness.h"

#include <errno.h>
#include <math.h>
#include <mproc.h>
#include <string.h>

static void numbers_are_what_they_can_be(void **state)
{
    (void)state;
    assert_int_equal(mproc_value_as_int(mproc_int(-7), 1), -7);
    assert_int_equal(mproc_value_as_int(mproc_bool(true), 5), 1);
    assert_int_equal(mproc_value_as_int(mproc_double(3.0), 1), 3);
    assert_int_equal(mproc_value_as_int(mproc_double(3.5), 1), 1);
    assert_int_equal(mproc_value_as_int(mproc_double(1e300), 1), 1);
    assert_int_equal(mproc_value_as_int(mproc_double(0x1p63), 1), 1);
    assert_int_equal(mproc_value_as_int(mproc_double(-0x1p63), 1), INT64_MIN);
    assert_int_equal(mproc_value_as_int(mproc_double(NAN), 1), 1);
    assert_int_equal(mproc_value_as_int(mproc_string("12"), 1), 1);
    assert_int_equal(mproc_value_as_int(mproc_nil(), 1), 1);
    assert_true(mproc_value_as_double(mproc_int(2), 0) == 2.0);
    assert_true(mproc_value_as_double(mproc_double(2.5), 0) == 2.5);
    assert_true(mproc_value_as_double(mproc_bool(true), 0) == 1.0);
    assert_true(mproc_value_as_double(mproc_string("2"), 0.5) == 0.5);
    assert_true(mproc_value_as_bool(mproc_bool(true), false));
    assert_false(mproc_value_as_bool(mproc_int(0), true));
    assert_true(mproc_value_as_bool(mproc_double(NAN), false));
    assert_true(mproc_value_as_bool(mproc_nil(), true));
}

static void bytes_and_strings_stay_where_they_are(void **state)
{
    static const char text[] = "text";
    size_t size;
    (void)state;
    assert_ptr_equal(mproc_value_as_string(mproc_string(text), NULL), text);
    assert_string_equal(mproc_value_as_string(mproc_bytes(text, 4), "none"), "none");
    assert_ptr_equal(mproc_value_as_bytes(mproc_bytes(text, 3), &size), text);
    assert_int_equal(size, 3);
    assert_ptr_equal(mproc_value_as_bytes(mproc_opaque(2, text, 2), NULL), text);
    assert_ptr_equal(mproc_value_as_bytes(mproc_string(text), &size), text);
    assert_int_equal(size, 4);
    assert_null(mproc_value_as_bytes(mproc_int(1), &size));
    assert_int_equal(size, 0);
}

static void what_is_not_there_is_otherwise(void **state)
{
    (void)state;
    const mproc_value person = mproc_dict_of(
        MPROC_PAIRS({mproc_string("name"), mproc_string("Ada")},
                    {mproc_string("born"), mproc_list_of(MPROC_ITEMS(mproc_int(10), mproc_int(12), mproc_int(1815)))}));
    assert_string_equal(mproc_value_as_string(mproc_value_at(person, mproc_string("name")), "?"), "Ada");
    assert_string_equal(mproc_value_as_string(mproc_value_at(person, mproc_string("home")), "?"), "?");
    const mproc_value born = mproc_value_at(person, mproc_string("born"));
    assert_int_equal(mproc_value_as_int(mproc_value_at(born, mproc_int(-1)), 0), 1815);
    assert_int_equal(mproc_value_as_int(mproc_value_at(born, mproc_int(3)), -1), -1);
    assert_int_equal(mproc_value_as_int(mproc_value_at(mproc_int(3), mproc_int(0)), -1), -1);
}

static void containers_are_made_of_literals(void **state)
{
    mproc_list *list;
    mproc_dict *dict;
    mproc_set *set;
    mproc_value found;
    size_t length;
    (void)state;
    assert_int_equal(mproc_list_create_of(&list, mproc_list_of(MPROC_ITEMS(mproc_int(2), mproc_string("three")))), 0);
    assert_int_equal(mproc_list_get(list, 1, &found, MPROC_FOREVER), 0);
    assert_string_equal(mproc_value_as_string(found, ""), "three");
    mproc_value_free(&found);
    assert_int_equal(
        mproc_dict_create_of(&dict, mproc_dict_of(MPROC_PAIRS({mproc_string("list"), mproc_object_value(list)}))), 0);
    assert_int_equal(mproc_dict_get(dict, mproc_string("list"), &found, MPROC_FOREVER), 0);
    assert_ptr_equal(mproc_value_as_object(found, NULL), list);
    assert_ptr_equal(mproc_value_as_object(mproc_int(1), list), list);
    mproc_value_free(&found);
    assert_int_equal(mproc_set_create_of(&set, mproc_list_of(MPROC_ITEMS(mproc_int(1), mproc_int(1)))), 0);
    assert_int_equal(mproc_set_length(set, &length, MPROC_FOREVER), 0);
    assert_int_equal(length, 1);
    mproc_set_free(set);
    mproc_dict_free(dict);
    mproc_list_free(list);
}

static void nothing_is_made_of_what_is_no_list(void **state)
{
    mproc_list *list;
    mproc_dict *dict;
    mproc_set *set;
    (void)state;
    assert_int_equal(mproc_list_create_of(&list, mproc_int(1)), -EINVAL);
    assert_null(list);
    assert_int_equal(mproc_dict_create_of(&dict, mproc_list_of(NULL, 0)), -EINVAL);
    assert_null(dict);
    assert_int_equal(mproc_set_create_of(&set, mproc_nil()), -EINVAL);
    assert_null(set);
    assert_int_equal(mproc_list_create_of(NULL, mproc_list_of(NULL, 0)), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(numbers_are_what_they_can_be),       unit(bytes_and_strings_stay_where_they_are),
        unit(what_is_not_there_is_otherwise),     unit(containers_are_made_of_literals),
        unit(nothing_is_made_of_what_is_no_list),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
