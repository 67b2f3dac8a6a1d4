/* Queues, connections and waiting, both sides in one process. */
#include "paths.h"

#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

enum {
    SIZE = 64, /* bytes of a message */
    MANY = 100
};

/* ---- queue ---- */

static void *make_queue(void)
{
    mproc_queue *queue;
    check(mproc_queue_create(&queue, NULL), "mproc_queue_create");
    return queue;
}

static void queue(void *object, size_t i)
{
    char message[SIZE] = {(char)i};
    check(mproc_queue_put(object, message, sizeof message, MPROC_FOREVER), "mproc_queue_put");
    check(mproc_queue_get(object, message, sizeof message, NULL, MPROC_FOREVER), "mproc_queue_get");
}

static void queue_timeout(void *object, size_t i)
{
    char message[SIZE];
    (void)i;
    expect(mproc_queue_get(object, message, sizeof message, NULL, MPROC_US(100)), MPROC_TIMEOUT, "mproc_queue_get");
}

/* A get may end early, where the queue goes on in other memory. */
static void queue_many(void *object, size_t i)
{
    static char bytes[MANY][SIZE];
    mproc_message messages[MANY];
    size_t got;
    (void)i;
    for (size_t k = 0; k < MANY; k++)
        messages[k] = (mproc_message){bytes[k], SIZE};
    check(mproc_queue_put_many(object, messages, MANY, MPROC_FOREVER), "mproc_queue_put_many");
    for (size_t k = 0; k < MANY; k += got)
        check(mproc_queue_get_many(object, messages, MANY - k, &got, MPROC_FOREVER), "mproc_queue_get_many");
}

static void queue_in_place(void *object, size_t i)
{
    void *room;
    const void *seen;
    size_t size;
    check(mproc_queue_reserve(object, &room, SIZE, MPROC_FOREVER), "mproc_queue_reserve");
    *(size_t *)room = i;
    check(mproc_queue_commit(object, SIZE), "mproc_queue_commit");
    check(mproc_queue_peek(object, &seen, &size, MPROC_FOREVER), "mproc_queue_peek");
    check(mproc_queue_release(object, true), "mproc_queue_release");
}

/* ---- connection ---- */

struct ends {
    mproc_connection *a, *b;
};

static void *make_connection(void)
{
    static struct ends ends;
    check(mproc_pipe(&ends.a, &ends.b, true), "mproc_pipe");
    return &ends;
}

static void connection(void *object, size_t i)
{
    struct ends *ends = object;
    char message[SIZE] = {(char)i};
    size_t size;
    check(mproc_connection_send(ends->a, message, sizeof message, MPROC_FOREVER), "mproc_connection_send");
    check(mproc_connection_recv(ends->b, message, sizeof message, &size, MPROC_FOREVER), "mproc_connection_recv");
}

/* ---- wait ---- */

static void wait_for(mproc_wait_item *item)
{
    size_t ready;
    check(mproc_wait(item, 1, &ready, MPROC_FOREVER), "mproc_wait");
}

static void *make_descriptor(void)
{
    static int fd;
    fd = eventfd(1, EFD_CLOEXEC);
    return &fd;
}

static void wait_descriptor(void *object, size_t i)
{
    (void)i;
    wait_for(&(mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = *(int *)object});
}

static void *make_ready_connection(void)
{
    struct ends *ends = make_connection();
    check(mproc_connection_send(ends->a, "", 1, MPROC_FOREVER), "mproc_connection_send");
    return ends;
}

static void wait_connection(void *object, size_t i)
{
    (void)i;
    wait_for(&(mproc_wait_item){.kind = MPROC_WAIT_CONNECTION, .on.connection = ((struct ends *)object)->b});
}

static void *make_ready_queue(void)
{
    void *made = make_queue();
    check(mproc_queue_put(made, "", 1, MPROC_FOREVER), "mproc_queue_put");
    return made;
}

static void wait_queue(void *object, size_t i)
{
    (void)i;
    wait_for(&(mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = object});
}

const struct path message_paths[] = {
    {"queue", make_queue, queue, NULL, NULL, 100, 1000, 3, 0},
    {"queue_put", make_queue, queue, NULL, "mproc_queue_put", 100, 1000, 3, 0},
    {"queue_get", make_queue, queue, NULL, "mproc_queue_get", 100, 1000, 3, 0},
    {"queue_timeout", make_queue, queue_timeout, NULL, NULL, 10, 50, 10, 10},
    {"queue_many", make_queue, queue_many, NULL, NULL, 10, 100, 3, 0},
    {"queue_put_many", make_queue, queue_many, NULL, "mproc_queue_put_many", 10, 100, 3, 0},
    {"queue_get_many", make_queue, queue_many, NULL, "mproc_queue_get_many", 10, 100, 3, 0},
    {"queue_in_place", make_queue, queue_in_place, NULL, NULL, 100, 1000, 3, 0},
    {"connection", make_connection, connection, NULL, NULL, 20, 200, 3, 0},
    {"connection_send", make_connection, connection, NULL, "mproc_connection_send", 20, 200, 3, 0},
    {"connection_recv", make_connection, connection, NULL, "mproc_connection_recv", 20, 200, 3, 0},
    {"wait_descriptor", make_descriptor, wait_descriptor, NULL, NULL, 10, 100, 3, 0},
    {"wait_connection", make_ready_connection, wait_connection, NULL, NULL, 10, 100, 3, 0},
    {"wait_queue", make_ready_queue, wait_queue, NULL, NULL, 10, 100, 3, 0},
    {0},
};
