/* As pools.h says. */
#include "pools.h"

#include "arena/member.h"
#include "harness.h"
#include <errno.h>
#include <mproc/memory.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

enum mproc_start_method pool_method;

mproc_pool *make_pool(unsigned workers)
{
    mproc_pool *pool;
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = workers, .method = pool_method}), 0);
    assert_non_null(pool);
    return pool;
}

int run_with_each_server(const struct CMUnitTest *tests, size_t count)
{
    if (mproc_init())
        return EXIT_FAILURE;
    pool_method = MPROC_START_FORK;
    int failed = _cmocka_run_group_tests("servers started by fork", tests, count, make_first_pool, NULL);
    pool_method = MPROC_START_SPAWN;
    return failed + _cmocka_run_group_tests("servers started by spawn", tests, count, make_first_pool, NULL);
}

size_t bytes_in_use(void)
{
    mproc_memory_statistics usage;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    return usage.allocated;
}

bool bytes_are(void *bytes)
{
    member_sweep_all();
    return bytes_in_use() == *(size_t *)bytes;
}

int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

void nap(int milliseconds_long)
{
    struct timespec span = {.tv_sec = milliseconds_long / 1000, .tv_nsec = milliseconds_long % 1000 * 1000000L};
    while (nanosleep(&span, &span) && errno == EINTR)
        ;
}

int square(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    (void)ctx;
    *(long *)out = x * x;
    return 0;
}

int add_ctx(void *ctx, const void *in, void *out)
{
    *(long *)out += *(const long *)in + *(const long *)ctx;
    return 0;
}

int sleep_so_long(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    nap(*(const int *)in);
    return 0;
}

int count_up(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    atomic_fetch_add((atomic_long *)ctx, 1);
    return 0;
}

struct gate *make_gate(void)
{
    struct gate *gate = mproc_calloc(1, sizeof *gate);
    assert_non_null(gate);
    return gate;
}

int wait_at_gate(void *ctx, const void *in, void *out)
{
    struct gate *gate = ctx;
    (void)in;
    (void)out;
    atomic_fetch_add(&gate->begun, 1);
    while (!atomic_load(&gate->open))
        nap(1);
    atomic_fetch_add(&gate->ended, 1);
    return 0;
}

mproc_future *submit_at_gate(mproc_pool *pool, struct gate *gate)
{
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, wait_at_gate, gate, NULL, 0, 0), 0);
    return future;
}

bool gate_has_begun(void *gate)
{
    return atomic_load(&((struct gate *)gate)->begun) > 0;
}

void fill_numbers(long *in, size_t count)
{
    for (size_t i = 0; i < count; i++)
        in[i] = (long)i;
}

void map_squares(mproc_pool *pool, long *in, long *out, size_t count, size_t chunk)
{
    const mproc_map map = {
        .count = count, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .chunk = chunk};
    fill_numbers(in, count);
    memset(out, 0xff, count * sizeof *out);
    assert_int_equal(mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER), 0);
    for (size_t i = 0; i < count; i++)
        assert_int_equal(out[i], i * i);
}

int make_first_pool(void **state)
{
    (void)state;
    mproc_pool_free(make_pool(1));
    return 0;
}
