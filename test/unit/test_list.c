/* mproc_list: each call against a simple model and against Python, many processes at once, large contents, memory that
 * goes back, and bad input. */
#include "children.h"
#include "containers.h"
#include "harness.h"
#include "pools.h"
#include <errno.h>
#include <mproc.h>
#include <stdlib.h>
#include <string.h>

#define FOREVER MPROC_FOREVER
#define OPEN    MPROC_SLICE_OPEN

enum {
    STEPS = 3000,
    MOST = 64,
    MILLION = 1000000
};

static mproc_list *make(void)
{
    mproc_list *list;
    assert_int_equal(mproc_list_create(&list), 0);
    return list;
}

static mproc_list *make_numbers(int count)
{
    mproc_list *list = make();
    for (int i = 0; i < count; i++)
        assert_int_equal(mproc_list_append(list, mproc_int(i), FOREVER), 0);
    return list;
}

static size_t length_of(mproc_list *list)
{
    size_t length;
    assert_int_equal(mproc_list_length(list, &length, FOREVER), 0);
    return length;
}

static void expect(mproc_list *list, int64_t index, mproc_value expected)
{
    mproc_value found;
    assert_int_equal(mproc_list_get(list, index, &found, FOREVER), 0);
    value_is(&found, expected);
}

static void an_index_counts_from_either_end(void **state)
{
    (void)state;
    mproc_value found;
    mproc_list *list = make_numbers(3);
    expect(list, 0, mproc_int(0));
    expect(list, -1, mproc_int(2));
    expect(list, -3, mproc_int(0));
    assert_int_equal(mproc_list_get(list, 3, &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_get(list, -4, &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_get(list, INT64_MIN, &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_set(list, -1, mproc_string("last"), FOREVER), 0);
    expect(list, 2, mproc_string("last"));
    assert_int_equal(mproc_list_set(list, 3, mproc_int(1), FOREVER), MPROC_NOT_FOUND);
    mproc_list_free(list);
    list = make();
    assert_int_equal(mproc_list_pop(list, -1, &found, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_insert(list, -1, mproc_int(1), FOREVER), 0);
    assert_int_equal(mproc_list_insert(list, -9, mproc_int(0), FOREVER), 0);
    assert_int_equal(mproc_list_insert(list, 9, mproc_int(2), FOREVER), 0);
    assert_int_equal(mproc_list_copy(list, &found, FOREVER), 0);
    value_is(&found, mproc_list_of((mproc_value[]){mproc_int(0), mproc_int(1), mproc_int(2)}, 3));
    mproc_list_free(list);
}

static void a_list_with_items_of_no_order_is_not_sorted(void **state)
{
    (void)state;
    mproc_value items;
    mproc_value mixed[] = {mproc_int(2), mproc_int(1), mproc_string("x")};
    mproc_list *list = make();
    assert_int_equal(mproc_list_extend(list, mproc_list_of(mixed, 3), FOREVER), 0);
    assert_int_equal(mproc_list_sort(list, false, FOREVER), -EINVAL);
    assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
    value_is(&items, mproc_list_of(mixed, 3));
    mproc_list_free(list);
}

static void sort_keeps_the_order_of_what_is_equal(void **state)
{
    (void)state;
    mproc_value items;
    mproc_value mixed[] = {mproc_double(1), mproc_int(2), mproc_int(1), mproc_bool(true), mproc_double(2)};
    const int kinds[2][5] = {{MPROC_DOUBLE, MPROC_INT, MPROC_BOOL, MPROC_INT, MPROC_DOUBLE},
                             {MPROC_INT, MPROC_DOUBLE, MPROC_DOUBLE, MPROC_INT, MPROC_BOOL}};
    mproc_list *list = make();
    for (int descending = 0; descending < 2; descending++) {
        assert_int_equal(mproc_list_clear(list, FOREVER), 0);
        assert_int_equal(mproc_list_extend(list, mproc_list_of(mixed, 5), FOREVER), 0);
        assert_int_equal(mproc_list_sort(list, descending, FOREVER), 0);
        assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
        for (int i = 0; i < 5; i++)
            assert_int_equal(items.items[i].kind, kinds[descending][i]);
        mproc_value_free(&items);
    }
    mproc_list_free(list);
}

/* ---- at random ---- */

static struct {
    int count;
    int items[2 * MOST];
} model;

static void model_insert(int at, int item)
{
    memmove(&model.items[at + 1], &model.items[at], (size_t)(model.count - at) * sizeof *model.items);
    model.items[at] = item;
    model.count++;
}

static void model_remove(int at)
{
    model.count--;
    memmove(&model.items[at], &model.items[at + 1], (size_t)(model.count - at) * sizeof *model.items);
}

static void expect_model(mproc_list *list)
{
    mproc_value items;
    assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
    assert_int_equal(items.size, model.count);
    for (int i = 0; i < model.count; i++)
        assert_int_equal(items.items[i].integer, model.items[i]);
    mproc_value_free(&items);
}

/* One step of the list, the model and Python. */
static void step(mproc_list *list, FILE *python)
{
    int item = (int)random_below(20);
    int at = model.count ? (int)random_below((unsigned)model.count) : 0;
    int empty = model.count ? 0 : MPROC_NOT_FOUND;
    int first = 0;
    mproc_value found;
    while (first < model.count && model.items[first] != item)
        first++;
    switch (model.count < MOST ? random_below(9) : 1 + random_below(2)) {
    case 0:
    case 8:
        assert_int_equal(mproc_list_append(list, mproc_int(item), FOREVER), 0);
        python_say(python, "l.append(%d)", item);
        model_insert(model.count, item);
        break;
    case 1:
        at = random_below(2) ? model.count - 1 : at;
        assert_int_equal(mproc_list_pop(list, at, &found, FOREVER), empty);
        if (empty)
            break;
        assert_int_equal(found.integer, model.items[at]);
        python_expect(python, &found, "l.pop(%d)", at);
        model_remove(at);
        break;
    case 2:
        assert_int_equal(mproc_list_pop(list, 0, &found, FOREVER), empty);
        if (empty)
            break;
        python_expect(python, &found, "l.pop(0)");
        model_remove(0);
        break;
    case 3:
        at = random_below(3) ? at : 0;
        assert_int_equal(mproc_list_insert(list, at, mproc_int(item), FOREVER), 0);
        python_say(python, "l.insert(%d, %d)", at, item);
        model_insert(at, item);
        break;
    case 4:
        assert_int_equal(mproc_list_remove(list, mproc_int(item), FOREVER), first < model.count ? 0 : MPROC_NOT_FOUND);
        if (first == model.count)
            break;
        python_say(python, "l.remove(%d)", item);
        model_remove(first);
        break;
    case 5:
        assert_int_equal(mproc_list_set(list, at, mproc_int(item), FOREVER), empty);
        if (empty)
            break;
        python_say(python, "l[%d] = %d", at, item);
        model.items[at] = item;
        break;
    case 6:
        assert_int_equal(mproc_list_reverse(list, FOREVER), 0);
        python_say(python, "l.reverse()");
        for (int i = 0; i < model.count / 2; i++) {
            int other = model.items[i];
            model.items[i] = model.items[model.count - 1 - i];
            model.items[model.count - 1 - i] = other;
        }
        break;
    default:
        assert_int_equal(mproc_list_delete(list, -1, FOREVER), empty);
        if (empty)
            break;
        python_say(python, "del l[-1]");
        model_remove(model.count - 1);
    }
}

static void random_calls_do_what_python_does(void **state)
{
    (void)state;
    mproc_value items;
    mproc_list *list = make();
    FILE *python = python_start();
    python_say(python, "l = []");
    random_seed(3);
    model.count = 0;
    for (int i = 0; i < STEPS; i++) {
        step(list, python);
        expect_model(list);
        assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
        python_expect(python, &items, "l");
    }
    python_finish(python);
    mproc_list_free(list);
}

/* A bound as a number and as Python writes it. */
static int64_t some_bound(char *text, size_t size)
{
    int number = (int)random_below(30) - 15;
    if (random_below(5)) {
        snprintf(text, size, "%d", number);
        return number;
    }
    *text = '\0';
    return OPEN;
}

/* One step with a slice; Python says what must come of it. */
static void slice_step(mproc_list *list, FILE *python, int number)
{
    char start_text[16], stop_text[16];
    int64_t start = some_bound(start_text, sizeof start_text);
    int64_t stop = some_bound(stop_text, sizeof stop_text);
    int step = random_below(2) ? 1 : (int)random_below(7) - 3;
    mproc_value given[12];
    mproc_value found;
    size_t count = random_below(12);
    for (size_t i = 0; i < count; i++)
        given[i] = mproc_int(number * 100 + (int)i);
    mproc_value items = mproc_list_of(given, count);
    char *repr = mproc_value_repr(items);
    int result = 0;
    switch (step ? random_below(4) : 4) {
    case 0:
    case 1:
        assert_int_equal(mproc_list_get_slice(list, start, stop, step, &found, FOREVER), 0);
        python_expect(python, &found, "l[%s:%s:%d]", start_text, stop_text, step);
        break;
    case 2:
        result = mproc_list_set_slice(list, start, stop, step, items, FOREVER);
        assert_true(result == 0 || (result == -EINVAL && step != 1));
        python_say(python, "try:\n l[%s:%s:%d] = %s\n r = 0\nexcept ValueError:\n r = 1\nassert r == %d", start_text,
                   stop_text, step, repr, result != 0);
        break;
    case 3:
        assert_int_equal(mproc_list_delete_slice(list, start, stop, step, FOREVER), 0);
        python_say(python, "del l[%s:%s:%d]", start_text, stop_text, step);
        break;
    default:
        assert_int_equal(mproc_list_get_slice(list, start, stop, step, &found, FOREVER), -EINVAL);
        assert_int_equal(mproc_list_extend(list, items, FOREVER), 0);
        python_say(python, "l.extend(%s)", repr);
    }
    free(repr);
}

static void slices_are_python_s(void **state)
{
    (void)state;
    mproc_value items;
    size_t number = 0;
    mproc_list *list = make();
    FILE *python = python_start();
    python_say(python, "l = []");
    random_seed(4);
    for (int i = 0; i < STEPS; i++) {
        slice_step(list, python, i);
        assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
        python_expect(python, &items, "l");
        if (i % 9 == 0) {
            bool descending = random_below(2);
            assert_int_equal(mproc_list_sort(list, descending, FOREVER), 0);
            python_say(python, "l.sort(reverse=%s)", descending ? "True" : "False");
            assert_int_equal(mproc_list_count(list, mproc_int(i * 100), &number, FOREVER), 0);
            python_say(python, "assert l.count(%d) == %zu", i * 100, number);
        }
        if (i % 50 == 0) {
            assert_int_equal(mproc_list_clear(list, FOREVER), 0);
            python_say(python, "l.clear()");
        }
    }
    python_finish(python);
    mproc_list_free(list);
}

/* ---- many processes ---- */

static int append_numbers(void *arg)
{
    mproc_value item;
    for (int i = 0; i < 1000; i++) {
        if (mproc_list_append(arg, mproc_int(1), MPROC_SEC(60)) ||
            mproc_list_insert(arg, 0, mproc_int(1), MPROC_SEC(60)))
            return 1;
        if (mproc_list_pop(arg, i % 2 ? 0 : -1, &item, MPROC_SEC(60)))
            return 2;
    }
    return 0;
}

static void processes_and_threads_count_exactly(void **state)
{
    (void)state;
    size_t count;
    mproc_list *list = make();
    children_run(append_numbers, list, 4);
    threads_run(append_numbers, list, 4);
    assert_int_equal(mproc_list_count(list, mproc_int(1), &count, FOREVER), 0);
    assert_int_equal(count, 8 * 1000);
    assert_int_equal(length_of(list), 8 * 1000);
    mproc_list_free(list);
}

/* Whatever is done, the list is 0, 1, 2, ... */
static int change_for_ever(void *arg)
{
    for (;;) {
        size_t length;
        mproc_value items;
        mproc_value two[] = {mproc_int(0), mproc_int(1)};
        if (mproc_list_set_slice(arg, 0, 2, 1, mproc_list_of(two, 2), FOREVER) ||
            mproc_list_copy(arg, &items, FOREVER) || mproc_list_length(arg, &length, FOREVER))
            return 1;
        for (size_t i = 0; i < items.size; i++) {
            if (items.items[i].integer != (int64_t)i)
                return 2;
        }
        mproc_value_free(&items);
        if (mproc_list_set_slice(arg, 0, OPEN, 1, mproc_list_of(two, 1), FOREVER) ||
            mproc_list_set(arg, 0, mproc_int(0), FOREVER))
            return 3;
    }
}

static void a_storm_of_kills_leaves_it_whole(void **state)
{
    (void)state;
    size_t before = bytes_in_use();
    mproc_list *list = make_numbers(2);
    kill_storm(change_for_ever, list, 4, 1000);
    assert_in_range(length_of(list), 1, 2);
    expect(list, 0, mproc_int(0));
    mproc_list_free(list);
    assert_int_equal(bytes_in_use(), before);
}

static int append_for_a_while(void *arg)
{
    return mproc_list_append(arg, mproc_int(1), MPROC_MS(120));
}

static void a_call_ends_at_its_timeout_while_the_holder_is_stopped(void **state)
{
    (void)state;
    mproc_list *list = make();
    expect_timeout_while_stopped(append_for_a_while, list);
    mproc_list_free(list);
}

/* ---- contents ---- */

static void memory_goes_back_as_items_go(void **state)
{
    (void)state;
    mproc_value item;
    size_t before = bytes_in_use();
    mproc_list *list = make();
    size_t empty = bytes_in_use();
    for (int i = 0; i < 20000; i++)
        assert_int_equal(mproc_list_append(list, mproc_string("some text"), FOREVER), 0);
    for (int i = 0; i < 20000; i++)
        assert_int_equal(mproc_list_pop(list, i % 2 ? 0 : -1, &item, FOREVER), 0), mproc_value_free(&item);
    assert_true(bytes_in_use() - empty <= 128);
    assert_int_equal(mproc_list_clear(list, FOREVER), 0);
    assert_int_equal(bytes_in_use(), empty);
    mproc_list_free(list);
    assert_int_equal(bytes_in_use(), before);
}

static void a_million_items_are_no_matter(void **state)
{
    (void)state;
    mproc_value items;
    int64_t begin = milliseconds();
    mproc_list *list = make_numbers(MILLION);
    assert_int_equal(mproc_list_insert(list, MILLION / 2, mproc_int(-1), FOREVER), 0);
    expect(list, MILLION / 2, mproc_int(-1));
    assert_int_equal(mproc_list_sort(list, true, FOREVER), 0);
    assert_int_equal(mproc_list_copy(list, &items, FOREVER), 0);
    assert_int_equal(items.size, MILLION + 1);
    for (int i = 0; i <= MILLION; i++)
        assert_int_equal(items.items[i].integer, MILLION - 1 - i);
    mproc_value_free(&items);
    for (int i = 0; i < MILLION; i++)
        assert_int_equal(mproc_list_delete(list, 0, FOREVER), 0);
    assert_int_equal(length_of(list), 1);
    mproc_list_free(list);
    assert_true(milliseconds() - begin < 60000);
}

static void a_value_of_256_mib_is_kept(void **state)
{
    (void)state;
    size_t size = (size_t)256 << 20;
    unsigned char *bytes = malloc(size);
    mproc_value found;
    mproc_list *list = make();
    assert_non_null(bytes);
    memset(bytes, 7, size);
    int result = mproc_list_append(list, mproc_bytes(bytes, size), FOREVER);
    if (result != -ENOMEM) {
        assert_int_equal(result, 0);
        assert_int_equal(mproc_list_pop(list, 0, &found, FOREVER), 0);
        assert_int_equal(found.size, size);
        assert_memory_equal(found.bytes, bytes, size);
        mproc_value_free(&found);
    }
    free(bytes);
    mproc_list_free(list);
}

static void bad_input_changes_nothing(void **state)
{
    (void)state;
    mproc_value value;
    size_t number;
    mproc_value none = mproc_int(1);
    none.kind = (enum mproc_kind)99;
    mproc_dict *other;
    mproc_list *list = make_numbers(3);
    assert_int_equal(mproc_dict_create(&other), 0);
    assert_int_equal(mproc_list_create(NULL), -EINVAL);
    assert_null(mproc_list_free(NULL));
    assert_null(mproc_list_free((mproc_list *)other));
    assert_int_equal(mproc_list_append(NULL, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_append((mproc_list *)other, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_append(list, none, FOREVER), -EINVAL);
    assert_int_equal(mproc_list_append(list, mproc_list_of(&none, 1), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_append(list, mproc_int(1), MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_list_extend(list, mproc_int(1), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_set_slice(list, 0, 3, 2, mproc_list_of(NULL, 0), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_set_slice(list, 0, 3, 0, mproc_list_of(NULL, 0), FOREVER), -EINVAL);
    assert_int_equal(mproc_list_get(list, 0, NULL, FOREVER), -EINVAL);
    assert_int_equal(mproc_list_index(list, mproc_int(9), &number, FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_remove(list, mproc_int(9), FOREVER), MPROC_NOT_FOUND);
    assert_int_equal(length_of(list), 3);
    mproc_dict_free(other);
    mproc_list_free(list);
    assert_int_equal(mproc_list_get(list, 0, &value, FOREVER), -EINVAL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_index_counts_from_either_end),
        unit(a_list_with_items_of_no_order_is_not_sorted),
        unit(sort_keeps_the_order_of_what_is_equal),
        unit(random_calls_do_what_python_does),
        unit(slices_are_python_s),
        unit(processes_and_threads_count_exactly),
        unit(a_storm_of_kills_leaves_it_whole),
        unit(a_call_ends_at_its_timeout_while_the_holder_is_stopped),
        unit(memory_goes_back_as_items_go),
        unit(a_million_items_are_no_matter),
        unit(a_value_of_256_mib_is_kept),
        unit(bad_input_changes_nothing),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
