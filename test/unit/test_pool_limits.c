/* Items that take too long, and what is done to end them. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

/* For one that ends when it is asked to: under load it may take a while until it runs at all. */
#define LONG_GRACE MPROC_SEC(30)

static mproc_pool *make_patient_pool(unsigned workers, mproc_time grace)
{
    mproc_pool *pool;
    const mproc_pool_options options = {.workers = workers, .method = pool_method, .grace = grace};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    return pool;
}

static int *make_counts(size_t count)
{
    int *counts = mproc_calloc(count, sizeof *counts);
    assert_non_null(counts);
    return counts;
}

/* ---- tasks: in is the item's number, ctx the counts of begun items ---- */

static void begin(void *ctx, const void *in)
{
    atomic_fetch_add(&((_Atomic(int) *)ctx)[*(const int *)in], 1);
}

static int hang_at_three(void *ctx, const void *in, void *out)
{
    begin(ctx, in);
    while (*(const int *)in == 3)
        pause();
    *(int *)out = 1;
    return 0;
}

static int ignore_and_hang(void *ctx, const void *in, void *out)
{
    signal(SIGTERM, SIG_IGN);
    return hang_at_three(ctx, in, out);
}

static void leave(int number)
{
    (void)number;
    _exit(7);
}

static int leave_when_asked(void *ctx, const void *in, void *out)
{
    signal(SIGTERM, leave);
    return hang_at_three(ctx, in, out);
}

static int count_only(void *ctx, const void *in, void *out)
{
    begin(ctx, in);
    *(int *)out = 1;
    return 0;
}

/* About as long as the limit of the test. */
static int take_about_a_millisecond(void *ctx, const void *in, void *out)
{
    begin(ctx, in);
    nanosleep(&(struct timespec){.tv_nsec = 900000 + *(const int *)in % 10 * 20000}, NULL);
    *(int *)out = 1;
    return 0;
}

/* ---- tests ---- */

enum {
    ITEMS = 8
};

static void must_end_the_third(mproc_pool *pool, mproc_task *task, size_t chunk, int code)
{
    int *counts = make_counts(ITEMS);
    int in[ITEMS], out[ITEMS];
    mproc_item_status status[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    const mproc_map map = {.count = ITEMS,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = out,
                           .out_size = sizeof *out,
                           .chunk = chunk,
                           .item_timeout = MPROC_MS(500),
                           .status = status};
    assert_int_equal(mproc_pool_map(pool, task, counts, &map, MPROC_SEC(60)), MPROC_LATE);
    for (int i = 0; i < ITEMS; i++) {
        assert_int_equal(counts[i], 1);
        assert_int_equal(out[i], i != 3);
        assert_int_equal(status[i].result, i == 3 ? MPROC_LATE : 0);
        assert_int_equal(status[i].code, i == 3 ? code : 0);
    }
    mproc_free(counts);
}

static void an_item_that_takes_too_long_is_ended_alone(void **state)
{
    (void)state;
    mproc_pool *pool = make_patient_pool(2, LONG_GRACE);
    must_end_the_third(pool, hang_at_three, 1, -SIGTERM);
    must_end_the_third(pool, hang_at_three, ITEMS, -SIGTERM);
    must_end_the_third(pool, hang_at_three, 0, -SIGTERM);
    mproc_pool_free(pool);
}

static void what_ignores_the_first_signal_is_killed_after_the_grace(void **state)
{
    (void)state;
    mproc_pool *pool = make_patient_pool(1, MPROC_MS(30));
    must_end_the_third(pool, ignore_and_hang, ITEMS, -SIGKILL);
    mproc_pool_free(pool);
    pool = make_patient_pool(1, LONG_GRACE);
    must_end_the_third(pool, leave_when_asked, ITEMS, 7);
    mproc_pool_free(pool);
}

static void a_task_can_have_a_limit_of_its_own(void **state)
{
    (void)state;
    mproc_pool *pool = make_patient_pool(1, (mproc_time){0});
    int *counts = make_counts(ITEMS);
    int in = 3;
    mproc_future *future;
    mproc_item_status status;
    const mproc_map map = {.count = 1, .in = &in, .in_size = sizeof in, .out_size = 0, .item_timeout = MPROC_MS(30)};
    assert_int_equal(mproc_pool_map_async(pool, &future, hang_at_three, counts, &map), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(60)), MPROC_LATE);
    assert_int_equal(mproc_future_status(future, &status), 0);
    assert_int_equal(status.result, MPROC_LATE);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(counts);
}

static void a_limit_costs_quick_items_nothing(void **state)
{
    (void)state;
    enum {
        MANY = 20000
    };
    mproc_pool *pool = make_patient_pool(2, (mproc_time){0});
    int *counts = make_counts(MANY), *in = make_counts(MANY), *out = make_counts(MANY);
    for (int i = 0; i < MANY; i++)
        in[i] = i;
    const mproc_map map = {.count = MANY,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = out,
                           .out_size = sizeof *out,
                           .item_timeout = MPROC_SEC(20)};
    assert_int_equal(mproc_pool_map(pool, count_only, counts, &map, MPROC_SEC(60)), 0);
    for (int i = 0; i < MANY; i++)
        assert_true(counts[i] == 1 && out[i] == 1);
    mproc_pool_free(pool);
    mproc_free(counts);
    mproc_free(in);
    mproc_free(out);
}

static void items_on_the_edge_of_their_limit_have_one_outcome(void **state)
{
    (void)state;
    enum {
        EDGE = 400
    };
    mproc_pool *pool = make_patient_pool(3, (mproc_time){0});
    int *counts = make_counts(EDGE), *in = make_counts(EDGE), *out = make_counts(EDGE);
    static mproc_item_status status[EDGE];
    for (int i = 0; i < EDGE; i++)
        in[i] = i;
    const mproc_map map = {.count = EDGE,
                           .in = in,
                           .in_size = sizeof *in,
                           .out = out,
                           .out_size = sizeof *out,
                           .chunk = 10,
                           .item_timeout = MPROC_MS(1),
                           .status = status};
    int result = mproc_pool_map(pool, take_about_a_millisecond, counts, &map, MPROC_SEC(60));
    assert_true(result == 0 || result == MPROC_LATE);
    for (int i = 0; i < EDGE; i++) {
        assert_true(status[i].result == 0 || status[i].result == MPROC_LATE);
        if (status[i].result == 0)
            assert_true(counts[i] == 1 && out[i] == 1);
        else
            assert_true(counts[i] <= 1); /* it may be interrupted before its first instruction */
    }
    mproc_pool_free(pool);
    mproc_free(counts);
    mproc_free(in);
    mproc_free(out);
}

static bool has_begun(void *counts)
{
    return atomic_load(&((_Atomic(int) *)counts)[3]) > 0;
}

static void what_is_cancelled_is_asked_first(void **state)
{
    (void)state;
    mproc_pool *pool = make_patient_pool(1, LONG_GRACE);
    int *counts = make_counts(ITEMS);
    int in = 3;
    mproc_future *future;
    assert_int_equal(mproc_pool_submit(pool, &future, leave_when_asked, counts, &in, sizeof in, sizeof in), 0);
    assert_true(wait_until(has_begun, counts, 20000));
    assert_int_equal(mproc_future_cancel(future), 0);
    assert_int_equal(mproc_future_get(future, NULL, MPROC_SEC(20)), MPROC_CANCELLED);
    mproc_future_free(future);
    mproc_pool_free(pool);
    mproc_free(counts);
}

static int next_item(void *arg, void *in)
{
    int *next = arg;
    *(int *)in = *next;
    return (*next)++ == ITEMS ? MPROC_CLOSED : 0;
}

static void inputs_one_after_another_have_a_limit_too(void **state)
{
    (void)state;
    mproc_pool *pool = make_patient_pool(2, (mproc_time){0});
    int *counts = make_counts(ITEMS);
    int next = 0, out;
    mproc_imap *imap;
    const mproc_imap_options options = {.next = next_item,
                                        .arg = &next,
                                        .in_size = sizeof next,
                                        .out_size = sizeof out,
                                        .chunk = 2,
                                        .item_timeout = MPROC_MS(500)};
    assert_int_equal(mproc_pool_imap(pool, &imap, hang_at_three, counts, &options), 0);
    for (int i = 0; i < ITEMS; i++)
        assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), i == 3 ? MPROC_LATE : 0);
    assert_int_equal(mproc_imap_next(imap, &out, NULL, MPROC_SEC(60)), MPROC_CLOSED);
    mproc_imap_free(imap);
    mproc_pool_free(pool);
    mproc_free(counts);
}

static void bad_limits_are_refused(void **state)
{
    (void)state;
    mproc_pool *pool;
    static const int64_t wrong[] = {-2, 1, 5, 30000}; /* those above 0 have lost their unit */
    assert_int_equal(mproc_pool_create(&pool, &(mproc_pool_options){.grace = MPROC_FOREVER}), -EINVAL);
    pool = make_patient_pool(1, (mproc_time){0});
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        const mproc_map map = {.count = 1, .item_timeout = MPROC_NS(wrong[i])};
        assert_int_equal(mproc_pool_map(pool, count_only, NULL, &map, MPROC_FOREVER), -EINVAL);
    }
    mproc_pool_free(pool);
}

/* ---- time that stands still ---- */

/* Shared by the test, the host and its worker. */
struct pause_scene {
    _Atomic(int) begun;
    _Atomic(int) result;
    bool stops_itself; /* the worker stops all, as soon as it has begun */
    mproc_item_status status;
};

/* It takes as many steps wherever it is stopped, and little CPU time, which there may be none of. */
static int nap_often(void *ctx, const void *in, void *out)
{
    struct pause_scene *scene = ctx;
    (void)in;
    (void)out;
    atomic_store(&scene->begun, 1);
    if (scene->stops_itself)
        kill(0, SIGSTOP);
    for (int i = 0; i < 30; i++)
        nap(10);
    return 0;
}

static int host_of_a_group(void *arg)
{
    struct pause_scene *scene = arg;
    setpgid(0, 0);
    mproc_pool *pool;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1, .method = pool_method}))
        return 1;
    const mproc_map map = {.count = 1, .status = &scene->status, .item_timeout = MPROC_SEC(2)};
    atomic_store(&scene->result, mproc_pool_map(pool, nap_often, scene, &map, MPROC_FOREVER));
    mproc_pool_free(pool);
    return 0;
}

static bool scene_has_begun(void *scene)
{
    return atomic_load(&((struct pause_scene *)scene)->begun);
}

static void must_excuse_a_stop(bool stops_itself)
{
    struct pause_scene *scene = mproc_calloc(1, sizeof *scene);
    mproc_process *host;
    siginfo_t info;
    assert_non_null(scene);
    scene->stops_itself = stops_itself;
    assert_int_equal(mproc_process_start(&host, host_of_a_group, scene, NULL), 0);
    assert_true(wait_until(scene_has_begun, scene, 20000));
    if (!stops_itself)
        assert_int_equal(kill(-mproc_process_pid(host), SIGSTOP), 0);
    assert_int_equal(waitid(P_PID, (id_t)mproc_process_pid(host), &info, WSTOPPED), 0);
    nap(2500);
    assert_int_equal(kill(-mproc_process_pid(host), SIGCONT), 0);
    assert_int_equal(mproc_process_join(host, MPROC_SEC(20)), 0);
    assert_int_equal(atomic_load(&scene->result), 0);
    assert_int_equal(scene->status.result, 0);
    mproc_process_free(host);
    mproc_free(scene);
}

static void time_in_which_all_was_stopped_does_not_count(void **state)
{
    (void)state;
    must_excuse_a_stop(false);
}

static void a_stop_before_the_server_knows_of_the_limit_does_not_count(void **state)
{
    (void)state;
    must_excuse_a_stop(true);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_item_that_takes_too_long_is_ended_alone),
        unit(what_ignores_the_first_signal_is_killed_after_the_grace),
        unit(a_task_can_have_a_limit_of_its_own),
        unit(a_limit_costs_quick_items_nothing),
        unit(items_on_the_edge_of_their_limit_have_one_outcome),
        unit(what_is_cancelled_is_asked_first),
        unit(inputs_one_after_another_have_a_limit_too),
        unit(bad_limits_are_refused),
        unit(time_in_which_all_was_stopped_does_not_count),
        unit(a_stop_before_the_server_knows_of_the_limit_does_not_count),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
