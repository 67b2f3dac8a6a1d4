/* Who waits costs nothing: processes that wait at everything there is to wait at, all at the same time, and a pool that
 * has nothing to do and its host. Sleepers wake every 100 ms to look who lives, and that must be all they do. */
#include "children.h"
#include "harness.h"
#include "os/clock.h"
#include "pools.h"

#include <mproc.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define QUIET_TIME MPROC_SEC(5)

/* One in so many of the time that has passed; looking around every 100 ms takes a fifth of that under load. */
#define ALLOWANCE 200

enum {
    WORKERS = 2,
    MOST_WATCHED = 24
};

struct stage {
    mproc_lock lock; /* held by the test, and so are the next two */
    mproc_rlock rlock;
    mproc_semaphore semaphore;
    mproc_lock free_lock; /* the condition's */
    mproc_condition condition;
    mproc_event event; /* set in the end */
    mproc_barrier barrier;
    mproc_queue *empty;
    mproc_queue *full;
    mproc_connection *near;
    mproc_connection *far;
};

static struct stage *make_stage(void)
{
    struct stage *stage = shared(sizeof *stage);
    const mproc_queue_options one = {.maxsize = 1};
    assert_int_equal(mproc_lock_init(&stage->lock), 0);
    assert_int_equal(mproc_rlock_init(&stage->rlock), 0);
    assert_int_equal(mproc_semaphore_init(&stage->semaphore, 0, 0), 0);
    assert_int_equal(mproc_lock_init(&stage->free_lock), 0);
    assert_int_equal(mproc_condition_init(&stage->condition), 0);
    assert_int_equal(mproc_event_init(&stage->event), 0);
    assert_int_equal(mproc_barrier_init(&stage->barrier, 2, NULL, NULL), 0);
    assert_int_equal(mproc_queue_create(&stage->empty, NULL), 0);
    assert_int_equal(mproc_queue_create(&stage->full, &one), 0);
    assert_int_equal(mproc_queue_put(stage->full, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_pipe(&stage->near, &stage->far, true), 0);
    assert_int_equal(mproc_lock_acquire(&stage->lock, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_rlock_acquire(&stage->rlock, MPROC_NOWAIT), 0);
    return stage;
}

static void free_stage(struct stage *stage)
{
    mproc_queue_free(stage->empty);
    mproc_queue_free(stage->full);
    mproc_connection_free(stage->near);
    mproc_connection_free(stage->far);
    shared_free(stage);
}

/* ---- what there is to wait at ---- */

static int wait_at_lock(void *arg)
{
    return mproc_lock_acquire(&((struct stage *)arg)->lock, MPROC_FOREVER);
}

static int wait_at_rlock(void *arg)
{
    return mproc_rlock_acquire(&((struct stage *)arg)->rlock, MPROC_FOREVER);
}

static int wait_at_semaphore(void *arg)
{
    return mproc_semaphore_acquire(&((struct stage *)arg)->semaphore, MPROC_FOREVER);
}

static int wait_at_condition(void *arg)
{
    struct stage *stage = arg;
    int result = mproc_lock_acquire(&stage->free_lock, MPROC_FOREVER);
    return result ? result : mproc_condition_wait(&stage->condition, &stage->free_lock, MPROC_FOREVER);
}

static int wait_at_event(void *arg)
{
    return mproc_event_wait(&((struct stage *)arg)->event, MPROC_FOREVER);
}

static int wait_at_barrier(void *arg)
{
    return mproc_barrier_wait(&((struct stage *)arg)->barrier, NULL, MPROC_FOREVER);
}

static int wait_at_empty_queue(void *arg)
{
    char byte;
    size_t size;
    return mproc_queue_get(((struct stage *)arg)->empty, &byte, 1, &size, MPROC_FOREVER);
}

static int wait_at_full_queue(void *arg)
{
    return mproc_queue_put(((struct stage *)arg)->full, "y", 1, MPROC_FOREVER);
}

static int wait_at_connection(void *arg)
{
    char byte;
    size_t size;
    return mproc_connection_recv(((struct stage *)arg)->near, &byte, 1, &size, MPROC_FOREVER);
}

static int wait_at_several(void *arg)
{
    struct stage *stage = arg;
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = stage->empty},
                               {.kind = MPROC_WAIT_CONNECTION, .on.connection = stage->far}};
    return mproc_wait(items, 2, NULL, MPROC_FOREVER);
}

/* A pool's task. */
static int wait_in_task(void *ctx, const void *in, void *out)
{
    (void)in, (void)out;
    return wait_at_event(ctx);
}

/* ---- the CPU time of others ---- */

struct watched {
    const char *name;
    pid_t pid;
    nanoseconds used;
};

struct watch {
    int64_t begin;
    struct watched processes[MOST_WATCHED];
    int count;
};

static nanoseconds cpu_time(pid_t pid)
{
    clockid_t clock;
    struct timespec used;
    assert_int_equal(clock_getcpuclockid(pid, &clock), 0);
    assert_int_equal(clock_gettime(clock, &used), 0);
    return OS_SEC(used.tv_sec) + used.tv_nsec;
}

static void watch(struct watch *watch, const char *name, pid_t pid)
{
    assert_true(watch->count < MOST_WATCHED);
    child_await_sleep(pid);
    watch->processes[watch->count++] = (struct watched){.name = name, .pid = pid};
}

static pid_t parent_of(pid_t pid)
{
    char path[64];
    int parent = 0;
    snprintf(path, sizeof path, "/proc/%d/stat", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    assert_int_equal(fscanf(file, "%*d (%*[^)]) %*c %d", &parent), 1);
    fclose(file);
    return parent;
}

static void watch_pool(struct watch *watched, mproc_pool *pool)
{
    pid_t pids[WORKERS];
    assert_int_equal(mproc_pool_workers(pool, pids, WORKERS), WORKERS);
    for (int i = 0; i < WORKERS; i++)
        watch(watched, "a worker", pids[i]);
    watch(watched, "the pool's server", parent_of(pids[0]));
    watched->processes[watched->count++] = (struct watched){.name = "the pool's host", .pid = getpid()};
}

static void note_times(struct watch *watch)
{
    watch->begin = os_now();
    for (int i = 0; i < watch->count; i++)
        watch->processes[i].used = cpu_time(watch->processes[i].pid);
}

static void must_have_been_idle(const struct watch *watch)
{
    int busy = 0;
    for (int i = 0; i < watch->count; i++) {
        const struct watched *process = &watch->processes[i];
        nanoseconds used = cpu_time(process->pid) - process->used;
        if (used <= (os_now() - watch->begin) / ALLOWANCE)
            continue;
        fprintf(stderr, "%s used %lld us of CPU\n", process->name, (long long)used / 1000);
        busy++;
    }
    assert_int_equal(busy, 0);
}

static void who_waits_uses_no_cpu(void **state)
{
    static const struct {
        const char *name;
        child_function *wait;
    } waits[] = {
        {"at a lock", wait_at_lock},
        {"at an rlock", wait_at_rlock},
        {"at a semaphore", wait_at_semaphore},
        {"at a condition", wait_at_condition},
        {"at an event", wait_at_event},
        {"at a barrier", wait_at_barrier},
        {"at an empty queue", wait_at_empty_queue},
        {"at a full queue", wait_at_full_queue},
        {"at a connection", wait_at_connection},
        {"at several things", wait_at_several},
    };
    enum {
        WAITS = sizeof waits / sizeof *waits
    };
    (void)state;
    struct stage *stage = make_stage();
    struct watch watched = {.count = 0};
    mproc_future *future;
    for (int i = 0; i < WAITS; i++)
        watch(&watched, waits[i].name, child_start(waits[i].wait, stage));
    mproc_pool *pool = make_pool(WORKERS);
    assert_int_equal(mproc_pool_submit(pool, &future, wait_in_task, stage, NULL, 0, 0), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_MS(200)), MPROC_TIMEOUT);
    watch_pool(&watched, pool);

    note_times(&watched);
    assert_int_equal(mproc_future_wait(future, QUIET_TIME), MPROC_TIMEOUT);
    must_have_been_idle(&watched);

    for (int i = 0; i < WAITS; i++)
        child_kill(watched.processes[i].pid);
    assert_int_equal(mproc_event_set(&stage->event), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(20)), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    free_stage(stage);
}

/* ---- very many ---- */

enum {
    CROWD = 200
};

static long switches_of(pid_t pid)
{
    static const char label[] = "voluntary_ctxt_switches:";
    char path[64], line[256];
    long count = -1;
    snprintf(path, sizeof path, "/proc/%d/status", (int)pid);
    FILE *file = fopen(path, "re");
    assert_non_null(file);
    while (count < 0 && fgets(line, sizeof line, file))
        if (strncmp(line, label, sizeof label - 1) == 0)
            count = strtol(line + sizeof label - 1, NULL, 10);
    fclose(file);
    assert_true(count >= 0);
    return count;
}

static long switches(const pid_t *pids)
{
    long sum = 0;
    for (int i = 0; i < CROWD; i++)
        sum += switches_of(pids[i]);
    return sum;
}

/* As many sleepers as there are here sleep four ticks at a time, and a scout among them one: together they should wake
 * up about as often as 64. Under load two seconds and the reading of many files may take much longer, and sleepers wake
 * up later than they asked for: so the most is by the time that has passed, and the least is that each looked around
 * once. */
static void a_crowd_that_waits_wakes_up_no_more_often_than_a_few(void **state)
{
    pid_t pids[CROWD];
    mproc_future *future;
    (void)state;
    struct stage *stage = make_stage();
    mproc_pool *pool = make_pool(1);
    for (int i = 0; i < CROWD; i++)
        pids[i] = child_start(wait_at_event, stage);
    for (int i = 0; i < CROWD; i++)
        child_await_sleep(pids[i]);
    assert_int_equal(mproc_pool_submit(pool, &future, wait_in_task, stage, NULL, 0, 0), 0);

    assert_int_equal(mproc_future_wait(future, MPROC_SEC(1)), MPROC_TIMEOUT);
    int64_t begin = os_now();
    long before = switches(pids);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(2)), MPROC_TIMEOUT);
    long woken = switches(pids) - before;
    long ticks = (long)((os_now() - begin) / OS_TICK);

    assert_in_range(woken, CROWD, CROWD * ticks / 2);
    assert_int_equal(mproc_event_set(&stage->event), 0);
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(child_finish(pids[i]), 0);
    assert_int_equal(mproc_future_wait(future, MPROC_SEC(20)), 0);
    mproc_future_free(future);
    mproc_pool_free(pool);
    free_stage(stage);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(who_waits_uses_no_cpu),
        unit(a_crowd_that_waits_wakes_up_no_more_often_than_a_few),
    };
    return cmocka_run_group_tests(tests, make_first_pool, NULL);
}
