/* Microseconds from the SIGKILL of the only worker of a pool until its successor begins its first task:
 *
 *     pool_replace idle|busy [LOOPS]
 *
 * idle: the worker sleeps, and the task is submitted when it was killed. busy: the worker is at a task that does not
 * end, and the next one waits behind it. Each worker has run a task before it is killed. */
#include "check.h"
#include "measure.h"

#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/process.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <unistd.h>

struct begin {
    double at;
    pid_t by;
};

static int note_begin(void *ctx, const void *in, void *out)
{
    (void)ctx, (void)in;
    *(struct begin *)out = (struct begin){.at = seconds_now(), .by = getpid()};
    return 0;
}

static int stay(void *stays, const void *in, void *out)
{
    (void)in, (void)out;
    atomic_store((atomic_bool *)stays, true);
    while (atomic_load((atomic_bool *)stays))
        pause();
    return 0;
}

static mproc_future *submit(mproc_pool *pool, mproc_task *task, void *ctx, size_t out_size)
{
    mproc_future *future;

    check(mproc_pool_submit(pool, &future, task, ctx, NULL, 0, out_size), "mproc_pool_submit");
    return future;
}

static struct begin result_of(mproc_future *future)
{
    struct begin begin;

    check(mproc_future_get(future, &begin, MPROC_FOREVER), "mproc_future_get");
    mproc_future_free(future);
    return begin;
}

/* These return the seconds that it took, and store who lives now in *worker. */
static double replace_idle(mproc_pool *pool, pid_t *worker)
{
    sleep_us(500);
    double killed = seconds_now();
    must(!kill(*worker, SIGKILL), "kill");
    struct begin begin = result_of(submit(pool, note_begin, NULL, sizeof begin));
    must(begin.by != *worker, "it lives");
    *worker = begin.by;
    return begin.at - killed;
}

static double replace_busy(mproc_pool *pool, pid_t *worker, atomic_bool *stays)
{
    atomic_store(stays, false);
    mproc_future *last = submit(pool, stay, stays, 0);
    mproc_future *next = submit(pool, note_begin, NULL, sizeof(struct begin));
    while (!atomic_load(stays))
        sleep_us(50);
    double killed = seconds_now();
    must(!kill(*worker, SIGKILL), "kill");
    struct begin begin = result_of(next);
    must(mproc_future_get(last, NULL, MPROC_FOREVER) == MPROC_WORKER_DIED, "the task that died");
    mproc_future_free(last);
    *worker = begin.by;
    return begin.at - killed;
}

int main(int argc, char **argv)
{
    check(mproc_init(), "mproc_init");

    bool idle = argc < 2 || !strcmp(argv[1], "idle");
    size_t loops = argument(argc, argv, 2, 200);
    atomic_bool *stays = mproc_alloc(sizeof *stays);
    mproc_pool *pool;
    double spent = 0;

    must(idle || !strcmp(argv[1], "busy"), "idle or busy");
    must(stays != NULL, "mproc_alloc");
    check(mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}), "mproc_pool_create");
    pid_t worker = result_of(submit(pool, note_begin, NULL, sizeof(struct begin))).by;
    for (size_t i = 0; i < loops; i++)
        spent += idle ? replace_idle(pool, &worker) : replace_busy(pool, &worker, stays);
    report(spent * 1e6 / (double)loops);
    mproc_pool_free(pool);
    return 0;
}
