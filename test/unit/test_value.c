/* Values: what is one, copies, equality, order, hash, and looking inside. */
#include "harness.h"
#include "value/value.h"

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
    assert_is_none(mproc_dict_of(NULL, 1));
    assert_is_none(mproc_list_of(&broken, 1));
    assert_is_none(mproc_dict_of(list_key, 1));
    assert_is_none(mproc_dict_of(broken_key, 1));
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
        mproc_value map = mproc_dict_of(pairs, count);
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
        mproc_int(1),           mproc_string(text),     mproc_bytes(blob, 3),    mproc_opaque(5, blob, 3),
        mproc_list_of(NULL, 0), mproc_dict_of(NULL, 0), mproc_string_of(NULL, 0)};
    mproc_pair pairs[] = {{mproc_string(name), mproc_list_of(items, COUNT(items))}, {mproc_bool(true), mproc_nil()}};
    mproc_value copy, again, original = mproc_dict_of(pairs, 2);

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

/* ---- equality, order, hash ---- */

/* What Python 3.11 says of each of these to each: = equal, < and > by order, e equal without an order, ! unequal
 * without one. */
static const char *const python_says[] = {
    "=<=<><><<==<<><<><>!!!!!!!!!", ">=>=><><<>>=<><<><>!!!!!!!!!", "=<=<><><<==<<><<><>!!!!!!!!!",
    ">=>=><><<>>=<><<><>!!!!!!!!!", "<<<<=<><<<<<<><<><>!!!!!!!!!", ">>>>>=>>>>>>>>><><>!!!!!!!!!",
    "<<<<<<=<<<<<<<<<=<>!!!!!!!!!", ">>>>><>=<>>>>>=<><>!!!!!!!!!", ">>>>><>>=>>>>>><><>!!!!!!!!!",
    "=<=<><><<==<<><<><>!!!!!!!!!", "=<=<><><<==<<><<><>!!!!!!!!!", ">=>=><><<>>=<><<><>!!!!!!!!!",
    ">>>>><><<>>>=><<><>!!!!!!!!!", "<<<<<<><<<<<<=<<><>!!!!!!!!!", ">>>>><>=<>>>>>=<><>!!!!!!!!!",
    ">>>>>>>>>>>>>>>=><>!!!!!!!!!", "<<<<<<=<<<<<<<<<=<>!!!!!!!!!", ">>>>>>>>>>>>>>>>>=>!!!!!!!!!",
    "<<<<<<<<<<<<<<<<<<=!!!!!!!!!", "!!!!!!!!!!!!!!!!!!!!!!!!!!!!", "!!!!!!!!!!!!!!!!!!!!e!!!!!!!",
    "!!!!!!!!!!!!!!!!!!!!!=<<<!!!", "!!!!!!!!!!!!!!!!!!!!!>=<<!!!", "!!!!!!!!!!!!!!!!!!!!!>>=>!!!",
    "!!!!!!!!!!!!!!!!!!!!!>><=!!!", "!!!!!!!!!!!!!!!!!!!!!!!!!=<<", "!!!!!!!!!!!!!!!!!!!!!!!!!>=<",
    "!!!!!!!!!!!!!!!!!!!!!!!!!>>=",
};

static void equality_order_and_hash_are_those_of_python(void **state)
{
    const mproc_value values[] = {
        mproc_bool(false),
        mproc_bool(true),
        mproc_int(0),
        mproc_int(1),
        mproc_int(-1),
        mproc_int(INT64_MAX),
        mproc_int(INT64_MIN),
        mproc_int(9007199254740992),
        mproc_int(9007199254740993),
        mproc_double(0.0),
        mproc_double(-0.0),
        mproc_double(1.0),
        mproc_double(1.5),
        mproc_double(-1.5),
        mproc_double(0x1p53),
        mproc_double(0x1p63),
        mproc_double(-0x1p63),
        mproc_double(INFINITY),
        mproc_double(-INFINITY),
        mproc_double(NAN),
        mproc_nil(),
        mproc_string(""),
        mproc_string("a"),
        mproc_string("b"),
        mproc_string("ab"),
        mproc_bytes("", 0),
        mproc_bytes("a", 1),
        mproc_bytes("\xff", 1),
    };
    uint64_t hash_a, hash_b;

    (void)state;
    assert_int_equal(COUNT(values), COUNT(python_says));
    for (size_t a = 0; a < COUNT(values); a++)
        for (size_t b = 0; b < COUNT(values); b++) {
            char expected = python_says[a][b];
            bool is_equal = expected == '=' || expected == 'e';
            bool has_order = expected != 'e' && expected != '!';
            int order = 7, expected_order = expected == '<' ? -1 : expected == '>';
            assert_int_equal(mproc_value_equal(values[a], values[b]), is_equal);
            assert_int_equal(mproc_value_order(values[a], values[b], &order), has_order ? 0 : -EINVAL);
            assert_int_equal(order, has_order ? expected_order : 7);
            assert_int_equal(mproc_value_hash(values[a], &hash_a), 0);
            assert_int_equal(mproc_value_hash(values[b], &hash_b), 0);
            bool is_one = is_equal || (a == b && isnan(values[a].real));
            assert_int_equal(hash_a == hash_b, is_one);
            assert_int_equal(value_key_equal(&values[a], &values[b]), is_one);
        }
}

static void keys_are_one_when_their_canonical_forms_are(void **state)
{
    mproc_value object = mproc_nil(), another;
    unsigned char forms[2][16];
    size_t sizes[2];

    (void)state;
    object.kind = MPROC_OBJECT;
    object.tag = 1;
    object.object = &object;
    another = object;
    another.tag = 2;
    const mproc_value keys[] = {
        mproc_nil(),
        mproc_bool(true),
        mproc_int(1),
        mproc_double(1),
        mproc_double(-0.0),
        mproc_int(0),
        mproc_double(0x1p53),
        mproc_int(INT64_C(1) << 53),
        mproc_double(NAN),
        mproc_double(-NAN),
        mproc_double(0x1p63),
        mproc_int(INT64_MIN),
        mproc_double(1.5),
        mproc_double(-0x1p63),
        mproc_int(INT64_MAX),
        mproc_string(""),
        mproc_string("a"),
        mproc_bytes("a", 1),
        mproc_opaque(0, "a", 1),
        mproc_opaque(1, "a", 1),
        mproc_opaque(1, "", 0),
        object,
        another,
    };
    const int same[] = {0, 1, 1, 1, 4, 4, 6, 6, 8, 8, 10, 11, 12, 11, 14, 15, 16, 17, 18, 19, 20, 21, 22};
    for (size_t a = 0; a < COUNT(keys); a++)
        for (size_t b = 0; b < COUNT(keys); b++) {
            const mproc_value *both[] = {&keys[a], &keys[b]};
            for (int i = 0; i < 2; i++) {
                assert_int_equal(value_key_size(both[i], &sizes[i]), 0);
                assert_true(sizes[i] <= sizeof forms[i]);
                value_key_into(both[i], forms[i]);
            }
            bool is_one = sizes[0] == sizes[1] && memcmp(forms[0], forms[1], sizes[0]) == 0;
            assert_int_equal(is_one, same[a] == same[b]);
            assert_int_equal(value_key_equal(both[0], both[1]), same[a] == same[b]);
        }
}

static void lists_are_ordered_item_by_item(void **state)
{
    mproc_value nil = mproc_nil(), one = mproc_int(1), nan = mproc_double(NAN);
    mproc_value a[] = {nil, mproc_int(1)}, b[] = {nil, mproc_double(1.5)}, c[] = {nil, mproc_string("1")};
    int order = 7;

    (void)state;
    assert_int_equal(mproc_value_order(mproc_list_of(a, 2), mproc_list_of(b, 2), &order), 0);
    assert_int_equal(order, -1);
    assert_int_equal(mproc_value_order(mproc_list_of(a, 2), mproc_list_of(b, 1), &order), 0);
    assert_int_equal(order, 1);
    assert_int_equal(mproc_value_order(mproc_list_of(a, 1), mproc_list_of(b, 1), &order), 0);
    assert_int_equal(order, 0);
    assert_int_equal(mproc_value_order(mproc_list_of(a, 2), mproc_list_of(c, 2), &order), -EINVAL);
    assert_int_equal(mproc_value_order(mproc_list_of(&one, 1), mproc_list_of(&nan, 1), &order), -EINVAL);
    assert_int_equal(mproc_value_order(mproc_dict_of(NULL, 0), mproc_dict_of(NULL, 0), &order), -EINVAL);
    assert_int_equal(order, 0);
}

static void maps_are_equal_whatever_their_order(void **state)
{
    enum {
        MOST = 100
    };
    mproc_pair there[MOST], back[MOST];

    (void)state;
    for (size_t count = 2; count <= MOST; count += 7) {
        for (size_t i = 0; i < count; i++) {
            there[i] = (mproc_pair){mproc_int((int64_t)i), mproc_int(-(int64_t)i)};
            back[count - 1 - i] = (mproc_pair){mproc_double((double)i), mproc_int(-(int64_t)i)};
        }
        mproc_value a = mproc_dict_of(there, count), b = mproc_dict_of(back, count);
        assert_true(mproc_value_equal(a, b));
        assert_false(mproc_value_equal(a, mproc_dict_of(back, count - 1)));
        back[0].value = mproc_nil();
        assert_false(mproc_value_equal(a, b));
        back[0] = (mproc_pair){mproc_string("another"), mproc_int(1 - (int64_t)count)};
        assert_false(mproc_value_equal(a, b));
    }
}

/* wyhash final 4.2 with its test vectors, each with its place as the seed. */
static void the_hash_of_bytes_is_wyhash(void **state)
{
    const struct {
        const char *text;
        uint64_t hash;
    } vectors[] = {
        {"", 0x93228a4de0eec5a2},
        {"a", 0xc5bac3db178713c4},
        {"abc", 0xa97f2f7b1d9b3314},
        {"message digest", 0x786d1f1df3801df4},
        {"abcdefghijklmnopqrstuvwxyz", 0xdca5a8138ad37c87},
        {"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789", 0xb9e734f117cfaf70},
        {"12345678901234567890123456789012345678901234567890123456789012345678901234567890", 0x6cc5eab49a92d617},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(vectors); i++)
        assert_true(hash_bytes(vectors[i].text, strlen(vectors[i].text), i) == vectors[i].hash);
}

/* ---- looking inside ---- */

static void a_key_or_an_index_finds_its_value(void **state)
{
    mproc_value items[] = {mproc_int(10), mproc_int(11), mproc_int(12)}, list = mproc_list_of(items, 3);
    mproc_pair pairs[] = {{mproc_int(1), items[0]}, {mproc_string("1"), items[1]}, {mproc_double(NAN), items[2]}};
    mproc_value map = mproc_dict_of(pairs, 3), text = mproc_string("text");

    (void)state;
    assert_ptr_equal(mproc_value_get(&list, mproc_int(0)), &items[0]);
    assert_ptr_equal(mproc_value_get(&list, mproc_bool(true)), &items[1]);
    assert_ptr_equal(mproc_value_get(&list, mproc_int(-1)), &items[2]);
    assert_ptr_equal(mproc_value_get(&list, mproc_int(-3)), &items[0]);
    assert_null(mproc_value_get(&list, mproc_int(3)));
    assert_null(mproc_value_get(&list, mproc_int(-4)));
    assert_null(mproc_value_get(&list, mproc_int(INT64_MIN)));
    assert_null(mproc_value_get(&list, mproc_double(1)));
    assert_ptr_equal(mproc_value_get(&map, mproc_bool(true)), &pairs[0].value);
    assert_ptr_equal(mproc_value_get(&map, mproc_string("1")), &pairs[1].value);
    assert_ptr_equal(mproc_value_get(&map, mproc_double(NAN)), &pairs[2].value);
    assert_null(mproc_value_get(&map, mproc_bytes("1", 1)));
    assert_null(mproc_value_get(&map, list));
    assert_null(mproc_value_get(&text, mproc_int(0)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_is_no_value_is_refused_everywhere),
        unit(a_key_twice_is_no_map),
        unit(null_is_refused),
        unit(a_copy_owns_all_that_is_in_it),
        unit(what_borrows_is_made_nil_and_no_more),
        unit(equality_order_and_hash_are_those_of_python),
        unit(keys_are_one_when_their_canonical_forms_are),
        unit(lists_are_ordered_item_by_item),
        unit(maps_are_equal_whatever_their_order),
        unit(the_hash_of_bytes_is_wyhash),
        unit(a_key_or_an_index_finds_its_value),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
