/* The stored form of values: what comes back, and what bytes that are no stored form do. */
#include "harness.h"
#include "value/value.h"

#include <errno.h>
#include <math.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

/* Decode from memory of exactly that size, so that a sanitizer sees what is read beyond. */
static int decode(mproc_value *value, const void *bytes, size_t size)
{
    unsigned char *exact = malloc(size + !size);

    memcpy(exact, bytes, size);
    *value = mproc_int(7);
    int result = mproc_value_decode(value, exact, size);
    free(exact);
    if (result)
        assert_int_equal(value->kind, MPROC_NIL);
    return result;
}

static void assert_comes_back(mproc_value value)
{
    void *data;
    size_t size;
    mproc_value back;

    assert_int_equal(mproc_value_encode(value, &data, &size), 0);
    assert_int_equal(size, value_encoded_size(&value));
    assert_int_equal(decode(&back, data, size), 0);
    char *text = mproc_value_repr(value), *text_back = mproc_value_repr(back);
    assert_string_equal(text, text_back);
    assert_int_equal(mproc_value_equal(value, back), mproc_value_equal(value, value));
    mproc_value_free(&back);
    free(text);
    free(text_back);
    free(data);
}

static void every_kind_comes_back(void **state)
{
    static char large[70000];
    const int64_t whole[] = {0, 127, 128, 255, 256, 65535, 65536, INT64_C(4294967296), INT64_MAX};
    const double real[] = {0, -0.0, 0.1, 1e300, 5e-324, INFINITY, -INFINITY, NAN};
    const size_t sizes[] = {0, 1, 2, 4, 7, 8, 15, 16, 17, 31, 32, 255, 256, 65535, 65536};

    (void)state;
    assert_comes_back(mproc_nil());
    assert_comes_back(mproc_bool(true));
    assert_comes_back(mproc_bool(false));
    for (size_t i = 0; i < COUNT(whole); i++) {
        assert_comes_back(mproc_int(whole[i]));
        assert_comes_back(mproc_int(-whole[i] - 1));
    }
    for (size_t i = 0; i < COUNT(real); i++)
        assert_comes_back(mproc_double(real[i]));
    for (size_t i = 0; i < COUNT(sizes); i++) {
        assert_comes_back(mproc_string_of(large, sizes[i]));
        assert_comes_back(mproc_bytes(large, sizes[i]));
        assert_comes_back(mproc_opaque(1, large, sizes[i]));
        assert_comes_back(mproc_opaque(2, large, sizes[i]));
    }
}

static void every_tag_comes_back(void **state)
{
    mproc_value object = mproc_nil(), back;
    unsigned char data[64];

    (void)state;
    for (uint32_t tag = 0; tag <= VALUE_TAG_MOST; tag++) {
        mproc_value opaque = mproc_opaque(tag, "\1\0\0\0\0\0\0\0\0", 9);
        assert_comes_back(opaque);
        value_encode_into(&opaque, data);
        assert_int_equal(decode(&back, data, value_encoded_size(&opaque)), 0);
        assert_int_equal(back.kind, MPROC_OPAQUE);
        assert_int_equal(back.tag, tag);
        mproc_value_free(&back);
        if (tag == 0)
            continue;
        object.kind = MPROC_OBJECT;
        object.tag = tag;
        object.object = data;
        value_encode_into(&object, data);
        assert_int_equal(decode(&back, data, value_encoded_size(&object)), 0);
        assert_int_equal(back.kind, MPROC_OBJECT);
        assert_int_equal(back.tag, tag);
        assert_ptr_equal(back.object, data);
    }
}

static void what_is_decoded_owns_one_block(void **state)
{
    mproc_value value;

    (void)state;
    assert_int_equal(decode(&value, "\x93\xa3one\xa0\x81\xa1k\xc4\x02\x00v", 13), 0);
    assert_non_null(value.memory);
    assert_int_equal(value.size, 3);
    assert_string_equal(value.items[0].string, "one");
    assert_string_equal(value.items[1].string, "");
    assert_null(value.items[2].memory);
    assert_memory_equal(value.items[2].pairs[0].value.bytes, "\0v", 3);
    mproc_value_free(&value);
    assert_int_equal(decode(&value, "\x05", 1), 0);
    assert_null(value.memory);
}

/* Other writers of MessagePack choose longer forms. */
static void longer_forms_are_read(void **state)
{
    mproc_value value;

    (void)state;
    assert_int_equal(decode(&value, "\xd3\x00\x00\x00\x00\x00\x00\x00\x05", 9), 0);
    assert_true(mproc_value_equal(value, mproc_int(5)));
    assert_int_equal(decode(&value, "\xcf\x7f\xff\xff\xff\xff\xff\xff\xff", 9), 0);
    assert_true(mproc_value_equal(value, mproc_int(INT64_MAX)));
    assert_int_equal(decode(&value, "\xca\x3f\xc0\x00\x00", 5), 0);
    assert_true(mproc_value_equal(value, mproc_double(1.5)));
    assert_int_equal(decode(&value, "\xdd\x00\x00\x00\x01\xdb\x00\x00\x00\x01x", 11), 0);
    assert_string_equal(value.items[0].string, "x");
    mproc_value_free(&value);
}

static void what_is_no_stored_form_is_refused(void **state)
{
    const struct {
        const char *bytes;
        size_t size;
    } cases[] = {
        {"", 0},
        {"\xc1", 1},                                                  /* never used */
        {"\xc0\xc0", 2},                                              /* more behind it */
        {"\xcf\x80\x00\x00\x00\x00\x00\x00\x00", 9},                  /* no int64_t */
        {"\xd4\xff\x00", 3},                                          /* an extension type below 0 */
        {"\xc7\x00\x01", 3},                                          /* the shared type without its first byte */
        {"\xc7\x0a\x01\x01\x00\x00\x00\x00\x00\x00\x00\x00\x00", 13}, /* an address of 9 bytes */
        {"\xc7\x09\x01\x80\x00\x00\x00\x00\x00\x00\x00\x00", 12},     /* an object of type 128 */
        {"\x81\x90\x00", 3},                                          /* a list as a key */
        {"\x81\x80\x00", 3},                                          /* a map as a key */
        {"\x82\x01\x00\xc3\x00", 5},                                  /* 1 and True */
        {"\x91\x82\xa1x\x00\xa1x\x00", 8},                            /* a key twice, inside */
        {"\xc9\xff\xff\xff\xff\x02\x00", 7},                          /* a claim that comes round to nothing */
    };
    mproc_value value;

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_int_equal(decode(&value, cases[i].bytes, cases[i].size), -EINVAL);
    assert_int_equal(mproc_value_decode(&value, NULL, 3), -EINVAL);
}

/* Were memory taken for what is claimed, these would be 400 GB or -ENOMEM. */
static void claims_take_no_memory(void **state)
{
    static const unsigned char kinds[] = {0xdd, 0xdf, 0xdb, 0xc6, 0xc9};
    unsigned char claim[5] = {0, 0xff, 0xff, 0xff, 0xff}, many[500];
    mproc_value value;

    (void)state;
    for (size_t i = 0; i < COUNT(kinds); i++) {
        claim[0] = kinds[i];
        assert_int_equal(decode(&value, claim, sizeof claim), -EINVAL);
    }
    claim[0] = 0xdd;
    for (size_t i = 0; i < sizeof many; i += sizeof claim)
        memcpy(&many[i], claim, sizeof claim);
    assert_int_equal(decode(&value, many, sizeof many), -EINVAL);
}

static void a_hundred_lists_in_one_another_are_the_most(void **state)
{
    unsigned char lists[102], maps[204];
    mproc_value value;

    (void)state;
    memset(lists, 0x91, sizeof lists);
    for (size_t i = 0; i < sizeof maps; i++)
        maps[i] = i % 2 ? 0x01 : 0x81;
    for (size_t depth = 98; depth <= 101; depth++) {
        int expected = depth <= 100 ? 0 : -EINVAL;
        lists[depth - 1] = 0x90;
        assert_int_equal(decode(&value, lists, depth), expected);
        mproc_value_free(&value);
        lists[depth - 1] = 0x91;
        lists[depth] = 0xc0;
        assert_int_equal(decode(&value, lists, depth + 1), expected);
        mproc_value_free(&value);
        lists[depth] = 0x91;
        maps[2 * depth] = 0xc0;
        assert_int_equal(decode(&value, maps, 2 * depth + 1), expected);
        mproc_value_free(&value);
        maps[2 * depth] = 0x81;
    }
}

/* ---- damage ---- */

/* Whatever it is now, it is a value that can be stored again, or none. */
static void assert_is_value_or_none(const void *bytes, size_t size)
{
    mproc_value value;

    int result = decode(&value, bytes, size);
    if (result) {
        assert_int_equal(result, -EINVAL);
        return;
    }
    assert_true(value_is_valid(&value));
    mproc_value_free(&value);
}

static void damage(mproc_value value)
{
    void *data;
    size_t size;
    mproc_value part;

    assert_int_equal(mproc_value_encode(value, &data, &size), 0);
    unsigned char *bytes = data;
    for (size_t i = 0; i < size; i++) {
        assert_int_equal(decode(&part, bytes, i), -EINVAL);
        unsigned char was = bytes[i];
        for (int to = 0; to < 256; to++) {
            bytes[i] = (unsigned char)to;
            assert_is_value_or_none(bytes, size);
        }
        bytes[i] = was;
    }
    free(data);
}

static void cut_and_changed_forms_are_a_value_or_refused(void **state)
{
    mproc_value object = mproc_nil(), items[20];
    mproc_pair pairs[20];

    (void)state;
    object.kind = MPROC_OBJECT;
    object.tag = 3;
    for (int i = 0; i < 20; i++) {
        items[i] = mproc_int(INT64_C(1) << 3 * i);
        pairs[i] = (mproc_pair){mproc_int(i), mproc_bool(i % 2)};
    }
    mproc_value inside[] = {mproc_nil(),
                            mproc_double(0.1),
                            mproc_string("some text that is a little longer than 32 bytes"),
                            mproc_bytes("\0\1\2", 3),
                            mproc_opaque(1, "one", 3),
                            mproc_opaque(9, "nine", 4),
                            object,
                            mproc_list_of(items, 20),
                            mproc_dict_of(pairs, 20),
                            mproc_dict_of(pairs, 3)};
    for (size_t i = 0; i < COUNT(inside); i++)
        damage(inside[i]);
    damage(mproc_list_of(inside, COUNT(inside)));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(every_kind_comes_back),
        unit(every_tag_comes_back),
        unit(what_is_decoded_owns_one_block),
        unit(longer_forms_are_read),
        unit(what_is_no_stored_form_is_refused),
        unit(claims_take_no_memory),
        unit(a_hundred_lists_in_one_another_are_the_most),
        unit(cut_and_changed_forms_are_a_value_or_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
