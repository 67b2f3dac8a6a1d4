/* The worlds of the queue's crash cases: see queue_world.h. */
#include "queue_world.h"

#include "arena/member.h"
#include "crash.h"
#include "queue/ring.h"
#include <mproc/memory.h>
#include <stdatomic.h>
#include <string.h>

void queue_fill(unsigned char *message, size_t size, unsigned number)
{
    memset(message, (int)(number % 251), size);
    memcpy(message, &number, sizeof number);
}

bool queue_put_number(struct queue_world *world, unsigned number)
{
    static unsigned char message[QUEUE_LONG];
    queue_fill(message, world->size, number);
    return mproc_queue_put(world->queue, message, world->size, MPROC_SEC(2)) == 0;
}

unsigned queue_get_number(struct queue_world *world, mproc_time timeout)
{
    static unsigned char message[QUEUE_LONG];
    unsigned number;
    size_t size;
    if (mproc_queue_get(world->queue, message, sizeof message, &size, timeout))
        return UINT32_MAX;
    memcpy(&number, message, sizeof number);
    for (size_t i = sizeof number; i < size; i++) {
        if (message[i] != number % 251)
            return UINT32_MAX - 1;
    }
    return size == world->size ? number : UINT32_MAX - 1;
}

struct queue_world *queue_build(size_t maxsize, unsigned own, size_t size)
{
    heap_note();
    struct queue_world *world = world_alloc(sizeof *world);
    world->own = own;
    world->batch = 1;
    world->size = size;
    mproc_queue_create(&world->queue, &(mproc_queue_options){.maxsize = maxsize});
    for (unsigned i = 0; i < own; i++)
        queue_put_number(world, i);
    return world;
}

bool queue_sleeps(void *arg)
{
    struct queue_world *world = arg;
    struct wait_cell *cell = world->sleeper_puts ? &world->queue->room : &world->queue->messages;
    return atomic_load(&cell->word) & WAIT_CELL_SLEEPERS;
}

const char *queue_balance(struct queue_world *world)
{
    mproc_queue_free(world->queue);
    world->queue = NULL;
    member_sweep_all();
    return heap_balance(mproc_usable_size(world));
}

void queue_repair(void *arg)
{
    struct queue_world *world = arg;
    void *data;
    const void *seen;
    size_t size;
    if (mproc_queue_reserve(world->queue, &data, 1, MPROC_NOWAIT) == 0)
        mproc_queue_abandon(world->queue);
    if (mproc_queue_peek(world->queue, &seen, &size, MPROC_NOWAIT) == 0)
        mproc_queue_release(world->queue, false);
    member_sweep_all();
}

void queue_destroy(void *arg)
{
    struct queue_world *world = arg;
    if (world->bystander)
        bystander_end(world->bystander);
    mproc_queue_free(world->queue);
    mproc_free(world);
}
