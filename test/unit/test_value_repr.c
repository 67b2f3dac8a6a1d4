/* The text of values: fixed cases, and many seeded ones that Debian's Python looks at, where it is there. */
#include "harness.h"
#include "value/double_text.h"
#include "value/value.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>

#define COUNT(array) (sizeof(array) / sizeof *(array))

static void assert_text(mproc_value value, const char *expected)
{
    char *text = mproc_value_repr(value);

    assert_non_null(text);
    assert_string_equal(text, expected);
    free(text);
}

static void each_kind_has_its_text(void **state)
{
    mproc_value items[] = {mproc_int(1), mproc_string("two"), mproc_list_of(NULL, 0), mproc_dict_of(NULL, 0)};
    mproc_pair pairs[] = {{mproc_string("a"), mproc_int(1)}, {mproc_int(2), mproc_list_of(items, 4)}};
    mproc_value object = mproc_nil();

    (void)state;
    assert_text(mproc_nil(), "None");
    assert_text(mproc_bool(true), "True");
    assert_text(mproc_bool(false), "False");
    assert_text(mproc_int(INT64_MIN), "-9223372036854775808");
    assert_text(mproc_list_of(items, 4), "[1, 'two', [], {}]");
    assert_text(mproc_dict_of(pairs, 2), "{'a': 1, 2: [1, 'two', [], {}]}");
    assert_text(mproc_opaque(7, "abc", 3), "<opaque 7: 3 bytes>");
    object.kind = MPROC_OBJECT;
    object.tag = 1;
    object.object = (void *)0x7e8000001000;
    assert_text(object, "<dict object at 0x7e8000001000>");
    object.tag = 6;
    assert_text(object, "<array object at 0x7e8000001000>");
    object.tag = 127;
    assert_text(object, "<object 127 at 0x7e8000001000>");
}

static void doubles_have_the_fewest_digits(void **state)
{
    const struct {
        double real;
        const char *text;
    } cases[] = {
        {0, "0.0"},
        {-0.0, "-0.0"},
        {1, "1.0"},
        {-2.5, "-2.5"},
        {0.1, "0.1"},
        {0.1 + 0.2, "0.30000000000000004"},
        {1e15, "1000000000000000.0"},
        {1e16, "1e+16"},
        {123456789012345680.0, "1.2345678901234568e+17"},
        {9007199254740993.0, "9007199254740992.0"},
        {0.0001, "0.0001"},
        {0.00012345, "0.00012345"},
        {1e-5, "1e-05"},
        {1.5e300, "1.5e+300"},
        {5e-324, "5e-324"},
        {2.2250738585072014e-308, "2.2250738585072014e-308"},
        {1.7976931348623157e308, "1.7976931348623157e+308"},
        {0x1p-44, "5.684341886080802e-14"}, /* the nearest with 16 digits is another double */
        {0x1p-1074, "5e-324"},
        {INFINITY, "inf"},
        {-INFINITY, "-inf"},
        {NAN, "nan"},
        {-NAN, "nan"},
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_text(mproc_double(cases[i].real), cases[i].text);
}

static void strings_are_quoted_as_in_python(void **state)
{
    const struct {
        const char *string, *text;
    } cases[] = {
        {"", "''"},
        {"plain", "'plain'"},
        {"it's", "\"it's\""},
        {"\"", "'\"'"},
        {"'\"", "'\\'\"'"},
        {"\\ \t\n\r", "'\\\\ \\t\\n\\r'"},
        {"\x01\x1f\x7f", "'\\x01\\x1f\\x7f'"},
        {"\xc2\x80\xc2\xa0", "'\\x80\\xa0'"},
        {"\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80", "'\xc3\xa9 \xe2\x82\xac \xf0\x9f\x98\x80'"},
        {"\xef\xb7\x90\xef\xbf\xbf", "'\\ufdd0\\uffff'"},
        {"\xf0\x9f\xbf\xbe", "'\\U0001fffe'"},
        {"\xff\x80", "'\\udcff\\udc80'"},
        {"\xe2\x82", "'\\udce2\\udc82'"},
        {"\xed\xa0\x80", "'\\udced\\udca0\\udc80'"},                       /* a surrogate */
        {"\xc0\xaf\xe0\x80\xaf", "'\\udcc0\\udcaf\\udce0\\udc80\\udcaf'"}, /* overlong */
        {"\xf4\x90\x80\x80", "'\\udcf4\\udc90\\udc80\\udc80'"},            /* beyond Unicode */
    };

    (void)state;
    for (size_t i = 0; i < COUNT(cases); i++)
        assert_text(mproc_string(cases[i].string), cases[i].text);
    assert_text(mproc_string_of("a\0b", 3), "'a\\x00b'");
    assert_text(mproc_bytes("a\0'\xff\n\\", 6), "b\"a\\x00'\\xff\\n\\\\\"");
    assert_text(mproc_bytes(NULL, 0), "b''");
}

/* ---- what Python says ---- */

enum {
    SEED = 20261122,
    VALUES = 400,
    ROOM = 8000,
    ITEMS = 6
};

/* Where random values lie until the next one is made. */
static mproc_value room[ROOM];
static size_t used;
static uint64_t state_of_random;

/* The generator splitmix64. */
static uint64_t draw(void)
{
    uint64_t word = state_of_random += 0x9e3779b97f4a7c15;
    word = (word ^ word >> 30) * 0xbf58476d1ce4e5b9;
    word = (word ^ word >> 27) * 0x94d049bb133111eb;
    return word ^ word >> 31;
}

static double random_double(void)
{
    uint64_t bits = draw();
    double real;

    switch (draw() % 4) {
    case 0:
        return (double)(int64_t)(draw() % 2000) / 100 - 10;
    case 1:
        return ldexp(1, (int)(draw() % 2098) - 1074);
    case 2:
        return (double)(int64_t)(draw() % 5) - 2;
    default:
        memcpy(&real, &bits, sizeof real);
        return isfinite(real) ? real : 1.5;
    }
}

static mproc_value random_string(void)
{
    static const char *const pieces[] = {"a",
                                         "b",
                                         "Z",
                                         "'",
                                         "\"",
                                         "\\",
                                         "\n",
                                         " ",
                                         "0",
                                         "~",
                                         "\x7f",
                                         "\xff",
                                         "\xc3\xa9",
                                         "\xe2\x82\xac",
                                         "\xf0\x9f\x98\x80",
                                         "\xe2\x82"};
    static char texts[ROOM][32];
    char *text = texts[used % ROOM];
    size_t size = 0;

    for (size_t left = draw() % 5; left > 0; left--)
        size = (size_t)(stpcpy(text + size, pieces[draw() % COUNT(pieces)]) - text);
    used++;
    return draw() % 3 ? mproc_string_of(text, size) : mproc_bytes(text, size);
}

static mproc_value random_value(int depth)
{
    size_t kind = draw() % (depth > 0 ? 8 : 6), count = draw() % ITEMS, at = used;

    switch (kind) {
    case 0:
        return mproc_nil();
    case 1:
        return mproc_bool(draw() % 2);
    case 2:
        return mproc_int((int64_t)(draw() % 5) - 2);
    case 3:
        return mproc_int((int64_t)draw() >> draw() % 64);
    case 4:
        return mproc_double(random_double());
    case 5:
        return random_string();
    default:
        break;
    }
    used += 2 * count;
    for (size_t i = 0; i < 2 * count; i++)
        room[at + i] = random_value(kind == 7 && i % 2 == 0 ? 0 : depth - 1);
    if (kind == 6)
        return mproc_list_of(&room[at], count);
    mproc_value map = mproc_nil();
    map.kind = MPROC_MAP;
    map.size = count;
    map.items = &room[at];
    return value_is_valid(&map) ? map : mproc_dict_of(NULL, 0);
}

static char sign_of(mproc_value a, mproc_value b)
{
    bool is_equal = mproc_value_equal(a, b);
    int order;

    if (mproc_value_order(a, b, &order))
        return is_equal ? 'e' : '!';
    return order == 0 ? '=' : order < 0 ? '<' : '>';
}

static void claim(FILE *python, char kind, mproc_value value)
{
    char *text = mproc_value_repr(value);
    fprintf(python, "%c\t%s", kind, text);
    free(text);
}

static void claim_sorted(FILE *python)
{
    mproc_value items[20];
    int order;

    for (size_t i = 0; i < COUNT(items); i++)
        items[i] = draw() % 2 ? mproc_double(random_double()) : mproc_int((int64_t)draw() >> draw() % 64);
    claim(python, 'S', mproc_list_of(items, COUNT(items)));
    for (size_t i = 1; i < COUNT(items); i++)
        for (size_t j = i; j > 0 && mproc_value_order(items[j], items[j - 1], &order) == 0 && order < 0; j--) {
            mproc_value item = items[j];
            items[j] = items[j - 1];
            items[j - 1] = item;
        }
    char *text = mproc_value_repr(mproc_list_of(items, COUNT(items)));
    fprintf(python, "\t%s\n", text);
    free(text);
}

static void python_prints_and_orders_the_same(void **state)
{
    const char *root = getenv("MPROC_SOURCE");
    char command[4096];

    (void)state;
    if (system("command -v python3 >/dev/null") != 0)
        skip();
    snprintf(command, sizeof command, "exec python3 '%s/test/unit/check_values.py'", root ? root : ".");
    FILE *python = popen(command, "we");
    assert_non_null(python);
    state_of_random = SEED;
    for (int i = 0; i < VALUES; i++) {
        used = 0;
        mproc_value a = random_value(3), b = random_value(3);
        claim(python, 'R', a);
        fprintf(python, "\n");
        claim(python, 'C', a);
        char *text = mproc_value_repr(b);
        fprintf(python, "\t%s\t%c\n", text, sign_of(a, b));
        free(text);
        claim_sorted(python);
    }
    assert_int_equal(pclose(python), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_kind_has_its_text),
        unit(doubles_have_the_fewest_digits),
        unit(strings_are_quoted_as_in_python),
        unit(python_prints_and_orders_the_same),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
