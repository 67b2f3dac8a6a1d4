/* The cases of every.h for pipes and connections. A child has copies of both ends; what it does to them is seen at its
 * own, and ends with it. */
#include "every.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/connection.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define LONG  MPROC_SEC(20)

enum {
    SIZE = 100,
    LARGE = 40000,     /* more than is read at a time */
    FULL = 4096 * 1024 /* more than fits into a pipe or a socket */
};

static mproc_connection *input, *output;
static unsigned char out[FULL], in[FULL];
static void *got;
static size_t got_size;
static atomic_bool is_over;
static int fds[2] = {-1, -1}, received = -1;

/* ---- scenes ---- */

/* Once, for it is much. */
static void fill_out(void)
{
    static bool is_full;

    for (size_t i = 0; !is_full && i < sizeof out; i++)
        out[i] = (unsigned char)(i * 7 + (i >> 8));
    is_full = true;
}

static void begin_nothing(void)
{
    input = output = NULL;
    got = NULL;
    got_size = 0;
    received = fds[0] = fds[1] = -1;
    fill_out();
}

static void begin_socket(void)
{
    begin_nothing();
    every_must(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds));
}

static void begin_fifo(void)
{
    begin_nothing();
    every_must(pipe2(fds, O_CLOEXEC));
}

static void begin_duplex(void)
{
    begin_nothing();
    every_must(mproc_pipe(&input, &output, true));
}

static void begin_simplex(void)
{
    begin_nothing();
    every_must(mproc_pipe(&input, &output, false));
}

static void send_one(size_t size)
{
    every_must(mproc_connection_send(output, out, size, MPROC_NOWAIT));
}

static void begin_duplex_small(void)
{
    begin_duplex();
    send_one(SIZE);
}

static void begin_duplex_large(void)
{
    begin_duplex();
    send_one(LARGE);
}

static void begin_simplex_small(void)
{
    begin_simplex();
    send_one(SIZE);
}

static void begin_simplex_large(void)
{
    begin_simplex();
    send_one(LARGE);
}

static void begin_descriptor(void)
{
    begin_duplex();
    every_must(mproc_connection_send_fd(output, STDIN_FILENO, MPROC_NOWAIT));
}

static void begin_gone(void)
{
    begin_duplex();
    output = mproc_connection_free(output);
}

/* Fill the way to the other end; it is not read. */
static void fill(void)
{
    while (mproc_connection_send(output, out, LARGE / 10, MPROC_NOWAIT) == 0)
        ;
}

static void begin_full(void)
{
    begin_duplex();
    fill();
}

static void begin_full_simplex(void)
{
    begin_simplex();
    fill();
}

static void end_connections(void)
{
    input = mproc_connection_free(input);
    output = mproc_connection_free(output);
    for (int i = 0; i < 2; i++)
        if (fds[i] >= 0)
            close(fds[i]);
    if (received >= 0)
        close(received);
    received = fds[0] = fds[1] = -1;
    free(got);
    got = NULL;
}

static void end_joined(void)
{
    every_must(every_join());
    end_connections();
}

/* What was received is what was sent, and nothing came out where there was a failure. */
static void look_at_received(long *seen)
{
    seen[0] = (long)got_size;
    seen[1] = received >= 0;
    seen[2] = got && memcmp(got, out, got_size) == 0;
    seen[3] = got_size && !got && memcmp(in, out, got_size) == 0;
}

static void look_at_ends(long *seen)
{
    seen[0] = input != NULL;
    seen[1] = output != NULL;
}

/* ---- pipe, from_fd, fileno, free ---- */

static int make_duplex(void)
{
    return mproc_pipe(&input, &output, true);
}

static int make_simplex(void)
{
    return mproc_pipe(&input, &output, false);
}

/* The connection owns the descriptor from then on. */
static int adopt(void)
{
    int result = mproc_connection_from_fd(&input, fds[0]);
    if (!result)
        fds[0] = -1;
    return result;
}

static int fileno_is_open(void)
{
    return fcntl(mproc_connection_fileno(input), F_GETFD) == FD_CLOEXEC ? 0 : -1;
}

static int free_input(void)
{
    input = mproc_connection_free(input);
    return 0;
}

/* ---- send ---- */

static int send_small(void)
{
    return mproc_connection_send(output, out, SIZE, MPROC_FOREVER);
}

static int send_large(void)
{
    return mproc_connection_send(output, out, LARGE, MPROC_FOREVER);
}

static int send_for_a_while(void)
{
    return mproc_connection_send(output, out, LARGE / 10, SHORT);
}

static int send_full(void)
{
    return mproc_connection_send(output, out, FULL, LONG);
}

static int send_to_nobody(void)
{
    return mproc_connection_send(input, out, SIZE, MPROC_FOREVER);
}

static int send_fd(void)
{
    return mproc_connection_send_fd(output, STDIN_FILENO, MPROC_FOREVER);
}

static int send_fd_for_a_while(void)
{
    return mproc_connection_send_fd(output, STDIN_FILENO, SHORT);
}

/* ---- receive ---- */

static int receive(void)
{
    return mproc_connection_recv(input, in, sizeof in, &got_size, MPROC_FOREVER);
}

static int receive_long(void)
{
    return mproc_connection_recv(input, in, sizeof in, &got_size, LONG);
}

static int receive_for_a_while(void)
{
    return mproc_connection_recv(input, in, sizeof in, &got_size, SHORT);
}

static int receive_too_small(void)
{
    return mproc_connection_recv(input, in, 1, NULL, MPROC_FOREVER);
}

static int receive_new(void)
{
    return mproc_connection_recv_new(input, &got, &got_size, MPROC_FOREVER);
}

static int receive_new_for_a_while(void)
{
    return mproc_connection_recv_new(input, &got, &got_size, SHORT);
}

static int receive_fd(void)
{
    return mproc_connection_recv_fd(input, &received, MPROC_FOREVER);
}

static int receive_fd_for_a_while(void)
{
    return mproc_connection_recv_fd(input, &received, SHORT);
}

static int poll_it(void)
{
    return mproc_connection_poll(input, MPROC_FOREVER);
}

static int poll_long(void)
{
    return mproc_connection_poll(input, LONG);
}

static int poll_for_a_while(void)
{
    return mproc_connection_poll(input, SHORT);
}

/* ---- with somebody else ---- */

/* A message of one byte, as it goes over the wire: so that none of its calls can be the one that fails. */
static void help_by_send(void)
{
    const unsigned char frame[] = {0, 0, 0, 1, out[0]};

    if (write(mproc_connection_fileno(output), frame, sizeof frame) != sizeof frame)
        every_wrong("nothing was sent");
}

static void empty_and_sent(void)
{
    begin_duplex();
    every_help(help_by_send);
}

/* Takes from the kernel what comes, for a message may end in its middle. */
static void help_by_draining(void)
{
    while (!atomic_load(&is_over))
        if (recv(mproc_connection_fileno(input), in, sizeof in, MSG_DONTWAIT) < 0)
            usleep(100);
}

static void large_and_drained(void)
{
    begin_duplex();
    atomic_store(&is_over, false);
    every_help(help_by_draining);
}

static void end_drained(void)
{
    atomic_store(&is_over, true);
    end_joined();
}

static const struct every_scene none = {begin_nothing, look_at_ends, end_connections};
static const struct every_scene socket_only = {begin_socket, look_at_ends, end_connections};
static const struct every_scene fifo_only = {begin_fifo, look_at_ends, end_connections};
static const struct every_scene ends = {begin_duplex, look_at_ends, end_connections};
static const struct every_scene duplex = {begin_duplex, look_at_received, end_connections};
static const struct every_scene simplex = {begin_simplex, look_at_received, end_connections};
static const struct every_scene duplex_small = {begin_duplex_small, look_at_received, end_connections};
static const struct every_scene duplex_large = {begin_duplex_large, look_at_received, end_connections};
static const struct every_scene simplex_small = {begin_simplex_small, look_at_received, end_connections};
static const struct every_scene simplex_large = {begin_simplex_large, look_at_received, end_connections};
static const struct every_scene descriptor = {begin_descriptor, look_at_received, end_connections};
static const struct every_scene gone = {begin_gone, look_at_received, end_connections};
static const struct every_scene full = {begin_full, look_at_received, end_connections};
static const struct every_scene full_simplex = {begin_full_simplex, look_at_received, end_connections};
static const struct every_scene coming = {empty_and_sent, NULL, end_joined};
static const struct every_scene going = {large_and_drained, NULL, end_drained};

static const struct every_case list[] = {
    {"mproc_pipe", "duplex", &none, make_duplex, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_pipe", "one way", &none, make_simplex, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connection_from_fd", "a socket", &socket_only, adopt, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connection_from_fd", "a pipe", &fifo_only, adopt, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connection_fileno", NULL, &ends, fileno_is_open, 0, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_connection_free", NULL, &ends, free_input, 0, CHILD_STAYS_OUT, .calls = CALLS_AT_TIMES},
    {"mproc_connection_send", "over a socket", &duplex, send_small, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "over a pipe", &simplex, send_small, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "large, over a socket", &duplex, send_large, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "large, over a pipe", &simplex, send_large, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "no room in the socket, some time", &full, send_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "no room in the pipe, some time", &full_simplex, send_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "no room for a while", &going, send_full, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send", "nobody is there", &gone, send_to_nobody, MPROC_CLOSED, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connection_recv", "from a socket", &duplex_small, receive, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "from a pipe", &simplex_small, receive, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "large, from a socket", &duplex_large, receive, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "large, from a pipe", &simplex_large, receive, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "too large", &duplex_small, receive_too_small, MPROC_TOO_SMALL, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "nothing in the socket, some time", &duplex, receive_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "nothing in the pipe, some time", &simplex, receive_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "nothing for a while", &coming, receive_long, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv", "nobody is there", &gone, receive, MPROC_CLOSED, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connection_recv_new", "small", &duplex_small, receive_new, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv_new", "large", &simplex_large, receive_new, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv_new", "some time", &duplex, receive_new_for_a_while, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_poll", "there is one", &duplex_small, poll_it, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_poll", "nothing in the socket, some time", &duplex, poll_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_poll", "nothing in the pipe, some time", &simplex, poll_for_a_while, MPROC_TIMEOUT,
     CHILD_STAYS_OUT, .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_poll", "nothing for a while", &coming, poll_long, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send_fd", "there is room", &duplex, send_fd, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send_fd", "no room, some time", &full, send_fd_for_a_while, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_send_fd", "over a pipe", &simplex, send_fd, -EOPNOTSUPP, CHILD_STAYS_OUT, .calls = CALLS_NONE},
    {"mproc_connection_recv_fd", "there is one", &descriptor, receive_fd, 0, CHILD_STAYS_OUT, .calls = CALLS,
     .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv_fd", "some time", &duplex, receive_fd_for_a_while, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
    {"mproc_connection_recv_fd", "a message is next", &duplex_small, receive_fd, -EPROTO, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED, MPROC_BROKEN}},
};

const struct every_table cases_connection = {list, sizeof list / sizeof *list};
