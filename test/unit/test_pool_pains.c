/* What users of other pools suffer from, as they would meet it here, where no other test has it. docs/pool.md lists
 * them all. */
#include "harness.h"
#include "pools.h"
#include "processes.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static mproc_pool *make_pool_with(mproc_pool_options options)
{
    mproc_pool *pool;
    options.method = pool_method;
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    return pool;
}

static void *make_shared(size_t size)
{
    void *memory = mproc_calloc(1, size);
    assert_non_null(memory);
    return memory;
}

/* Inputs for an imap: the numbers from 0 to end - 1. */
struct numbers {
    long next;
    long end;
};

static int next_number(void *arg, void *in)
{
    struct numbers *numbers = arg;
    *(long *)in = numbers->next;
    return numbers->next++ == numbers->end ? MPROC_CLOSED : 0;
}

static mproc_imap *begin_imap(mproc_pool *pool, mproc_task *task, void *ctx, struct numbers *numbers,
                              mproc_imap_options options)
{
    mproc_imap *imap;
    options.next = next_number;
    options.arg = numbers;
    options.in_size = options.out_size = sizeof(long);
    assert_int_equal(mproc_pool_imap(pool, &imap, task, ctx, &options), 0);
    return imap;
}

/* ---- a worker is killed, or has no memory ---- */

enum {
    ITEMS = 24,
    KILLED = 5,       /* this item's worker is killed */
    OUT_OF_MEMORY = 6 /* this one's asks for too much memory, and does not look at the answer */
};

static int end_badly(void *ctx, const void *in, void *out)
{
    size_t size = (size_t)512 << 20;
    long item = *(const long *)in;
    (void)ctx;
    if (item == KILLED)
        raise(SIGKILL);
    if (item == OUT_OF_MEMORY) {
        volatile char *memory = malloc(size);
        for (size_t i = 0; i < size; i += 4096)
            memory[i] = 1;
    }
    *(long *)out = item * item;
    return 0;
}

static void must_be_as_expected(long item, int result, const mproc_item_status *status, long out)
{
    bool died = item == KILLED || item == OUT_OF_MEMORY;
    assert_int_equal(result, died ? MPROC_WORKER_DIED : 0);
    assert_int_equal(status->result, result);
    assert_int_equal(status->code, item == KILLED ? -SIGKILL : item == OUT_OF_MEMORY ? -SIGSEGV : 0);
    if (!died)
        assert_int_equal(out, item * item);
}

static void must_get_through_a_map(mproc_pool *pool, size_t chunk)
{
    long in[ITEMS], out[ITEMS];
    mproc_item_status status[ITEMS];
    const mproc_map map = {.count = ITEMS,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = out,
                           .out_size = sizeof *out,
                           .status = status,
                           .chunk = chunk};
    fill_numbers(in, ITEMS);
    assert_int_equal(mproc_pool_map(pool, end_badly, NULL, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    for (long i = 0; i < ITEMS; i++)
        must_be_as_expected(i, status[i].result, &status[i], out[i]);
}

static void must_get_through_futures(mproc_pool *pool)
{
    mproc_future *futures[ITEMS];
    for (long i = 0; i < ITEMS; i++)
        assert_int_equal(mproc_pool_submit(pool, &futures[i], end_badly, NULL, &i, sizeof i, sizeof i), 0);
    for (long i = 0; i < ITEMS; i++) {
        mproc_item_status status;
        long out = -1;
        int result = mproc_future_get(futures[i], &out, MPROC_SEC(60));
        assert_int_equal(mproc_future_status(futures[i], &status), 0);
        must_be_as_expected(i, result, &status, out);
        mproc_future_free(futures[i]);
    }
}

static void must_get_through_inputs(mproc_pool *pool, size_t chunk)
{
    struct numbers numbers = {.end = ITEMS};
    mproc_imap *imap = begin_imap(pool, end_badly, NULL, &numbers, (mproc_imap_options){.chunk = chunk});
    for (long i = 0; i < ITEMS; i++) {
        mproc_item_status status;
        long out = -1;
        int result = mproc_imap_next(imap, &out, NULL, MPROC_SEC(60));
        assert_int_equal(mproc_imap_status(imap, &status), 0);
        must_be_as_expected(i, result, &status, out);
    }
    assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
}

static void a_worker_that_is_killed_or_out_of_memory_costs_its_item_alone(void **state)
{
    (void)state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    skip(); /* a sanitizer needs more than any limit for itself */
#endif
    mproc_pool *pool = make_pool_with((mproc_pool_options){.workers = 2, .memory_limit = (size_t)256 << 20});
    for (size_t chunk = 0; chunk <= ITEMS; chunk += ITEMS / 4) {
        must_get_through_a_map(pool, chunk);
        must_get_through_inputs(pool, chunk ? chunk : 1);
    }
    must_get_through_futures(pool);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(60)), 0);
    mproc_pool_free(pool);
}

/* ---- one crash, and crashes for ever ---- */

static int crash_at_ctx(void *ctx, const void *in, void *out)
{
    if (*(const long *)in == *(const long *)ctx)
        raise(SIGKILL);
    return square(ctx, in, out);
}

static void one_crash_in_a_stream_of_tasks_costs_one_task(void **state)
{
    enum {
        MANY = 2000,
        BAD = 700
    };
    static mproc_future *futures[MANY];
    mproc_pool *pool = make_pool(2);
    mproc_pool_statistics statistics;
    long *bad = make_shared(sizeof *bad);
    (void)state;
    *bad = BAD;
    for (long i = 0; i < MANY; i++)
        assert_int_equal(mproc_pool_submit(pool, &futures[i], crash_at_ctx, bad, &i, sizeof i, sizeof i), 0);
    for (long i = 0; i < MANY; i++) {
        long out = -1;
        assert_int_equal(mproc_future_get(futures[i], &out, MPROC_SEC(60)), i == BAD ? MPROC_WORKER_DIED : 0);
        assert_int_equal(out, i == BAD ? -1 : i * i);
        mproc_future_free(futures[i]);
    }
    assert_true(mproc_pool_stats(pool, &statistics, NULL, 0) >= 0);
    assert_int_equal(statistics.deaths, 1);
    mproc_pool_free(pool);
    mproc_free(bad);
}

static int count_and_crash_at_ten(void *ctx, const void *in, void *out)
{
    long item = *(const long *)in;
    atomic_fetch_add(&((atomic_int *)ctx)[item], 1);
    if (item == 10)
        raise(SIGKILL);
    return square(NULL, in, out);
}

static void a_poison_input_of_a_stream_is_given_up_after_its_tries(void **state)
{
    enum {
        MANY = 50,
        RETRIES = 3
    };
    mproc_pool *pool = make_pool(2);
    atomic_int *counts = make_shared(MANY * sizeof *counts);
    (void)state;
    for (size_t chunk = 1; chunk <= 8; chunk += 7) {
        struct numbers numbers = {.end = MANY};
        const mproc_imap_options options = {.chunk = chunk, .retries = RETRIES, .retry_on = MPROC_RETRY_DEATH};
        mproc_imap *imap = begin_imap(pool, count_and_crash_at_ten, counts, &numbers, options);
        for (long i = 0; i < MANY; i++) {
            assert_int_equal(mproc_imap_next(imap, NULL, NULL, MPROC_SEC(60)), i == 10 ? MPROC_WORKER_DIED : 0);
            assert_int_equal(atomic_exchange(&counts[i], 0), i == 10 ? RETRIES + 1 : 1);
        }
        mproc_imap_free(imap);
    }
    mproc_pool_free(pool);
    mproc_free(counts);
}

/* ---- a queue that nobody reads ---- */

enum {
    MESSAGES = 200, /* of each task: more than any pipe would hold */
    MESSAGE_SIZE = 5000
};

static int put_much(void *ctx, const void *in, void *out)
{
    char message[MESSAGE_SIZE];
    (void)out;
    memset(message, *(const char *)in, sizeof message);
    for (int i = 0; i < MESSAGES; i++)
        if (mproc_queue_put(ctx, message, sizeof message, MPROC_SEC(60)))
            return 1;
    return 0;
}

static void a_pool_is_joined_though_nobody_reads_what_its_tasks_put(void **state)
{
    char message[MESSAGE_SIZE];
    mproc_future *futures[4];
    mproc_pool *pool = make_pool(2);
    mproc_queue *queue;
    (void)state;
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    for (char i = 0; i < 4; i++)
        assert_int_equal(mproc_pool_submit(pool, &futures[(int)i], put_much, queue, &i, sizeof i, 0), 0);
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(60)), 0);
    for (int i = 0; i < 4; i++) {
        assert_int_equal(mproc_future_get(futures[i], NULL, MPROC_NOWAIT), 0);
        mproc_future_free(futures[i]);
    }
    mproc_pool_free(pool);
    int counts[4] = {0};
    while (mproc_queue_get(queue, message, sizeof message, NULL, MPROC_NOWAIT) == 0)
        counts[(int)message[MESSAGE_SIZE - 1]]++;
    for (int i = 0; i < 4; i++)
        assert_int_equal(counts[i], MESSAGES);
    mproc_queue_free(queue);
}

/* ---- results that cannot be had ---- */

static int ask_for_too_much(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    void *volatile memory = malloc((size_t)1 << 46);
    free(memory);
    return memory ? 0 : ENOMEM;
}

/* All the ways to ask for what there is not. Each is refused or fails, and leaves no future. */
static void must_fail_alone(mproc_pool *pool)
{
    static char data[64];
    mproc_task *nothing = (mproc_task *)(uintptr_t)data;
    const mproc_map one = {.count = 1};
    mproc_item_status status;
    struct numbers numbers = {.end = 1};
    const mproc_imap_options inputs = {.next = next_number, .arg = &numbers, .in_size = sizeof(long)};
    mproc_imap_options large = inputs;
    mproc_future *future;
    mproc_imap *imap;
    const size_t size = (size_t)1 << 50;
    large.out_size = size;
    assert_int_equal(mproc_pool_submit(pool, &future, square, NULL, NULL, 0, size), -ENOMEM);
    assert_null(future);
    assert_int_equal(mproc_pool_imap(pool, &imap, square, NULL, &large), -ENOMEM);
    assert_null(imap);
    assert_int_equal(mproc_pool_submit(pool, &future, nothing, NULL, NULL, 0, 0), MPROC_NO_FUNCTION);
    assert_null(future);
    assert_int_equal(mproc_pool_map_async(pool, &future, nothing, NULL, &one), MPROC_NO_FUNCTION);
    assert_null(future);
    assert_int_equal(mproc_pool_imap(pool, &imap, nothing, NULL, &inputs), MPROC_NO_FUNCTION);
    assert_null(imap);
    assert_int_equal(mproc_pool_submit(pool, &future, ask_for_too_much, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_TASK_FAILED);
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.code, ENOMEM);
    mproc_future_free(future);
}

static void a_result_that_cannot_be_had_fails_its_call_alone(void **state)
{
    enum {
        OTHERS = 40
    };
    mproc_future *futures[OTHERS];
    mproc_pool *pool = make_pool(2);
    (void)state;
#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
    skip(); /* their malloc() ends the process */
#endif
    for (long i = 0; i < OTHERS; i++) {
        assert_int_equal(mproc_pool_submit(pool, &futures[i], square, NULL, &i, sizeof i, sizeof i), 0);
        if (i % 10 == 5)
            must_fail_alone(pool);
    }
    for (long i = 0; i < OTHERS; i++) {
        long out;
        assert_int_equal(mproc_future_get(futures[i], &out, MPROC_SEC(60)), 0);
        assert_int_equal(out, i * i);
        mproc_future_free(futures[i]);
    }
    mproc_pool_free(pool);
}

/* ---- workers that are replaced all the time ---- */

static int die_at_each_seventh(void *ctx, const void *in, void *out)
{
    if (*(const long *)in % 7 == 0)
        raise(SIGKILL);
    return square(ctx, in, out);
}

static void thousands_of_replacements_and_deaths_hold_nothing_up(void **state)
{
    enum {
        MANY = 1200
    };
    static long in[MANY], out[MANY];
    static mproc_item_status status[MANY];
    mproc_pool *pool = make_pool_with((mproc_pool_options){.workers = 3, .max_items = 1});
    mproc_pool_statistics statistics;
    const mproc_map map = {.count = MANY,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = out,
                           .out_size = sizeof *out,
                           .status = status,
                           .chunk = 1};
    (void)state;
    fill_numbers(in, MANY);
    assert_int_equal(mproc_pool_map(pool, die_at_each_seventh, NULL, &map, MPROC_SEC(100)), MPROC_WORKER_DIED);
    for (long i = 0; i < MANY; i++) {
        assert_int_equal(status[i].result, i % 7 ? 0 : MPROC_WORKER_DIED);
        assert_int_equal(out[i], i % 7 ? i * i : 0);
    }
    assert_int_equal(mproc_pool_close(pool), 0);
    assert_int_equal(mproc_pool_join(pool, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_pool_stats(pool, &statistics, NULL, 0), 0);
    assert_in_range(statistics.starts, MANY, MANY + 3);
    assert_int_equal(statistics.deaths, (MANY + 6) / 7);
    mproc_pool_free(pool);
}

/* ---- large inputs ---- */

#define MEBIBYTE ((size_t)1 << 20)

enum {
    BLOCKS = 256 /* of the array, each of a mebibyte */
};

/* What a task saw. */
struct sight {
    uintptr_t place; /* of its input, or of its context */
    long sum;
    size_t own_memory; /* of its worker: resident bytes that are not shared */
    size_t arena;      /* bytes in use */
};

static size_t own_memory(void)
{
    char line[128];
    size_t kibibytes = 0;
    FILE *file = fopen("/proc/self/status", "re");
    while (file && fgets(line, sizeof line, file))
        if (strncmp(line, "RssAnon:", 8) == 0)
            kibibytes = strtoul(line + 8, NULL, 10);
    if (file)
        fclose(file);
    return kibibytes * 1024;
}

static void look_around(struct sight *sight, const void *place)
{
    mproc_memory_statistics usage = {0};
    mproc_memory_usage(&usage);
    sight->place = (uintptr_t)place;
    sight->own_memory = own_memory();
    sight->arena = usage.allocated;
}

static int sum_block(void *ctx, const void *in, void *out)
{
    struct sight *sight = out;
    const unsigned char *block = in;
    (void)ctx;
    for (size_t i = 0; i < MEBIBYTE; i++)
        sight->sum += block[i];
    look_around(sight, in);
    return 0;
}

static void large_shared_inputs_are_used_where_they_are(void **state)
{
    static struct sight sights[BLOCKS];
    mproc_pool *pool = make_pool(2);
    unsigned char *array = mproc_alloc(BLOCKS * MEBIBYTE);
    (void)state;
    assert_non_null(array);
    for (size_t i = 0; i < BLOCKS; i++)
        memset(array + i * MEBIBYTE, (int)i, MEBIBYTE);
    const size_t before = bytes_in_use();
    const mproc_map map = {
        .count = BLOCKS, .in = array, .in_size = MEBIBYTE, .out = sights, .out_size = sizeof *sights, .chunk = 1};
    for (int round = 0; round < 3; round++) {
        assert_int_equal(mproc_pool_map(pool, sum_block, NULL, &map, MPROC_SEC(60)), 0);
        for (size_t i = 0; i < BLOCKS; i++) {
            assert_int_equal(sights[i].place, (uintptr_t)array + i * MEBIBYTE);
            assert_int_equal(sights[i].sum, i * MEBIBYTE);
            assert_true(sights[i].own_memory < sights[0].own_memory + 8 * MEBIBYTE);
            assert_true(sights[i].arena < before + MEBIBYTE);
        }
    }
    mproc_pool_free(pool);
    mproc_free(array);
}

#define CTX_SIZE (32 * MEBIBYTE)

static int look_at_ctx(void *ctx, const void *in, void *out)
{
    const unsigned char *last = (const unsigned char *)ctx + CTX_SIZE - 1;
    struct sight *sight = out;
    (void)in;
    sight->sum = *last;
    look_around(sight, ctx);
    return 0;
}

/* The inputs are so large that the map is run in portions. */
static void a_large_context_is_copied_once_for_a_map(void **state)
{
    enum {
        MANY = 300
    };
    static struct sight sights[MANY];
    static unsigned char in[MANY][65536];
    mproc_pool *pool = make_pool(2);
    unsigned char *ctx = malloc(CTX_SIZE);
    (void)state;
    assert_non_null(ctx);
    memset(ctx, 9, CTX_SIZE);
    const size_t before = bytes_in_use();
    const mproc_map map = {.count = MANY,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = sights,
                           .out_size = sizeof *sights,
                           .ctx_size = CTX_SIZE};
    assert_int_equal(mproc_pool_map(pool, look_at_ctx, ctx, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(sights[i].sum, 9);
        assert_int_equal(sights[i].place, sights[0].place);
        assert_true(sights[i].arena < before + CTX_SIZE + 16 * MEBIBYTE);
    }
    mproc_pool_free(pool);
    free(ctx);
}

/* ---- children of workers ---- */

/* Shared with a task: the processes that it has made, and what they tell. */
struct brood {
    pid_t daemon;
    pid_t worker; /* of its own pool */
    atomic_int ready;
};

static int raise_a_brood(void *ctx, const void *in, void *out)
{
    struct brood *brood = ctx;
    long number = 12, squared = 0;
    mproc_process *process;
    mproc_pool *pool;
    (void)in;
    (void)out;
    int result = mproc_process_start(&process, sleep_for_ever, NULL, &(mproc_process_options){.daemon = true});
    if (!result)
        result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = MPROC_START_FORK});
    if (!result)
        result = mproc_pool_call(pool, square, NULL, &number, sizeof number, &squared, sizeof squared, MPROC_SEC(60));
    if (result || squared != 144)
        return result ? result : 1;
    brood->daemon = mproc_process_pid(process);
    mproc_pool_workers(pool, &brood->worker, 1);
    atomic_store(&brood->ready, 1);
    sleep_for_ever(NULL);
    return 0;
}

static void workers_may_have_daemons_and_pools_which_end_with_them(void **state)
{
    size_t bytes = bytes_in_use();
    struct brood *brood = make_shared(sizeof *brood);
    mproc_pool *pool = make_pool(1);
    (void)state;
    for (int i = 0; i < 5; i++) {
        mproc_future *future;
        pid_t worker;
        atomic_store(&brood->ready, 0);
        assert_int_equal(mproc_pool_submit(pool, &future, raise_a_brood, brood, NULL, 0, 0), 0);
        assert_true(await_word(&brood->ready));
        assert_false(is_gone(brood->daemon));
        assert_false(is_gone(brood->worker));
        assert_int_equal(mproc_pool_workers(pool, &worker, 1), 1);
        assert_int_equal(i % 2 ? mproc_future_cancel(future) : kill(worker, SIGKILL), 0);
        assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), i % 2 ? MPROC_CANCELLED : MPROC_WORKER_DIED);
        assert_true(await_gone(brood->daemon));
        assert_true(await_gone(brood->worker));
        mproc_future_free(future);
    }
    mproc_pool_free(pool);
    mproc_free(brood);
    assert_true(wait_until(bytes_are, &bytes, PATIENCE_MS));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_worker_that_is_killed_or_out_of_memory_costs_its_item_alone),
        unit(one_crash_in_a_stream_of_tasks_costs_one_task),
        unit(a_poison_input_of_a_stream_is_given_up_after_its_tries),
        unit(a_pool_is_joined_though_nobody_reads_what_its_tasks_put),
        unit(a_result_that_cannot_be_had_fails_its_call_alone),
        unit(thousands_of_replacements_and_deaths_hold_nothing_up),
        unit(large_shared_inputs_are_used_where_they_are),
        unit(a_large_context_is_copied_once_for_a_map),
        unit(workers_may_have_daemons_and_pools_which_end_with_them),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
