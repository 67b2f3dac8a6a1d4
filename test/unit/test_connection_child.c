/* Connections over descriptors from elsewhere, and connections that pass to a child. */
#include "connection/connection.h"
#include "harness.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/process.h>
#include <netinet/in.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- connections of descriptors ---- */

static void make_tcp(int fds[2])
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    socklen_t size = sizeof address;

    int listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(listener, (struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(listener, 1), 0);
    assert_int_equal(getsockname(listener, (struct sockaddr *)&address, &size), 0);
    fds[0] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(connect(fds[0], (struct sockaddr *)&address, size), 0);
    fds[1] = accept(listener, NULL, NULL);
    assert_true(fds[1] >= 0);
    close(listener);
}

static void a_tcp_socket_is_a_connection(void **state)
{
    static unsigned char large[300000];
    mproc_connection *ours, *theirs;
    int fds[2], fd;
    char c;

    (void)state;
    make_tcp(fds);
    assert_int_equal(mproc_connection_from_fd(&ours, fds[0]), 0);
    assert_int_equal(mproc_connection_from_fd(&theirs, fds[1]), 0);
    assert_int_equal(fcntl(fds[0], F_GETFD), FD_CLOEXEC);
    pid_t child = fork();
    if (child == 0) {
        fill(large, sizeof large, 2);
        _exit(mproc_connection_send(theirs, large, sizeof large, MPROC_FOREVER));
    }
    mproc_connection_free(theirs);
    assert_int_equal(mproc_connection_send_fd(ours, 0, MPROC_FOREVER), -EOPNOTSUPP);
    assert_int_equal(mproc_connection_recv_fd(ours, &fd, MPROC_FOREVER), -EPROTO);
    assert_int_equal(mproc_connection_recv(ours, large, sizeof large, NULL, MPROC_FOREVER), 0);
    assert_true(is_filled(large, sizeof large, 2));
    assert_int_equal(mproc_connection_recv(ours, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
    expect_exit(child, 0);
    mproc_connection_free(ours);
}

static bool is_reset(void *connection)
{
    return mproc_connection_poll(connection, MPROC_NOWAIT) == 0;
}

static void a_tcp_peer_that_left_our_message_unread_is_closed(void **state)
{
    mproc_connection *ours, *theirs;
    int fds[2];
    char c;

    (void)state;
    for (int i = 0; i < 2; i++) {
        make_tcp(fds);
        assert_int_equal(mproc_connection_from_fd(&ours, fds[0]), 0);
        assert_int_equal(mproc_connection_from_fd(&theirs, fds[1]), 0);
        assert_int_equal(mproc_connection_send(ours, "x", 1, MPROC_FOREVER), 0);
        assert_int_equal(mproc_connection_poll(theirs, MPROC_FOREVER), 0);
        mproc_connection_free(theirs);
        assert_true(wait_until(is_reset, ours, 10000));
        if (i == 0)
            assert_int_equal(mproc_connection_recv(ours, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
        for (int again = 0; again < 2; again++)
            assert_int_equal(mproc_connection_send(ours, "x", 1, MPROC_FOREVER), MPROC_CLOSED);
        mproc_connection_free(ours);
    }
}

static void a_fifo_for_both_ways_is_duplex(void **state)
{
    char folder[] = "/tmp/mproc-test-XXXXXX", path[64], c;
    mproc_connection *connection;

    (void)state;
    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    assert_int_equal(mproc_connection_from_fd(&connection, open(path, O_RDWR | O_CLOEXEC)), 0);
    assert_int_equal(unlink(path) || rmdir(folder), 0);
    assert_int_equal(mproc_connection_send(connection, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(connection, &c, 1, NULL, MPROC_NOWAIT), 0);
    mproc_connection_free(connection);
}

static void what_is_no_stream_stays_with_the_caller(void **state)
{
    mproc_connection *connection = NULL;
    int pairs[4], fds[6];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_DGRAM, 0, pairs), 0);
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET, 0, pairs + 2), 0);
    fds[0] = open("/dev/null", O_RDWR);
    fds[1] = make_file(1);
    fds[2] = socket(AF_INET, SOCK_STREAM, 0);
    fds[3] = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(listen(fds[3], 1), 0);
    fds[4] = socket(AF_UNIX, SOCK_STREAM, 0);
    fds[5] = open("/", O_RDONLY | O_DIRECTORY);
    for (int i = 0; i < 10; i++) {
        int fd = i < 4 ? pairs[i] : fds[i - 4];
        assert_int_equal(mproc_connection_from_fd(&connection, fd), -EINVAL);
        assert_int_equal(fcntl(fd, F_GETFD), 0);
        close(fd);
        assert_int_equal(mproc_connection_from_fd(&connection, fd), -EBADF);
    }
    int path = open("/tmp", O_PATH);
    assert_int_equal(mproc_connection_from_fd(&connection, path), -EBADF);
    close(path);
    assert_null(connection);
}

/* ---- to a forked child ---- */

static int use_kept(mproc_connection **kept, mproc_connection *other, mproc_connection *reader)
{
    char c = 0;

    if (mproc_inherited_connection(0))
        return 1;
    connection_keep_only(kept, 2);
    if (mproc_inherited_connection(0) != kept[0] || mproc_inherited_connection(1) != kept[1] ||
        mproc_inherited_connection(2) || mproc_inherited_connection(SIZE_MAX))
        return 2;
    if (mproc_connection_send(other, "x", 1, MPROC_NOWAIT) != -EBADF || mproc_connection_fileno(other) != -EBADF ||
        mproc_connection_poll(reader, MPROC_NOWAIT) != -EBADF || connection_is_open(other) ||
        mproc_connection_free(other) || mproc_connection_free(other))
        return 3;
    if (mproc_connection_recv(kept[0], &c, 1, NULL, MPROC_NOWAIT) || c != '2') /* it was read ahead */
        return 4;
    mproc_connection_free(kept[0]);
    if (mproc_inherited_connection(0) || mproc_inherited_connection(1) != kept[1])
        return 5;
    int status;
    pid_t child = fork();
    if (child == 0)
        _exit(mproc_inherited_connection(1) ? 1 : 0);
    if (waitpid(child, &status, 0) != child || status)
        return 6;
    if (mproc_connection_send(kept[1], "k", 1, MPROC_NOWAIT))
        return 7;
    mproc_connection_free(kept[1]);
    return 0;
}

static void a_child_keeps_only_what_it_was_given(void **state)
{
    mproc_connection *a, *b, *input, *output, *reader, *writer;
    char c;

    (void)state;
    make_duplex_pipe(&a, &b);
    make_simplex_pipe(&input, &output);
    make_simplex_pipe(&reader, &writer);
    assert_int_equal(mproc_connection_send(b, "1", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send(b, "2", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(a, &c, 1, NULL, MPROC_NOWAIT), 0);
    pid_t child = fork();
    if (child == 0) {
        int result = use_kept((mproc_connection *[]){a, output}, writer, reader);
        if (result)
            _exit(result);
        for (;;)
            pause();
    }
    output = mproc_connection_free(output);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), 0);
    assert_int_equal(c, 'k');
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
    writer = mproc_connection_free(writer); /* the child lives and has closed its copy */
    assert_int_equal(mproc_connection_recv(reader, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
    assert_null(mproc_inherited_connection(0));
    kill(child, SIGKILL);
    expect_exit(child, -SIGKILL);
    mproc_connection_free(a);
    mproc_connection_free(b);
    mproc_connection_free(input);
    mproc_connection_free(reader);
}

static void *receive_one(void *connection)
{
    char c;

    return mproc_connection_recv(connection, &c, 1, NULL, MPROC_FOREVER) ? connection : NULL;
}

static bool is_receiving(void *connection)
{
    char description[256];
    size_t size;

    return connection_describe(connection, description, sizeof description, &size) == -EBUSY;
}

static void a_fork_under_a_receive_leaves_the_child_free(void **state)
{
    mproc_connection *input, *output;
    pthread_t thread;
    void *failed;

    (void)state;
    make_duplex_pipe(&input, &output);
    assert_int_equal(pthread_create(&thread, NULL, receive_one, input), 0);
    assert_true(wait_until(is_receiving, input, 10000));
    for (int i = 0; i < 20; i++) {
        pid_t child = fork();
        if (child == 0) {
            mproc_connection *a, *b;
            char description[256], c;
            size_t size;
            if (connection_describe(input, description, sizeof description, &size))
                _exit(3);
            if (mproc_pipe(&a, &b, true) || mproc_connection_send(a, "x", 1, MPROC_NOWAIT) ||
                mproc_connection_recv(b, &c, 1, NULL, MPROC_SEC(10)) ||
                mproc_connection_recv(input, &c, 1, NULL, MPROC_MS(1)) != MPROC_TIMEOUT)
                _exit(1);
            connection_keep_only(NULL, 0);
            _exit(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER) == -EBADF ? 0 : 2);
        }
        expect_exit(child, 0);
    }
    assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_FOREVER), 0);
    pthread_join(thread, &failed);
    assert_null(failed);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

/* ---- to a spawned child ---- */

/* Give a connection up for one that was made of its description, as a spawned child would. */
static mproc_connection *respawn(mproc_connection *connection)
{
    mproc_connection *again;
    size_t size, needed = 0;
    char few[4];

    assert_int_equal(connection_describe(connection, few, sizeof few, &size), MPROC_TOO_SMALL);
    char *description = malloc(size);
    assert_int_equal(connection_describe(connection, description, size, &needed), 0);
    assert_int_equal(needed, size);
    int fd = dup(connection_fd(connection));
    mproc_connection_free(connection);
    for (size_t part = 0; part < size; part += 7)
        assert_int_equal(connection_adopt(&again, fd, description, part), -EINVAL);
    assert_int_equal(connection_adopt(&again, fd, description, size), 0);
    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    free(description);
    return again;
}

static void a_description_carries_what_was_read_ahead(void **state)
{
    static unsigned char large[100000], in[100000];
    mproc_connection *input, *output;
    size_t size;
    int peer;
    char c;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        output = respawn(output);
        for (int i = 0; i < 3; i++)
            assert_int_equal(mproc_connection_send(output, &"abc"[i], 1, MPROC_NOWAIT), 0);
        for (int i = 0; i < 3; i++) {
            input = respawn(input);
            assert_true(mproc_connection_poll(input, MPROC_NOWAIT) == 0);
            assert_int_equal(mproc_connection_recv(input, &c, 1, &size, MPROC_NOWAIT), 0);
            assert_int_equal(c, "abc"[i]);
        }
        output = respawn(output);
        assert_int_equal(mproc_connection_recv(output, &c, 1, &size, MPROC_NOWAIT),
                         stream_kinds[kind] == make_duplex_pipe ? MPROC_TIMEOUT : -EBADF);
        mproc_connection_free(input);
        mproc_connection_free(output);
    }
    mproc_connection *connection = make_raw(&peer);
    fill(large, sizeof large, 4);
    write_raw(peer, "\0\1\x86\xa0", 4);
    write_raw(peer, large, 40000);
    assert_int_equal(mproc_connection_recv(connection, in, sizeof in, &size, MPROC_NOWAIT), MPROC_TIMEOUT);
    connection = respawn(connection);
    write_raw(peer, large + 40000, 60000);
    connection = respawn(connection);
    assert_int_equal(mproc_connection_recv(connection, in, sizeof in, &size, MPROC_NOWAIT), 0);
    assert_true(is_filled(in, size, 4));
    mproc_connection_free(connection);
    close(peer);
}

static void a_descriptor_that_waits_cannot_be_described(void **state)
{
    mproc_connection *input, *output;
    char description[256], c;
    size_t size;

    (void)state;
    make_duplex_pipe(&input, &output);
    assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send_fd(output, 0, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), 0);
    assert_int_equal(connection_describe(input, description, sizeof description, &size), -EBUSY);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

/* ---- with Python ---- */

static const char *const python_peer = "import os, sys\n"
                                       "from multiprocessing.connection import Connection\n"
                                       "from multiprocessing.reduction import send_handle, recv_handle\n"
                                       "c = Connection(int(sys.argv[1]))\n"
                                       "while True:\n"
                                       "    try: m = c.recv_bytes()\n"
                                       "    except EOFError: break\n"
                                       "    if m == b'fd':\n"
                                       "        fd = recv_handle(c)\n"
                                       "        send_handle(c, fd, os.getpid())\n"
                                       "        os.close(fd)\n"
                                       "    else: c.send_bytes(m)\n";

static void python_is_a_peer(void **state)
{
    static unsigned char out[200000], in[200000];
    mproc_connection *ours, *theirs;
    const size_t sizes[] = {0, 1, 100, 16384, 16385, 200000};
    char number[16];
    size_t size;
    int fd;

    (void)state;
    if (system("python3 -c 'import multiprocessing.reduction' 2>/dev/null"))
        skip();
    make_duplex_pipe(&ours, &theirs);
    pid_t child = fork();
    if (child == 0) {
        mproc_connection_free(ours);
        snprintf(number, sizeof number, "%d", dup(mproc_connection_fileno(theirs)));
        mproc_connection_free(theirs);
        execlp("python3", "python3", "-c", python_peer, number, (char *)NULL);
        _exit(127);
    }
    mproc_connection_free(theirs);
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        fill(out, sizes[i], i);
        assert_int_equal(mproc_connection_send(ours, out, sizes[i], MPROC_SEC(60)), 0);
        assert_int_equal(mproc_connection_recv(ours, in, sizeof in, &size, MPROC_SEC(60)), 0);
        assert_true(size == sizes[i] && is_filled(in, size, i));
    }
    int file = make_file(77);
    assert_int_equal(mproc_connection_send(ours, "fd", 2, MPROC_SEC(60)), 0);
    assert_int_equal(mproc_connection_send_fd(ours, file, MPROC_SEC(60)), 0);
    close(file);
    assert_int_equal(mproc_connection_recv_fd(ours, &fd, MPROC_SEC(60)), 0);
    expect_file(fd, 77);
    mproc_connection_free(ours);
    expect_exit(child, 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_tcp_socket_is_a_connection),
        unit(a_tcp_peer_that_left_our_message_unread_is_closed),
        unit(a_fifo_for_both_ways_is_duplex),
        unit(what_is_no_stream_stays_with_the_caller),
        unit(a_child_keeps_only_what_it_was_given),
        unit(a_fork_under_a_receive_leaves_the_child_free),
        unit(a_description_carries_what_was_read_ahead),
        unit(a_descriptor_that_waits_cannot_be_described),
        unit(python_is_a_peer),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
