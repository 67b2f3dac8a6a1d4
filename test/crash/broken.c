/* Broken variants, on which the harness proves that it finds something: each must fail at some step. */
#include "arena/member.h"
#include "crash.h"
#include "ipc/ring.h"
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <mproc/sync.h>
#include <stdatomic.h>
#include <string.h>

struct broken_world {
    mproc_queue *queue;
    _Atomic(uint64_t) lock; /* 1: taken; by whom is not said */
};

static void *build(void)
{
    struct broken_world *world = world_alloc(sizeof *world);
    mproc_queue_create(&world->queue, NULL);
    return world;
}

static void destroy(void *arg)
{
    struct broken_world *world = arg;
    mproc_queue_free(world->queue);
    mproc_free(world);
}

/* The word first, and then the message. */
static void put_committing_first(void *arg)
{
    struct broken_world *world = arg;
    mproc_queue *queue = world->queue;
    ring_lock_put(queue, MPROC_FOREVER);
    struct position position = ring_put_position(queue);
    void *data = ring_data(&position);
    ring_finish(&position, 64);
    ring_commit_put(queue, &position, 1);
    memset(data, 7, 64);
    owner_lock_release(&queue->put.lock);
}

static const char *check_message(void *arg, bool finished)
{
    struct broken_world *world = arg;
    unsigned char message[64];
    (void)finished;
    if (mproc_queue_get(world->queue, message, sizeof message, NULL, MPROC_NOWAIT))
        return NULL;
    for (size_t i = 0; i < sizeof message; i++) {
        if (message[i] != 7)
            return "a message is torn";
    }
    return NULL;
}

static void use_forgetful_lock(void *arg)
{
    struct broken_world *world = arg;
    atomic_exchange(&world->lock, 1);
    atomic_store(&world->lock, 0);
}

static const char *check_forgetful_lock(void *world, bool finished)
{
    (void)finished;
    return atomic_load(&((struct broken_world *)world)->lock) == 0 ? NULL : "the lock stays held";
}

const struct crash_case broken_cases[] = {
    {"broken_put", "commits first", build, NULL, put_committing_first, check_message, destroy, NULL},
    {"broken_lock", "forgets its owner", build, NULL, use_forgetful_lock, check_forgetful_lock, destroy, NULL},
    {0},
};
