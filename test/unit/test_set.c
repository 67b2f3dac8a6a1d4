/* mproc_set: each call against Python, many processes at once, memory that goes back, and bad input. */
#include "children.h"
#include "containers.h"
#include "harness.h"
#include "pools.h"
#include <errno.h>
#include <mproc.h>
#include <stdlib.h>

#define FOREVER MPROC_FOREVER

static mproc_set *make(void)
{
    mproc_set *set;
    assert_int_equal(mproc_set_create(&set), 0);
    return set;
}

static size_t length_of(mproc_set *set)
{
    size_t length;
    assert_int_equal(mproc_set_length(set, &length, FOREVER), 0);
    return length;
}

static void an_item_is_in_it_once(void **state)
{
    (void)state;
    mproc_value items;
    mproc_value found;
    mproc_set *set = make();
    assert_int_equal(mproc_set_pop(set, &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_set_add(set, mproc_double(1.0), FOREVER), 0);
    assert_int_equal(mproc_set_add(set, mproc_int(1), FOREVER), 0);
    assert_int_equal(mproc_set_add(set, mproc_string("x"), FOREVER), 0);
    assert_int_equal(length_of(set), 2);
    assert_int_equal(mproc_set_contains(set, mproc_bool(true), FOREVER), 0);
    assert_int_equal(mproc_set_contains(set, mproc_bytes("x", 1), FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_set_copy(set, &items, FOREVER), 0);
    assert_int_equal(items.items[0].kind, MPROC_DOUBLE);
    value_is(&items, mproc_list_of((mproc_value[]){mproc_int(1), mproc_string("x")}, 2));
    assert_int_equal(mproc_set_pop(set, &found, FOREVER), 0);
    value_is(&found, mproc_string("x"));
    assert_int_equal(mproc_set_remove(set, mproc_string("x"), FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_set_discard(set, mproc_string("x"), FOREVER), 0);
    assert_int_equal(mproc_set_remove(set, mproc_int(1), FOREVER), 0);
    assert_int_equal(length_of(set), 0);
    mproc_set_free(set);
}

static void random_calls_do_what_python_does(void **state)
{
    (void)state;
    mproc_set *set = make();
    mproc_value items;
    FILE *python = python_start();
    python_say(python, "s = set()");
    random_seed(5);
    for (int i = 0; i < 5000; i++) {
        int number = (int)random_below(50);
        bool is_in = mproc_set_contains(set, mproc_int(number), FOREVER) == 0;
        python_say(python, "assert (%d in s) == %s", number, is_in ? "True" : "False");
        switch (random_below(4)) {
        case 0:
        case 1:
            assert_int_equal(mproc_set_add(set, mproc_int(number), FOREVER), 0);
            python_say(python, "s.add(%d)", number);
            break;
        case 2:
            assert_int_equal(mproc_set_discard(set, mproc_int(number), FOREVER), 0);
            python_say(python, "s.discard(%d)", number);
            break;
        default:
            assert_int_equal(mproc_set_remove(set, mproc_int(number), FOREVER), is_in ? 0 : MPROC_NOT_FOUND);
            python_say(python, "s.discard(%d)", number);
        }
        assert_int_equal(mproc_set_copy(set, &items, FOREVER), 0);
        char *repr = mproc_value_repr(items);
        python_say(python, "assert sorted(%s) == sorted(s)", repr);
        free(repr);
        mproc_value_free(&items);
    }
    python_finish(python);
    mproc_set_free(set);
}

static int add_and_remove(void *arg)
{
    for (int i = 0; i < 2000; i++) {
        if (mproc_set_add(arg, mproc_int(i), MPROC_SEC(60)) ||
            mproc_set_discard(arg, mproc_int(100000 + i % 10), MPROC_SEC(60)) ||
            mproc_set_add(arg, mproc_int(100000 + i % 10), MPROC_SEC(60)))
            return 1;
    }
    return 0;
}

static void processes_add_at_once(void **state)
{
    (void)state;
    size_t before = bytes_in_use();
    mproc_set *set = make();
    children_run(add_and_remove, set, 4);
    assert_int_equal(length_of(set), 2010);
    assert_int_equal(mproc_set_clear(set, FOREVER), 0);
    assert_int_equal(length_of(set), 0);
    mproc_set_free(set);
    assert_int_equal(bytes_in_use(), before);
}

static void bad_input_changes_nothing(void **state)
{
    (void)state;
    mproc_set *set = make();
    mproc_value list = mproc_list_of((mproc_value[]){mproc_int(1)}, 1);
    mproc_value mixed = mproc_list_of((mproc_value[]){mproc_int(1), list}, 2);
    assert_int_equal(mproc_set_create(NULL), -EINVAL);
    assert_int_equal(mproc_set_add(set, list, FOREVER), -EINVAL);
    assert_int_equal(mproc_set_update(set, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_set_update(set, mixed, FOREVER), -EINVAL);
    assert_int_equal(mproc_set_add((mproc_set *)(void *)&list, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_set_copy(set, NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_set_pop(set, NULL, FOREVER), -EINVAL);
    assert_int_equal(length_of(set), 0);
    assert_int_equal(mproc_set_update(set, list, FOREVER), 0);
    assert_int_equal(length_of(set), 1);
    mproc_set_free(set);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_item_is_in_it_once),
        unit(random_calls_do_what_python_does),
        unit(processes_add_at_once),
        unit(bad_input_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
