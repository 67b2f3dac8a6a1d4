/* The crash cases of a queue's end: closing it, and counting what is done. */
#include "queue_world.h"

#include "crash.h"
#include "queue/ring.h"
#include <errno.h>
#include <mproc/queue.h>
#include <stdatomic.h>

static void *build_closed(void)
{
    struct queue_world *world = queue_build(0, 3, 64);
    mproc_queue_close(world->queue);
    return world;
}

/* One message was got, and is not dealt with yet. */
static void *build_undone(void)
{
    struct queue_world *world = queue_build(0, 1, 64);
    queue_get_number(world, MPROC_NOWAIT);
    world->first = 1;
    return world;
}

static void get_to_the_end(void *arg)
{
    struct queue_world *world = arg;
    static unsigned char message[QUEUE_LONG];
    int result = mproc_queue_get(world->queue, message, sizeof message, NULL, MPROC_FOREVER);
    atomic_store(&world->end, result + 1);
}

static void put_to_the_end(void *arg)
{
    struct queue_world *world = arg;
    static unsigned char message[QUEUE_LONG];
    queue_fill(message, world->size, QUEUE_SURVIVOR);
    int result = mproc_queue_put(world->queue, message, world->size, MPROC_FOREVER);
    atomic_store(&world->end, result + 1);
}

static void join(void *arg)
{
    struct queue_world *world = arg;
    atomic_store(&world->end, mproc_queue_join(world->queue, MPROC_FOREVER) + 1);
}

static bool has_ended(void *arg)
{
    return atomic_load(&((struct queue_world *)arg)->end) != 0;
}

static bool joiner_sleeps(void *arg)
{
    return atomic_load(&((struct queue_world *)arg)->queue->done.word) & WAIT_CELL_SLEEPERS;
}

static void *build_with_joiner_asleep(void)
{
    struct queue_world *world = build_undone();
    world->bystander = bystander_start(join, world);
    within_time(joiner_sleeps, world);
    return world;
}

static void *build_to_close_with_getter(void)
{
    struct queue_world *world = queue_build(0, 0, 64);
    world->bystander = bystander_start(get_to_the_end, world);
    within_time(queue_sleeps, world);
    return world;
}

static void *build_to_close_with_putter(void)
{
    struct queue_world *world = queue_build(3, 3, 64);
    world->sleeper_puts = true;
    world->bystander = bystander_start(put_to_the_end, world);
    within_time(queue_sleeps, world);
    return world;
}

static void *build_some(void)
{
    return queue_build(0, 3, 64);
}

static void victim_put(void *arg)
{
    static const unsigned char message[64];
    mproc_queue_put(((struct queue_world *)arg)->queue, message, sizeof message, MPROC_NOWAIT);
}

static void victim_close(void *arg)
{
    mproc_queue_close(((struct queue_world *)arg)->queue);
}

static void victim_task_done(void *arg)
{
    mproc_queue_task_done(((struct queue_world *)arg)->queue);
}

static void victim_join_in_vain(void *arg)
{
    struct queue_world *world = arg;
    atomic_store(&world->result, mproc_queue_join(world->queue, CRASH_WAIT) + 1);
}

/* From here on the queue is closed, by the victim or else by the survivor: the messages are there still, and no more.
 */
static const char *check_closed(void *arg, bool finished)
{
    struct queue_world *world = arg;
    unsigned char message[64] = {0};
    if (finished && mproc_queue_put(world->queue, message, sizeof message, MPROC_NOWAIT) != MPROC_CLOSED)
        return "a closed queue takes a message";
    if (mproc_queue_close(world->queue) ||
        mproc_queue_put(world->queue, message, sizeof message, MPROC_NOWAIT) != MPROC_CLOSED)
        return "the queue cannot be closed";
    if (world->bystander && !within_time(has_ended, world))
        return "the one that slept was not woken";
    if (world->bystander && atomic_load(&world->end) != MPROC_CLOSED + 1)
        return "the one that slept is not told of the end";
    for (; world->first < world->own; world->first++) {
        if (queue_get_number(world, MPROC_SEC(1)) != world->first)
            return "a message is lost, damaged or out of order";
    }
    if (mproc_queue_get(world->queue, message, sizeof message, NULL, MPROC_SEC(1)) != MPROC_CLOSED)
        return "a closed and empty queue does not say so";
    bystander_end(world->bystander);
    world->bystander = 0;
    return queue_balance(world);
}

/* The getter is told without anybody's help, unless the victim died before it closed. */
static const char *check_told(void *arg, bool finished)
{
    struct queue_world *world = arg;
    bool closed = atomic_load(&world->queue->closing);
    if (finished && !closed)
        return "the queue is not closed";
    if (!closed && !queue_put_number(world, QUEUE_SURVIVOR))
        return "an open queue takes no message";
    if (!within_time(has_ended, world))
        return closed ? "the one that slept is not told of the end" : "the one that slept was not woken";
    if (!closed && atomic_load(&world->end) != 1)
        return "the one that slept got no message";
    if (!closed)
        atomic_store(&world->end, MPROC_CLOSED + 1);
    return check_closed(arg, finished);
}

/* One message is dealt with, by the victim or else by the survivor, and not by both. */
static const char *check_done(void *arg, bool finished)
{
    struct queue_world *world = arg;
    int result = mproc_queue_task_done(world->queue);
    if (result != -EPERM && (finished || result))
        return "what was done is not counted once";
    if (mproc_queue_task_done(world->queue) != -EPERM || mproc_queue_join(world->queue, MPROC_NOWAIT))
        return "what was done is not counted once";
    if (world->bystander && !within_time(has_ended, world))
        return "the one that slept was not woken";
    bystander_end(world->bystander);
    world->bystander = 0;
    return queue_balance(world);
}

static const char *check_joined_in_vain(void *arg, bool finished)
{
    struct queue_world *world = arg;
    if (finished && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a call in vain did not time out";
    if (mproc_queue_join(world->queue, MPROC_NOWAIT) != MPROC_TIMEOUT)
        return "what is not done is taken for done";
    return check_done(arg, false);
}

const struct crash_case queue_end_cases[] = {
    {"queue_put", "closed", build_closed, NULL, victim_put, check_closed, queue_destroy, queue_repair},
    {"queue_close", "some", build_some, NULL, victim_close, check_closed, queue_destroy, queue_repair},
    {"queue_close", "a getter asleep", build_to_close_with_getter, NULL, victim_close, check_told, queue_destroy,
     queue_repair},
    {"queue_close", "a putter asleep", build_to_close_with_putter, NULL, victim_close, check_closed, queue_destroy,
     queue_repair},
    {"queue_task_done", "the last, a joiner asleep", build_with_joiner_asleep, NULL, victim_task_done, check_done,
     queue_destroy, NULL},
    {"queue_join", "in vain", build_undone, NULL, victim_join_in_vain, check_joined_in_vain, queue_destroy, NULL},
    {0},
};
