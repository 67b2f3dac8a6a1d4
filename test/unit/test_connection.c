/* Connections: messages, timeouts and ends, over each kind of stream. Peers that misbehave are raw descriptors. */
#include "connection/frame.h"
#include "harness.h"
#include "streams.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <unistd.h>

#define LARGE ((size_t)300000)

/* ---- messages ---- */

static const size_t sizes[] = {0,     1,     4,     64,    4095,  4096,   16371, 16372,
                               16373, 16379, 16380, 16381, 16384, 100000, LARGE, 0};
#define SIZES (sizeof sizes / sizeof *sizes)

static int send_all_sizes(mproc_connection *output)
{
    static unsigned char buffer[LARGE];

    for (size_t i = 0; i < SIZES; i++) {
        fill(buffer, sizes[i], i);
        if (mproc_connection_send(output, buffer, sizes[i], MPROC_SEC(60)))
            return 1;
    }
    return 0;
}

static void messages_of_any_size_keep_their_bounds(void **state)
{
    static unsigned char buffer[LARGE];
    mproc_connection *input, *output;
    size_t size;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        pid_t child = fork();
        if (child == 0)
            _exit(send_all_sizes(output));
        output = mproc_connection_free(output);
        for (size_t i = 0; i < SIZES; i++) {
            size = 77;
            assert_int_equal(mproc_connection_recv(input, buffer, sizeof buffer, &size, MPROC_FOREVER), 0);
            assert_int_equal(size, sizes[i]);
            assert_true(is_filled(buffer, size, i));
        }
        assert_int_equal(mproc_connection_recv(input, buffer, sizeof buffer, &size, MPROC_FOREVER), MPROC_CLOSED);
        assert_null(mproc_connection_free(input));
        expect_exit(child, 0);
    }
}

static void messages_come_in_memory_of_their_own(void **state)
{
    mproc_connection *input, *output;
    size_t size;
    void *data;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        pid_t child = fork();
        if (child == 0)
            _exit(send_all_sizes(output));
        output = mproc_connection_free(output);
        for (size_t i = 0; i < SIZES; i++) {
            data = NULL;
            assert_int_equal(mproc_connection_recv_new(input, &data, i % 2 ? &size : NULL, MPROC_SEC(60)), 0);
            assert_non_null(data);
            assert_true(i % 2 == 0 || size == sizes[i]);
            assert_true(is_filled(data, sizes[i], i));
            free(data);
        }
        assert_int_equal(mproc_connection_recv_new(input, &data, &size, MPROC_FOREVER), MPROC_CLOSED);
        assert_null(mproc_connection_free(input));
        expect_exit(child, 0);
    }
}

static int echo(mproc_connection *connection)
{
    char buffer[128];
    size_t size;
    int result;

    while ((result = mproc_connection_recv(connection, buffer, sizeof buffer, &size, MPROC_FOREVER)) == 0)
        if (mproc_connection_send(connection, buffer, size, MPROC_FOREVER))
            return 2;
    return result == MPROC_CLOSED ? 0 : 1;
}

static void a_child_answers_on_a_duplex_pipe(void **state)
{
    mproc_connection *ours, *theirs;
    int answer;

    (void)state;
    assert_int_equal(mproc_pipe(&ours, &theirs, true), 0);
    pid_t child = fork();
    if (child == 0) {
        mproc_connection_free(ours);
        _exit(echo(theirs));
    }
    theirs = mproc_connection_free(theirs);
    for (int i = 0; i < 2000; i++) {
        assert_int_equal(mproc_connection_send(ours, &i, sizeof i, MPROC_FOREVER), 0);
        assert_int_equal(mproc_connection_recv(ours, &answer, sizeof answer, NULL, MPROC_FOREVER), 0);
        assert_int_equal(answer, i);
    }
    ours = mproc_connection_free(ours);
    expect_exit(child, 0);
}

static void a_message_that_is_too_large_stays(void **state)
{
    static unsigned char out[LARGE], in[LARGE];
    const size_t lengths[] = {10, 16380, 16381, 100000};
    mproc_connection *input, *output;
    size_t size;

    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        make_duplex_pipe(&input, &output);
        fill(out, lengths[i], i);
        assert_int_equal(mproc_connection_send(output, out, lengths[i], MPROC_NOWAIT), 0);
        assert_int_equal(mproc_connection_send(output, "next", 4, MPROC_NOWAIT), 0);
        for (int again = 0; again < 3; again++) {
            size = 0;
            assert_int_equal(mproc_connection_recv(input, again ? in : NULL, again ? 9 : 0, &size, MPROC_NOWAIT),
                             MPROC_TOO_SMALL);
            assert_int_equal(size, lengths[i]);
        }
        assert_int_equal(mproc_connection_recv(input, in, lengths[i], &size, MPROC_NOWAIT), 0);
        assert_true(size == lengths[i] && is_filled(in, size, i));
        assert_int_equal(mproc_connection_recv(input, in, sizeof in, &size, MPROC_NOWAIT), 0);
        assert_int_equal(size, 4);
        mproc_connection_free(input);
        mproc_connection_free(output);
    }
}

/* ---- frames ---- */

static void headers_are_those_of_cpython(void **state)
{
    unsigned char header[FRAME_HEADER_MAX];
    struct frame frame;
    static const struct {
        uint64_t size;
        const char *bytes;
        size_t length;
    } cases[] = {
        {0, "\0\0\0\0", 4},
        {0x01020304, "\1\2\3\4", 4},
        {0x7fffffff, "\x7f\xff\xff\xff", 4},
        {0x80000000, "\xff\xff\xff\xff\0\0\0\0\x80\0\0\0", 12},
        {INT64_MAX, "\xff\xff\xff\xff\x7f\xff\xff\xff\xff\xff\xff\xff", 12},
    };

    (void)state;
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        assert_int_equal(frame_encode(header, cases[i].size), cases[i].length);
        assert_memory_equal(header, cases[i].bytes, cases[i].length);
        for (size_t part = 0; part < cases[i].length; part++)
            assert_int_equal(frame_decode(&frame, header, part), -EAGAIN);
        assert_int_equal(frame_decode(&frame, header, cases[i].length), 0);
        assert_true(frame.header == cases[i].length && frame.size == cases[i].size);
    }
    assert_int_equal(frame_decode(&frame, (const unsigned char *)"\xff\xff\xff\xfe", 4), -EPROTO);
    assert_int_equal(frame_decode(&frame, (const unsigned char *)"\x80\0\0\0", 4), -EPROTO);
    assert_int_equal(frame_decode(&frame, (const unsigned char *)"\xff\xff\xff\xff\x80\0\0\0\0\0\0\0", 12), -EPROTO);
}

static void a_long_header_may_announce_a_short_message(void **state)
{
    char buffer[8];
    size_t size;
    int peer;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc\0\0\0\1d", 20);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, &size, MPROC_NOWAIT), 0);
    assert_true(size == 3 && memcmp(buffer, "abc", 3) == 0);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, &size, MPROC_NOWAIT), 0);
    assert_true(size == 1 && buffer[0] == 'd');
    mproc_connection_free(connection);
    close(peer);
}

static void a_bad_length_breaks_the_connection(void **state)
{
    char buffer[8];
    size_t size = 99;
    int peer, fd;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\0\0\0\1a\xff\xff\xff\xfe\0\0\0\1b", 14);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, NULL, MPROC_NOWAIT), 0);
    for (int i = 0; i < 2; i++) {
        assert_int_equal(mproc_connection_recv(connection, buffer, 8, &size, MPROC_FOREVER), MPROC_BROKEN);
        assert_int_equal(mproc_connection_poll(connection, MPROC_FOREVER), 0);
        assert_int_equal(mproc_connection_recv_fd(connection, &fd, MPROC_FOREVER), MPROC_BROKEN);
    }
    assert_int_equal(size, 99);
    assert_int_equal(mproc_connection_send(connection, "x", 1, MPROC_NOWAIT), 0);
    mproc_connection_free(connection);
    close(peer);
}

static void a_claimed_size_takes_no_memory(void **state)
{
    static char some[100000];
    struct rusage before, after;
    size_t size = 0;
    void *data = NULL;
    int peer;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\xff\xff\xff\xff\x3f\0\0\0\0\0\0\0", 12);
    write_raw(peer, some, sizeof some);
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(mproc_connection_recv_new(connection, &data, &size, MPROC_MS(10)), MPROC_TIMEOUT);
    getrusage(RUSAGE_SELF, &after);
    assert_true(after.ru_maxrss - before.ru_maxrss < 10000);
    assert_int_equal(mproc_connection_recv(connection, some, sizeof some, &size, MPROC_NOWAIT), MPROC_TOO_SMALL);
    assert_true(size == (size_t)0x3f << 56);
    close(peer);
    assert_int_equal(mproc_connection_recv_new(connection, &data, &size, MPROC_FOREVER), MPROC_BROKEN);
    mproc_connection_free(connection);
}

/* A range of addresses above 2 GiB, which is one window of memory again and again. */
static unsigned char *map_huge(size_t size, size_t window)
{
    unsigned char *memory = mmap(NULL, size + window, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    int fd = memfd_create("window", MFD_CLOEXEC);

    assert_ptr_not_equal(memory, MAP_FAILED);
    assert_int_equal(ftruncate(fd, (off_t)window), 0);
    for (size_t at = 0; at < size; at += window)
        assert_ptr_equal(mmap(memory + at, window, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_FIXED, fd, 0), memory + at);
    close(fd);
    return memory;
}

static void a_message_above_two_gibibytes_arrives(void **state)
{
    const size_t window = (size_t)4 << 20, huge = ((size_t)1 << 31) + 16;
    mproc_connection *input, *output;
    size_t size = 0;

    (void)state;
    make_simplex_pipe(&input, &output);
    pid_t child = fork();
    if (child == 0) {
        unsigned char *memory = map_huge(huge, window);
        fill(memory, window, 5);
        _exit(mproc_connection_send(output, memory, huge, MPROC_SEC(100)) ||
              mproc_connection_send(output, "end", 3, MPROC_SEC(100)));
    }
    unsigned char *memory = map_huge(huge, window);
    assert_int_equal(mproc_connection_recv(input, memory, huge, &size, MPROC_FOREVER), 0);
    assert_true(size == huge);
    assert_true(is_filled(memory, window, 5));
    assert_int_equal(mproc_connection_recv(input, memory, 3, &size, MPROC_FOREVER), 0);
    assert_true(size == 3 && memcmp(memory, "end", 3) == 0);
    expect_exit(child, 0);
    munmap(memory, huge + window);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

/* ---- ends ---- */

static void the_peer_closes(void **state)
{
    mproc_connection *input, *output;
    size_t size;
    char c;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
        output = mproc_connection_free(output);
        assert_int_equal(mproc_connection_recv(input, &c, 1, &size, MPROC_FOREVER), 0);
        for (int i = 0; i < 2; i++) {
            assert_int_equal(mproc_connection_poll(input, MPROC_FOREVER), 0);
            assert_int_equal(mproc_connection_recv(input, &c, 1, &size, MPROC_FOREVER), MPROC_CLOSED);
        }
        mproc_connection_free(input);
    }
}

static void a_send_to_nobody_is_closed_and_raises_no_signal(void **state)
{
    static const char large[LARGE];
    mproc_connection *input, *output;

    (void)state;
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        input = mproc_connection_free(input);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_FOREVER), MPROC_CLOSED);
        assert_int_equal(mproc_connection_send(output, large, sizeof large, MPROC_FOREVER), MPROC_CLOSED);
        assert_int_equal(mproc_connection_send(output, NULL, 0, MPROC_FOREVER), MPROC_CLOSED);
        mproc_connection_free(output);
    }
    sigset_t pending;
    assert_int_equal(sigpending(&pending), 0);
    assert_false(sigismember(&pending, SIGPIPE));
}

static void a_peer_that_left_our_message_unread_is_closed(void **state)
{
    mproc_connection *ours, *theirs;
    char c;

    (void)state;
    make_duplex_pipe(&ours, &theirs);
    assert_int_equal(mproc_connection_send(theirs, "y", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send(ours, "x", 1, MPROC_NOWAIT), 0);
    mproc_connection_free(theirs);
    assert_int_equal(mproc_connection_recv(ours, &c, 1, NULL, MPROC_FOREVER), 0);
    assert_int_equal(mproc_connection_recv(ours, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
    assert_int_equal(mproc_connection_send(ours, "x", 1, MPROC_FOREVER), MPROC_CLOSED);
    mproc_connection_free(ours);
}

static void a_killed_peer_closes(void **state)
{
    mproc_connection *input, *output;
    char c;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        pid_t child = fork();
        if (child == 0) {
            mproc_connection_send(output, "x", 1, MPROC_FOREVER);
            for (;;)
                pause();
        }
        output = mproc_connection_free(output);
        assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), 0);
        assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_MS(20)), MPROC_TIMEOUT);
        kill(child, SIGKILL);
        assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_FOREVER), MPROC_CLOSED);
        expect_exit(child, -SIGKILL);
        mproc_connection_free(input);
    }
}

static void an_end_inside_a_message_is_broken(void **state)
{
    static char buffer[LARGE], payload[LARGE];
    static const struct {
        const char *header;
        size_t count, payload;
    } cases[] = {{"\0", 1, 0},         {"\0\0\0", 3, 0},       {"\xff\xff\xff\xff\0", 5, 0},
                 {"\0\0\0\4", 4, 0},   {"\0\0\0\4", 4, 3},     {"\0\1\0\0", 4, 0},
                 {"\0\1\0\0", 4, 100}, {"\0\1\0\0", 4, 20000}, {"\0\1\0\0", 4, 65535}};
    void *data;
    int peer;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof cases / sizeof *cases; i++) {
        mproc_connection *connection = make_raw(&peer);
        write_raw(peer, cases[i / 2].header, cases[i / 2].count);
        write_raw(peer, payload, cases[i / 2].payload);
        if (i % 2)
            assert_int_equal(mproc_connection_recv(connection, buffer, LARGE, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
        close(peer);
        assert_int_equal(mproc_connection_recv(connection, buffer, LARGE, NULL, MPROC_FOREVER), MPROC_BROKEN);
        assert_int_equal(mproc_connection_recv_new(connection, &data, NULL, MPROC_FOREVER), MPROC_BROKEN);
        assert_int_equal(mproc_connection_poll(connection, MPROC_FOREVER), 0);
        mproc_connection_free(connection);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(messages_of_any_size_keep_their_bounds),
        unit(messages_come_in_memory_of_their_own),
        unit(a_child_answers_on_a_duplex_pipe),
        unit(a_message_that_is_too_large_stays),
        unit(headers_are_those_of_cpython),
        unit(a_long_header_may_announce_a_short_message),
        unit(a_bad_length_breaks_the_connection),
        unit(a_claimed_size_takes_no_memory),
        unit(a_message_above_two_gibibytes_arrives),
        unit(the_peer_closes),
        unit(a_send_to_nobody_is_closed_and_raises_no_signal),
        unit(a_peer_that_left_our_message_unread_is_closed),
        unit(a_killed_peer_closes),
        unit(an_end_inside_a_message_is_broken),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
