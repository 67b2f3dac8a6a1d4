/* Results of any size and texts of errors: they reach who asked for them, in the memory where the task wrote them, and
 * go back whenever nobody gets them. That nothing stays is checked after each test, by its books. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* What a task is to do. */
enum wish {
    GIVE,     /* a result of size bytes */
    FAIL,     /* give it, and fail with a text */
    DIE,      /* take it, and die */
    STAY,     /* take it, and never end */
    DIE_ONCE, /* die at the first try, by a count in tries */
    FAIL_ONCE /* fail at the first try, and give nothing at the next */
};

struct order {
    size_t size;
    enum wish wish;
    _Atomic(int) *tries; /* in shared memory */
};

static unsigned char byte_of(size_t size, size_t at)
{
    return (unsigned char)(size * 5 + at);
}

static void *give(size_t size)
{
    unsigned char *result = mproc_task_result(size);
    for (size_t i = 0; result && i < size; i++)
        result[i] = byte_of(size, i);
    return result;
}

/* out gets the address of the result. */
static int obey(void *ctx, const void *in, void *out)
{
    const struct order *order = in;
    enum wish wish = order->wish;
    (void)ctx;
    if (wish == FAIL_ONCE && atomic_load(order->tries) > 0)
        return 0;
    void *result = order->size ? give(order->size) : NULL;
    if (out)
        *(void **)out = result;
    if (wish == DIE_ONCE)
        wish = atomic_fetch_add(order->tries, 1) == 0 ? DIE : GIVE;
    if (wish == FAIL_ONCE)
        atomic_fetch_add(order->tries, 1);
    if (wish == FAIL || wish == FAIL_ONCE)
        return mproc_task_fail("%zu bytes and %s", order->size, "a word");
    if (wish == DIE)
        raise(SIGKILL);
    if (wish == STAY)
        for (;;)
            pause();
    return order->size && !result;
}

static void assert_given(const void *data, size_t size)
{
    for (size_t i = 0; i < size; i += size / 5000 + 1)
        assert_int_equal(((const unsigned char *)data)[i], byte_of(size, i));
}

static void take(mproc_output *output, size_t size)
{
    assert_int_equal(output->size, size);
    assert_int_equal(!output->data, !size);
    assert_given(output->data, size);
    assert_int_equal(mproc_free(output->data), 0);
}

static mproc_future *submit(mproc_pool *pool, struct order order)
{
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, obey, NULL, &order, sizeof order, sizeof(void *)), 0);
    return future;
}

/* The arena has as many bytes as before, once what workers were just about to take when they were killed is swept. */
static void assert_nothing_stays(size_t before)
{
    assert_true(wait_until(bytes_are, &before, 20000));
}

/* ---- maps ---- */

static void map_results(mproc_pool *pool, size_t count, size_t most, bool shared)
{
    struct order *orders = shared ? mproc_calloc(count, sizeof *orders) : calloc(count, sizeof *orders);
    void **addresses = shared ? mproc_calloc(count, sizeof *addresses) : calloc(count, sizeof *addresses);
    mproc_output *results = malloc(count * sizeof *results);
    memset(results, 0xff, count * sizeof *results);
    for (size_t i = 0; i < count; i++)
        orders[i].size = i * most / count;
    const mproc_map map = {.count = count,
                           .in = orders,
                           .in_size = sizeof *orders,
                           .out = addresses,
                           .out_size = sizeof *addresses,
                           .results = results};
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_SEC(60)), 0);
    for (size_t i = 0; i < count; i++) {
        assert_ptr_equal(results[i].data, addresses[i]);
        take(&results[i], orders[i].size);
    }
    free(results);
    if (shared) {
        mproc_free(orders);
        mproc_free(addresses);
    } else {
        free(orders);
        free(addresses);
    }
}

static void the_results_of_a_map_are_handed_over_where_they_are(void **state)
{
    mproc_pool *pool = make_pool(2);
    (void)state;
    map_results(pool, 1, 0, false);
    map_results(pool, 300, 20000, false);
    map_results(pool, 300, 20000, true);
    map_results(pool, 200000, 100, false); /* in portions */
    mproc_pool_free(pool);
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .threads = true}), 0);
    map_results(pool, 300, 20000, false);
    mproc_pool_free(pool);
}

static int give_its_number(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    long *result = mproc_task_result(sizeof *result);
    if (!result)
        return 1;
    *result = *(const long *)in;
    return 0;
}

static void a_million_small_results_are_handed_over(void **state)
{
    enum {
        MANY = 1000000
    };
    long *in = mproc_alloc(MANY * sizeof *in);
    mproc_output *results = malloc(MANY * sizeof *results);
    mproc_pool *pool = make_pool(2);
    (void)state;
    fill_numbers(in, MANY);
    const mproc_map map = {.count = MANY, .in = in, .in_size = sizeof *in, .results = results};
    assert_int_equal(mproc_pool_map(pool, give_its_number, NULL, &map, MPROC_SEC(100)), 0);
    for (long i = 0; i < MANY; i++) {
        if (results[i].size != sizeof(long) || *(long *)results[i].data != i)
            fail_msg("item %ld has another result", i);
        mproc_free(results[i].data);
    }
    mproc_pool_free(pool);
    free(results);
    mproc_free(in);
}

static void outcomes_of_all_kinds_have_what_is_theirs(void **state)
{
    size_t before = bytes_in_use();
    enum {
        ITEMS = 60
    };
    struct order orders[ITEMS];
    mproc_item_status status[ITEMS];
    mproc_output results[ITEMS];
    char *errors[ITEMS];
    _Atomic(int) *tries = mproc_calloc(ITEMS, sizeof *tries);
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < ITEMS; i++)
        orders[i] = (struct order){.size = 100 + 400 * (size_t)i, .wish = (enum wish)(i % 6), .tries = &tries[i]};
    const mproc_map map = {.count = ITEMS,
                           .in = orders,
                           .in_size = sizeof *orders,
                           .status = status,
                           .results = results,
                           .errors = errors,
                           .chunk = 4,
                           .item_timeout = MPROC_MS(200),
                           .retries = 1,
                           .retry_on = MPROC_RETRY_DEATH | MPROC_RETRY_FAILURE};
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_SEC(100)), MPROC_WORKER_DIED);
    for (int i = 0; i < ITEMS; i++) {
        static const int expected[] = {0, MPROC_TASK_FAILED, MPROC_WORKER_DIED, MPROC_LATE, 0, 0};
        char text[100];
        bool has_result = i % 6 == GIVE || i % 6 == FAIL || i % 6 == DIE_ONCE;
        snprintf(text, sizeof text, "%zu bytes and a word", orders[i].size);
        assert_int_equal(status[i].result, expected[i % 6]);
        take(&results[i], has_result ? orders[i].size : 0);
        if (i % 6 == FAIL)
            assert_string_equal(errors[i], text);
        else
            assert_null(errors[i]);
        mproc_free(errors[i]);
    }
    mproc_pool_free(pool);
    mproc_free(tries);
    assert_nothing_stays(before);
}

/* What a map that is over before its time has got done is handed over, and the rest is nobody's. */
static void a_map_whose_time_is_over_hands_over_what_was_done(void **state)
{
    size_t before = bytes_in_use();
    enum {
        ITEMS = 100
    };
    struct order orders[ITEMS];
    mproc_output results[ITEMS];
    mproc_item_status status[ITEMS];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < ITEMS; i++)
        orders[i] = (struct order){.size = 3000, .wish = i % 50 == 20 ? STAY : GIVE};
    const mproc_map map = {
        .count = ITEMS, .in = orders, .in_size = sizeof *orders, .results = results, .status = status, .chunk = 50};
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_MS(500)), MPROC_TIMEOUT);
    size_t done = 0;
    for (int i = 0; i < ITEMS; i++) {
        done += status[i].result == 0;
        take(&results[i], status[i].result == 0 ? 3000 : 0);
    }
    assert_int_equal(done, 40);
    mproc_pool_free(pool);
    assert_nothing_stays(before);
}

static void texts_and_results_that_nobody_takes_are_dropped(void **state)
{
    struct order order = {.size = 1000, .wish = FAIL};
    mproc_output result;
    mproc_pool *pool = make_pool(1);
    char *error;
    (void)state;
    mproc_map map = {.count = 1, .in = &order, .in_size = sizeof order};
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_SEC(60)), MPROC_TASK_FAILED);
    map.errors = &error;
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_string_equal(error, "1000 bytes and a word");
    mproc_free(error);
    map.errors = NULL;
    map.results = &result;
    assert_int_equal(mproc_pool_map(pool, obey, NULL, &map, MPROC_SEC(60)), MPROC_TASK_FAILED);
    take(&result, 1000);
    mproc_pool_free(pool);
}

static void a_map_that_is_not_waited_for_hands_them_over_when_it_is_asked(void **state)
{
    size_t before = bytes_in_use();
    enum {
        ITEMS = 50
    };
    struct order orders[ITEMS] = {{.size = 0}};
    mproc_output results[ITEMS] = {{.size = 0}};
    mproc_future *future;
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < ITEMS; i++)
        orders[i].size = (size_t)i * 50;
    const mproc_map map = {.count = ITEMS, .in = orders, .in_size = sizeof *orders, .results = results};
    for (int asks = 0; asks < 2; asks++) {
        assert_int_equal(mproc_pool_map_async(pool, &future, obey, NULL, &map), 0);
        while (!mproc_future_is_done(future))
            nap(1);
        assert_null(mproc_future_take_result(future, NULL));
        assert_null(results[ITEMS - 1].data);
        assert_int_equal(asks ? mproc_future_get(future, NULL, MPROC_SEC(60)) : 0, 0);
        mproc_future_free(future);
    }
    for (int i = 0; i < ITEMS; i++)
        take(&results[i], orders[i].size);
    mproc_pool_free(pool);
    assert_nothing_stays(before);
}

static void each_worker_can_give_one(void **state)
{
    struct order orders[3] = {{.size = 10}, {.size = 20000}, {.size = 30}};
    mproc_output results[3];
    mproc_pool *pool = make_pool(3);
    (void)state;
    const mproc_map map = {.in = orders, .in_size = sizeof *orders, .results = results};
    assert_int_equal(mproc_pool_run_on_all(pool, obey, NULL, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < 3; i++)
        take(&results[i], orders[i].size);
    mproc_pool_free(pool);
}

/* ---- futures ---- */

static void a_future_has_its_result_until_it_is_taken(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future = submit(pool, (struct order){.size = 5000});
    mproc_output output;
    void *address;
    (void)state;
    assert_int_equal(mproc_future_get(future, &address, MPROC_SEC(60)), 0);
    assert_ptr_equal(mproc_future_result(future), address);
    assert_int_equal(mproc_future_result_size(future), 5000);
    output.data = mproc_future_take_result(future, &output.size);
    assert_ptr_equal(output.data, address);
    size_t size = 7;
    assert_null(mproc_future_take_result(future, &size));
    assert_int_equal(size, 0);
    assert_int_equal(mproc_future_result_size(future), sizeof(void *)); /* out is still there */
    mproc_future_free(future);
    mproc_pool_free(pool);
    take(&output, 5000);
}

static void a_large_result_is_not_copied(void **state)
{
    enum {
        SIZE = 64 << 20
    };
    mproc_pool *pool = make_pool(1);
    mproc_future *future = submit(pool, (struct order){.size = SIZE});
    mproc_output output;
    void *address;
    (void)state;
    assert_int_equal(mproc_future_get(future, &address, MPROC_SEC(100)), 0);
    output.data = mproc_future_take_result(future, &output.size);
    assert_ptr_equal(output.data, address);
    mproc_future_free(future);
    mproc_pool_free(pool);
    take(&output, SIZE);
}

static void what_a_future_has_goes_with_it(void **state)
{
    size_t before = bytes_in_use();
    mproc_pool *pool = make_pool(2);
    _Atomic(int) *tries = mproc_calloc(1, sizeof *tries);
    (void)state;
    for (int i = 0; i < 100; i++)
        mproc_future_free(submit(pool, (struct order){.size = 1000 * (size_t)i, .wish = i % 2 ? FAIL : GIVE}));
    mproc_future *future = submit(pool, (struct order){.size = 100000, .wish = STAY});
    nap(30);
    assert_null(mproc_future_result(future));
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_CANCELLED);
    assert_null(mproc_future_take_result(future, NULL));
    mproc_future_free(future);
    future = submit(pool, (struct order){.size = 100000, .wish = DIE});
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_null(mproc_future_take_result(future, NULL));
    assert_null(mproc_future_error(future));
    mproc_future_free(future);
    submit(pool, (struct order){.size = 100000, .wish = STAY});
    mproc_pool_free(pool);
    mproc_free(tries);
    assert_nothing_stays(before);
}

struct heard {
    _Atomic(int) count;
    char text[100];
    mproc_output output;
};

static void hear_error(void *arg, mproc_future *future)
{
    struct heard *heard = arg;
    snprintf(heard->text, sizeof heard->text, "%s", mproc_future_error(future));
    heard->output.data = mproc_future_take_result(future, &heard->output.size);
    mproc_future_free(future);
    atomic_fetch_add(&heard->count, 1);
}

static bool is_heard(void *arg)
{
    return atomic_load((_Atomic(int) *)arg) == 1;
}

static void the_text_of_an_error_reaches_future_and_callback(void **state)
{
    mproc_pool *pool = make_pool(1);
    struct heard heard = {.count = 0};
    mproc_future *future = submit(pool, (struct order){.size = 4000, .wish = FAIL});
    (void)state;
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_string_equal(mproc_future_error(future), "4000 bytes and a word");
    assert_int_equal(mproc_future_on_end(future, NULL, hear_error, &heard), 0);
    assert_true(wait_until(is_heard, &heard.count, 60000));
    assert_string_equal(heard.text, "4000 bytes and a word");
    take(&heard.output, 4000);
    future = submit(pool, (struct order){.size = 0, .wish = GIVE});
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    assert_null(mproc_future_error(future));
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static int fail_thrice(void *ctx, const void *in, void *out)
{
    char long_text[5000];
    (void)ctx;
    (void)in;
    (void)out;
    memset(long_text, 'x', sizeof long_text - 1);
    long_text[sizeof long_text - 1] = '\0';
    mproc_task_fail("first");
    mproc_task_fail("%s", "");
    mproc_task_fail("%s", long_text);
    return 9;
}

static void the_last_text_counts_and_the_code_is_the_tasks(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_item_status status;
    mproc_future *future;
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, fail_thrice, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.code, 9);
    assert_int_equal(strlen(mproc_future_error(future)), 4999);
    mproc_future_free(future);
    mproc_pool_free(pool);
    assert_int_equal(mproc_task_fail("in no task"), 1);
}

static int warn_only(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    mproc_task_fail("but it goes well");
    return 0;
}

static void the_text_of_a_task_that_does_not_fail_is_dropped(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, warn_only, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    assert_null(mproc_future_error(future));
    mproc_future_free(future);
    mproc_pool_free(pool);
}

/* ---- imap ---- */

struct source {
    long next, count;
};

static int next_order(void *arg, void *in)
{
    struct source *source = arg;
    struct order *order = in;
    if (source->next == source->count)
        return MPROC_CLOSED;
    order->size = 100 * (size_t)source->next;
    order->wish = source->next % 5 == 4 ? FAIL : source->next % 7 == 6 ? DIE : GIVE;
    source->next++;
    return 0;
}

static void an_imap_hands_them_out(void **state)
{
    size_t before = bytes_in_use();
    struct source source = {.count = 300};
    mproc_pool *pool = make_pool(2);
    mproc_imap *imap;
    (void)state;
    for (size_t chunk = 1; chunk < 8; chunk += 3) {
        source.next = 0;
        const mproc_imap_options options = {
            .next = next_order, .arg = &source, .in_size = sizeof(struct order), .chunk = chunk};
        assert_int_equal(mproc_pool_imap(pool, &imap, obey, NULL, &options), 0);
        for (size_t i = 0; i < 300; i++) {
            int expected = i % 5 == 4 ? MPROC_TASK_FAILED : i % 7 == 6 ? MPROC_WORKER_DIED : 0;
            size_t size = expected == MPROC_WORKER_DIED ? 0 : 100 * i;
            assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), expected);
            assert_int_equal(mproc_imap_result_size(imap), size);
            assert_given(mproc_imap_result(imap), size);
            assert_int_equal(!mproc_imap_error(imap), expected != MPROC_TASK_FAILED);
            if (i % 3)
                continue;
            mproc_output output;
            output.data = mproc_imap_take_result(imap, &output.size);
            take(&output, size);
            assert_int_equal(mproc_imap_result_size(imap), 0);
        }
        assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), MPROC_CLOSED);
        mproc_imap_free(imap);
    }
    source.next = 0;
    const mproc_imap_options options = {.next = next_order, .arg = &source, .in_size = sizeof(struct order)};
    assert_int_equal(mproc_pool_imap(pool, &imap, obey, NULL, &options), 0);
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), 0);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    assert_nothing_stays(before);
}

/* What was handed out does not pile up until the window is used again. */
static void results_that_were_handed_out_go_back(void **state)
{
    enum {
        SIZE = 4 << 20
    };
    struct source source = {.next = SIZE / 100, .count = SIZE / 100 + 8};
    mproc_pool *pool = make_pool(1);
    mproc_imap *imap;
    size_t before = bytes_in_use();
    (void)state;
    const mproc_imap_options options = {
        .next = next_order, .arg = &source, .in_size = sizeof(struct order), .chunk = 8, .in_flight = 8};
    assert_int_equal(mproc_pool_imap(pool, &imap, obey, NULL, &options), 0);
    for (int i = 0; i < 8; i++)
        mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60));
    assert_true(bytes_in_use() < before + 2 * (size_t)SIZE);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

/* ---- in the task ---- */

static int resize(void *ctx, const void *in, void *out)
{
    size_t largest = *(const size_t *)in;
    (void)ctx;
    (void)out;
    unsigned char *result = mproc_task_result(16);
    memset(result, 7, 16);
    for (size_t size = 16; size <= largest; size *= 4)
        result = mproc_task_result(size);
    if (!result || result[15] != 7 || mproc_task_result(0) || errno != EINVAL || mproc_task_result(SIZE_MAX / 2) ||
        errno != ENOMEM)
        return 1;
    result = mproc_task_result(20);
    return !result || result[0] != 7 || result[15] != 7;
}

static void a_result_can_change_its_size(void **state)
{
    const size_t largest = 16 << 20;
    mproc_output results[1];
    mproc_pool *pool = make_pool(1);
    size_t before = bytes_in_use();
    (void)state;
    const mproc_map map = {.count = 1, .in = &largest, .in_size = sizeof largest, .results = results};
    assert_int_equal(mproc_pool_map(pool, resize, NULL, &map, MPROC_SEC(60)), 0);
    assert_int_equal(results->size, 20);
    assert_true(bytes_in_use() < before + largest / 2);
    mproc_free(results->data);
    mproc_pool_free(pool);
}

static int ask_in_a_copy(void *ctx, const void *in, void *out)
{
    int status = 0;
    (void)ctx;
    (void)in;
    (void)out;
    if (!mproc_task_result(100))
        return 1;
    pid_t child = fork();
    if (child == 0) {
        errno = 0;
        mproc_task_fail("from the copy");
        _exit(mproc_task_result(5000) || errno != EPERM);
    }
    waitpid(child, &status, 0);
    return status != 0;
}

static void only_the_worker_itself_can_take_one(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, ask_in_a_copy, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_future_result_size(future), 100);
    mproc_future_free(future);
    mproc_pool_free(pool);
    errno = 0;
    assert_null(mproc_task_result(5));
    assert_int_equal(errno, EPERM);
}

static int want_none(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    errno = 0;
    return mproc_task_result(5) || errno != ENOTSUP;
}

static void a_map_that_takes_none_says_so_to_its_tasks(void **state)
{
    mproc_pool *pool = make_pool(1);
    char *errors[1];
    (void)state;
    assert_int_equal(mproc_pool_map(pool, want_none, NULL, &(mproc_map){.count = 1}, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_pool_map(pool, want_none, NULL, &(mproc_map){.count = 1, .errors = errors}, MPROC_SEC(60)),
                     0);
    assert_null(errors[0]);
    mproc_pool_free(pool);
}

/* ---- kills ---- */

struct killer {
    mproc_pool *pool;
    _Atomic(bool) over;
};

static void *kill_now_and_then(void *arg)
{
    struct killer *killer = arg;
    unsigned seed = 1;
    while (!atomic_load(&killer->over)) {
        pid_t pids[3];
        struct timespec pause = {.tv_nsec = rand_r(&seed) % 2000000};
        nanosleep(&pause, NULL);
        int count = mproc_pool_workers(killer->pool, pids, 3);
        if (count > 0)
            kill(pids[rand_r(&seed) % (unsigned)count], SIGKILL);
    }
    return NULL;
}

static void nothing_stays_of_results_in_a_storm_of_kills(void **state)
{
    enum {
        ITEMS = 2000
    };
    struct killer killer = {.pool = NULL};
    struct order *orders = calloc(ITEMS, sizeof *orders);
    mproc_output *results = calloc(ITEMS, sizeof *results);
    mproc_item_status *status = calloc(ITEMS, sizeof *status);
    char **errors = calloc(ITEMS, sizeof *errors);
    pthread_t thread;
    size_t before = bytes_in_use();
    (void)state;
    killer.pool = make_pool(3);
    for (int i = 0; i < ITEMS; i++)
        orders[i] = (struct order){.size = (size_t)i * 20 % 30000, .wish = i % 3 == 1 ? FAIL : GIVE};
    assert_int_equal(pthread_create(&thread, NULL, kill_now_and_then, &killer), 0);
    for (int round = 0; round < 20; round++) {
        const mproc_map map = {.count = ITEMS,
                               .in = orders,
                               .in_size = sizeof *orders,
                               .results = results,
                               .errors = errors,
                               .status = status,
                               .retries = (unsigned)round % 2,
                               .chunk = 1 + (size_t)round};
        mproc_pool_map(killer.pool, obey, NULL, &map, MPROC_SEC(60));
        for (int i = 0; i < ITEMS; i++) {
            bool died = status[i].result == MPROC_WORKER_DIED;
            take(&results[i], died ? 0 : orders[i].size);
            assert_int_equal(!errors[i], died || orders[i].wish == GIVE);
            mproc_free(errors[i]);
        }
    }
    atomic_store(&killer.over, true);
    pthread_join(thread, NULL);
    mproc_pool_free(killer.pool);
    assert_nothing_stays(before);
    free(orders);
    free(results);
    free(status);
    free(errors);
}

/* A worker names the job that it was at last until it has another one. */
static int take_much(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return mproc_task_result((size_t)32 << 20) ? 0 : 1;
}

static void a_large_result_goes_back_with_its_future_at_once(void **state)
{
    (void)state;
    mproc_pool *pool = make_pool(2);
    size_t before = bytes_in_use();
    for (int i = 0; i < 50; i++) {
        mproc_future *future;
        assert_int_equal(mproc_pool_submit(pool, &future, take_much, NULL, NULL, 0, 0), 0);
        assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), 0);
        mproc_future_free(future);
        assert_true(bytes_in_use() < before + ((size_t)1 << 20));
    }
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_results_of_a_map_are_handed_over_where_they_are),
        unit(a_million_small_results_are_handed_over),
        unit(outcomes_of_all_kinds_have_what_is_theirs),
        unit(a_map_whose_time_is_over_hands_over_what_was_done),
        unit(texts_and_results_that_nobody_takes_are_dropped),
        unit(a_map_that_is_not_waited_for_hands_them_over_when_it_is_asked),
        unit(each_worker_can_give_one),
        unit(a_future_has_its_result_until_it_is_taken),
        unit(a_large_result_is_not_copied),
        unit(what_a_future_has_goes_with_it),
        unit(a_large_result_goes_back_with_its_future_at_once),
        unit(the_text_of_an_error_reaches_future_and_callback),
        unit(the_last_text_counts_and_the_code_is_the_tasks),
        unit(the_text_of_a_task_that_does_not_fail_is_dropped),
        unit(an_imap_hands_them_out),
        unit(results_that_were_handed_out_go_back),
        unit(a_result_can_change_its_size),
        unit(only_the_worker_itself_can_take_one),
        unit(a_map_that_takes_none_says_so_to_its_tasks),
        unit(nothing_stays_of_results_in_a_storm_of_kills),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
