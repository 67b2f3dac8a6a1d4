/* What the tests of connections share, see streams.h. */
#include "streams.h"

#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

void make_simplex_pipe(mproc_connection **input, mproc_connection **output)
{
    assert_int_equal(mproc_pipe(input, output, false), 0);
}

void make_duplex_pipe(mproc_connection **input, mproc_connection **output)
{
    assert_int_equal(mproc_pipe(input, output, true), 0);
}

void make_fifo(mproc_connection **input, mproc_connection **output)
{
    char folder[] = "/tmp/mproc-test-XXXXXX", path[64];

    assert_non_null(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/fifo", folder);
    assert_int_equal(mkfifo(path, 0600), 0);
    int reader = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    int writer = open(path, O_WRONLY | O_CLOEXEC);
    assert_int_equal(fcntl(reader, F_SETFL, 0), 0);
    assert_int_equal(unlink(path) || rmdir(folder), 0);
    assert_int_equal(mproc_connection_from_fd(input, reader), 0);
    assert_int_equal(mproc_connection_from_fd(output, writer), 0);
}

stream_maker *const stream_kinds[STREAM_KINDS] = {make_simplex_pipe, make_duplex_pipe, make_fifo};

mproc_connection *make_raw(int *peer)
{
    mproc_connection *connection;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    assert_int_equal(mproc_connection_from_fd(&connection, fds[0]), 0);
    *peer = fds[1];
    return connection;
}

void write_raw(int fd, const void *data, size_t size)
{
    assert_int_equal(write(fd, data, size), size);
}

int make_file(int number)
{
    int fd = memfd_create("sent", 0);

    assert_true(fd >= 0);
    write_raw(fd, &number, sizeof number);
    return fd;
}

void expect_file(int fd, int number)
{
    int found = -1;

    assert_int_equal(fcntl(fd, F_GETFD), FD_CLOEXEC);
    assert_int_equal(pread(fd, &found, sizeof found, 0), sizeof found);
    assert_int_equal(found, number);
    assert_int_equal(close(fd), 0);
}

static unsigned char pattern(size_t seed, size_t i)
{
    return (unsigned char)(seed * 31 + i * 7 + (i >> 8));
}

void fill(unsigned char *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++)
        buffer[i] = pattern(seed, i);
}

bool is_filled(const unsigned char *buffer, size_t size, size_t seed)
{
    for (size_t i = 0; i < size; i++)
        if (buffer[i] != pattern(seed, i))
            return false;
    return true;
}

void expect_exit(pid_t child, int expected)
{
    int status;

    while (waitpid(child, &status, 0) < 0)
        assert_int_equal(errno, EINTR);
    assert_int_equal(WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), expected);
}

double seconds(void)
{
    struct timespec now;
    clock_gettime(CLOCK_MONOTONIC, &now);
    return (double)now.tv_sec + (double)now.tv_nsec / 1e9;
}
