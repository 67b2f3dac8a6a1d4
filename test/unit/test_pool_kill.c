/* Pools whose processes are killed or stopped from outside: workers, the server, the host. What must hold: an item is
 * run at most once, each has exactly one outcome, a death costs the item at which it struck and no other. */
#include "harness.h"
#include "pool/host/host.h"
#include "pools.h"
#include "processes.h"

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

/* ---- workers that are killed ---- */

struct has_workers {
    mproc_pool *pool;
    int count;
    pid_t not_this;
};

static bool has_workers(void *arg)
{
    const struct has_workers *wanted = arg;
    pid_t pids[8];
    int count = mproc_pool_workers(wanted->pool, pids, 8);
    for (int i = 0; i < count; i++)
        if (pids[i] == wanted->not_this)
            return false;
    return count == wanted->count;
}

static void map_hundred_squares(mproc_pool *pool)
{
    long in[100], out[100];
    for (long i = 0; i < 100; i++)
        in[i] = i;
    assert_int_equal(
        mproc_pool_map(pool, square, NULL,
                       &(mproc_map){.count = 100, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out},
                       MPROC_FOREVER),
        0);
    for (long i = 0; i < 100; i++)
        assert_int_equal(out[i], i * i);
}

static void a_killed_worker_is_replaced(void **state)
{
    pid_t pids[3];
    mproc_pool *pool = make_pool(3);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mproc_pool_workers(pool, pids, 3), 3);
        assert_int_equal(kill(pids[i % 3], SIGKILL), 0);
        assert_true(wait_until(has_workers, &(struct has_workers){pool, 3, pids[i % 3]}, 10000));
    }
    map_hundred_squares(pool);
    mproc_pool_free(pool);
}

static void idle_workers_that_all_die_cost_nothing(void **state)
{
    pid_t pids[2];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 10; i++) {
        int count = mproc_pool_workers(pool, pids, 2);
        for (int k = 0; k < count; k++)
            kill(pids[k], SIGKILL);
        map_hundred_squares(pool);
    }
    mproc_pool_free(pool);
}

/* In shared memory: how often each item was begun. */
enum {
    STORM_ITEMS = 3000
};

/* Large, so that most maps are run in portions. */
struct storm_item {
    long number;
    char rest[1016];
};

struct storm {
    atomic_int begun[STORM_ITEMS];
    atomic_bool over;
    atomic_int kills;
};

static int begin_once(void *ctx, const void *in, void *out)
{
    struct storm *storm = ctx;
    long item = *(const long *)in;
    volatile long work = 0;
    atomic_fetch_add(&storm->begun[item], 1);
    for (int i = 0; i < 2000; i++)
        work += i;
    *(long *)out = item * 3 + work - work;
    return 0;
}

struct killer {
    mproc_pool *pool;
    struct storm *storm;
    unsigned seed;
    bool kills_server;
};

static void *kill_now_and_then(void *arg)
{
    struct killer *killer = arg;
    while (!atomic_load(&killer->storm->over)) {
        pid_t pids[4];
        struct timespec pause = {.tv_nsec = rand_r(&killer->seed) % 3000000};
        nanosleep(&pause, NULL);
        int count = mproc_pool_workers(killer->pool, pids, 4);
        if (count <= 0) /* let the server come up before it is killed again */
            continue;
        if (killer->kills_server && rand_r(&killer->seed) % 16 == 0) {
            pthread_mutex_lock(&killer->pool->mutex);
            mproc_process_kill(killer->pool->server);
            pthread_mutex_unlock(&killer->pool->mutex);
            continue;
        }
        if (kill(pids[rand_r(&killer->seed) % (unsigned)count], SIGKILL) == 0)
            atomic_fetch_add(&killer->storm->kills, 1);
    }
    return NULL;
}

static int map_in_the_storm(mproc_pool *pool, struct storm *storm, size_t chunk)
{
    static struct storm_item in[STORM_ITEMS], out[STORM_ITEMS];
    static mproc_item_status status[STORM_ITEMS];
    int died = 0;
    for (long i = 0; i < STORM_ITEMS; i++) {
        in[i].number = i;
        atomic_store(&storm->begun[i], 0);
        status[i] = (mproc_item_status){-1, -1};
    }
    int result = mproc_pool_map(pool, begin_once, storm,
                                &(mproc_map){.count = STORM_ITEMS,
                                             .in = in,
                                             .in_size = sizeof *in,
                                             .out = out,
                                             .out_size = sizeof *out,
                                             .status = status,
                                             .chunk = chunk},
                                MPROC_FOREVER);
    for (long i = 0; i < STORM_ITEMS; i++) {
        int begun = atomic_load(&storm->begun[i]);
        if (status[i].result == MPROC_WORKER_DIED) {
            assert_int_equal(status[i].code, -SIGKILL);
            assert_in_range(begun, 0, 1);
            died++;
            continue;
        }
        assert_int_equal(status[i].result, 0);
        assert_int_equal(begun, 1);
        assert_int_equal(out[i].number, i * 3);
    }
    assert_int_equal(result, died ? MPROC_WORKER_DIED : 0);
    return died;
}

static void weather_a_storm(bool kills_server, unsigned seed)
{
    static const size_t chunks[] = {0, 1, 7, 500, STORM_ITEMS};
    struct killer killer = {make_pool(3), mproc_calloc(1, sizeof(struct storm)), seed, kills_server};
    pthread_t thread;
    int died = 0;
    assert_int_equal(pthread_create(&thread, NULL, kill_now_and_then, &killer), 0);
    for (int i = 0; i < 30; i++)
        died += map_in_the_storm(killer.pool, killer.storm, chunks[i % 5]);
    atomic_store(&killer.storm->over, true);
    pthread_join(thread, NULL);
    if (!kills_server)
        assert_true(died <= atomic_load(&killer.storm->kills));
    map_hundred_squares(killer.pool);
    mproc_pool_free(killer.pool);
    mproc_free(killer.storm);
}

static void each_item_has_one_outcome_in_a_storm_of_kills(void **state)
{
    (void)state;
    weather_a_storm(false, 1);
}

static void each_item_has_one_outcome_when_the_server_is_killed_too(void **state)
{
    (void)state;
    weather_a_storm(true, 2);
}

static void futures_survive_a_storm_of_kills(void **state)
{
    struct killer killer = {make_pool(2), mproc_calloc(1, sizeof(struct storm)), 3, true};
    mproc_future *futures[500];
    pthread_t thread;
    (void)state;
    assert_int_equal(pthread_create(&thread, NULL, kill_now_and_then, &killer), 0);
    for (long i = 0; i < 500; i++)
        assert_int_equal(
            mproc_pool_submit(killer.pool, &futures[i], begin_once, killer.storm, &i, sizeof i, sizeof(long)), 0);
    for (long i = 0; i < 500; i++) {
        long out = -1;
        int result = mproc_future_get(futures[i], &out, MPROC_FOREVER);
        if (result == 0)
            assert_int_equal(out, 3 * i);
        else
            assert_int_equal(result, MPROC_WORKER_DIED);
        assert_in_range(atomic_load(&killer.storm->begun[i]), result == 0, 1);
        mproc_future_free(futures[i]);
    }
    atomic_store(&killer.storm->over, true);
    pthread_join(thread, NULL);
    mproc_pool_free(killer.pool);
    mproc_free(killer.storm);
}

/* ---- workers that are stopped, or made unfit ---- */

static int stop(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    raise(SIGSTOP);
    return 0;
}

static void a_stopped_worker_is_killed_when_its_time_is_over(void **state)
{
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, stop, NULL, &(mproc_map){.count = 1}, MPROC_MS(50)), MPROC_TIMEOUT);
    map_hundred_squares(pool);
    mproc_pool_free(pool);
}

static int close_everything(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(pid_t *)out = getpid();
    return close_range(0, ~0U, 0);
}

/* What proves a worker's life is gone with its descriptors, so it is replaced. */
static void tasks_may_close_every_descriptor(void **state)
{
    pid_t pids[3];
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 20; i++) {
        assert_int_equal(mproc_pool_map(pool, close_everything, NULL,
                                        &(mproc_map){.count = 3, .out = pids, .out_size = sizeof *pids}, MPROC_FOREVER),
                         0);
        map_hundred_squares(pool);
        for (int k = 0; k < 3; k++)
            assert_true(wait_until(has_workers, &(struct has_workers){pool, 2, pids[k]}, 10000));
    }
    mproc_pool_free(pool);
}

static int fork_and_return(void *ctx, const void *in, void *out)
{
    (void)in;
    pid_t copy = fork();
    if (copy > 0)
        waitpid(copy, out, 0);
    else
        atomic_fetch_add((atomic_long *)ctx, 1);
    return copy < 0 ? errno : copy == 0 ? 9 : 0;
}

static void a_copy_of_a_worker_ends_with_the_task(void **state)
{
    int out[20];
    atomic_long *copies = mproc_calloc(1, sizeof *copies);
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, fork_and_return, copies,
                                    &(mproc_map){.count = 20, .out = out, .out_size = sizeof *out, .chunk = 5},
                                    MPROC_FOREVER),
                     0);
    assert_int_equal(*copies, 20);
    for (int i = 0; i < 20; i++)
        assert_int_equal(WEXITSTATUS(out[i]), 9);
    mproc_pool_free(pool);
    mproc_free(copies);
}

static int kill_parent(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    kill(getppid(), SIGKILL);
    nap(1000000);
    return 0;
}

/* ---- the server ---- */

static void a_dead_server_is_replaced(void **state)
{
    mproc_pool *pool = make_pool(2);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mproc_process_kill(pool->server), 0);
        map_hundred_squares(pool);
    }
    assert_true(wait_until(has_workers, &(struct has_workers){pool, 2, -1}, 10000));
    mproc_pool_free(pool);
}

static int wait_for_event(void *arg, void **state)
{
    *state = NULL;
    return mproc_event_wait(arg, MPROC_FOREVER);
}

static mproc_pool *make_pool_that_begins_by(mproc_event *event)
{
    mproc_pool *pool;
    const mproc_pool_options options = {
        .workers = 1, .method = pool_method, .initializer = wait_for_event, .arg = event};
    assert_int_equal(mproc_pool_create(&pool, &options), 0);
    return pool;
}

/* Where another server is at work than this one. */
struct replaced {
    mproc_pool *pool;
    pid_t server;
};

static bool has_replaced(void *arg)
{
    const struct replaced *replaced = arg;
    mproc_pool_workers(replaced->pool, NULL, 0);
    return replaced->pool->server && mproc_process_pid(replaced->pool->server) != replaced->server;
}

/* Kill the server, and wait for another. Whether that was started before the time at which one is that must wait. */
static bool is_replaced_at_once(mproc_pool *pool)
{
    int64_t waits_until = pool->started_at + HOST_RESTART_PAUSE;
    struct replaced replaced = {pool, mproc_process_pid(pool->server)};
    assert_int_equal(mproc_process_kill(pool->server), 0);
    assert_true(wait_until(has_replaced, &replaced, 30000));
    return pool->started_at < waits_until;
}

static void a_server_is_replaced_at_once_when_a_worker_was_ready(void **state)
{
    bool is_at_once = false;
    mproc_event *event = mproc_calloc(1, sizeof *event);
    (void)state;
    mproc_event_init(event);
    mproc_event_set(event);
    mproc_pool *pool = make_pool_that_begins_by(event);
    for (int i = 0; i < 200 && !is_at_once; i++) { /* a busy machine is not that quick each time */
        is_at_once = is_replaced_at_once(pool);
        map_hundred_squares(pool);
    }
    assert_true(is_at_once);
    mproc_pool_free(pool);
    mproc_free(event);
}

static void a_server_that_had_no_ready_worker_is_replaced_after_a_pause(void **state)
{
    mproc_event *event = mproc_calloc(1, sizeof *event);
    (void)state;
    mproc_event_init(event);
    mproc_event_set(event);
    mproc_pool *pool = make_pool_that_begins_by(event);
    mproc_event_clear(event);
    is_replaced_at_once(pool);
    for (int i = 0; i < 5; i++)
        assert_false(is_replaced_at_once(pool));
    mproc_event_set(event);
    map_hundred_squares(pool);
    mproc_pool_free(pool);
    mproc_free(event);
}

static void an_item_that_kills_the_server_dies_with_it(void **state)
{
    mproc_item_status status;
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(
        mproc_pool_map(pool, kill_parent, NULL, &(mproc_map){.count = 1, .status = &status}, MPROC_FOREVER),
        MPROC_WORKER_DIED);
    assert_int_equal(status.result, MPROC_WORKER_DIED);
    assert_int_equal(status.code, -SIGKILL);
    map_hundred_squares(pool);
    mproc_pool_free(pool);
}

static void a_pool_without_server_can_be_ended_in_every_way(void **state)
{
    (void)state;
    for (int way = 0; way < 3; way++) {
        mproc_pool *pool = make_pool(2);
        assert_int_equal(mproc_process_kill(pool->server), 0);
        assert_int_equal(mproc_process_join(pool->server, MPROC_FOREVER), 0);
        assert_int_equal(way == 0 ? mproc_pool_close(pool) : way == 1 ? mproc_pool_terminate(pool) : 0, 0);
        if (way < 2)
            assert_int_equal(mproc_pool_join(pool, MPROC_FOREVER), 0);
        mproc_pool_free(pool);
    }
}

/* ---- the host ---- */

static int hang(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    nap(1000000);
    return 0;
}

struct family {
    pid_t pids[5];
    atomic_bool ready;
};

static int host_a_pool(void *arg)
{
    struct family *family = arg;
    mproc_future *future;
    mproc_pool *pool = make_pool(3);
    family->pids[0] = mproc_process_pid(pool->server);
    mproc_pool_workers(pool, family->pids + 1, 3);
    for (int i = 0; i < 10; i++)
        mproc_pool_submit(pool, &future, hang, NULL, NULL, 0, 100000);
    atomic_store(&family->ready, true);
    nap(1000000);
    return 0;
}

static bool is_ready(void *arg)
{
    return atomic_load(&((struct family *)arg)->ready);
}

static bool all_gone(void *arg)
{
    const struct family *family = arg;
    for (int i = 0; i < 4; i++)
        if (!is_gone(family->pids[i]))
            return false;
    return true;
}

static void a_killed_host_leaves_neither_processes_nor_bytes(void **state)
{
    mproc_memory_statistics usage;
    struct family *family = mproc_calloc(1, sizeof *family);
    mproc_process *host;
    (void)state;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_process_start(&host, host_a_pool, family, NULL), 0);
        assert_true(wait_until(is_ready, family, 10000));
        mproc_process_kill(host);
        assert_int_equal(mproc_process_join(host, MPROC_FOREVER), 0);
        mproc_process_free(host);
        assert_true(wait_until(all_gone, family, 10000));
        assert_true(wait_until(bytes_are, &usage.allocated, 10000));
        memset(family, 0, sizeof *family);
    }
    mproc_free(family);
}

static int forget_a_pool(void *arg)
{
    struct family *family = arg;
    mproc_future *future;
    mproc_pool *pool = make_pool(3);
    family->pids[0] = mproc_process_pid(pool->server);
    mproc_pool_workers(pool, family->pids + 1, 3);
    for (int i = 0; i < 10; i++)
        mproc_pool_submit(pool, &future, hang, NULL, NULL, 0, 0);
    return 0;
}

/* Not even dead children that nobody reaps. */
static void a_host_that_ends_without_freeing_its_pool_leaves_nothing(void **state)
{
    mproc_memory_statistics usage;
    struct family *family = mproc_calloc(1, sizeof *family);
    mproc_process *host;
    (void)state;
    assert_int_equal(mproc_memory_usage(&usage), 0);
    for (int i = 0; i < 3; i++) {
        assert_int_equal(mproc_process_start(&host, forget_a_pool, family, NULL), 0);
        assert_int_equal(mproc_process_join(host, MPROC_FOREVER), 0);
        mproc_process_free(host);
        for (int k = 0; k < 4; k++)
            assert_int_not_equal(kill(family->pids[k], 0), 0);
        assert_true(wait_until(bytes_are, &usage.allocated, 10000));
    }
    mproc_free(family);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_killed_worker_is_replaced),
        unit(idle_workers_that_all_die_cost_nothing),
        unit(each_item_has_one_outcome_in_a_storm_of_kills),
        unit(each_item_has_one_outcome_when_the_server_is_killed_too),
        unit(futures_survive_a_storm_of_kills),
        unit(a_stopped_worker_is_killed_when_its_time_is_over),
        unit(tasks_may_close_every_descriptor),
        unit(a_copy_of_a_worker_ends_with_the_task),
        unit(a_dead_server_is_replaced),
        unit(a_server_is_replaced_at_once_when_a_worker_was_ready),
        unit(a_server_that_had_no_ready_worker_is_replaced_after_a_pause),
        unit(an_item_that_kills_the_server_dies_with_it),
        unit(a_pool_without_server_can_be_ended_in_every_way),
        unit(a_killed_host_leaves_neither_processes_nor_bytes),
        unit(a_host_that_ends_without_freeing_its_pool_leaves_nothing),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
