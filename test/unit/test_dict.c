/* mproc_dict: each call against a simple model and against Python, many processes at once, large contents, memory that
 * goes back, and bad input. */
#include "children.h"
#include "containers.h"
#include "harness.h"
#include "pools.h"
#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdlib.h>

#define FOREVER MPROC_FOREVER

enum {
    KEYS = 40,
    STEPS = 4000,
    MILLION = 1000000
};

static mproc_dict *make(void)
{
    mproc_dict *dict;
    assert_int_equal(mproc_dict_create(&dict), 0);
    return dict;
}

static size_t length_of(mproc_dict *dict)
{
    size_t length;
    assert_int_equal(mproc_dict_length(dict, &length, FOREVER), 0);
    return length;
}

static void expect(mproc_dict *dict, mproc_value key, mproc_value expected)
{
    mproc_value found;
    assert_int_equal(mproc_dict_get(dict, key, &found, FOREVER), 0);
    value_is(&found, expected);
}

static void what_is_set_is_found_and_in_order(void **state)
{
    (void)state;
    mproc_value found;
    mproc_value last;
    mproc_dict *dict = make();
    assert_int_equal(mproc_dict_get(dict, mproc_int(1), &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(found.kind, MPROC_NIL);
    assert_int_equal(mproc_dict_set(dict, mproc_string("b"), mproc_int(1), FOREVER), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_string("a"), mproc_string("two"), FOREVER), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_string("b"), mproc_double(1.5), FOREVER), 0);
    expect(dict, mproc_string("a"), mproc_string("two"));
    expect(dict, mproc_string("b"), mproc_double(1.5));
    assert_int_equal(mproc_dict_keys(dict, &found, FOREVER), 0);
    value_is(&found, mproc_list_of((mproc_value[]){mproc_string("b"), mproc_string("a")}, 2));
    assert_int_equal(mproc_dict_values(dict, &found, FOREVER), 0);
    value_is(&found, mproc_list_of((mproc_value[]){mproc_double(1.5), mproc_string("two")}, 2));
    assert_int_equal(mproc_dict_popitem(dict, &found, &last, FOREVER), 0);
    value_is(&found, mproc_string("a"));
    value_is(&last, mproc_string("two"));
    assert_int_equal(mproc_dict_get(dict, mproc_string("b"), NULL, FOREVER), 0);
    mproc_dict_free(dict);
}

static void equal_keys_are_one_and_the_first_stays(void **state)
{
    (void)state;
    mproc_value keys;
    mproc_dict *dict = make();
    assert_int_equal(mproc_dict_set(dict, mproc_bool(true), mproc_int(1), FOREVER), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_double(1.0), mproc_int(2), FOREVER), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_bytes("x", 1), mproc_int(3), FOREVER), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_string("x"), mproc_int(4), FOREVER), 0);
    expect(dict, mproc_int(1), mproc_int(2));
    assert_int_equal(length_of(dict), 3);
    assert_int_equal(mproc_dict_keys(dict, &keys, FOREVER), 0);
    assert_int_equal(keys.items[0].kind, MPROC_BOOL);
    mproc_value_free(&keys);
    mproc_dict_free(dict);
}

static void add_counts_and_refuses_what_is_no_number(void **state)
{
    (void)state;
    mproc_value sum;
    mproc_dict *dict = make();
    assert_int_equal(mproc_dict_add(dict, mproc_int(1), mproc_int(5), &sum, FOREVER), 0);
    value_is(&sum, mproc_int(5));
    assert_int_equal(mproc_dict_add(dict, mproc_int(1), mproc_double(0.5), &sum, FOREVER), 0);
    value_is(&sum, mproc_double(5.5));
    assert_int_equal(mproc_dict_add(dict, mproc_int(2), mproc_int(INT64_MAX), NULL, FOREVER), 0);
    assert_int_equal(mproc_dict_add(dict, mproc_int(2), mproc_int(1), NULL, FOREVER), -ERANGE);
    assert_int_equal(mproc_dict_add(dict, mproc_int(2), mproc_string("1"), NULL, FOREVER), -EINVAL);
    expect(dict, mproc_int(2), mproc_int(INT64_MAX));
    mproc_dict_free(dict);
}

static void replace_compares_before_it_sets(void **state)
{
    (void)state;
    mproc_dict *dict = make();
    assert_int_equal(mproc_dict_replace(dict, mproc_int(1), mproc_int(1), mproc_int(2), FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_dict_replace(dict, mproc_int(1), mproc_nil(), mproc_int(2), FOREVER), 0);
    assert_int_equal(mproc_dict_replace(dict, mproc_int(1), mproc_int(3), mproc_int(4), FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_dict_replace(dict, mproc_int(1), mproc_int(2), mproc_int(4), FOREVER), 0);
    expect(dict, mproc_int(1), mproc_int(4));
    mproc_dict_free(dict);
}

/* ---- at random ---- */

/* The model: keys in their order. */
static struct {
    int count;
    int keys[KEYS];
    int values[KEYS];
} model;

static int model_find(int key)
{
    int i = 0;
    while (i < model.count && model.keys[i] != key)
        i++;
    return i;
}

static void model_set(int key, int value)
{
    int at = model_find(key);
    model.count += at == model.count;
    model.keys[at] = key;
    model.values[at] = value;
}

static void model_remove(int at)
{
    model.count--;
    for (int i = at; i < model.count; i++) {
        model.keys[i] = model.keys[i + 1];
        model.values[i] = model.values[i + 1];
    }
}

static void expect_model(mproc_dict *dict)
{
    mproc_value items;
    assert_int_equal(mproc_dict_copy(dict, &items, FOREVER), 0);
    assert_int_equal(items.size, model.count);
    for (int i = 0; i < model.count; i++) {
        assert_int_equal(items.pairs[i].key.integer, model.keys[i]);
        assert_int_equal(items.pairs[i].value.integer, model.values[i]);
    }
    mproc_value_free(&items);
    assert_int_equal(length_of(dict), model.count);
}

/* One step of the dict, the model and Python. */
static void step(mproc_dict *dict, FILE *python)
{
    int key = (int)random_below(KEYS);
    int value = (int)random_below(1000);
    int at = model_find(key);
    int missing = at == model.count ? MPROC_NOT_FOUND : 0;
    mproc_value found, last;
    switch (random_below(10)) {
    case 0:
    case 1:
    case 2:
        assert_int_equal(mproc_dict_set(dict, mproc_int(key), mproc_int(value), FOREVER), 0);
        python_say(python, "d[%d] = %d", key, value);
        model_set(key, value);
        break;
    case 3:
        assert_int_equal(mproc_dict_get(dict, mproc_int(key), &found, FOREVER), missing);
        assert_true(missing || found.integer == model.values[at]);
        python_expect(python, &found, "d.get(%d)", key);
        break;
    case 4:
        assert_int_equal(mproc_dict_delete(dict, mproc_int(key), FOREVER), missing);
        python_say(python, "d.pop(%d, None)", key);
        if (!missing)
            model_remove(at);
        break;
    case 5:
        assert_int_equal(mproc_dict_pop(dict, mproc_int(key), &found, FOREVER), missing);
        python_expect(python, &found, "d.pop(%d, None)", key);
        if (!missing)
            model_remove(at);
        break;
    case 6:
        assert_int_equal(mproc_dict_setdefault(dict, mproc_int(key), mproc_int(value), &found, FOREVER), 0);
        if (missing)
            model_set(key, value);
        assert_int_equal(found.integer, model.values[at]);
        python_expect(python, &found, "d.setdefault(%d, %d)", key, value);
        break;
    case 7:
        assert_int_equal(mproc_dict_popitem(dict, &found, &last, FOREVER), model.count ? 0 : MPROC_NOT_FOUND);
        if (!model.count)
            break;
        assert_int_equal(found.integer, model.keys[model.count - 1]);
        assert_int_equal(last.integer, model.values[model.count - 1]);
        model.count--;
        found = mproc_list_of((mproc_value[]){found, last}, 2);
        python_expect(python, &found, "list(d.popitem())");
        break;
    case 8:
        assert_int_equal(mproc_dict_add(dict, mproc_int(key), mproc_int(value), &found, FOREVER), 0);
        model_set(key, missing ? value : model.values[at] + value);
        python_say(python, "d[%d] = d.get(%d, 0) + %d", key, key, value);
        python_expect(python, &found, "d[%d]", key);
        break;
    default:
        if (random_below(40) == 0) {
            assert_int_equal(mproc_dict_clear(dict, FOREVER), 0);
            python_say(python, "d.clear()");
            model.count = 0;
        }
        assert_int_equal(mproc_dict_items(dict, &found, FOREVER), 0);
        python_expect(python, &found, "[list(i) for i in d.items()]");
    }
}

static void random_calls_do_what_python_does(void **state)
{
    (void)state;
    mproc_dict *dict = make();
    FILE *python = python_start();
    python_say(python, "d = {}");
    random_seed(1);
    model.count = 0;
    for (int i = 0; i < STEPS; i++) {
        step(dict, python);
        expect_model(dict);
    }
    python_finish(python);
    mproc_dict_free(dict);
}

/* Keys of all kinds. */
static mproc_value some_key(char *text, size_t size)
{
    int number = (int)random_below(30) - 10;
    snprintf(text, size, random_below(8) ? "%d" : "%0150d", number);
    switch (random_below(6)) {
    case 0:
        return mproc_int(number);
    case 1:
        return mproc_double(number / 2.0);
    case 2:
        return mproc_bool(number & 1);
    case 3:
        return mproc_string(text);
    case 4:
        return mproc_bytes(text, strlen(text));
    default:
        return mproc_nil();
    }
}

static void keys_of_all_kinds_are_python_s(void **state)
{
    (void)state;
    char text[200];
    mproc_value items;
    mproc_dict *dict = make();
    FILE *python = python_start();
    python_say(python, "d = {}");
    random_seed(2);
    for (int i = 0; i < 2000; i++) {
        mproc_value key = some_key(text, sizeof text);
        char *repr = mproc_value_repr(key);
        if (random_below(3)) {
            assert_int_equal(mproc_dict_set(dict, key, mproc_int(i), FOREVER), 0);
            python_say(python, "d[%s] = %d", repr, i);
        } else {
            mproc_dict_delete(dict, key, FOREVER);
            python_say(python, "d.pop(%s, None)", repr);
        }
        free(repr);
        assert_int_equal(mproc_dict_items(dict, &items, FOREVER), 0);
        if (i % 50 == 0)
            python_expect(python, &items, "[list(i) for i in d.items()]");
        mproc_value_free(&items);
    }
    python_finish(python);
    mproc_dict_free(dict);
}

/* ---- many processes ---- */

static int count_up_keys(void *arg)
{
    for (int i = 0; i < 1000; i++) {
        if (mproc_dict_add(arg, mproc_int(i % 50), mproc_int(1), NULL, MPROC_SEC(60)))
            return 1;
        if (i % 7 == 0 && mproc_dict_set(arg, mproc_int(1000 + i), mproc_int(i), MPROC_SEC(60)))
            return 2;
        if (i % 7 == 0 && mproc_dict_delete(arg, mproc_int(1000 + i), MPROC_SEC(60)) < 0)
            return 3;
    }
    return 0;
}

static void processes_and_threads_count_exactly(void **state)
{
    (void)state;
    mproc_dict *dict = make();
    children_run(count_up_keys, dict, 4);
    threads_run(count_up_keys, dict, 4);
    for (int i = 0; i < 50; i++)
        expect(dict, mproc_int(i), mproc_int(8 * 20));
    mproc_dict_free(dict);
}

static int change_for_ever(void *arg)
{
    for (int i = 0;; i++) {
        mproc_value keys;
        if (mproc_dict_set(arg, mproc_int(i % 100), mproc_int(i % 100), FOREVER) ||
            mproc_dict_delete(arg, mproc_int(i * 7 % 100), FOREVER) < 0 || mproc_dict_keys(arg, &keys, FOREVER))
            return 1;
        mproc_value_free(&keys);
        if (i % 1000 == 999 && mproc_dict_clear(arg, FOREVER))
            return 2;
    }
}

static void a_storm_of_kills_leaves_it_whole(void **state)
{
    (void)state;
    size_t before = bytes_in_use();
    mproc_dict *dict = make();
    mproc_value items;
    kill_storm(change_for_ever, dict, 4, 1000);
    assert_int_equal(mproc_dict_copy(dict, &items, FOREVER), 0);
    assert_int_equal(items.size, length_of(dict));
    for (size_t i = 0; i < items.size; i++) {
        assert_true(mproc_value_equal(items.pairs[i].key, items.pairs[i].value));
        expect(dict, items.pairs[i].key, items.pairs[i].value);
    }
    mproc_value_free(&items);
    mproc_dict_free(dict);
    assert_int_equal(bytes_in_use(), before);
}

static int set_for_a_while(void *arg)
{
    return mproc_dict_set(arg, mproc_int(1), mproc_int(1), MPROC_MS(120));
}

static void a_call_ends_at_its_timeout_while_the_holder_is_stopped(void **state)
{
    (void)state;
    mproc_dict *dict = make();
    expect_timeout_while_stopped(set_for_a_while, dict);
    mproc_dict_free(dict);
}

/* ---- contents ---- */

static void containers_are_nested_by_their_addresses(void **state)
{
    (void)state;
    mproc_value found;
    mproc_dict *outer = make();
    mproc_dict *inner = make();
    assert_int_equal(mproc_dict_set(outer, mproc_int(1), mproc_object_value(inner), FOREVER), 0);
    assert_int_equal(mproc_dict_get(outer, mproc_int(1), &found, FOREVER), 0);
    assert_ptr_equal(found.object, inner);
    assert_int_equal(mproc_object_type(found.object), MPROC_TYPE_DICT);
    assert_int_equal(mproc_dict_set(found.object, mproc_int(2), mproc_int(3), FOREVER), 0);
    mproc_dict_free(outer);
    expect(inner, mproc_int(2), mproc_int(3));
    mproc_dict_free(inner);
}

static void memory_goes_back_as_entries_go(void **state)
{
    (void)state;
    size_t before = bytes_in_use();
    mproc_dict *dict = make();
    size_t empty = bytes_in_use();
    for (int i = 0; i < 20000; i++)
        assert_int_equal(mproc_dict_set(dict, mproc_int(i), mproc_string("some text"), FOREVER), 0);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(mproc_dict_delete(dict, mproc_int(i), FOREVER), 0);
    assert_true(bytes_in_use() - empty <= 512);
    for (int i = 0; i < 100000; i++) { /* first in, first out, without end */
        assert_int_equal(mproc_dict_set(dict, mproc_int(i + 10), mproc_int(i), FOREVER), 0);
        assert_int_equal(mproc_dict_delete(dict, mproc_int(i), FOREVER), i < 10 ? MPROC_NOT_FOUND : 0);
    }
    assert_true(bytes_in_use() - empty <= 2048);
    assert_int_equal(mproc_dict_clear(dict, FOREVER), 0);
    assert_int_equal(bytes_in_use(), empty);
    mproc_dict_free(dict);
    assert_int_equal(bytes_in_use(), before);
}

static void a_million_entries_are_no_matter(void **state)
{
    (void)state;
    mproc_value key, value;
    mproc_dict *dict = make();
    int64_t begin = milliseconds();
    for (int i = 0; i < MILLION; i++)
        mproc_dict_set(dict, mproc_int(i), mproc_int(i), FOREVER);
    assert_int_equal(length_of(dict), MILLION);
    for (int i = 0; i < MILLION; i += 10)
        expect(dict, mproc_int(i), mproc_int(i));
    for (int i = MILLION - 1; i >= MILLION / 2; i--) {
        assert_int_equal(mproc_dict_popitem(dict, &key, &value, FOREVER), 0);
        assert_int_equal(key.integer, i);
    }
    mproc_dict_free(dict);
    assert_true(milliseconds() - begin < 60000);
}

static void a_value_of_256_mib_is_kept(void **state)
{
    (void)state;
    size_t size = (size_t)256 << 20;
    unsigned char *bytes = malloc(size);
    mproc_value found;
    mproc_dict *dict = make();
    assert_non_null(bytes);
    memset(bytes, 7, size);
    int result = mproc_dict_set(dict, mproc_int(1), mproc_bytes(bytes, size), FOREVER);
    if (result != -ENOMEM) {
        assert_int_equal(result, 0);
        result = mproc_dict_pop(dict, mproc_int(1), &found, FOREVER);
        assert_int_equal(result, 0);
        assert_int_equal(found.size, size);
        assert_memory_equal(found.bytes, bytes, size);
        mproc_value_free(&found);
    }
    free(bytes);
    mproc_dict_free(dict);
}

static void bad_input_changes_nothing(void **state)
{
    (void)state;
    mproc_value value;
    size_t length;
    mproc_value list = mproc_list_of((mproc_value[]){mproc_int(1)}, 1);
    mproc_value none = mproc_int(1);
    none.kind = (enum mproc_kind)99;
    void *other = shared(64);
    mproc_dict *dict = make();
    assert_int_equal(mproc_dict_create(NULL), -EINVAL);
    assert_null(mproc_dict_free(NULL));
    assert_null(mproc_dict_free(other));
    assert_int_equal(mproc_dict_get(NULL, mproc_int(1), &value, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_get(other, mproc_int(1), &value, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_get((mproc_dict *)&value, mproc_int(1), &value, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_set(dict, list, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_set(dict, none, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), none, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_object_value(other), FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(1), MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_dict_update(dict, list, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_keys(dict, NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_dict_length(dict, NULL, FOREVER), -EINVAL);
    assert_int_equal(length_of(dict), 0);
    assert_int_equal(mproc_object_type(other), 0);
    mproc_dict_free(dict);
    assert_int_equal(mproc_dict_length(dict, &length, FOREVER), -EINVAL);
    shared_free(other);
}

static void update_sets_each_pair(void **state)
{
    (void)state;
    mproc_dict *dict = make();
    mproc_pair pairs[] = {{mproc_int(1), mproc_int(2)}, {mproc_int(3), mproc_int(4)}};
    assert_int_equal(mproc_dict_update(dict, mproc_dict_of(pairs, 2), FOREVER), 0);
    expect(dict, mproc_int(1), mproc_int(2));
    expect(dict, mproc_int(3), mproc_int(4));
    mproc_dict_free(dict);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_is_set_is_found_and_in_order),
        unit(equal_keys_are_one_and_the_first_stays),
        unit(add_counts_and_refuses_what_is_no_number),
        unit(replace_compares_before_it_sets),
        unit(update_sets_each_pair),
        unit(random_calls_do_what_python_does),
        unit(keys_of_all_kinds_are_python_s),
        unit(processes_and_threads_count_exactly),
        unit(a_storm_of_kills_leaves_it_whole),
        unit(a_call_ends_at_its_timeout_while_the_holder_is_stopped),
        unit(containers_are_nested_by_their_addresses),
        unit(memory_goes_back_as_entries_go),
        unit(a_million_entries_are_no_matter),
        unit(a_value_of_256_mib_is_kept),
        unit(bad_input_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
