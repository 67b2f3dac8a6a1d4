/* The cases of every.h for queues. After a failure a queue has the messages that it had, and each side is free. */
#include "every.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/queue.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

enum {
    BOUND = 4,
    SIZE = 100,
    LARGE = 9 << 20
};

/* The queue is in memory that children share, for one may be made in a child. */
static struct queues {
    mproc_queue *queue;
} * at;

static unsigned char out[LARGE], in[LARGE];
static void *got;

static void begin_nothing(void)
{
    at = every_shared();
    at->queue = NULL;
    memset(out, 5, sizeof out);
}

static void begin_empty(void)
{
    begin_nothing();
    every_must(mproc_queue_create(&at->queue, NULL));
}

static void put_some(size_t count, size_t size)
{
    for (size_t i = 0; i < count; i++)
        every_must(mproc_queue_put(at->queue, out, size, MPROC_NOWAIT));
}

static void begin_two(void)
{
    begin_empty();
    put_some(2, SIZE);
}

static void begin_large(void)
{
    begin_empty();
    put_some(2, LARGE);
}

static void begin_bounded(size_t count)
{
    const mproc_queue_options options = {.maxsize = BOUND};

    begin_nothing();
    every_must(mproc_queue_create(&at->queue, &options));
    put_some(count, SIZE);
}

static void begin_full(void)
{
    begin_bounded(BOUND);
}

static void begin_nearly_full(void)
{
    begin_bounded(BOUND - 1);
}

static void begin_closed(void)
{
    begin_empty();
    every_must(mproc_queue_close(at->queue));
}

static void begin_reserved(void)
{
    void *data;

    begin_two();
    every_must(mproc_queue_reserve(at->queue, &data, SIZE, MPROC_NOWAIT));
    memset(data, 5, SIZE);
}

static void begin_peeking(void)
{
    const void *data;
    size_t size;

    begin_two();
    every_must(mproc_queue_peek(at->queue, &data, &size, MPROC_NOWAIT));
}

static void begin_got(void)
{
    begin_two();
    every_must(mproc_queue_get(at->queue, in, sizeof in, NULL, MPROC_NOWAIT));
}

/* Sizes, and what is seen of both sides without waiting: nobody is left at either. */
static void look_at_queue(long *seen)
{
    seen[0] = at->queue != NULL;
    if (!at->queue)
        return;
    seen[1] = (long)mproc_queue_size(at->queue);
    seen[2] = mproc_queue_empty(at->queue);
    seen[3] = mproc_queue_full(at->queue);
}

static void end_queue(void)
{
    free(got);
    got = NULL;
    at->queue = mproc_queue_free(at->queue);
}

/* All that was put can be got, as it was put, and more can be put. */
static void end_drained(void)
{
    size_t size;

    while (mproc_queue_size(at->queue)) {
        int result = mproc_queue_get(at->queue, in, sizeof in, &size, MPROC_MS(500));
        every_must(result);
        if (result)
            break;
        if (memcmp(in, out, size) != 0)
            every_wrong("a message has changed");
    }
    every_must(mproc_queue_put(at->queue, out, SIZE, MPROC_MS(500)));
    end_queue();
}

static void end_joined(void)
{
    every_must(every_join());
    end_queue();
}

static void end_joined_closed(void)
{
    if (every_join() != MPROC_CLOSED)
        every_wrong("who waited was not told that the queue is closed");
    end_queue();
}

/* ---- make and free ---- */

static int create(void)
{
    return mproc_queue_create(&at->queue, NULL);
}

/* It has no result to tell that it could not be done, so it is not walked in processes that cannot become members. */
static int call_free(void)
{
    at->queue = mproc_queue_free(at->queue);
    return 0;
}

static int call_close(void)
{
    return mproc_queue_close(at->queue);
}

/* ---- put ---- */

static int put(void)
{
    return mproc_queue_put(at->queue, out, SIZE, MPROC_FOREVER);
}

static int put_large(void)
{
    return mproc_queue_put(at->queue, out, LARGE, MPROC_FOREVER);
}

static int put_for_a_while(void)
{
    return mproc_queue_put(at->queue, out, SIZE, SHORT);
}

static int put_long(void)
{
    return mproc_queue_put(at->queue, out, SIZE, LONG);
}

static int put_these(size_t size, size_t count, mproc_time timeout)
{
    mproc_message messages[BOUND];

    for (size_t i = 0; i < count; i++)
        messages[i] = (mproc_message){out, size};
    return mproc_queue_put_many(at->queue, messages, count, timeout);
}

static int put_many(void)
{
    return put_these(SIZE, 3, MPROC_FOREVER);
}

static int put_many_large(void)
{
    return put_these(LARGE, 3, MPROC_FOREVER);
}

static int put_many_for_a_while(void)
{
    return put_these(SIZE, 3, SHORT);
}

static int put_many_long(void)
{
    return put_these(SIZE, 3, LONG);
}

/* The reservation of a child is gone when it ends, so it is given up where it was made. */
static int reserve_of(size_t size, mproc_time timeout)
{
    void *data = NULL;

    int result = mproc_queue_reserve(at->queue, &data, size, timeout);
    if (result)
        return result;
    memset(data, 5, size);
    return mproc_queue_abandon(at->queue);
}

static int reserve(void)
{
    return reserve_of(SIZE, MPROC_FOREVER);
}

static int reserve_large(void)
{
    return reserve_of(LARGE, MPROC_FOREVER);
}

static int reserve_for_a_while(void)
{
    return reserve_of(SIZE, SHORT);
}

static int commit(void)
{
    return mproc_queue_commit(at->queue, SIZE);
}

static int call_abandon(void)
{
    return mproc_queue_abandon(at->queue);
}

/* ---- get ---- */

static int get(void)
{
    return mproc_queue_get(at->queue, in, sizeof in, NULL, MPROC_FOREVER);
}

static int get_at_once(void)
{
    return mproc_queue_get(at->queue, in, sizeof in, NULL, MPROC_NOWAIT);
}

static int get_for_a_while(void)
{
    return mproc_queue_get(at->queue, in, sizeof in, NULL, SHORT);
}

static int get_long(void)
{
    return mproc_queue_get(at->queue, in, sizeof in, NULL, LONG);
}

static int get_too_small(void)
{
    return mproc_queue_get(at->queue, in, 1, NULL, MPROC_FOREVER);
}

static int get_new(void)
{
    size_t size;
    return mproc_queue_get_new(at->queue, &got, &size, MPROC_FOREVER);
}

static int get_new_for_a_while(void)
{
    size_t size;
    return mproc_queue_get_new(at->queue, &got, &size, SHORT);
}

static int get_these(mproc_time timeout)
{
    mproc_message messages[BOUND];
    size_t count;

    for (size_t i = 0; i < BOUND; i++)
        messages[i] = (mproc_message){in, sizeof in};
    return mproc_queue_get_many(at->queue, messages, BOUND, &count, timeout);
}

static int get_many(void)
{
    return get_these(MPROC_FOREVER);
}

static int get_many_for_a_while(void)
{
    return get_these(SHORT);
}

static int get_many_long(void)
{
    return get_these(LONG);
}

static int peek_for(mproc_time timeout)
{
    const void *data;
    size_t size;

    int result = mproc_queue_peek(at->queue, &data, &size, timeout);
    return result ? result : mproc_queue_release(at->queue, false);
}

static int peek(void)
{
    return peek_for(MPROC_FOREVER);
}

static int peek_for_a_while(void)
{
    return peek_for(SHORT);
}

static int peek_long(void)
{
    return peek_for(LONG);
}

static int release_and_take(void)
{
    return mproc_queue_release(at->queue, true);
}

static int release_and_leave(void)
{
    return mproc_queue_release(at->queue, false);
}

/* ---- state ---- */

static int size_is_two(void)
{
    return mproc_queue_size(at->queue) == 2 ? 0 : -1;
}

static int is_empty(void)
{
    return mproc_queue_empty(at->queue);
}

static int is_full(void)
{
    return mproc_queue_full(at->queue);
}

static int task_done(void)
{
    return mproc_queue_task_done(at->queue);
}

static int join(void)
{
    return mproc_queue_join(at->queue, MPROC_FOREVER);
}

static int join_for_a_while(void)
{
    return mproc_queue_join(at->queue, SHORT);
}

static int join_long(void)
{
    return mproc_queue_join(at->queue, LONG);
}

/* ---- with somebody else ---- */

static void help_by_put(void)
{
    every_must(put_long());
}

static void help_by_get(void)
{
    every_must(get_many_long());
}

static void help_by_done(void)
{
    every_must(task_done());
}

static void empty_and_put(void)
{
    begin_empty();
    every_help(help_by_put);
}

static void full_and_got(void)
{
    begin_full();
    every_help(help_by_get);
}

static void undone_and_done(void)
{
    begin_empty();
    put_some(1, SIZE);
    every_must(get_at_once());
    every_help(help_by_done);
}

static void message_is_wanted(void)
{
    begin_empty();
    every_sleeper(get_long);
}

static void room_is_wanted(void)
{
    begin_full();
    every_sleeper(put_long);
}

static void join_is_wanted(void)
{
    begin_empty();
    put_some(1, SIZE);
    every_must(get_at_once());
    every_sleeper(join_long);
}

static const struct every_scene none = {begin_nothing, look_at_queue, end_queue};
static const struct every_scene empty = {begin_empty, look_at_queue, end_drained};
static const struct every_scene two = {begin_two, look_at_queue, end_drained};
static const struct every_scene large = {begin_large, look_at_queue, end_drained};
static const struct every_scene full = {begin_full, look_at_queue, end_drained};
static const struct every_scene nearly_full = {begin_nearly_full, look_at_queue, end_drained};
static const struct every_scene closed = {begin_closed, look_at_queue, end_queue};
static const struct every_scene freed = {begin_large, look_at_queue, end_queue};
static const struct every_scene closing = {begin_two, look_at_queue, end_queue};
static const struct every_scene reserved = {begin_reserved, look_at_queue, end_drained};
static const struct every_scene peeking = {begin_peeking, look_at_queue, end_drained};
static const struct every_scene undone = {begin_got, look_at_queue, end_drained};
static const struct every_scene coming = {empty_and_put, NULL, end_joined};
static const struct every_scene going = {full_and_got, NULL, end_joined};
static const struct every_scene being_done = {undone_and_done, NULL, end_joined};
static const struct every_scene message_wanted = {message_is_wanted, NULL, end_joined};
static const struct every_scene message_in_vain = {message_is_wanted, NULL, end_joined_closed};
static const struct every_scene room_wanted = {room_is_wanted, NULL, end_joined};
static const struct every_scene room_in_vain = {room_is_wanted, NULL, end_joined_closed};
static const struct every_scene join_wanted = {join_is_wanted, NULL, end_joined};

static const struct every_case list[] = {
    {"mproc_queue_create", NULL, &none, create, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_queue_put", "there is room", &two, put, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_put", "it has to grow", &two, put_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put", "full, some time", &full, put_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put", "full for a while", &going, put_long, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put", "one waits for it", &message_wanted, put, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put", "closed", &closed, put, MPROC_CLOSED, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_get", "there is one", &two, get, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_get", "a large one", &large, get, 0, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_queue_get", "empty, no wait", &empty, get_at_once, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS_AT_TIMES},
    {"mproc_queue_get", "empty, some time", &empty, get_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get", "empty for a while", &coming, get_long, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get", "one waits for room", &room_wanted, get, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get", "too large", &two, get_too_small, MPROC_TOO_SMALL, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_get_new", "there is one", &two, get_new, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get_new", "some time", &empty, get_new_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put_many", "there is room", &two, put_many, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_put_many", "it has to grow", &two, put_many_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_put_many", "some time", &nearly_full, put_many_for_a_while, MPROC_TIMEOUT, CHILD_JOINS,
     .calls = CALLS},
    {"mproc_queue_put_many", "full for a while", &going, put_many_long, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get_many", "there are two", &two, get_many, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_get_many", "some time", &empty, get_many_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_get_many", "empty for a while", &coming, get_many_long, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_reserve", "there is room", &two, reserve, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_reserve", "it has to grow", &two, reserve_large, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_reserve", "some time", &full, reserve_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_commit", "reserved", &reserved, commit, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_queue_commit", "not reserved", &two, commit, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_abandon", "reserved", &reserved, call_abandon, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_queue_abandon", "not reserved", &two, call_abandon, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_peek", "there is one", &two, peek, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_peek", "some time", &empty, peek_for_a_while, MPROC_TIMEOUT, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_peek", "empty for a while", &coming, peek_long, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_release", "take", &peeking, release_and_take, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_queue_release", "leave", &peeking, release_and_leave, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_queue_release", "without a look", &two, release_and_leave, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_size", NULL, &two, size_is_two, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_empty", NULL, &empty, is_empty, true, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_full", NULL, &full, is_full, true, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_task_done", "one is undone", &undone, task_done, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_task_done", "none is undone", &empty, task_done, -EPERM, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_task_done", "one waits for it", &join_wanted, task_done, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_queue_join", "all is done", &empty, join, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_queue_join", "some time", &undone, join_for_a_while, MPROC_TIMEOUT, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_queue_join", "for a while", &being_done, join_long, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_queue_close", "nobody waits", &closing, call_close, 0, CHILD_JOINS, .calls = CALLS_NONE},
    {"mproc_queue_close", "one waits for a message", &message_in_vain, call_close, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_close", "one waits for room", &room_in_vain, call_close, 0, CHILD_JOINS, .calls = CALLS},
    {"mproc_queue_free", NULL, &freed, call_free, 0, CHILD_MAY_NOT, .calls = CALLS},
};

const struct every_table cases_queue = {list, sizeof list / sizeof *list};
