/* How the post-mortems of workers reach whoever waits for their items: each once, with the item's index, from maps,
 * futures and imaps, also where items are tried again or the pool's server dies. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum {
    KEPT = 64
};

/* ---- tasks: in is a number ---- */

static int die_at_multiples(void *ctx, const void *in, void *out)
{
    long number = *(const long *)in;
    if (number % *(const long *)ctx == 0)
        raise(SIGKILL);
    *(long *)out = number;
    return 0;
}

static int be_killed(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return raise(SIGKILL);
}

static int hang(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    for (;;)
        pause();
    return 0;
}

static int kill_server(void *ctx, const void *in, void *out)
{
    kill(getppid(), SIGKILL);
    return hang(ctx, in, out);
}

/* ---- maps ---- */

struct told {
    pid_t caller;
    size_t count;
    int times[COUNT * 10];
    unsigned attempts;
};

static void note(void *arg, const mproc_postmortem *death)
{
    struct told *told = arg;
    assert_int_equal(getpid(), told->caller);
    assert_true(death->index < COUNT * 10);
    assert_int_equal(death->exit, -SIGKILL);
    assert_int_equal(death->cause, MPROC_CAUSE_SIGNAL);
    assert_true(death->worker >= 1 && death->worker <= 2);
    told->times[death->index]++;
    told->attempts += death->attempt;
    told->count++;
}

static void assert_told(const struct told *told, size_t count, size_t step)
{
    for (size_t i = 0; i < count; i++)
        assert_int_equal(told->times[i], i % step == 0);
}

static void map_with_deaths(size_t count, size_t item_size, long step, size_t chunk)
{
    mproc_pool *pool = make_pool(2);
    struct told *told = calloc(1, sizeof *told);
    char *in = calloc(count, item_size);
    told->caller = getpid();
    for (size_t i = 0; i < count; i++)
        memcpy(in + i * item_size, &(long){(long)i}, sizeof(long));
    char *out = malloc(count * item_size);
    const mproc_map map = {.count = count,
                           .in = in,
                           .in_size = item_size,
                           .out = out,
                           .out_size = item_size,
                           .ctx_size = sizeof step,
                           .chunk = chunk,
                           .died = note,
                           .died_arg = told};
    assert_int_equal(mproc_pool_map(pool, die_at_multiples, &step, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_told(told, count, (size_t)step);
    free(told);
    free(in);
    free(out);
    mproc_pool_free(pool);
}

static void a_map_tells_each_death_once(void **state)
{
    (void)state;
    map_with_deaths(COUNT, sizeof(long), 50, 0);
    map_with_deaths(COUNT, sizeof(long), 50, 1);
    map_with_deaths(COUNT, sizeof(long), 50, 100);
    map_with_deaths(COUNT, sizeof(long), 50, COUNT);
}

/* Such arrays are copied through portions, each of which is launched several times. */
static void a_map_in_portions_tells_the_indices_of_the_whole(void **state)
{
    (void)state;
    map_with_deaths((size_t)COUNT * 10, 4096, 400, 0);
}

static void attempts_are_told_one_by_one(void **state)
{
    struct told *told = calloc(1, sizeof *told);
    mproc_pool *pool = make_pool(1);
    (void)state;
    told->caller = getpid();
    const mproc_map map = {.count = 2, .retries = 3, .died = note, .died_arg = told};
    assert_int_equal(mproc_pool_map(pool, be_killed, NULL, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_int_equal(told->times[0], 4);
    assert_int_equal(told->times[1], 4);
    assert_int_equal(told->attempts, 2 * (0 + 1 + 2 + 3));
    free(told);
    mproc_pool_free(pool);
}

static void note_time(void *arg, const mproc_postmortem *death)
{
    (void)death;
    *(int64_t *)arg = milliseconds();
}

static int sleep_or_die(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    if (*(const int *)in == 0)
        raise(SIGKILL);
    nap(*(const int *)in);
    return 0;
}

static void a_death_is_told_while_others_go_on(void **state)
{
    const int in[] = {0, 2000};
    int64_t told_at = 0;
    mproc_pool *pool = make_pool(2);
    (void)state;
    const mproc_map map = {
        .count = 2, .in = in, .in_size = sizeof *in, .chunk = 1, .died = note_time, .died_arg = &told_at};
    assert_int_equal(mproc_pool_map(pool, sleep_or_die, NULL, &map, MPROC_SEC(60)), MPROC_WORKER_DIED);
    assert_true(told_at > 0 && milliseconds() - told_at > 500);
    mproc_pool_free(pool);
}

/* ---- futures ---- */

static void a_future_tells_of_its_deaths(void **state)
{
    mproc_future *future;
    mproc_postmortem death;
    mproc_pool *pool = make_pool(1);
    const mproc_map map = {.count = 3, .retries = 1};
    (void)state;
    assert_int_equal(mproc_pool_map_async(pool, &future, be_killed, NULL, &map), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    for (size_t i = 0; i < 6; i++) {
        assert_int_equal(mproc_future_postmortem(future, i, &death), 0);
        assert_int_equal(death.index, i / 2);
        assert_int_equal(death.attempt, i % 2);
        assert_int_equal(death.exit, -SIGKILL);
    }
    assert_int_equal(mproc_future_postmortem(future, 6, &death), MPROC_CLOSED);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void a_future_without_deaths_says_so(void **state)
{
    mproc_future *future;
    mproc_postmortem death;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, hang, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), MPROC_RUNNING);
    assert_int_equal(mproc_future_postmortem(NULL, 0, &death), -EINVAL);
    assert_int_equal(mproc_future_postmortem(future, 0, NULL), -EINVAL);
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), MPROC_CLOSED); /* it was cancelled */
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void the_first_deaths_are_kept(void **state)
{
    mproc_future *future;
    mproc_postmortem death;
    mproc_pool *pool = make_pool(2);
    const mproc_map map = {.count = KEPT + 10};
    (void)state;
    assert_int_equal(mproc_pool_map_async(pool, &future, be_killed, NULL, &map), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_future_postmortem(future, KEPT - 1, &death), 0);
    assert_int_equal(mproc_future_postmortem(future, KEPT, &death), MPROC_CLOSED);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

static void a_map_that_is_not_waited_for_calls_nobody(void **state)
{
    mproc_future *future;
    mproc_pool *pool = make_pool(1);
    (void)state;
    const mproc_map map = {.count = 1, .died = note};
    assert_int_equal(mproc_pool_map_async(pool, &future, be_killed, NULL, &map), -EINVAL);
    mproc_pool_free(pool);
}

static void a_worker_that_dies_with_its_server_is_told(void **state)
{
    mproc_future *future;
    mproc_postmortem death;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_submit(pool, &future, kill_server, NULL, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_future_postmortem(future, 0, &death), 0);
    assert_int_equal(death.exit, -SIGKILL);
    assert_int_equal(death.cause, MPROC_CAUSE_SIGNAL);
    assert_int_equal(mproc_future_postmortem(future, 1, &death), MPROC_CLOSED);
    mproc_future_free(future);
    mproc_pool_free(pool);
}

/* ---- imaps ---- */

static int next_number(void *arg, void *in)
{
    long *next = arg;
    if (*next == COUNT / 10)
        return MPROC_CLOSED;
    *(long *)in = (*next)++;
    return 0;
}

static void an_imap_tells_of_the_item_that_was_handed_out(void **state)
{
    long next = 0, step = 7, out;
    size_t index;
    mproc_imap *imap;
    mproc_postmortem death;
    mproc_pool *pool = make_pool(2);
    (void)state;
    const mproc_imap_options options = {.next = next_number,
                                        .arg = &next,
                                        .in_size = sizeof(long),
                                        .out_size = sizeof(long),
                                        .ctx_size = sizeof step,
                                        .chunk = 5};
    assert_int_equal(mproc_pool_imap(pool, &imap, die_at_multiples, &step, &options), 0);
    assert_int_equal(mproc_imap_postmortem(imap, &death), -EINVAL);
    for (size_t i = 0; i < COUNT / 10; i++) {
        int result = mproc_imap_next(imap, &out, &index, MPROC_SEC(60));
        assert_int_equal(index, i);
        assert_int_equal(result, i % 7 ? 0 : MPROC_WORKER_DIED);
        assert_int_equal(mproc_imap_postmortem(imap, &death), i % 7 ? MPROC_CLOSED : 0);
        if (i % 7 == 0)
            assert_int_equal(death.index, i);
    }
    assert_int_equal(mproc_imap_next(imap, &out, &index, MPROC_SEC(60)), MPROC_CLOSED);
    assert_int_equal(mproc_imap_postmortem(imap, NULL), -EINVAL);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_map_tells_each_death_once),
        unit(a_map_in_portions_tells_the_indices_of_the_whole),
        unit(attempts_are_told_one_by_one),
        unit(a_death_is_told_while_others_go_on),
        unit(a_future_tells_of_its_deaths),
        unit(a_future_without_deaths_says_so),
        unit(the_first_deaths_are_kept),
        unit(a_map_that_is_not_waited_for_calls_nobody),
        unit(a_worker_that_dies_with_its_server_is_told),
        unit(an_imap_tells_of_the_item_that_was_handed_out),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
