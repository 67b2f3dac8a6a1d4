/* The host of a pool, itself a victim, as are its workers and their server. It maps and submits tasks, and each must
 * have its right result, or be told to be dead, and then a process of the pool was killed: a worker costs one task, the
 * server one of each worker. Tasks run once at most. */
#include "soak.h"
#include <mproc/pool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define TASKS 200

struct task_in {
    uint64_t number;
    unsigned loops;
};

struct task_out {
    uint64_t result;
    unsigned runs;
};

/* In pages that all processes share: how often each task of the current map ran. Each host has its own, for the workers
 * of one that was killed may live on for a moment. */
#define BOOKS 64
static _Atomic(unsigned) (*books)[TASKS];
static _Atomic(unsigned) *runs;

static void open_host(void)
{
    books = book_pages(BOOKS * sizeof *books);
}

/* ---- in a worker ---- */

/* Each worker tells the killer its number, in one of the places; who finds its own there leaves it. */
static void say_who_works(void)
{
    pid_t me = getpid();
    size_t places = sizeof world->workers / sizeof *world->workers;
    atomic_store(&world->workers[(size_t)me % places], me);
    atomic_store(&world->server, getppid());
}

static int task(void *ctx, const void *in, void *out)
{
    const struct task_in *task = in;
    (void)ctx;
    say_who_works();
    for (volatile unsigned i = 0; i < task->loops; i++) {
    }
    unsigned before = atomic_fetch_add(&runs[task->number % TASKS], 1);
    *(struct task_out *)out = (struct task_out){.result = mix(task->number), .runs = before + 1};
    progress(SUBJECT_POOL);
    return 0;
}

/* ---- in the host ---- */

static struct task_in in[TASKS];
static struct task_out out[TASKS];
static mproc_item_status status[TASKS];
static uint64_t workers_killed, servers_killed, dead_tasks; /* the first two: before this pool was made */

static void make_tasks(void)
{
    uint64_t first = random_below(UINT32_MAX) * TASKS;
    for (unsigned i = 0; i < TASKS; i++) {
        atomic_store(&runs[i], 0);
        in[i] = (struct task_in){.number = first + i, .loops = (unsigned)random_below(4000)};
    }
}

/* More tasks may not have died than processes were killed. */
static void count_dead(void)
{
    dead_tasks++;
    atomic_fetch_add(&world->task_deaths, 1);
    uint64_t most = atomic_load(&world->worker_kills) - workers_killed +
                    POOL_WORKERS * (atomic_load(&world->server_kills) - servers_killed);
    if (dead_tasks > most)
        wrong("%llu tasks of a pool died, and of its processes only so many were killed as cost %llu",
              (unsigned long long)dead_tasks, (unsigned long long)most);
}

static void check_task(unsigned i)
{
    unsigned ran = atomic_load(&runs[i]);
    bool right = out[i].result == mix(in[i].number) && out[i].runs == 1 && !lies(LIE_TASK);
    if (status[i].result == MPROC_WORKER_DIED)
        count_dead();
    else if (status[i].result != 0)
        wrong("a task ended as %d", status[i].result);
    else if (!right)
        wrong("a task is said to be done, and its result is wrong");
    if (ran > 1)
        wrong("a task ran %u times", ran);
}

static void map_once(struct seat *seat, mproc_pool *pool)
{
    begin(seat, SUBJECT_POOL, "maps");
    make_tasks();
    memset(out, 0, sizeof out);
    int result = mproc_pool_map(
        pool, task, NULL,
        &(mproc_map){
            .count = TASKS, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out, .status = status},
        MPROC_FOREVER);
    if (result != 0 && result != MPROC_WORKER_DIED)
        wrong("mproc_pool_map returned %d", result);
    else
        for (unsigned i = 0; i < TASKS; i++)
            check_task(i);
    atomic_fetch_add(&world->maps, 1);
}

static void submit_some(struct seat *seat, mproc_pool *pool)
{
    mproc_future *futures[4];
    begin(seat, SUBJECT_POOL, "submits");
    make_tasks();
    for (unsigned i = 0; i < 4; i++) {
        int result = mproc_pool_submit(pool, &futures[i], task, NULL, &in[i], sizeof *in, sizeof *out);
        if (result)
            wrong("mproc_pool_submit returned %d", result);
    }
    for (unsigned i = 0; i < 4; i++) {
        int result = mproc_future_get(futures[i], &out[i], MPROC_FOREVER);
        status[i] = (mproc_item_status){.result = result};
        check_task(i);
        futures[i] = mproc_future_free(futures[i]);
    }
}

static void run_pool(struct seat *seat)
{
    mproc_pool *pool;
    begin(seat, SUBJECT_POOL, "makes a pool");
    runs = books[atomic_load(&seat->life) % BOOKS];
    workers_killed = atomic_load(&world->worker_kills);
    servers_killed = atomic_load(&world->server_kills);
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = POOL_WORKERS});
    if (result) {
        wrong("mproc_pool_create returned %d", result);
        return;
    }
    while (!atomic_load(&world->ending)) {
        if (one_in(4))
            submit_some(seat, pool);
        else
            map_once(seat, pool);
    }
    begin(seat, SUBJECT_POOL, "frees the pool");
    pool = mproc_pool_free(pool);
}

const struct trade hosts = {"pool hosts", HOSTS, open_host, run_pool, NULL, NULL};
