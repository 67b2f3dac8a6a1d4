/* The crash cases of what jobs do to one another and to their workers: an urgent one calls a worker away, those of an
 * imap are launched again and again, one is cancelled, and one takes too long. */
#include "crash.h"
#include "named.h"
#include "pool/shared/job_postmortem.h"
#include "survivors.h"
#include "worker_world.h"
#include <mproc/memory.h>
#include <signal.h>
#include <stdlib.h>

enum {
    INPUTS = 7, /* of an imap */
    WINDOW = 2, /* of these, in a chunk */
    FLIGHT = 2 * WINDOW
};

struct job_world {
    struct worker_world base;
    struct job *urgent;             /* its item is the last */
    _Atomic(unsigned) begun;        /* items, in all */
    _Atomic(unsigned) offered_at;   /* as many were begun when the urgent job had been offered, or 0 */
    _Atomic(unsigned) urgent_place; /* of its item among those begun, from 1 */
    mproc_imap *imap;
    long taken; /* inputs */
    _Atomic(unsigned) runs[INPUTS];
};

static struct job_world *build(void)
{
    return worker_world_build(sizeof(struct job_world), &(mproc_pool_options){.workers = 1});
}

static bool is_through(void *arg)
{
    const struct worker_world *world = arg;
    return worker_world_is_settled(arg) && !atomic_load(&world->shared->workers[0].job);
}

/* ---- an urgent job ---- */

/* The first item of the map offers the urgent job, as a host would in this moment. */
static int work_or_offer(void *ctx, const void *in, void *out)
{
    struct job_world *world = ctx;
    long item = *(const long *)in;
    unsigned place = atomic_fetch_add(&world->begun, 1) + 1;
    if (item == WORKER_ITEMS)
        atomic_store(&world->urgent_place, place);
    int result = worker_world_task(&world->base, in, out);
    if (item == 0 && pool_offer_again(world->base.shared, world->urgent) == 0)
        atomic_store(&world->offered_at, place);
    return result;
}

static void launch(struct job_world *world, size_t first, size_t count, int priority, struct job **job)
{
    struct worker_world *base = &world->base;
    const struct host_job wish = {.task = work_or_offer,
                                  .ctx = world,
                                  .in = base->in,
                                  .in_size = sizeof *base->in,
                                  .out = base->out,
                                  .out_size = sizeof *base->out,
                                  .status = base->status,
                                  .count = count,
                                  .chunk = 1,
                                  .priority = priority};
    if (host_make_job(base->pool, &wish, count, job) || host_launch(base->pool, *job, &wish, first, count, false))
        abort();
}

/* The urgent job is made, and held back. */
static void *build_urgent(void)
{
    struct job_world *world = build();
    struct pool *pool = world->base.shared;
    victim_seize(worker_world_worker(&world->base, 0), 0);
    launch(world, WORKER_ITEMS, 1, 7, &world->urgent);
    pool_lock(pool);
    job_list_remove(&pool->list, world->urgent);
    pool_unlock(pool);
    return world;
}

static bool urgent_is_through(void *arg)
{
    const struct job_world *world = arg;
    size_t from = 0;
    return job_is_settled(world->urgent, &from) && is_through(arg);
}

static void prepare_urgent(void *arg)
{
    struct job_world *world = arg;
    launch(world, 0, WORKER_ITEMS, -7, &world->base.map);
    world->base.count = WORKER_ITEMS;
    victim_name(worker_world_worker(&world->base, 0), urgent_is_through, world, false);
}

static bool urgent_settles(void *arg)
{
    size_t from = 0;
    host_look(((struct worker_world *)arg)->pool);
    return job_is_settled(((struct job_world *)arg)->urgent, &from);
}

/* Where the victim died before it, the tester offers the urgent job, late. */
static const char *check_urgent(void *arg, bool finished)
{
    struct job_world *world = arg;
    unsigned offered_at = atomic_load(&world->offered_at);
    const mproc_item_status *urgent = &world->base.status[WORKER_ITEMS];
    if (!offered_at && pool_offer_again(world->base.shared, world->urgent))
        return "the lock cannot be had";
    if (!within_time(urgent_settles, world))
        return "the urgent job is not settled";
    const char *wrong = worker_world_check(&world->base, finished ? 0 : 1);
    unsigned place = atomic_load(&world->urgent_place);
    if (!wrong && urgent->result && (finished || urgent->result != MPROC_WORKER_DIED))
        wrong = "the urgent job is lost";
    if (!wrong && !urgent->result && world->base.out[WORKER_ITEMS] != WORKER_ITEMS + 100)
        wrong = "the urgent job has another result";
    if (!wrong && offered_at && place && place != offered_at + 1)
        wrong = "the urgent job came late";
    if (!wrong)
        wrong = worker_world_go_on(&world->base);
    worker_world_end(&world->base);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

/* ---- an imap ---- */

static int next_input(void *arg, void *in)
{
    struct job_world *world = arg;
    if (world->taken == INPUTS)
        return MPROC_CLOSED;
    *(long *)in = world->taken++;
    return 0;
}

static int run_input(void *ctx, const void *in, void *out)
{
    struct job_world *world = ctx;
    long input = *(const long *)in;
    atomic_fetch_add(&world->runs[input], 1);
    *(long *)out = input + 100;
    return 0;
}

static void *build_imap(void)
{
    return build();
}

static bool all_in_flight_ran(void *arg)
{
    const struct job_world *world = arg;
    for (int input = 0; input < FLIGHT; input++)
        if (!atomic_load(&world->runs[input]))
            return false;
    return !atomic_load(&world->base.shared->workers[0].job);
}

/* The victim runs the first windows; who reads the results launches them again. */
static void prepare_imap(void *arg)
{
    struct job_world *world = arg;
    const mproc_imap_options options = {.next = next_input,
                                        .arg = world,
                                        .in_size = sizeof(long),
                                        .out_size = sizeof(long),
                                        .chunk = WINDOW,
                                        .bytes_in_flight = FLIGHT * 2 * sizeof(long)};
    victim_seize(worker_world_worker(&world->base, 0), 0);
    if (mproc_pool_imap(world->base.pool, &world->imap, run_input, world, &options))
        abort();
    victim_name(worker_world_worker(&world->base, 0), all_in_flight_ran, world, false);
}

static const char *check_input(struct job_world *world, size_t input, int *died)
{
    long out;
    size_t index;
    mproc_postmortem death;
    int result = mproc_imap_next(world->imap, &out, &index, MPROC_MS(SURVIVORS_MS));
    unsigned runs = atomic_load(&world->runs[input]);
    bool is_told = mproc_imap_postmortem(world->imap, &death) == 0;
    if (result == MPROC_TIMEOUT)
        return "the inputs do not go on";
    if (index != input || runs > 1 || world->taken > (long)input + FLIGHT)
        return "an input is taken or handed out at another time";
    if (is_told != (result == MPROC_WORKER_DIED) || (is_told && death.index != input))
        return "a death is not told, or of another input";
    *died += is_told;
    return is_told || (result == 0 && runs == 1 && out == (long)input + 100) ? NULL : "an input has another result";
}

static const char *check_imap(void *arg, bool finished)
{
    struct job_world *world = arg;
    const char *wrong = NULL;
    int died = 0;
    for (size_t input = 0; input < INPUTS && !wrong; input++)
        wrong = check_input(world, input, &died);
    if (!wrong && mproc_imap_next(world->imap, NULL, NULL, MPROC_NOWAIT) != MPROC_CLOSED)
        wrong = "the inputs do not end";
    if (!wrong && died > !finished)
        wrong = "more inputs died than a worker was at";
    mproc_imap_free(world->imap);
    if (!wrong)
        wrong = worker_world_go_on(&world->base);
    worker_world_end(&world->base);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

/* ---- jobs that are ended: the server is the victim ---- */

static struct worker_world *build_hanging(mproc_time limit)
{
    struct worker_world *world = worker_world_build(sizeof *world, &(mproc_pool_options){.workers = 1});
    world->server_dies = true;
    world->hangs = true;
    world->chunk = 2;
    world->limit = limit;
    return world;
}

static void *build_cancelled(void)
{
    return build_hanging((mproc_time){0});
}

static void *build_late(void)
{
    return build_hanging(MPROC_MS(100));
}

static bool hangs(void *arg)
{
    return atomic_load(&((struct worker_world *)arg)->begun[WORKER_SPECIAL]) == 1;
}

/* A map of two chunks; the first one ends with the item that hangs. */
static void begin_to_hang(struct worker_world *world)
{
    worker_world_map(world, WORKER_ITEMS, false);
    if (!within_time(hangs, world))
        abort();
    victim_seize(worker_world_server(world), 0);
    victim_name(worker_world_server(world), worker_world_is_mended, world, true);
}

static void prepare_cancel(void *arg)
{
    struct worker_world *world = arg;
    begin_to_hang(world);
    host_stop(world->pool, world->map);
}

static void prepare_late(void *world)
{
    begin_to_hang(world);
}

static const char *check_cancelled(void *arg, bool finished)
{
    struct worker_world *world = arg;
    const char *wrong = NULL;
    mproc_postmortem death;
    (void)finished;
    if (!within_time(worker_world_settles, world))
        return "the work is not settled";
    for (int chunk = 0; chunk < WORKER_ITEMS / 2; chunk++)
        if (job_chunk_state(atomic_load(&world->map->chunks[chunk])) != JOB_CANCELLED)
            wrong = "a cancelled chunk has another outcome";
    if (job_chunk_settled(atomic_load(&world->map->chunks[0])) != 1 || world->out[0] != 100)
        wrong = "what was done before is lost";
    if (job_postmortem_read(world->map, 0, 0, &death))
        wrong = "a death is told of what was cancelled";
    if (!wrong)
        wrong = worker_world_go_on(world);
    worker_world_end(world);
    return wrong ? wrong : survivors_balance(mproc_usable_size(world));
}

/* Its worker dies late, or with the server; the successor may die with the server. */
static const char *check_late(void *arg, bool finished)
{
    struct worker_world *world = arg;
    (void)finished;
    const char *wrong = worker_world_finish(world, 2);
    if (!wrong && !world->status[WORKER_SPECIAL].result)
        wrong = "the item that took too long is told as done";
    return wrong;
}

const struct crash_case job_cases[] = {
    {.operation = "pool_worker",
     .state = "called away by an urgent job",
     .build = build_urgent,
     .prepare = prepare_urgent,
     .check = check_urgent,
     .destroy = worker_world_destroy},
    {.operation = "pool_worker",
     .state = "at the inputs of an imap",
     .build = build_imap,
     .prepare = prepare_imap,
     .check = check_imap,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "ending a cancelled item",
     .build = build_cancelled,
     .prepare = prepare_cancel,
     .check = check_cancelled,
     .destroy = worker_world_destroy},
    {.operation = "pool_server",
     .state = "ending a late item",
     .build = build_late,
     .prepare = prepare_late,
     .check = check_late,
     .destroy = worker_world_destroy},
    {0},
};
