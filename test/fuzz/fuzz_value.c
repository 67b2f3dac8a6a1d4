/* The stored form of values, read from any bytes: the first byte says how many of the others are one, the rest is
 * another. What can be read must come back from its stored form, its copy and its text, and two of them must be in the
 * same order from both sides. */
#include "value/value.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "fuzz_value: not so: %s\n", what);
    abort();
}

static void look_at_text(const mproc_value *value, const mproc_value *again)
{
    char *text = mproc_value_repr(*value), *text_again = mproc_value_repr(*again);

    must(text && text_again && strcmp(text, text_again) == 0, "the text is the same");
    free(text);
    free(text_again);
}

/* Its stored form may be shorter than what was read, but is the same from then on. */
static void look_at_form(const mproc_value *value)
{
    void *data, *data_again;
    size_t size, size_again;
    mproc_value again;

    must(mproc_value_encode(*value, &data, &size) == 0, "what was read can be stored");
    must(mproc_value_decode(&again, data, size) == 0, "and read");
    must(mproc_value_encode(again, &data_again, &size_again) == 0, "and stored");
    must(size == size_again && memcmp(data, data_again, size) == 0, "in the same form");
    look_at_text(value, &again);
    must(mproc_value_equal(*value, *value) == mproc_value_equal(*value, again), "it equals what it equalled");
    mproc_value_free(&again);
    free(data);
    free(data_again);
}

static void look_at_copy(const mproc_value *value)
{
    mproc_value copy;

    must(mproc_value_copy(&copy, *value) == 0, "what was read can be copied");
    look_at_text(value, &copy);
    mproc_value_free(&copy);
}

/* Returns the size of the canonical form, or 0 of what is no key. */
static size_t look_at_key(const mproc_value *value, unsigned char *form, size_t room)
{
    size_t size;
    uint64_t hash;
    mproc_value simple;

    int result = value_key_size(value, &size);
    must(result == mproc_value_hash(*value, &hash), "what is a key has a hash");
    if (result || size > room)
        return 0;
    value_key_into(value, form);
    must(value_decode(&simple, form, size) == 0, "a canonical form is a stored form");
    must(value_key_equal(&simple, value), "of the same key");
    mproc_value_free(&simple);
    return size;
}

static void look_at_both(const mproc_value *a, const mproc_value *b)
{
    static unsigned char form_a[1 << 16], form_b[1 << 16];
    int order = 0, order_back = 0;
    uint64_t hash_a, hash_b;

    bool is_equal = mproc_value_equal(*a, *b);
    must(is_equal == mproc_value_equal(*b, *a), "equality goes both ways");
    int result = mproc_value_order(*a, *b, &order);
    must(result == mproc_value_order(*b, *a, &order_back), "so does order");
    must(order == -order_back, "and it is turned");
    must(result || (order == 0) == is_equal, "no order is equality");
    size_t size_a = look_at_key(a, form_a, sizeof form_a), size_b = look_at_key(b, form_b, sizeof form_b);
    if (size_a == 0 || size_b == 0)
        return;
    bool is_one = size_a == size_b && memcmp(form_a, form_b, size_a) == 0;
    must(is_one == value_key_equal(a, b), "one key has one form");
    must(!is_equal || is_one, "what is equal is one key");
    must(mproc_value_hash(*a, &hash_a) == 0 && mproc_value_hash(*b, &hash_b) == 0, "a key has a hash");
    must(!is_one || hash_a == hash_b, "one key has one hash");
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    mproc_value values[2];

    if (size < 1)
        return 0;
    size_t first = data[0] < size ? data[0] : size - 1;
    const uint8_t *at[] = {data + 1, data + 1 + first};
    const size_t sizes[] = {first, size - 1 - first};
    for (int i = 0; i < 2; i++) {
        int result = mproc_value_decode(&values[i], at[i], sizes[i]);
        must(result == 0 || result == -EINVAL, "bytes are a value or -EINVAL");
        must(result == 0 || values[i].kind == MPROC_NIL, "no value is nil");
        look_at_form(&values[i]);
        look_at_copy(&values[i]);
    }
    look_at_both(&values[0], &values[1]);
    mproc_value_free(&values[0]);
    mproc_value_free(&values[1]);
    return 0;
}
