/* mproc_namespace and mproc_variable: what is set is got, also by others, memory that goes back, and bad input. */
#include "children.h"
#include "containers.h"
#include "harness.h"
#include "pools.h"
#include <errno.h>
#include <mproc.h>
#include <stdio.h>
#include <unistd.h>

#define FOREVER MPROC_FOREVER

static mproc_namespace *make(void)
{
    mproc_namespace *names;
    assert_int_equal(mproc_namespace_create(&names), 0);
    return names;
}

static void a_name_has_its_value(void **state)
{
    (void)state;
    mproc_value found;
    size_t before = bytes_in_use();
    mproc_namespace *names = make();
    assert_int_equal(mproc_namespace_get(names, "a", &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_namespace_set(names, "a", mproc_int(1), FOREVER), 0);
    assert_int_equal(mproc_namespace_set(names, "b", mproc_string("two"), FOREVER), 0);
    assert_int_equal(mproc_namespace_set(names, "a", mproc_int(3), FOREVER), 0);
    assert_int_equal(mproc_namespace_get(names, "a", &found, FOREVER), 0);
    value_is(&found, mproc_int(3));
    assert_int_equal(mproc_namespace_copy(names, &found, FOREVER), 0);
    mproc_pair pairs[] = {{mproc_string("a"), mproc_int(3)}, {mproc_string("b"), mproc_string("two")}};
    value_is(&found, mproc_dict_of(pairs, 2));
    assert_int_equal(mproc_namespace_delete(names, "a", FOREVER), 0);
    assert_int_equal(mproc_namespace_delete(names, "a", FOREVER), MPROC_NOT_FOUND);
    mproc_namespace_free(names);
    assert_int_equal(bytes_in_use(), before);
}

static int set_own_name(void *arg)
{
    char name[32];
    snprintf(name, sizeof name, "process %d", (int)getpid());
    for (int i = 0; i < 500; i++) {
        if (mproc_namespace_set(arg, name, mproc_int(i), MPROC_SEC(60)))
            return 1;
    }
    return 0;
}

static void processes_set_names_at_once(void **state)
{
    (void)state;
    mproc_value map;
    mproc_namespace *names = make();
    children_run(set_own_name, names, 4);
    assert_int_equal(mproc_namespace_copy(names, &map, FOREVER), 0);
    assert_int_equal(map.size, 4);
    for (size_t i = 0; i < map.size; i++)
        assert_int_equal(map.pairs[i].value.integer, 499);
    mproc_value_free(&map);
    mproc_namespace_free(names);
}

static void a_variable_has_one_value(void **state)
{
    (void)state;
    mproc_value found;
    size_t before = bytes_in_use();
    mproc_variable *variable;
    assert_int_equal(mproc_variable_create(&variable, mproc_int(1)), 0);
    assert_int_equal(mproc_variable_get(variable, &found, FOREVER), 0);
    value_is(&found, mproc_int(1));
    assert_int_equal(mproc_variable_set(variable, mproc_string("another"), FOREVER), 0);
    assert_int_equal(mproc_variable_get(variable, &found, FOREVER), 0);
    value_is(&found, mproc_string("another"));
    mproc_variable_free(variable);
    assert_int_equal(bytes_in_use(), before);
}

static int set_for_a_while(void *arg)
{
    return mproc_variable_set(arg, mproc_int(2), MPROC_MS(120));
}

static void a_call_ends_at_its_timeout_while_the_holder_is_stopped(void **state)
{
    (void)state;
    mproc_variable *variable;
    assert_int_equal(mproc_variable_create(&variable, mproc_int(1)), 0);
    expect_timeout_while_stopped(set_for_a_while, variable);
    mproc_variable_free(variable);
}

/* A pair of equal numbers, whoever dies in between. */
static int set_pairs_for_ever(void *arg)
{
    for (int i = 0;; i++) {
        mproc_value found;
        mproc_value pair[] = {mproc_int(i), mproc_int(i)};
        if (mproc_variable_set(arg, mproc_list_of(pair, 2), FOREVER) || mproc_variable_get(arg, &found, FOREVER))
            return 1;
        if (found.items[0].integer != found.items[1].integer)
            return 2;
        mproc_value_free(&found);
    }
}

static void a_storm_of_kills_leaves_a_variable_whole(void **state)
{
    (void)state;
    mproc_value found;
    size_t before = bytes_in_use();
    mproc_variable *variable;
    assert_int_equal(mproc_variable_create(&variable, mproc_list_of((mproc_value[]){mproc_int(1), mproc_int(1)}, 2)),
                     0);
    kill_storm(set_pairs_for_ever, variable, 4, 500);
    assert_int_equal(mproc_variable_get(variable, &found, FOREVER), 0);
    assert_int_equal(found.items[0].integer, found.items[1].integer);
    mproc_value_free(&found);
    mproc_variable_free(variable);
    assert_int_equal(bytes_in_use(), before);
}

static void bad_input_changes_nothing(void **state)
{
    (void)state;
    mproc_value found;
    mproc_value none = mproc_int(1);
    none.kind = (enum mproc_kind)99;
    mproc_variable *variable;
    mproc_namespace *names = make();
    assert_int_equal(mproc_namespace_create(NULL), -EINVAL);
    assert_int_equal(mproc_namespace_set(names, NULL, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_namespace_set(NULL, "a", mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_namespace_set(names, "a", none, FOREVER), -EINVAL);
    assert_int_equal(mproc_namespace_get(names, NULL, &found, FOREVER), -EINVAL);
    assert_int_equal(mproc_namespace_copy(names, NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_variable_create(NULL, mproc_int(1)), -EINVAL);
    assert_int_equal(mproc_variable_create(&variable, none), -EINVAL);
    assert_null(variable);
    assert_int_equal(mproc_variable_get((mproc_variable *)names, &found, FOREVER), -EINVAL);
    assert_int_equal(mproc_namespace_get(names, "a", &found, FOREVER), MPROC_NOT_FOUND);
    mproc_namespace_free(names);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_name_has_its_value),
        unit(processes_set_names_at_once),
        unit(a_variable_has_one_value),
        unit(a_call_ends_at_its_timeout_while_the_holder_is_stopped),
        unit(a_storm_of_kills_leaves_a_variable_whole),
        unit(bad_input_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
