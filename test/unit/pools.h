/* What the tests of pools share. Every test is run with servers that are started by fork, and by spawn. */
#ifndef TEST_UNIT_POOLS_H
#define TEST_UNIT_POOLS_H

#include <mproc/pool.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

enum {
    COUNT = 1000
};

/* How the server of the next pool is started. */
extern enum mproc_start_method pool_method;

/* Make one, and fail the test if that fails. */
mproc_pool *make_pool(unsigned workers);

/* For cmocka_run_group_tests(): what processes keep for good after their first pool is no leak of a test. */
int make_first_pool(void **state);

/* Run the tests with each of the two kinds of server. To be returned by main(). */
struct CMUnitTest;
int run_with_each_server(const struct CMUnitTest *tests, size_t count);

/* Bytes of the arena. */
size_t bytes_in_use(void);

/* For wait_until(): whether these are the arena's bytes, once what dead processes have left is swept up. */
bool bytes_are(void *bytes); /* size_t */

/* Of the monotonic clock. */
int64_t milliseconds(void);

/* Sleep, also where signals interrupt. */
void nap(int milliseconds_long);

/* Tasks. */
int square(void *ctx, const void *in, void *out);
int add_ctx(void *ctx, const void *in, void *out);
int sleep_so_long(void *ctx, const void *in, void *out);
int count_up(void *ctx, const void *in, void *out);

/* A task that waits: its ctx is a gate, in shared memory. Tasks count themselves, and end when the gate is open. */
struct gate {
    _Atomic(int) begun;
    _Atomic(bool) open;
    _Atomic(int) ended;
};
struct gate *make_gate(void);
int wait_at_gate(void *ctx, const void *in, void *out);
mproc_future *submit_at_gate(mproc_pool *pool, struct gate *gate);
bool gate_has_begun(void *gate); /* for wait_until() */

/* The numbers from 0 on. */
void fill_numbers(long *in, size_t count);

/* Fill in, map it to squares in chunks of that size, and look at each. */
void map_squares(mproc_pool *pool, long *in, long *out, size_t count, size_t chunk);

#endif
