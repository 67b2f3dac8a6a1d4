/* Copies past the caches are exact, whatever the size and the alignment of both sides. */
#include "harness.h"
#include "os/copy.h"

enum {
    SIZE_MOST = 300,
    SHIFTS = 33,
    EDGE = 64
};

static void sizes_at(size_t shift_to, size_t shift_from)
{
    static unsigned char to[EDGE + SHIFTS + SIZE_MOST + EDGE], expected[sizeof to], from[sizeof to];
    for (size_t i = 0; i < sizeof from; i++)
        from[i] = (unsigned char)(i * 7 + 1);
    for (size_t size = 0; size <= SIZE_MOST; size++) {
        memset(to, 0xee, sizeof to);
        memset(expected, 0xee, sizeof expected);
        memcpy(expected + EDGE + shift_to, from + shift_from, size);
        os_copy_past_caches(to + EDGE + shift_to, from + shift_from, size);
        assert_memory_equal(to, expected, sizeof to);
    }
}

static void every_size_and_alignment_is_copied_and_no_byte_beside_it(void **state)
{
    (void)state;
    for (size_t shift_to = 0; shift_to < SHIFTS; shift_to++)
        for (size_t shift_from = 0; shift_from < SHIFTS; shift_from += 4)
            sizes_at(shift_to, shift_from);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(every_size_and_alignment_is_copied_and_no_byte_beside_it),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
