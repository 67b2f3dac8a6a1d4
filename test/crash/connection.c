/* The crash cases of connections. A message says its number, and its bytes follow from that: so a peer that was told
 * that a message is whole knows whether it is. What the victim sends before is always there; what it is sending is
 * there whole or not at all; then comes the end. */
#include "crash.h"
#include "survivors.h"
#include <fcntl.h>
#include <mproc/base.h>
#include <mproc/connection.h>
#include <mproc/memory.h>
#include <poll.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define SMALL ((size_t)100)
#define LARGE ((size_t)300000) /* more than a pipe or a socket holds */

struct connection_world {
    size_t size;           /* of the message that the victim sends or receives */
    pid_t bystander;       /* at the other end, or 0 */
    _Atomic(unsigned) met; /* messages that it has sent or received */
    _Atomic(bool) torn;    /* one of them was not what was sent */
    _Atomic(bool) over;    /* it has seen the end */
    _Atomic(int) end;      /* how */
    _Atomic(bool) done;    /* the victim's operation has returned, */
    _Atomic(int) result;   /* with this */
    _Atomic(bool) passed;  /* a descriptor has gone over the connection */
};

/* Handles belong to a process each; what a fork inherits has the same place in all. */
static mproc_connection *receiving, *sending;
static int pipe_ends[2];
static unsigned char buffer[LARGE];
static unsigned char *received;

static void fill(unsigned number, size_t size)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = (unsigned char)((i >> 8) * 7 + i + number);
    memcpy(buffer, &number, sizeof number);
}

static int send_number(unsigned number, size_t size)
{
    fill(number, size);
    return mproc_connection_send(sending, buffer, size, MPROC_FOREVER);
}

/* The messages are small but for the second. */
static size_t size_of(const struct connection_world *world, unsigned number)
{
    return number == 1 ? world->size : SMALL;
}

static struct connection_world *build(size_t size, bool duplex)
{
    survivors_note();
    struct connection_world *world = world_alloc(sizeof *world);
    world->size = size;
    if (mproc_pipe(&receiving, &sending, duplex))
        abort();
    return world;
}

static void destroy(void *arg)
{
    struct connection_world *world = arg;
    receiving = mproc_connection_free(receiving);
    sending = mproc_connection_free(sending);
    bystander_end(world->bystander);
    mproc_free(world);
}

static bool is_over(void *arg)
{
    return atomic_load(&((struct connection_world *)arg)->over);
}

static void note_end(struct connection_world *world, int result)
{
    atomic_store(&world->end, result);
    atomic_store(&world->over, true);
}

/* ---- sending ---- */

static bool is_whole(const struct connection_world *world, unsigned number, const void *data, size_t size)
{
    fill(number, size_of(world, number));
    return size == size_of(world, number) && memcmp(data, buffer, size) == 0;
}

static void listen_to_the_end(void *arg)
{
    struct connection_world *world = arg;
    int result;
    void *data;
    size_t size;
    sending = mproc_connection_free(sending);
    while ((result = mproc_connection_recv_new(receiving, &data, &size, MPROC_FOREVER)) == 0) {
        unsigned number = atomic_load(&world->met);
        if (!is_whole(world, number, data, size))
            atomic_store(&world->torn, true);
        free(data);
        atomic_store(&world->met, number + 1);
    }
    note_end(world, result);
}

static struct connection_world *build_with_listener(size_t size, bool duplex)
{
    struct connection_world *world = build(size, duplex);
    world->bystander = bystander_start(listen_to_the_end, world);
    return world;
}

static void *build_small_to_socket(void)
{
    return build_with_listener(SMALL, true);
}

static void *build_small_to_pipe(void)
{
    return build_with_listener(SMALL, false);
}

static void *build_large_to_socket(void)
{
    return build_with_listener(LARGE, true);
}

static void *build_large_to_pipe(void)
{
    return build_with_listener(LARGE, false);
}

static void prepare_send(void *arg)
{
    struct connection_world *world = arg;
    receiving = mproc_connection_free(receiving);
    send_number(0, SMALL);
    fill(1, world->size);
}

static void send_second(void *arg)
{
    struct connection_world *world = arg;
    atomic_store(&world->result, mproc_connection_send(sending, buffer, world->size, MPROC_FOREVER));
    atomic_store(&world->done, true);
}

/* From here on nobody of this process's making keeps the connection open. */
static void let_go(void)
{
    receiving = mproc_connection_free(receiving);
    sending = mproc_connection_free(sending);
}

static const char *balance(struct connection_world *world)
{
    let_go();
    bystander_end(world->bystander);
    world->bystander = 0;
    return survivors_balance(mproc_usable_size(world));
}

static const char *check_sent(void *arg, bool finished)
{
    struct connection_world *world = arg;
    let_go();
    if (!within_time(is_over, world))
        return "the receiver sees no end";
    unsigned met = atomic_load(&world->met);
    int end = atomic_load(&world->end);
    if (atomic_load(&world->torn))
        return "a torn message was taken for whole";
    if (met < 1 || met > 2)
        return "a message is lost, or there are too many";
    if ((finished || atomic_load(&world->done)) && (atomic_load(&world->result) || met != 2))
        return "a message that was sent is lost";
    if (end != MPROC_CLOSED && (end != MPROC_BROKEN || met == 2))
        return "the end is not told as it is";
    return balance(world);
}

/* ---- receiving ---- */

static void send_to_the_end(void *arg)
{
    struct connection_world *world = arg;
    int result = 0;
    receiving = mproc_connection_free(receiving);
    for (unsigned number = 0; result == 0; number++) {
        result = send_number(number, size_of(world, number));
        if (result == 0)
            atomic_store(&world->met, number + 1);
    }
    note_end(world, result);
}

static struct connection_world *build_with_sender(size_t size, bool duplex)
{
    struct connection_world *world = build(size, duplex);
    world->bystander = bystander_start(send_to_the_end, world);
    return world;
}

static void *build_small_from_socket(void)
{
    return build_with_sender(SMALL, true);
}

static void *build_large_from_socket(void)
{
    return build_with_sender(LARGE, true);
}

static void *build_large_from_pipe(void)
{
    return build_with_sender(LARGE, false);
}

/* The buffer is touched beforehand, so that the steps are the connection's. */
static void prepare_receive(void *arg)
{
    struct connection_world *world = arg;
    size_t size;
    sending = mproc_connection_free(sending);
    if (mproc_connection_recv(receiving, buffer, sizeof buffer, &size, MPROC_FOREVER) ||
        !is_whole(world, 0, buffer, size))
        abort();
    memset(buffer, 0, sizeof buffer);
}

static void receive_second(void *arg)
{
    struct connection_world *world = arg;
    size_t size = 0;
    int result = mproc_connection_recv(receiving, buffer, sizeof buffer, &size, MPROC_FOREVER);
    atomic_store(&world->result, size == world->size ? result : -1);
    atomic_store(&world->done, true);
}

static void receive_second_new(void *arg)
{
    struct connection_world *world = arg;
    size_t size = 0;
    void *data;
    int result = mproc_connection_recv_new(receiving, &data, &size, MPROC_FOREVER);
    received = data;
    atomic_store(&world->result, size == world->size ? result : -1);
    atomic_store(&world->done, true);
}

static const char *check_received(void *arg, bool finished)
{
    struct connection_world *world = arg;
    let_go();
    if (!within_time(is_over, world))
        return "the sender sees no end";
    int end = atomic_load(&world->end);
    if ((finished || atomic_load(&world->done)) && (atomic_load(&world->result) || atomic_load(&world->met) < 2))
        return "a message was not received";
    if (end != MPROC_CLOSED && end != MPROC_BROKEN)
        return "the end is not told as it is";
    return balance(world);
}

/* ---- descriptors ---- */

/* The tester is the peer. What goes over is the writing end of a pipe, whose reading end tells when it is gone. */
static void *build_to_pass(void)
{
    struct connection_world *world = build(SMALL, true);
    if (pipe2(pipe_ends, O_CLOEXEC))
        abort();
    return world;
}

static void prepare_pass(void *arg)
{
    (void)arg;
    receiving = mproc_connection_free(receiving);
}

static void pass(void *arg)
{
    struct connection_world *world = arg;
    atomic_store(&world->result, mproc_connection_send_fd(sending, pipe_ends[1], MPROC_FOREVER));
    atomic_store(&world->done, true);
}

static void close_end(int end)
{
    if (pipe_ends[end] >= 0)
        close(pipe_ends[end]);
    pipe_ends[end] = -1;
}

/* Whether the end of file comes at the pipe's reading end. */
static const char *await_hangup(void)
{
    struct pollfd watch = {.fd = pipe_ends[0], .events = POLLIN};
    poll(&watch, 1, SURVIVORS_MS);
    return watch.revents & POLLHUP ? NULL : "a descriptor that was passed is kept open";
}

static bool works(int fd)
{
    char byte = 1;
    return write(fd, &byte, 1) == 1 && read(pipe_ends[0], &byte, 1) == 1;
}

static const char *finish_passing(struct connection_world *world)
{
    const char *wrong = await_hangup();
    close_end(0);
    return wrong ? wrong : balance(world);
}

static const char *check_passed(void *arg, bool finished)
{
    struct connection_world *world = arg;
    int fd;
    sending = mproc_connection_free(sending);
    close_end(1);
    int result = mproc_connection_recv_fd(receiving, &fd, MPROC_MS(SURVIVORS_MS));
    if (result != 0 && result != MPROC_CLOSED)
        return "there is neither a descriptor nor the end";
    if ((finished || atomic_load(&world->done)) && (result || atomic_load(&world->result)))
        return "a descriptor that was passed is lost";
    if (result == 0 && !works(fd))
        return "a descriptor that came is not what was passed";
    if (result == 0)
        close(fd);
    return finish_passing(world);
}

static void *build_to_take(void)
{
    struct connection_world *world = build_to_pass();
    if (mproc_connection_send_fd(sending, pipe_ends[1], MPROC_FOREVER))
        abort();
    close_end(1);
    return world;
}

static void prepare_take(void *arg)
{
    (void)arg;
    sending = mproc_connection_free(sending);
}

static void take(void *arg)
{
    struct connection_world *world = arg;
    int fd;
    atomic_store(&world->result, mproc_connection_recv_fd(receiving, &fd, MPROC_FOREVER));
    atomic_store(&world->done, true);
}

static const char *check_taken(void *arg, bool finished)
{
    struct connection_world *world = arg;
    receiving = mproc_connection_free(receiving);
    if ((finished || atomic_load(&world->done)) && atomic_load(&world->result))
        return "the descriptor was not received";
    if (mproc_connection_send(sending, buffer, SMALL, MPROC_MS(SURVIVORS_MS)) != MPROC_CLOSED)
        return "the sender sees no end";
    return finish_passing(world);
}

static void destroy_passed(void *world)
{
    close_end(0);
    close_end(1);
    destroy(world);
}

const struct crash_case connection_cases[] = {
    {.operation = "connection_send",
     .state = "small, socket",
     .build = build_small_to_socket,
     .prepare = prepare_send,
     .operate = send_second,
     .check = check_sent,
     .destroy = destroy},
    {.operation = "connection_send",
     .state = "small, pipe",
     .build = build_small_to_pipe,
     .prepare = prepare_send,
     .operate = send_second,
     .check = check_sent,
     .destroy = destroy},
    {.operation = "connection_send",
     .state = "large, socket",
     .build = build_large_to_socket,
     .prepare = prepare_send,
     .operate = send_second,
     .check = check_sent,
     .destroy = destroy},
    {.operation = "connection_send",
     .state = "large, pipe",
     .build = build_large_to_pipe,
     .prepare = prepare_send,
     .operate = send_second,
     .check = check_sent,
     .destroy = destroy},
    {.operation = "connection_recv",
     .state = "small, socket",
     .build = build_small_from_socket,
     .prepare = prepare_receive,
     .operate = receive_second,
     .check = check_received,
     .destroy = destroy},
    {.operation = "connection_recv",
     .state = "large, socket",
     .build = build_large_from_socket,
     .prepare = prepare_receive,
     .operate = receive_second,
     .check = check_received,
     .destroy = destroy},
    {.operation = "connection_recv",
     .state = "large, pipe",
     .build = build_large_from_pipe,
     .prepare = prepare_receive,
     .operate = receive_second,
     .check = check_received,
     .destroy = destroy},
    {.operation = "connection_recv_new",
     .state = "large, pipe",
     .build = build_large_from_pipe,
     .prepare = prepare_receive,
     .operate = receive_second_new,
     .check = check_received,
     .destroy = destroy},
    {.operation = "connection_send_fd",
     .state = "a pipe",
     .build = build_to_pass,
     .prepare = prepare_pass,
     .operate = pass,
     .check = check_passed,
     .destroy = destroy_passed},
    {.operation = "connection_recv_fd",
     .state = "a pipe",
     .build = build_to_take,
     .prepare = prepare_take,
     .operate = take,
     .check = check_taken,
     .destroy = destroy_passed},
    {0},
};
