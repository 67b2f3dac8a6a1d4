/* The cases of every.h for mproc_wait(): one thing of each kind, and several of all kinds. */
#include "every.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/connection.h>
#include <mproc/process.h>
#include <mproc/queue.h>
#include <signal.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

enum {
    KINDS = 4,
    MANY = 40 /* more than are listed on the stack */
};

static mproc_queue *queue;
static mproc_connection *input, *output;
static mproc_process *process;
static int fds[2];
static mproc_wait_item items[MANY];
static size_t ready;

static int sleep_for_ever(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static mproc_wait_item item(size_t kind)
{
    switch (kind) {
    case 0:
        return (mproc_wait_item){.kind = MPROC_WAIT_CONNECTION, .on.connection = input};
    case 1:
        return (mproc_wait_item){.kind = MPROC_WAIT_PROCESS, .on.process = process};
    case 2:
        return (mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = queue};
    default:
        return (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = fds[0]};
    }
}

static void begin(void)
{
    every_must(mproc_queue_create(&queue, NULL));
    every_must(mproc_pipe(&input, &output, true));
    every_must(mproc_process_start(&process, sleep_for_ever, NULL, NULL));
    every_must(pipe2(fds, O_CLOEXEC));
    for (size_t i = 0; i < MANY; i++)
        items[i] = item(i % KINDS);
    ready = 77;
}

static void end(void)
{
    every_must(mproc_process_kill(process));
    every_must(mproc_process_join(process, LONG));
    process = mproc_process_free(process);
    queue = mproc_queue_free(queue);
    input = mproc_connection_free(input);
    output = mproc_connection_free(output);
    close(fds[0]);
    close(fds[1]);
}

static void end_helped(void)
{
    every_must(every_join());
    end();
}

static void look(long *seen)
{
    seen[0] = (long)ready;
    for (size_t i = 0; i < KINDS && ready != 77; i++)
        seen[1 + i] = items[i].ready;
}

/* What comes may come while the items are looked at one after the other. */
static void look_roughly(long *seen)
{
    seen[0] = ready != 77 && ready > 0;
}

/* ---- what happens ---- */

static void put_message(void)
{
    every_must(mproc_queue_put(queue, "x", 1, MPROC_NOWAIT));
}

static void send_message(void)
{
    const unsigned char frame[] = {0, 0, 0, 1, 'x'};

    if (write(mproc_connection_fileno(output), frame, sizeof frame) != sizeof frame)
        every_wrong("nothing was sent");
}

static void kill_process(void)
{
    every_must(kill(mproc_process_pid(process), SIGKILL));
}

static void write_byte(void)
{
    if (write(fds[1], "x", 1) != 1)
        every_wrong("nothing was written");
}

static void begin_with_message(void)
{
    begin();
    put_message();
}

static void begin_with_bytes(void)
{
    begin();
    write_byte();
}

static void message_comes(void)
{
    begin();
    every_help(put_message);
}

static void bytes_come(void)
{
    begin();
    every_help(send_message);
}

static void process_ends(void)
{
    begin();
    every_help(kill_process);
}

static void descriptor_comes(void)
{
    begin();
    every_help(write_byte);
}

/* ---- calls ---- */

static int wait_for(size_t first, size_t count, mproc_time timeout)
{
    return mproc_wait(items + first, count, &ready, timeout);
}

static int look_at_queue(void)
{
    return wait_for(2, 1, MPROC_NOWAIT);
}

static int wait_for_queue(void)
{
    return wait_for(2, 1, LONG);
}

static int wait_for_queue_in_vain(void)
{
    return wait_for(2, 1, SHORT);
}

static int wait_for_connection(void)
{
    return wait_for(0, 1, LONG);
}

static int wait_for_connection_in_vain(void)
{
    return wait_for(0, 1, SHORT);
}

static int wait_for_process(void)
{
    return wait_for(1, 1, LONG);
}

static int wait_for_descriptor(void)
{
    return wait_for(3, 1, LONG);
}

static int wait_for_any(void)
{
    return wait_for(0, KINDS, LONG);
}

static int wait_for_any_in_vain(void)
{
    return wait_for(0, KINDS, SHORT);
}

static int wait_for_many(void)
{
    return wait_for(0, MANY, LONG);
}

static int wait_for_many_in_vain(void)
{
    return wait_for(0, MANY, SHORT);
}

static const struct every_scene nothing = {begin, look, end};
static const struct every_scene message = {begin_with_message, look, end};
static const struct every_scene bytes = {begin_with_bytes, look, end};
static const struct every_scene coming_message = {message_comes, look_roughly, end_helped};
static const struct every_scene coming_bytes = {bytes_come, look_roughly, end_helped};
static const struct every_scene ending = {process_ends, look_roughly, end_helped};
static const struct every_scene coming_descriptor = {descriptor_comes, look_roughly, end_helped};

static const struct every_case list[] = {
    {"mproc_wait", "a queue, there is a message", &message, look_at_queue, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_wait", "a queue, some time", &nothing, wait_for_queue_in_vain, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_wait", "a queue, a message comes", &coming_message, wait_for_queue, 0, CHILD_STAYS_OUT,
     .calls = CALLS_AT_TIMES}, /* the message may come before the wait, which then makes none */
    {"mproc_wait", "a connection, some time", &nothing, wait_for_connection_in_vain, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_wait", "a connection, a message comes", &coming_bytes, wait_for_connection, 0, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_wait", "a process, it ends", &ending, wait_for_process, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "a descriptor, it is ready", &bytes, wait_for_descriptor, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "a descriptor, a byte comes", &coming_descriptor, wait_for_descriptor, 0, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_wait", "all kinds, some time", &nothing, wait_for_any_in_vain, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS},
    {"mproc_wait", "all kinds, there is a message", &message, wait_for_any, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "all kinds, a message comes", &coming_message, wait_for_any, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "all kinds, bytes come", &coming_bytes, wait_for_any, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "all kinds, the process ends", &ending, wait_for_any, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "many, some time", &nothing, wait_for_many_in_vain, MPROC_TIMEOUT, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_wait", "many, a message comes", &coming_message, wait_for_many, 0, CHILD_STAYS_OUT, .calls = CALLS},
};

const struct every_table cases_wait = {list, sizeof list / sizeof *list};
