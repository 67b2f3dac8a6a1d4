/* Spans of time: what the macros give, where they may stand, and what is refused. That a bare number does not compile
 * is seen by test/compile/test_time.sh. */
#include "harness.h"

#include <errno.h>
#include <mproc.h>

static const mproc_time of_the_file = MPROC_SEC(2);
static const mproc_pool_options pool_of_the_file = {.grace = MPROC_MS(250), .idle_time = MPROC_FOREVER};

static void each_macro_gives_its_unit(void **state)
{
    (void)state;
    assert_int_equal(MPROC_NS(7).nanoseconds, 7);
    assert_int_equal(MPROC_US(7).nanoseconds, 7000);
    assert_int_equal(MPROC_MS(7).nanoseconds, 7000000);
    assert_int_equal(MPROC_SEC(7).nanoseconds, 7000000000);
    assert_int_equal(MPROC_NOWAIT.nanoseconds, 0);
    assert_int_equal(MPROC_FOREVER.nanoseconds, -1);
    assert_int_equal(of_the_file.nanoseconds, 2000000000);
    assert_int_equal(pool_of_the_file.grace.nanoseconds, 250000000);
}

static void a_number_may_have_any_type(void **state)
{
    const unsigned char small = 200;
    const int negative = -3;
    const unsigned long large = 9223372036;
    (void)state;
    assert_int_equal(MPROC_SEC(0.5).nanoseconds, 500000000);
    assert_int_equal(MPROC_MS(0.25F).nanoseconds, 250000);
    assert_int_equal(MPROC_US(1.5).nanoseconds, 1500);
    assert_int_equal(MPROC_SEC(small).nanoseconds, 200000000000);
    assert_int_equal(MPROC_SEC(negative).nanoseconds, -3000000000);
    assert_int_equal(MPROC_SEC(large).nanoseconds, 9223372036000000000);
    assert_int_equal(MPROC_SEC(1 + 1).nanoseconds, 2000000000);
}

static void a_span_is_handed_over_as_an_integer(void **state)
{
    /* As a binding for another language declares it. */
    int (*acquire)(mproc_lock *, int64_t) = (int (*)(mproc_lock *, int64_t))(void (*)(void))mproc_lock_acquire;
    mproc_lock *lock = mproc_alloc(sizeof *lock);
    (void)state;
    assert_int_equal(mproc_lock_init(lock), 0);
    assert_int_equal(acquire(lock, 0), 0);
    assert_int_equal(acquire(lock, 1000000), MPROC_TIMEOUT);
    assert_int_equal(acquire(lock, -2), -EINVAL);
    assert_int_equal(mproc_lock_release(lock), 0);
    mproc_free(lock);
}

/* The numbers stand for milliseconds or seconds whose unit was forgotten. */
static void a_number_without_its_unit_is_no_option(void **state)
{
    static const int64_t numbers[] = {1, 5, 250, 1000, 30000};
    mproc_pool *pool = NULL;
    mproc_listener *listener = NULL;
    mproc_manager *manager = NULL;
    (void)state;
    for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
        const mproc_time bare = {.nanoseconds = numbers[i]};
        assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.grace = bare}), -EINVAL);
        assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.idle_time = bare}), -EINVAL);
        assert_int_equal(mproc_listener_create(&listener, "unix:", &(mproc_listener_options){.handshake_time = bare}),
                         -EINVAL);
        const mproc_manager_options options[] = {
            {.authentication_time = bare}, {.stall_time = bare}, {.linger_time = bare}};
        for (size_t j = 0; j < sizeof options / sizeof *options; j++)
            assert_int_equal(mproc_manager_create(&manager, &options[j]), -EINVAL);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_macro_gives_its_unit),
        unit(a_number_may_have_any_type),
        unit(a_span_is_handed_over_as_an_integer),
        unit(a_number_without_its_unit_is_no_option),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
