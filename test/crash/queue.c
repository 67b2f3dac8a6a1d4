/* The crash cases of putting and getting. Whatever the victim does, each message is there once, whole and in order, but
 * for those that it was about to put (none or all of them) or to get (gone, or still there). */
#include "queue_world.h"

#include "arena/heap.h"
#include "crash.h"
#include "queue/ring.h"
#include <mproc/queue.h>
#include <stdatomic.h>
#include <string.h>

#define OTHER     3000u
#define HUGE_SIZE ((size_t)600 << 10) /* more than a grown segment holds */

static void *build_empty(void)
{
    return queue_build(0, 0, 64);
}

static void *build_one(void)
{
    return queue_build(0, 1, 64);
}

static void *build_some(void)
{
    return queue_build(0, 3, 64);
}

/* Put and get until the next record does not fit before the end of the ring. */
static void *build_at_the_end(void)
{
    struct queue_world *world = queue_build(0, 0, 1000);
    size_t record = ring_record_size(world->size);
    while (world->queue->base.capacity - ring_put_position(world->queue).at >= record) {
        queue_put_number(world, 0);
        queue_get_number(world, MPROC_NOWAIT);
    }
    return world;
}

static void *build_batch_at_the_end(void)
{
    struct queue_world *world = build_at_the_end();
    world->batch = 3;
    return world;
}

/* The next message to get lies at the begin of the ring, behind what was skipped at its end. */
static void *build_behind_the_end(void)
{
    struct queue_world *world = build_at_the_end();
    queue_put_number(world, world->own++);
    return world;
}

/* The messages in the queue lie around the end of the ring. */
static void *build_wrapped(void)
{
    struct queue_world *world = queue_build(0, 3, 1000);
    while (ring_put_position(world->queue).at >= ring_get_position(world->queue).at) {
        queue_put_number(world, world->own++);
        queue_get_number(world, MPROC_NOWAIT);
        world->first++;
    }
    return world;
}

static void *build_about_to_grow(void)
{
    return queue_build(0, 5, QUEUE_LONG);
}

static void *build_grown(void)
{
    return queue_build(0, 8, QUEUE_LONG);
}

/* The next message is in the next segment. */
static void *build_at_a_link(void)
{
    struct queue_world *world = queue_build(0, 8, QUEUE_LONG);
    for (; world->first < 5; world->first++)
        queue_get_number(world, MPROC_NOWAIT);
    return world;
}

static void *build_batch_at_a_link(void)
{
    struct queue_world *world = build_at_a_link();
    world->batch = 3;
    return world;
}

/* Grown and drained, so that the next one to wait for a message gives the large segment back. */
static void *build_grown_and_empty(void)
{
    struct queue_world *world = queue_build(0, 50, QUEUE_LONG);
    for (; world->first < world->own; world->first++)
        queue_get_number(world, MPROC_NOWAIT);
    return world;
}

/* One message that needs a segment for itself, which goes back with it. */
static void *build_huge(void)
{
    struct queue_world *world = queue_build(0, 0, 64);
    void *data;
    if (mproc_queue_reserve(world->queue, &data, HUGE_SIZE, MPROC_NOWAIT))
        give_up("reserve");
    memset(data, 1, HUGE_SIZE);
    mproc_queue_commit(world->queue, HUGE_SIZE);
    return world;
}

static void *build_full(void)
{
    return queue_build(3, 3, 64);
}

static void *build_one_place(void)
{
    return queue_build(3, 2, 64);
}

static void *build_batch(void)
{
    struct queue_world *world = queue_build(0, 3, 64);
    world->batch = 3;
    return world;
}

static void *build_large_batch(void)
{
    struct queue_world *world = queue_build(0, 2, QUEUE_LONG);
    world->batch = 4;
    return world;
}

static void listen_for_ever(void *arg)
{
    struct queue_world *world = arg;
    unsigned heard = 0;
    unsigned number;
    while ((number = queue_get_number(world, MPROC_FOREVER)) != UINT32_MAX && heard < QUEUE_MOST) {
        world->numbers[heard] = number;
        atomic_store(&world->heard, ++heard);
    }
}

static void put_once(void *arg)
{
    struct queue_world *world = arg;
    if (queue_put_number(world, QUEUE_SURVIVOR))
        atomic_store(&world->heard, 1);
}

static void *build_with_getter_asleep(void)
{
    struct queue_world *world = queue_build(0, 0, 64);
    world->bystander = bystander_start(listen_for_ever, world);
    within_time(queue_sleeps, world);
    return world;
}

static void *build_with_putter_asleep(void)
{
    struct queue_world *world = queue_build(3, 3, 64);
    world->sleeper_puts = true;
    world->bystander = bystander_start(put_once, world);
    within_time(queue_sleeps, world);
    return world;
}

/* ---- what the victim does: with messages made before, so that the steps are the queue's ---- */

static unsigned char made[4][QUEUE_LONG];
static mproc_message messages[4];

static void prepare_put(void *arg)
{
    struct queue_world *world = arg;
    for (unsigned i = 0; i < 4; i++) {
        queue_fill(made[i], world->size, QUEUE_VICTIM + i);
        messages[i] = (mproc_message){made[i], world->size};
    }
}

static void prepare_get(void *arg)
{
    (void)arg;
    for (unsigned i = 0; i < 4; i++)
        messages[i] = (mproc_message){made[i], QUEUE_LONG};
}

static void victim_put(void *arg)
{
    struct queue_world *world = arg;
    mproc_queue_put(world->queue, made[0], world->size, MPROC_NOWAIT);
}

static void victim_put_many(void *arg)
{
    struct queue_world *world = arg;
    mproc_queue_put_many(world->queue, messages, world->batch, MPROC_NOWAIT);
}

static void victim_reserve_and_commit(void *arg)
{
    struct queue_world *world = arg;
    void *data;
    if (mproc_queue_reserve(world->queue, &data, world->size, MPROC_NOWAIT))
        return;
    memcpy(data, made[0], world->size);
    mproc_queue_commit(world->queue, world->size);
}

static void victim_reserve_and_abandon(void *arg)
{
    struct queue_world *world = arg;
    void *data;
    if (mproc_queue_reserve(world->queue, &data, world->size, MPROC_NOWAIT) == 0)
        mproc_queue_abandon(world->queue);
}

static void victim_get(void *arg)
{
    struct queue_world *world = arg;
    mproc_queue_get(world->queue, made[0], QUEUE_LONG, NULL, MPROC_NOWAIT);
}

static void victim_get_many(void *arg)
{
    struct queue_world *world = arg;
    size_t got;
    mproc_queue_get_many(world->queue, messages, world->batch, &got, MPROC_NOWAIT);
}

static void victim_peek_and_release(void *arg)
{
    struct queue_world *world = arg;
    const void *data;
    size_t size;
    if (mproc_queue_peek(world->queue, &data, &size, MPROC_NOWAIT) == 0)
        mproc_queue_release(world->queue, true);
}

static void victim_peek_and_leave(void *arg)
{
    struct queue_world *world = arg;
    const void *data;
    size_t size;
    if (mproc_queue_peek(world->queue, &data, &size, MPROC_NOWAIT) == 0)
        mproc_queue_release(world->queue, false);
}

static void victim_get_new(void *arg)
{
    struct queue_world *world = arg;
    void *data;
    size_t size;
    mproc_queue_get_new(world->queue, &data, &size, MPROC_NOWAIT);
}

static void victim_get_in_vain(void *arg)
{
    struct queue_world *world = arg;
    atomic_store(&world->result, mproc_queue_get(world->queue, made[0], QUEUE_LONG, NULL, CRASH_WAIT) + 1);
}

static void victim_put_in_vain(void *arg)
{
    struct queue_world *world = arg;
    atomic_store(&world->result, mproc_queue_put(world->queue, made[0], world->size, CRASH_WAIT) + 1);
}

/* ---- what must hold ---- */

static bool has_heard(void *arg)
{
    struct queue_world *world = arg;
    unsigned heard = atomic_load(&world->heard);
    return heard > 0 && world->numbers[heard - 1] == QUEUE_SURVIVOR;
}

static bool has_heard_one(void *arg)
{
    return atomic_load(&((struct queue_world *)arg)->heard) > 0;
}

static bool has_put(void *arg)
{
    return atomic_load(&((struct queue_world *)arg)->heard) == 1;
}

/* Go through the messages in their order: own ones from first on, then none or all of the victim's, then the
 * survivor's. */
static const char *compare(const unsigned *numbers, unsigned count, unsigned first, unsigned own, unsigned batch,
                           bool must_be_put)
{
    unsigned at = 0;
    for (unsigned number = first; number < own; number++) {
        if (at == count || numbers[at++] != number)
            return "a message is lost, damaged or out of order";
    }
    if (at < count && numbers[at] == QUEUE_VICTIM) {
        for (unsigned i = 0; i < batch; i++) {
            if (at == count || numbers[at++] != QUEUE_VICTIM + i)
                return "a batch is torn";
        }
    } else if (must_be_put) {
        return "a message that was put is lost";
    }
    if (at == count || numbers[at++] != QUEUE_SURVIVOR)
        return "the survivor's message is lost";
    return at == count ? NULL : "there are more messages than were put";
}

static unsigned drain(struct queue_world *world, unsigned *numbers)
{
    unsigned count = 0;
    while (count < QUEUE_MOST && (numbers[count] = queue_get_number(world, MPROC_NOWAIT)) != UINT32_MAX)
        count++;
    return count;
}

static const char *check_put(void *arg, bool finished)
{
    struct queue_world *world = arg;
    if (mproc_queue_full(world->queue) && queue_get_number(world, MPROC_NOWAIT) != world->first++)
        return "the first message is not the next one";
    if (world->bystander && (finished || !mproc_queue_empty(world->queue)) && !within_time(has_heard_one, world))
        return "the one that slept was not woken";
    if (!queue_put_number(world, QUEUE_SURVIVOR))
        return "the survivor cannot put";
    if (world->bystander && !within_time(has_heard, world))
        return "the one that slept was not woken";
    unsigned numbers[QUEUE_MOST];
    unsigned count = world->bystander ? atomic_load(&world->heard) : drain(world, numbers);
    const char *wrong = compare(world->bystander ? world->numbers : numbers, count, world->first, world->own,
                                world->batch, finished && !world->gets);
    bystander_end(world->bystander);
    world->bystander = 0;
    return wrong ? wrong : queue_balance(world);
}

static const char *check_got(void *arg, bool finished)
{
    struct queue_world *world = arg;
    size_t left = mproc_queue_size(world->queue);
    if (world->bystander) {
        if (mproc_queue_size(world->queue) == world->own && !atomic_load(&world->heard))
            queue_get_number(world, MPROC_NOWAIT); /* the victim made no room */
        if (!within_time(has_put, world))
            return "the one that slept was not woken";
        bystander_end(world->bystander);
        world->bystander = 0;
        return queue_balance(world);
    }
    size_t before = world->own - world->first;
    if (left != before && left + world->batch != before)
        return "more or fewer messages are gone than were got at once";
    if (finished && left == before)
        return "a message that was got is still there";
    if (mproc_queue_full(world->queue) && queue_get_number(world, MPROC_NOWAIT) != world->own - (unsigned)left)
        return "the first message is not the next one";
    unsigned first = world->own - (unsigned)mproc_queue_size(world->queue);
    if (!queue_put_number(world, QUEUE_SURVIVOR))
        return "the survivor cannot put";
    unsigned numbers[QUEUE_MOST];
    const char *wrong = compare(numbers, drain(world, numbers), first, world->own, 0, false);
    return wrong ? wrong : queue_balance(world);
}

/* The huge message is there, or gone with its segment. */
static const char *check_huge(void *arg, bool finished)
{
    struct queue_world *world = arg;
    const unsigned char *data;
    size_t size;
    size_t left = mproc_queue_size(world->queue);
    if (left > 1 || (finished && left))
        return "a message that was got is still there";
    if (left) {
        if (mproc_queue_peek(world->queue, (const void **)&data, &size, MPROC_SEC(1)) || size != HUGE_SIZE ||
            data[0] != 1 || memcmp(data, data + 1, size - 1) != 0)
            return "the message is lost or damaged";
        mproc_queue_release(world->queue, true);
    }
    return check_put(arg, false);
}

/* ---- beside another, who waits for its turn where it must ---- */

static void put_beside(void *arg)
{
    struct queue_world *world = arg;
    static unsigned char message[QUEUE_LONG];
    queue_fill(message, world->size, OTHER);
    if (mproc_queue_put(world->queue, message, world->size, MPROC_FOREVER) == 0)
        atomic_store(&world->heard, 1);
}

static void get_beside(void *arg)
{
    struct queue_world *world = arg;
    static unsigned char message[QUEUE_LONG];
    if (mproc_queue_get(world->queue, message, sizeof message, NULL, MPROC_FOREVER) == 0)
        atomic_store(&world->heard, 1);
}

/* The victim's message and the other's are there once at most, in either order, behind the world's own. */
static const char *check_put_beside(void *arg, bool finished)
{
    struct queue_world *world = arg;
    unsigned numbers[QUEUE_MOST];
    unsigned victims = 0;
    unsigned others = 0;
    if (!queue_put_number(world, QUEUE_SURVIVOR))
        return "the survivor cannot put";
    unsigned count = drain(world, numbers);
    for (unsigned i = 0; i < count; i++) {
        if (i < world->own ? numbers[i] != i : i == count - 1 && numbers[i] != QUEUE_SURVIVOR)
            return "a message is lost, damaged or out of order";
        victims += numbers[i] == QUEUE_VICTIM;
        others += numbers[i] == OTHER;
    }
    if (victims > 1 || others > 1 || count != world->own + victims + others + 1)
        return "there are more messages than were put";
    if ((finished && !victims) || (atomic_load(&world->heard) && !others))
        return "a message that was put is lost";
    return queue_balance(world);
}

/* The two have got the first two messages, or died with one. */
static const char *check_got_beside(void *arg, bool finished)
{
    struct queue_world *world = arg;
    size_t gone = world->own - mproc_queue_size(world->queue);
    if (gone > 2 || gone < (unsigned)finished + (atomic_load(&world->heard) > 0))
        return "more or fewer messages are gone than were got";
    unsigned numbers[QUEUE_MOST];
    if (!queue_put_number(world, QUEUE_SURVIVOR))
        return "the survivor cannot put";
    const char *wrong = compare(numbers, drain(world, numbers), (unsigned)gone, world->own, 0, false);
    return wrong ? wrong : queue_balance(world);
}

/* Nothing was put, and nothing got. */
static const char *check_unchanged(void *arg, bool finished)
{
    struct queue_world *world = arg;
    if (finished && atomic_load(&world->result) && atomic_load(&world->result) != MPROC_TIMEOUT + 1)
        return "a call in vain did not time out";
    if (mproc_queue_size(world->queue) != world->own - world->first)
        return "the queue has another number of messages than before";
    return check_put(arg, false);
}

const struct crash_case queue_cases[] = {
    {"queue_put", "beside another", build_some, prepare_put, victim_put, check_put_beside, queue_destroy, put_beside},
    {"queue_get", "beside another", build_some, NULL, victim_get, check_got_beside, queue_destroy, get_beside},
    {"queue_put", "empty", build_empty, prepare_put, victim_put, check_put, queue_destroy, queue_repair},
    {"queue_put", "some", build_some, prepare_put, victim_put, check_put, queue_destroy, NULL},
    {"queue_put", "wrapped", build_wrapped, prepare_put, victim_put, check_put, queue_destroy, queue_repair},
    {"queue_put", "at the end of the ring", build_at_the_end, prepare_put, victim_put, check_put, queue_destroy,
     queue_repair},
    {"queue_put", "about to grow", build_about_to_grow, prepare_put, victim_put, check_put, queue_destroy,
     queue_repair},
    {"queue_put", "one place left", build_one_place, prepare_put, victim_put, check_put, queue_destroy, queue_repair},
    {"queue_put", "full, in vain", build_full, prepare_put, victim_put_in_vain, check_unchanged, queue_destroy, NULL},
    {"queue_put", "a getter asleep", build_with_getter_asleep, prepare_put, victim_put, check_put, queue_destroy, NULL},
    {"queue_put_many", "some", build_batch, prepare_put, victim_put_many, check_put, queue_destroy, NULL},
    {"queue_put_many", "at the end of the ring", build_batch_at_the_end, prepare_put, victim_put_many, check_put,
     queue_destroy, queue_repair},
    {"queue_put_many", "about to grow", build_large_batch, prepare_put, victim_put_many, check_put, queue_destroy,
     queue_repair},
    {"queue_reserve_commit", "some", build_some, prepare_put, victim_reserve_and_commit, check_put, queue_destroy,
     queue_repair},
    {"queue_reserve_commit", "at the end of the ring", build_at_the_end, prepare_put, victim_reserve_and_commit,
     check_put, queue_destroy, NULL},
    {"queue_reserve_commit", "about to grow", build_about_to_grow, prepare_put, victim_reserve_and_commit, check_put,
     queue_destroy, queue_repair},
    {"queue_reserve_abandon", "about to grow", build_about_to_grow, NULL, victim_reserve_and_abandon, check_unchanged,
     queue_destroy, queue_repair},
    {"queue_get", "one left", build_one, NULL, victim_get, check_got, queue_destroy, queue_repair},
    {"queue_get", "some", build_some, NULL, victim_get, check_got, queue_destroy, queue_repair},
    {"queue_get", "wrapped", build_wrapped, NULL, victim_get, check_got, queue_destroy, queue_repair},
    {"queue_get", "behind the end of the ring", build_behind_the_end, NULL, victim_get, check_got, queue_destroy,
     queue_repair},
    {"queue_get", "full", build_full, NULL, victim_get, check_got, queue_destroy, queue_repair},
    {"queue_get", "grown", build_grown, NULL, victim_get, check_got, queue_destroy, NULL},
    {"queue_get", "at a link", build_at_a_link, NULL, victim_get, check_got, queue_destroy, queue_repair},
    {"queue_get", "about to shrink", build_grown_and_empty, NULL, victim_get_in_vain, check_unchanged, queue_destroy,
     queue_repair},
    {"queue_get", "empty, in vain", build_empty, NULL, victim_get_in_vain, check_unchanged, queue_destroy, NULL},
    {"queue_get", "a putter asleep", build_with_putter_asleep, NULL, victim_get, check_got, queue_destroy, NULL},
    {"queue_get_new", "some", build_some, NULL, victim_get_new, check_got, queue_destroy, NULL},
    {"queue_get_many", "some", build_batch, prepare_get, victim_get_many, check_got, queue_destroy, NULL},
    {"queue_get_many", "at a link", build_batch_at_a_link, prepare_get, victim_get_many, check_got, queue_destroy,
     queue_repair},
    {"queue_peek_release", "taken", build_some, NULL, victim_peek_and_release, check_got, queue_destroy, queue_repair},
    {"queue_peek_release", "left", build_some, NULL, victim_peek_and_leave, check_unchanged, queue_destroy,
     queue_repair},
    {"queue_peek_release", "about to shrink", build_huge, NULL, victim_peek_and_release, check_huge, queue_destroy,
     queue_repair},
    {0},
};
