/* Pools in a program that does not call mproc_init(). */
#include "harness.h"

#include <mproc.h>

static int add_ctx(void *ctx, const void *in, void *out)
{
    *(long *)out = *(const long *)in + *(const long *)ctx;
    return 0;
}

static void a_server_cannot_be_spawned(void **state)
{
    mproc_pool *pool;
    (void)state;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.method = MPROC_START_SPAWN}),
                     MPROC_NOT_INITIALIZED);
    assert_null(pool);
}

static void the_server_is_forked_and_may_see_what_was_there(void **state)
{
    static long ctx = 1;
    long in = 1, out = 0;
    mproc_pool *pool;
    (void)state;
    ctx = 5;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.inherited_memory = true}), 0);
    ctx = 6; /* too late to be seen */
    assert_int_equal(
        mproc_pool_map(pool, add_ctx, &ctx,
                       &(mproc_map){.count = 1, .in = &in, .in_size = sizeof in, .out = &out, .out_size = sizeof out},
                       MPROC_FOREVER),
        0);
    assert_int_equal(out, 6);
    mproc_pool_free(pool);
}

/* What processes keep for good after their first pool is no leak of a test. */
static int make_first_pool(void **state)
{
    mproc_pool *pool;
    (void)state;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}))
        return -1;
    mproc_pool_free(pool);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_server_cannot_be_spawned),
        unit(the_server_is_forked_and_may_see_what_was_there),
    };
    return cmocka_run_group_tests(tests, make_first_pool, NULL);
}
