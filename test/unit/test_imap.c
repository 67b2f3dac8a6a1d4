/* Maps over inputs that come one after another. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* The numbers from 0 to end - 1. */
struct numbers {
    long next;
    long end;
    int result; /* at the end */
};

static int next_number(void *arg, void *in)
{
    struct numbers *numbers = arg;
    if (numbers->next == numbers->end)
        return numbers->result;
    *(long *)in = numbers->next++;
    return 0;
}

static mproc_imap *begin(mproc_pool *pool, mproc_task *fn, void *ctx, struct numbers *numbers,
                         mproc_imap_options options)
{
    mproc_imap *imap = NULL;
    options.next = next_number;
    options.arg = numbers;
    options.in_size = options.out_size = sizeof(long);
    assert_int_equal(mproc_pool_imap(pool, &imap, fn, ctx, &options), 0);
    return imap;
}

/* ---- tasks ---- */

/* Every eighth is slow. */
static int square_unevenly(void *ctx, const void *in, void *out)
{
    long x = *(const long *)in;
    if (x % 8 == 0)
        nanosleep(&(struct timespec){.tv_nsec = 2000000}, NULL);
    return square(ctx, in, out);
}

static int die_at_ten(void *ctx, const void *in, void *out)
{
    if (*(const long *)in == 10)
        raise(SIGKILL);
    return square(ctx, in, out);
}

static int fail_at_odd(void *ctx, const void *in, void *out)
{
    square(ctx, in, out);
    return *(const long *)in % 2 ? 42 : 0;
}

/* Waits until ctx, a shared number, is greater than the input. */
static int wait_for_turn(void *ctx, const void *in, void *out)
{
    _Atomic(long) *turn = ctx;
    while (atomic_load(turn) <= *(const long *)in)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return square(NULL, in, out);
}

/* The input 0 waits until ctx, a shared number, is not 0. */
static int wait_for_other(void *ctx, const void *in, void *out)
{
    _Atomic(long) *turn = ctx;
    while (*(const long *)in == 0 && atomic_load(turn) == 0)
        nanosleep(&(struct timespec){.tv_nsec = 1000000}, NULL);
    return square(NULL, in, out);
}

/* ---- tests ---- */

static void must_come_in_order(mproc_imap_options options, long count)
{
    mproc_pool *pool = make_pool(3);
    struct numbers numbers = {.end = count, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, square_unevenly, NULL, &numbers, options);
    long out;
    size_t index;
    for (long i = 0; i < count; i++) {
        assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
        assert_int_equal(out, i * i);
        assert_int_equal(index, i);
    }
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), MPROC_CLOSED);
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), MPROC_CLOSED);
    assert_null(mproc_imap_free(imap));
    mproc_pool_free(pool);
}

static void results_come_in_order(void **state)
{
    (void)state;
    must_come_in_order((mproc_imap_options){.chunk = 0}, 500);
    must_come_in_order((mproc_imap_options){.chunk = 7}, 500);
    must_come_in_order((mproc_imap_options){.in_flight = 1}, 30);
    must_come_in_order((mproc_imap_options){.chunk = 64, .in_flight = 1000}, 63);
    must_come_in_order((mproc_imap_options){.chunk = 64}, 0);
}

static void results_come_as_they_are_done(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    _Atomic(long) *turn = mproc_calloc(1, sizeof *turn);
    struct numbers numbers = {.end = 20, .result = MPROC_CLOSED};
    assert_non_null(turn);
    mproc_imap *imap =
        begin(pool, square_unevenly, NULL, &numbers, (mproc_imap_options){.unordered = true, .in_flight = 4});
    bool seen[20] = {false};
    long out;
    size_t index;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
        assert_true(index < 20 && !seen[index]);
        assert_int_equal(out, (long)(index * index));
        seen[index] = true;
    }
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);

    numbers = (struct numbers){.end = 2, .result = MPROC_CLOSED};
    imap = begin(pool, wait_for_turn, turn, &numbers, (mproc_imap_options){.unordered = true});
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_MS(20)), MPROC_TIMEOUT);
    atomic_store(turn, 2);
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(turn);
}

static void the_last_may_come_first(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    _Atomic(long) *turn = mproc_calloc(1, sizeof *turn);
    struct numbers numbers = {.end = 2, .result = MPROC_CLOSED};
    long out;
    size_t index;
    assert_non_null(turn);
    mproc_imap *imap = begin(pool, wait_for_other, turn, &numbers, (mproc_imap_options){.unordered = true});
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
    assert_int_equal(index, 1);
    atomic_store(turn, 1);
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), 0);
    assert_int_equal(index, 0);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(turn);
}

static void an_endless_input_takes_bounded_memory(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = -1};
    mproc_imap *imap = begin(pool, square, NULL, &numbers, (mproc_imap_options){.chunk = 5, .in_flight = 40});
    mproc_memory_statistics before, after;
    long out;
    assert_true(numbers.next <= 40);
    mproc_memory_usage(&before);
    for (long i = 0; i < 20000; i++) {
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), 0);
        assert_int_equal(out, i * i);
        assert_true(numbers.next <= i + 1 + 40);
    }
    mproc_memory_usage(&after);
    assert_int_equal(after.allocated, before.allocated);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

/* Inputs weigh what their number says, in hundreds. */
static size_t weigh_hundreds(void *numbers, const void *in)
{
    (void)numbers;
    return *(const size_t *)in % 10 * 100;
}

static void bytes_in_flight_are_bounded(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = 200, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, square, NULL, &numbers,
                             (mproc_imap_options){.in_flight = 1000, .bytes_in_flight = 3000, .weigh = weigh_hundreds});
    for (long i = 0; i < 200; i++) {
        long out;
        size_t bytes = 0;
        for (long taken = i; taken < numbers.next; taken++)
            bytes += weigh_hundreds(&numbers, &taken);
        assert_in_range(bytes, i < 150 ? 3000 - 900 : 0, 3000 + 900); /* the last one taken may be beyond */
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), 0);
        assert_int_equal(out, i * i);
    }
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void an_input_above_the_limit_is_run_alone(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = 20, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, square, NULL, &numbers, (mproc_imap_options){.chunk = 4, .bytes_in_flight = 1});
    for (long i = 0; i < 20; i++) {
        long out;
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), 0);
        assert_int_equal(out, i * i);
        assert_int_equal(numbers.next, i + 1);
    }
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void a_result_can_be_read_in_place(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = 100, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, square, NULL, &numbers, (mproc_imap_options){.chunk = 3});
    assert_null(mproc_imap_result(imap));
    assert_null(mproc_imap_result(NULL));
    for (long i = 0; i < 100; i++) {
        assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), 0);
        assert_int_equal(*(const long *)mproc_imap_result(imap), i * i);
    }
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void a_death_costs_its_item_and_no_other(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    for (size_t chunk = 1; chunk <= 8; chunk += 7) {
        struct numbers numbers = {.end = 100, .result = MPROC_CLOSED};
        mproc_imap *imap = begin(pool, die_at_ten, NULL, &numbers, (mproc_imap_options){.chunk = chunk});
        mproc_item_status status;
        long out;
        for (long i = 0; i < 100; i++) {
            assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), i == 10 ? MPROC_WORKER_DIED : 0);
            assert_int_equal(mproc_imap_status(imap, &status), 0);
            assert_int_equal(status.code, i == 10 ? -SIGKILL : 0);
        }
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), MPROC_CLOSED);
        mproc_imap_free(imap);
    }
    mproc_pool_free(pool);
}

static void a_failure_is_its_items_alone(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = 50, .result = -EIO};
    mproc_imap *imap = begin(pool, fail_at_odd, NULL, &numbers, (mproc_imap_options){.chunk = 3});
    mproc_item_status status;
    long out;
    assert_int_equal(mproc_imap_status(imap, &status), -EINVAL);
    for (long i = 0; i < 50; i++) {
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), i % 2 ? MPROC_TASK_FAILED : 0);
        assert_int_equal(out, i * i);
        assert_int_equal(mproc_imap_status(imap, &status), 0);
        assert_int_equal(status.code, i % 2 ? 42 : 0);
    }
    assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), -EIO); /* the source's */
    assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

static void an_iteration_may_be_given_up(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    _Atomic(long) *turn = mproc_calloc(1, sizeof *turn);
    struct numbers numbers = {.end = -1};
    long in = 4, out;
    mproc_imap *imap = begin(pool, wait_for_turn, turn, &numbers, (mproc_imap_options){.chunk = 2});
    mproc_imap_free(imap);
    assert_int_equal(mproc_pool_call(pool, square, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(60)), 0);
    assert_int_equal(out, 16);
    mproc_pool_free(pool);
    mproc_free(turn);
}

static void a_closed_pool_ends_an_iteration_that_has_begun(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    struct numbers numbers = {.end = 300, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, square, NULL, &numbers, (mproc_imap_options){.in_flight = 4});
    mproc_imap *other;
    long out;
    mproc_pool_close(pool);
    const mproc_imap_options options = {.next = next_number, .arg = &numbers, .in_size = sizeof(long)};
    assert_int_equal(mproc_pool_imap(pool, &other, square, NULL, &options), MPROC_CLOSED);
    assert_null(other);
    for (long i = 0; i < 300; i++)
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(60)), 0);
    mproc_pool_free(pool);
}

static void a_terminated_pool_cancels_what_is_not_done(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    _Atomic(long) *turn = mproc_calloc(1, sizeof *turn);
    struct numbers numbers = {.end = 300, .result = MPROC_CLOSED};
    mproc_imap *imap = begin(pool, wait_for_turn, turn, &numbers, (mproc_imap_options){.in_flight = 4});
    long out;
    mproc_pool_terminate(pool);
    int cancelled = 0;
    int result;
    while ((result = mproc_imap_next(imap, &out, NULL, MPROC_SEC(60))) == MPROC_CANCELLED)
        cancelled++;
    assert_int_equal(result, MPROC_CLOSED);
    assert_int_equal(cancelled, 5); /* four items, and the inputs that nobody took */
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(turn);
}

static void bad_arguments_are_refused(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(1);
    mproc_imap *imap = (mproc_imap *)&pool;
    mproc_imap_options options = {.next = next_number, .in_size = 8};
    assert_int_equal(mproc_pool_imap(pool, NULL, square, NULL, &options), -EINVAL);
    assert_int_equal(mproc_pool_imap(pool, &imap, NULL, NULL, &options), -EINVAL);
    assert_null(imap);
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_pool_imap(NULL, &imap, square, NULL, &options), -EINVAL);
    options.ctx_size = 1;
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), -EINVAL);
    options = (mproc_imap_options){.next = next_number};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), -EINVAL);
    options = (mproc_imap_options){.in_size = 8};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), -EINVAL);
    options = (mproc_imap_options){.next = next_number, .in_size = 8, .chunk = 2, .in_flight = 1};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), -EINVAL);
    options = (mproc_imap_options){.next = next_number, .in_size = 8, .chunk = SIZE_MAX / 4};
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &options), -EINVAL);
    assert_int_equal(mproc_imap_next(NULL, NULL, NULL, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_imap_status(NULL, NULL), -EINVAL);
    assert_null(mproc_imap_free(NULL));
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(results_come_in_order),
        unit(results_come_as_they_are_done),
        unit(the_last_may_come_first),
        unit(an_endless_input_takes_bounded_memory),
        unit(bytes_in_flight_are_bounded),
        unit(an_input_above_the_limit_is_run_alone),
        unit(a_result_can_be_read_in_place),
        unit(a_death_costs_its_item_and_no_other),
        unit(a_failure_is_its_items_alone),
        unit(an_iteration_may_be_given_up),
        unit(a_closed_pool_ends_an_iteration_that_has_begun),
        unit(a_terminated_pool_cancels_what_is_not_done),
        unit(bad_arguments_are_refused),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
