/* Values: what is one, copies, equality, order, hash, and looking inside. */
#include "harness.h"
#include "manager/value.h"

#include <errno.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* ---- what is a value ---- */

/* A list in a list and so on, depth in all. */
static mproc_value nested(mproc_value *room, int depth)
{
    mproc_value value = mproc_list_of(NULL, 0);
    for (int i = 1; i < depth; i++) {
        room[i] = value;
        value = mproc_list_of(&room[i], 1);
    }
    return value;
}

/* That every function takes a value for none, and writes nothing. */
static void assert_is_none(mproc_value value)
{
    mproc_value copy = mproc_int(7);
    uint64_t hash = 7;
    int order = 7;
    void *data = &data;
    size_t size = 7;

    assert_int_equal(mproc_value_copy(&copy, value), -EINVAL);
    assert_int_equal(copy.kind, MPROC_NIL);
    assert_false(mproc_value_equal(value, value));
    assert_int_equal(mproc_value_order(value, value, &order), -EINVAL);
    assert_int_equal(mproc_value_order(mproc_list_of(&value, 1), mproc_list_of(&value, 1), &order), -EINVAL);
    assert_int_equal(order, 7);
    assert_int_equal(mproc_value_hash(value, &hash), -EINVAL);
    assert_int_equal(hash, 7);
    errno = 0;
    assert_null(mproc_value_repr(value));
    assert_int_equal(errno, EINVAL);
    assert_int_equal(mproc_value_encode(value, &data, &size), -EINVAL);
    assert_int_equal(size, 7);
    assert_ptr_equal(data, &data);
    assert_int_equal(value_key_size(&value, &size), -EINVAL);
    assert_false(value_is_valid(&value));
}

static void what_is_no_value_is_refused_everywhere(void **state)
{
    mproc_value unknown = mproc_nil(), object = mproc_nil(), self = mproc_list_of(&self, 1), deep[101];
    mproc_value broken = mproc_string_of(NULL, 1);
    mproc_pair list_key[] = {{mproc_list_of(NULL, 0), mproc_nil()}}, broken_key[] = {{broken, mproc_nil()}};

    (void)state;
    unknown.kind = (enum mproc_kind)(MPROC_OBJECT + 1);
    assert_is_none(unknown);
    unknown.kind = (enum mproc_kind) - 1;
    assert_is_none(unknown);
    object.kind = MPROC_OBJECT;
    assert_is_none(object);
    object.tag = 128;
    assert_is_none(object);
    assert_is_none(mproc_opaque(128, "", 0));
    assert_is_none(mproc_opaque(0, NULL, 1));
    assert_is_none(mproc_string_of("", VALUE_SIZE_MOST + 1));
    assert_is_none(mproc_bytes(NULL, 1));
    assert_is_none(mproc_list_of(NULL, 1));
    assert_is_none(mproc_map_of(NULL, 1));
    assert_is_none(mproc_list_of(&broken, 1));
    assert_is_none(mproc_map_of(list_key, 1));
    assert_is_none(mproc_map_of(broken_key, 1));
    assert_is_none(self);
    assert_is_none(nested(deep, 101));
    mproc_value at_most = nested(deep, 100);
    assert_true(value_is_valid(&at_most));
}

static void a_key_twice_is_no_map(void **state)
{
    mproc_pair pairs[100];

    (void)state;
    for (size_t count = 2; count <= COUNT(pairs); count += count < 20 ? 1 : 40) {
        for (size_t i = 0; i < count; i++)
            pairs[i] = (mproc_pair){mproc_int((int64_t)i), mproc_nil()};
        mproc_value map = mproc_map_of(pairs, count);
        assert_int_equal(value_check(&map), 0);
        pairs[count - 1].key = mproc_double(0);
        assert_is_none(map);
        pairs[count - 1].key = mproc_bool(false);
        assert_is_none(map);
    }
}

static void null_is_refused(void **state)
{
    void *data;
    size_t size;

    (void)state;
    assert_int_equal(mproc_value_copy(NULL, mproc_nil()), -EINVAL);
    mproc_value_free(NULL);
    assert_int_equal(mproc_value_order(mproc_int(1), mproc_int(2), NULL), -EINVAL);
    assert_int_equal(mproc_value_hash(mproc_int(1), NULL), -EINVAL);
    assert_null(mproc_value_get(NULL, mproc_int(1)));
    assert_int_equal(mproc_value_encode(mproc_nil(), NULL, &size), -EINVAL);
    assert_int_equal(mproc_value_encode(mproc_nil(), &data, NULL), -EINVAL);
    assert_int_equal(mproc_value_decode(NULL, "\xc0", 1), -EINVAL);
}

/* ---- copies ---- */

static void a_copy_owns_all_that_is_in_it(void **state)
{
    char name[] = "name", text[] = "a text", blob[] = {1, 0, 2};
    mproc_value items[] = {
        mproc_int(1),           mproc_string(text),    mproc_bytes(blob, 3),    mproc_opaque(5, blob, 3),
        mproc_list_of(NULL, 0), mproc_map_of(NULL, 0), mproc_string_of(NULL, 0)};
    mproc_pair pairs[] = {{mproc_string(name), mproc_list_of(items, COUNT(items))}, {mproc_bool(true), mproc_nil()}};
    mproc_value copy, again, original = mproc_map_of(pairs, 2);

    (void)state;
    assert_int_equal(mproc_value_copy(&copy, original), 0);
    assert_int_equal(mproc_value_copy(&again, original), 0);
    assert_true(mproc_value_equal(copy, original));
    memset(name, 'x', sizeof name);
    memset(text, 'x', sizeof text);
    memset(blob, 'x', sizeof blob);
    memset(items, 0, sizeof items);
    memset(pairs, 0, sizeof pairs);
    assert_true(mproc_value_equal(copy, again));
    const mproc_value *list = mproc_value_get(&copy, mproc_string("name"));
    assert_non_null(list);
    assert_int_equal(list->size, COUNT(items));
    assert_string_equal(list->items[1].string, "a text");
    assert_memory_equal(list->items[2].bytes, "\1\0\2", 3);
    assert_string_equal(list->items[6].string, "");
    assert_null(list->memory);
    mproc_value_free(&copy);
    assert_int_equal(copy.kind, MPROC_NIL);
    assert_null(copy.memory);
    mproc_value_free(&copy);
    mproc_value_free(&again);
}

static void what_borrows_is_made_nil_and_no_more(void **state)
{
    char text[] = "text";
    mproc_value value = mproc_string(text);

    (void)state;
    mproc_value_free(&value);
    assert_int_equal(value.kind, MPROC_NIL);
    assert_string_equal(text, "text");
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_is_no_value_is_refused_everywhere),
        unit(a_key_twice_is_no_map),
        unit(null_is_refused),
        unit(a_copy_owns_all_that_is_in_it),
        unit(what_borrows_is_made_nil_and_no_more),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
