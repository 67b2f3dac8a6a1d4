/* Deaths at any instruction: a worker, and whoever settles a dead worker, are single-stepped and killed after so many
 * steps, for many numbers of steps. There is no server here; the test does its part by the functions of src/pool. */
#include "harness.h"

#include "arena/member.h"
#include "pool/host.h"
#include <limits.h>
#include <mproc.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

enum {
    ITEMS = 4,     /* of a map; one more is submitted after it */
    TIME_MS = 4000 /* for the kills of one test; all some thousand steps would take minutes */
};

/* In shared memory. */
struct books_of_items {
    atomic_int begun[ITEMS + 1];
    atomic_bool stops; /* whether item 0 stops its worker, so that the stepping begins there */
    long out[ITEMS];
    mproc_item_status status[ITEMS];
};

/* A pool whose server is the test. */
struct stage {
    mproc_pool host;
    struct books_of_items *books;
    struct job *map;
    struct job *task;
};

static int begin_once(void *ctx, const void *in, void *out)
{
    struct books_of_items *books = ctx;
    long item = *(const long *)in;
    atomic_fetch_add(&books->begun[item], 1);
    if (item == 0 && atomic_load(&books->stops))
        raise(SIGSTOP);
    *(long *)out = item + 100;
    return 0;
}

static void set_up(struct stage *stage)
{
    *stage = (struct stage){.host = {.method = MPROC_START_FORK, .mutex = PTHREAD_MUTEX_INITIALIZER}};
    stage->host.look_at = INT64_MAX; /* no server is started */
    assert_int_equal(store_new_pool(&stage->host.shared, 1), 0);
    stage->books = mproc_calloc(1, sizeof *stage->books);
    assert_non_null(stage->books);
}

static void tear_down(struct stage *stage)
{
    store_free_pool(stage->host.shared);
    mproc_free(stage->books);
    member_sweep_all();
}

static void submit(struct stage *stage, const struct host_job *wish, struct job **job)
{
    assert_int_equal(host_make_job(&stage->host, wish, wish->count, job), 0);
    assert_int_equal(host_launch(&stage->host, *job, wish, 0, wish->count, false), 0);
}

static void submit_jobs(struct stage *stage, size_t chunk)
{
    static const long numbers[ITEMS + 1] = {0, 1, 2, 3, 4};
    const struct host_job map = {.task = begin_once,
                                 .ctx = stage->books,
                                 .in = numbers,
                                 .in_size = sizeof *numbers,
                                 .out = stage->books->out,
                                 .out_size = sizeof *stage->books->out,
                                 .status = stage->books->status,
                                 .count = ITEMS,
                                 .chunk = chunk};
    const struct host_job task = {.task = begin_once,
                                  .ctx = stage->books,
                                  .in = numbers + ITEMS,
                                  .in_size = sizeof *numbers,
                                  .copy_in = true,
                                  .out_size = sizeof(long),
                                  .own_status = true,
                                  .count = 1,
                                  .chunk = 1};
    memset(stage->books, 0, sizeof *stage->books);
    atomic_store(&stage->books->stops, true);
    submit(stage, &map, &stage->map);
    submit(stage, &task, &stage->task);
}

static bool is_settled(void *arg)
{
    const struct stage *stage = arg;
    size_t from = 0, from_task = 0;
    return job_is_settled(stage->map, &from) && job_is_settled(stage->task, &from_task);
}

static bool is_idle(const struct stage *stage)
{
    return atomic_load(&stage->host.shared->workers[0].job) == NULL && is_settled((void *)(uintptr_t)stage);
}

/* ---- processes ---- */

static pid_t start_worker(struct pool *pool, bool traced)
{
    pid_t parent = getpid();
    uint32_t serial = pool_reserve(pool, &pool->workers[0].word);
    pid_t pid = fork();
    if (pid == 0) {
        if (traced && ptrace(PTRACE_TRACEME, 0, NULL, NULL))
            _exit(1);
        pool_worker(pool, 0, serial, parent);
    }
    assert_true(pid > 0);
    return pid;
}

static int settle_traced(struct pool *pool)
{
    if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || !member_self())
        return 1;
    raise(SIGSTOP);
    return pool_settle_worker(pool, 0, -SIGKILL) ? 1 : 0;
}

/* Wait until a traced child stops itself. False when it cannot be traced. */
static bool await_stop(pid_t pid)
{
    int status;
    assert_int_equal(waitpid(pid, &status, 0), pid);
    while (WIFSTOPPED(status) && WSTOPSIG(status) != SIGSTOP) {
        ptrace(PTRACE_CONT, pid, NULL, (void *)(uintptr_t)WSTOPSIG(status));
        assert_int_equal(waitpid(pid, &status, 0), pid);
    }
    return WIFSTOPPED(status);
}

/* One instruction. False when the child has ended. */
static bool step(pid_t pid)
{
    int status;
    assert_int_equal(ptrace(PTRACE_SINGLESTEP, pid, NULL, NULL), 0);
    assert_int_equal(waitpid(pid, &status, 0), pid);
    return WIFSTOPPED(status);
}

static void end(pid_t pid)
{
    kill(pid, SIGKILL);
    waitpid(pid, NULL, 0);
}

/* ---- checks ---- */

static void check_item(int begun, const mproc_item_status *status, long out, long item, int *died)
{
    if (status->result == MPROC_WORKER_DIED) {
        assert_int_equal(status->code, -SIGKILL);
        assert_in_range(begun, 0, 1);
        ++*died;
        return;
    }
    assert_int_equal(status->result, 0);
    assert_int_equal(begun, 1);
    assert_int_equal(out, item + 100);
}

/* Each item has one outcome, and at most one of them is a death. */
static void check_outcomes(const struct stage *stage)
{
    int died = 0;
    for (int i = 0; i < ITEMS; i++)
        check_item(stage->books->begun[i], &stage->books->status[i], stage->books->out[i], i, &died);
    check_item(stage->books->begun[ITEMS], stage->task->status, *(long *)(void *)stage->task->out, ITEMS, &died);
    assert_in_range(died, 0, 1);
}

/* Let an untroubled worker do what is left, and look at the outcome. */
static void finish_and_check(struct stage *stage)
{
    struct pool *pool = stage->host.shared;
    atomic_store(&stage->books->stops, false);
    pid_t worker = start_worker(pool, false);
    assert_true(wait_until(is_settled, stage, 10000));
    end(worker);
    assert_int_equal(pool_settle_worker(pool, 0, -SIGKILL), 0);
    check_outcomes(stage);
    host_free_job(&stage->host, stage->map);
    host_free_job(&stage->host, stage->task);
    assert_null(list_first(&pool->list));
    assert_int_equal(atomic_load(&pool->spinner), 0);
    member_sweep_all();
}

/* ---- tests ---- */

/* Kill the worker after so many steps from item 0 on, or when it is through with everything. Returns how many it did.
 */
static int kill_worker_after(struct stage *stage, size_t chunk, int steps)
{
    int done = 0;
    submit_jobs(stage, chunk);
    pid_t worker = start_worker(stage->host.shared, true);
    if (!await_stop(worker))
        skip();
    while (done < steps && !is_idle(stage)) {
        assert_true(step(worker));
        done++;
    }
    end(worker);
    assert_int_equal(pool_settle_worker(stage->host.shared, 0, -SIGKILL), 0);
    finish_and_check(stage);
    return done;
}

static int kill_worker_of_pairs_after(struct stage *stage, int steps)
{
    return kill_worker_after(stage, 2, steps);
}

static int kill_worker_of_singles_after(struct stage *stage, int steps)
{
    return kill_worker_after(stage, 1, steps);
}

/* A worker that dies at its second item is settled by a process that dies after so many steps, and again by another. */
static int kill_settler_after(struct stage *stage, int steps)
{
    struct pool *pool = stage->host.shared;
    int done = 0;
    submit_jobs(stage, 3);
    pid_t worker = start_worker(pool, true);
    if (!await_stop(worker))
        skip();
    while (atomic_load(&pool->workers[0].current) >> 1 == 0)
        assert_true(step(worker));
    end(worker);
    pid_t settler = fork();
    if (settler == 0)
        _exit(settle_traced(pool));
    assert_true(await_stop(settler));
    while (done < steps && step(settler))
        done++;
    end(settler);
    assert_int_equal(pool_settle_worker(pool, 0, -SIGKILL), 0);
    assert_int_equal(stage->books->status[1].result, MPROC_WORKER_DIED);
    finish_and_check(stage);
    return done;
}

static int64_t milliseconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* One of total moments. However many are asked for in turn they are spread evenly, as multiples of the golden section
 * are. */
static int moment(int number, int total)
{
    double place = number * 0.61803398874989;
    return (int)((place - (int)place) * total);
}

/* Kill at as many moments as there is time for. */
static void kill_at_many_steps(int (*kill_after)(struct stage *stage, int steps))
{
    struct stage stage;
    set_up(&stage);
    int64_t end_at = milliseconds() + TIME_MS;
    int total = kill_after(&stage, INT_MAX);
    assert_true(total > 300);
    for (int i = 0; i < total && milliseconds() < end_at; i++)
        kill_after(&stage, moment(i, total));
    tear_down(&stage);
}

static void a_worker_may_die_at_any_instruction(void **state)
{
    (void)state;
    kill_at_many_steps(kill_worker_of_pairs_after);
}

static void a_worker_may_die_at_any_instruction_of_single_chunks(void **state)
{
    (void)state;
    kill_at_many_steps(kill_worker_of_singles_after);
}

static void who_settles_a_death_may_die_at_any_instruction(void **state)
{
    (void)state;
    kill_at_many_steps(kill_settler_after);
}

/* ---- the list ---- */

enum {
    LINKS = 4
};

/* A list of three jobs, and one that is not in it; in shared memory. */
struct chain {
    struct job jobs[LINKS];
    struct pool pool; /* last, for its own last member has no size */
};

static void add_last(struct chain *chain)
{
    list_add_last(&chain->pool.list, &chain->jobs[3]);
}

static void add_first(struct chain *chain)
{
    list_add_first(&chain->pool.list, &chain->jobs[3]);
}

static void remove_first(struct chain *chain)
{
    list_remove(&chain->pool.list, &chain->jobs[0]);
}

static void remove_middle(struct chain *chain)
{
    list_remove(&chain->pool.list, &chain->jobs[1]);
}

static void remove_last(struct chain *chain)
{
    list_remove(&chain->pool.list, &chain->jobs[2]);
}

/* Forwards, backwards and by each job's own word it is the same list. */
static void check_list(struct chain *chain)
{
    struct job *previous = NULL;
    int count = 0, queued = 0;
    for (struct job *job = list_first(&chain->pool.list); job; job = atomic_load(&job->next)) {
        assert_ptr_equal(atomic_load(&job->previous), previous);
        assert_true(atomic_load(&job->queued));
        previous = job;
        assert_true(++count <= LINKS);
    }
    assert_ptr_equal(atomic_load(&chain->pool.list.last), previous);
    assert_null(atomic_load(&chain->pool.list.moving));
    for (int i = 0; i < LINKS; i++)
        queued += atomic_load(&chain->jobs[i].queued);
    assert_int_equal(queued, count);
    assert_in_range(count, 2, LINKS);
}

/* Returns how many steps it did. */
static int kill_mover_after(struct chain *chain, void (*move)(struct chain *chain), int steps)
{
    int done = 0;
    memset(chain, 0, sizeof *chain);
    for (int i = 0; i < 3; i++)
        list_add_last(&chain->pool.list, &chain->jobs[i]);
    pid_t mover = fork();
    if (mover == 0) {
        if (ptrace(PTRACE_TRACEME, 0, NULL, NULL) || pool_lock(&chain->pool))
            _exit(1);
        raise(SIGSTOP);
        move(chain);
        _exit(0);
    }
    if (!await_stop(mover))
        skip();
    while (done < steps && step(mover))
        done++;
    end(mover);
    assert_int_equal(pool_lock(&chain->pool), 0);
    check_list(chain);
    pool_unlock(&chain->pool);
    return done;
}

static void the_list_is_whole_after_any_death(void **state)
{
    void (*const moves[])(struct chain *) = {add_last, add_first, remove_first, remove_middle, remove_last};
    struct chain *chain = mproc_calloc(1, sizeof *chain);
    (void)state;
    for (size_t i = 0; i < sizeof moves / sizeof *moves; i++) {
        int64_t end_at = milliseconds() + TIME_MS / 4;
        int total = kill_mover_after(chain, moves[i], INT_MAX);
        assert_true(total > 10);
        for (int k = 0; k < total && milliseconds() < end_at; k++)
            kill_mover_after(chain, moves[i], moment(k, total));
    }
    mproc_free(chain);
    member_sweep_all();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_worker_may_die_at_any_instruction),
        unit(a_worker_may_die_at_any_instruction_of_single_chunks),
        unit(who_settles_a_death_may_die_at_any_instruction),
        unit(the_list_is_whole_after_any_death),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
