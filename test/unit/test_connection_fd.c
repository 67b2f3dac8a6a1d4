/* Connections and the descriptors that are sent through them. */
#include "harness.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

static void descriptors_and_messages_arrive_in_order(void **state)
{
    mproc_connection *ours, *theirs;
    int fd, number;

    (void)state;
    make_duplex_pipe(&ours, &theirs);
    pid_t child = fork();
    if (child == 0) {
        for (int i = 0; i < 300; i++) {
            fd = make_file(i);
            for (int n = 0; n < i % 4; n++)
                if (mproc_connection_send(theirs, &i, sizeof i, MPROC_FOREVER))
                    _exit(1);
            if (mproc_connection_send_fd(theirs, fd, MPROC_FOREVER))
                _exit(2);
            close(fd);
        }
        _exit(0);
    }
    theirs = mproc_connection_free(theirs);
    for (int i = 0; i < 300; i++) {
        for (int n = 0; n < i % 4; n++) {
            assert_int_equal(mproc_connection_recv(ours, &number, sizeof number, NULL, MPROC_FOREVER), 0);
            assert_int_equal(number, i);
        }
        assert_int_equal(mproc_connection_poll(ours, MPROC_FOREVER), 0);
        assert_int_equal(mproc_connection_recv_fd(ours, &fd, MPROC_FOREVER), 0);
        expect_file(fd, i);
    }
    assert_int_equal(mproc_connection_recv_fd(ours, &fd, MPROC_FOREVER), MPROC_CLOSED);
    ours = mproc_connection_free(ours);
    expect_exit(child, 0);
}

static void each_kind_of_message_has_its_own_receive(void **state)
{
    mproc_connection *input, *output;
    void *data = NULL;
    int fd = -7;
    char c;

    (void)state;
    make_duplex_pipe(&input, &output);
    assert_int_equal(mproc_connection_recv_fd(input, &fd, MPROC_NOWAIT), MPROC_TIMEOUT);
    int file = make_file(1);
    assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send_fd(output, file, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send(output, "y", 1, MPROC_NOWAIT), 0);
    close(file);
    for (int i = 0; i < 2; i++)
        assert_int_equal(mproc_connection_recv_fd(input, &fd, MPROC_FOREVER), -EPROTO);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), 0);
    assert_int_equal(c, 'x');
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), -EPROTO);
        assert_int_equal(mproc_connection_recv_new(input, &data, NULL, MPROC_FOREVER), -EPROTO);
        assert_int_equal(mproc_connection_poll(input, MPROC_NOWAIT), 0);
    }
    assert_true(fd == -7 && !data);
    assert_int_equal(mproc_connection_recv_fd(input, &fd, MPROC_FOREVER), 0);
    expect_file(fd, 1);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), 0);
    assert_int_equal(c, 'y');
    mproc_connection_free(input);
    mproc_connection_free(output);
}

/* A message of 16 MiB and some begins with the byte that a descriptor has, and is none. */
static void a_size_is_not_taken_for_a_descriptor(void **state)
{
    size_t size;
    int peer, fd;
    char c;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\1", 1);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), -EPROTO);
    write_raw(peer, "\2\3\4", 3);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), -EPROTO);
    assert_int_equal(mproc_connection_recv(connection, &c, 1, &size, MPROC_NOWAIT), MPROC_TOO_SMALL);
    assert_int_equal(size, 0x01020304);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), -EPROTO);
    mproc_connection_free(connection);
    close(peer);
}

static void send_with_descriptors(int socket, const void *data, size_t size, int count)
{
    char control[256] = {0};
    int fds[8];
    struct iovec part = {(void *)(uintptr_t)data, size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control};

    message.msg_controllen = CMSG_SPACE((size_t)count * sizeof *fds);
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN((size_t)count * sizeof *fds);
    for (int i = 0; i < count; i++)
        fds[i] = make_file(i);
    memcpy(CMSG_DATA(header), fds, (size_t)count * sizeof *fds);
    assert_int_equal(sendmsg(socket, &message, 0), size);
    for (int i = 0; i < count; i++)
        close(fds[i]);
}

static void a_descriptor_in_no_message_is_closed(void **state)
{
    static char large[100000];
    char buffer[8];
    void *data;
    int peer, fd;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    send_with_descriptors(peer, "\0\0\0\1a", 5, 1);
    send_with_descriptors(peer, "\0\0\0\1\1", 5, 3);
    send_with_descriptors(peer, "\0\0\0", 3, 1);
    send_with_descriptors(peer, "\1", 1, 1);
    write_raw(peer, "c\0\1\x86\xa0", 5);
    send_with_descriptors(peer, large, 50000, 1);
    send_with_descriptors(peer, large, 50000, 1);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_connection_recv(connection, buffer, 8, NULL, MPROC_NOWAIT), 0);
    assert_int_equal(buffer[0], 'c');
    assert_int_equal(mproc_connection_recv_new(connection, &data, NULL, MPROC_NOWAIT), 0);
    free(data);
    send_with_descriptors(peer, "\1", 1, 5);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), 0);
    expect_file(fd, 0);
    send_with_descriptors(peer, "\1", 1, 1);
    assert_int_equal(mproc_connection_poll(connection, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, NULL, MPROC_NOWAIT), -EPROTO);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), 0);
    expect_file(fd, 0);
    send_with_descriptors(peer, "\1\0\0\0abc", 7, 1);
    assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT), -EPROTO);
    mproc_connection_free(connection);
    close(peer);
}

/* Bytes that look like frames more often than chance would have it. */
static size_t invent(unsigned char *bytes, unsigned *seed)
{
    static const char *const frames[] = {
        "\0\0\0\0", "\0\0\0\5hello",   "\0\0\100\0", "\xff\xff\xff\xff\0\0\0\0\0\0\0\1x", "\0\1\0\0",
        "\1",       "\xff\xff\xff\xfe"};
    static const size_t lengths[] = {4, 9, 4, 13, 4, 1, 4};
    size_t choice = (size_t)rand_r(seed) % 200;

    if (choice < 199) {
        choice = choice == 0 ? 6 : choice % 6;
        memcpy(bytes, frames[choice], lengths[choice]);
        return lengths[choice];
    }
    for (size_t i = 0; i < 100; i++)
        bytes[i] = (unsigned char)rand_r(seed);
    return 100;
}

static int receive_somehow(mproc_connection *connection, unsigned *seed)
{
    static char buffer[70000];
    void *data;
    int fd;

    switch (rand_r(seed) % 4) {
    case 0: {
        int result = mproc_connection_recv_new(connection, &data, NULL, MPROC_NOWAIT);
        if (result == 0)
            free(data);
        return result;
    }
    case 1: {
        int result = mproc_connection_recv_fd(connection, &fd, MPROC_NOWAIT);
        if (result == 0)
            close(fd);
        return result;
    }
    case 2:
        return mproc_connection_recv(connection, buffer, 6, NULL, MPROC_NOWAIT);
    default:
        return mproc_connection_recv(connection, buffer, sizeof buffer, NULL, MPROC_NOWAIT);
    }
}

/* Messages of 0, 5 and 1 bytes, of 16 KiB and 64 KiB, descriptors where they belong and where not, and noise. */
static void whatever_a_peer_sends_does_no_harm(void **state)
{
    unsigned char bytes[100];
    int peer;

    (void)state;
    for (unsigned run = 0; run < 300; run++) {
        unsigned seed = run;
        mproc_connection *connection = make_raw(&peer);
        for (int step = 0; step < 100; step++) {
            size_t size = invent(bytes, &seed);
            if (rand_r(&seed) % 3 == 0)
                send_with_descriptors(peer, bytes, size, 1 + rand_r(&seed) % 3);
            else
                write_raw(peer, bytes, size);
            if (rand_r(&seed) % 2)
                continue;
            int result = receive_somehow(connection, &seed);
            assert_true(result == 0 || result == MPROC_TIMEOUT || result == MPROC_TOO_SMALL || result == -EPROTO ||
                        result == MPROC_BROKEN);
            if (result == MPROC_BROKEN)
                break;
        }
        close(peer);
        int result;
        do
            result = receive_somehow(connection, &seed);
        while (result != MPROC_CLOSED && result != MPROC_BROKEN);
        mproc_connection_free(connection);
    }
}

static void a_descriptor_travels_as_in_cpython(void **state)
{
    char byte = 0, control[64];
    struct iovec part = {&byte, 1};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control, .msg_controllen = 64};
    int peer, fd;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    int file = make_file(9);
    assert_int_equal(mproc_connection_send_fd(connection, file, MPROC_NOWAIT), 0);
    close(file);
    assert_int_equal(recvmsg(peer, &message, MSG_CMSG_CLOEXEC), 1);
    assert_int_equal(byte, 1);
    assert_int_equal(CMSG_FIRSTHDR(&message)->cmsg_len, CMSG_LEN(sizeof fd));
    memcpy(&fd, CMSG_DATA(CMSG_FIRSTHDR(&message)), sizeof fd);
    expect_file(fd, 9);
    mproc_connection_free(connection);
    close(peer);
}

static void without_a_free_descriptor_that_one_is_lost(void **state)
{
    mproc_connection *input, *output;
    struct rlimit before, none;
    int fd;
    char c;

    (void)state;
    make_duplex_pipe(&input, &output);
    int file = make_file(1);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mproc_connection_send_fd(output, file, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
    }
    close(file);
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &before), 0);
    none = (struct rlimit){.rlim_cur = 0, .rlim_max = before.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &none), 0);
    int poll = mproc_connection_poll(input, MPROC_NOWAIT);
    int message = mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT);
    int descriptor = mproc_connection_recv_fd(input, &fd, MPROC_NOWAIT);
    mproc_connection *first, *second;
    int pair = mproc_pipe(&first, &second, true);
    int simplex = mproc_pipe(&first, &second, false);
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &before), 0);
    assert_true(poll == 0 || poll == -EINVAL); /* ppoll() itself minds the limit */
    assert_int_equal(message, -EPROTO);
    assert_int_equal(descriptor, -EMFILE);
    assert_int_equal(pair, -EMFILE);
    assert_int_equal(simplex, -EMFILE);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv_fd(input, &fd, MPROC_NOWAIT), 0);
    expect_file(fd, 1);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), 0);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

static void a_descriptor_that_cannot_be_sent_is_refused(void **state)
{
    static char message[4000];
    mproc_connection *input, *output;
    int fd;

    (void)state;
    make_duplex_pipe(&input, &output);
    assert_int_equal(mproc_connection_send_fd(output, -1, MPROC_NOWAIT), -EBADF);
    assert_int_equal(mproc_connection_send_fd(output, 1000000, MPROC_NOWAIT), -EBADF);
    assert_int_equal(mproc_connection_recv_fd(input, &fd, MPROC_NOWAIT), MPROC_TIMEOUT);
    while (mproc_connection_send(output, message, sizeof message, MPROC_NOWAIT) == 0) {
    }
    int result;
    while ((result = mproc_connection_send_fd(output, 0, MPROC_MS(1))) == 0) {
    }
    assert_true(result == MPROC_TIMEOUT || result == -ETOOMANYREFS);
    mproc_connection_free(input);
    assert_int_equal(mproc_connection_send_fd(output, 0, MPROC_FOREVER), MPROC_CLOSED);
    mproc_connection_free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(descriptors_and_messages_arrive_in_order),   unit(each_kind_of_message_has_its_own_receive),
        unit(a_size_is_not_taken_for_a_descriptor),       unit(a_descriptor_in_no_message_is_closed),
        unit(whatever_a_peer_sends_does_no_harm),         unit(a_descriptor_travels_as_in_cpython),
        unit(without_a_free_descriptor_that_one_is_lost), unit(a_descriptor_that_cannot_be_sent_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
