/* Connections: timeouts, polling, turns between threads, signals, and calls that are wrong. */
#include "harness.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#define LARGE ((size_t)300000)

/* ---- receiving in parts ---- */

static void a_timeout_keeps_what_came(void **state)
{
    static const char bytes[] = "\0\0\0\3abc\xff\xff\xff\xff\0\0\0\0\0\0\0\2de";
    char buffer[8];
    size_t size;
    int peer;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    for (size_t i = 0; i < 21; i++) {
        write_raw(peer, bytes + i, 1);
        int result =
            mproc_connection_recv(connection, buffer, sizeof buffer, &size, i % 5 ? MPROC_NOWAIT : MPROC_MS(2));
        assert_int_equal(result, i == 6 || i == 20 ? 0 : MPROC_TIMEOUT);
        if (result == 0)
            assert_true(size == (i == 6 ? 3 : 2) && memcmp(buffer, i == 6 ? "abc" : "de", size) == 0);
    }
    mproc_connection_free(connection);
    close(peer);
}

/* The parts are taken by turns into a buffer, into new memory, with a buffer that is too small, and with patience. */
static void a_large_message_survives_any_number_of_timeouts(void **state)
{
    static unsigned char out[LARGE], in[LARGE];
    size_t size, sent = 0;
    void *data;
    int peer;

    (void)state;
    fill(out, LARGE, 3);
    for (size_t last = 0; last < 4; last++, sent = 0) {
        mproc_connection *connection = make_raw(&peer);
        write_raw(peer, "\0\4\x93\xe0", 4); /* 300000 */
        while (LARGE - sent > 30000) {
            size_t part = 1 + sent % 29000;
            write_raw(peer, out + sent, part);
            sent += part;
            assert_int_equal(mproc_connection_recv(connection, in, LARGE, &size, MPROC_NOWAIT), MPROC_TIMEOUT);
            if (part % 3 == 0)
                assert_int_equal(mproc_connection_recv_new(connection, &data, &size, MPROC_US(1)), MPROC_TIMEOUT);
            assert_int_equal(mproc_connection_recv(connection, in, LARGE - 1, &size, MPROC_FOREVER), MPROC_TOO_SMALL);
        }
        write_raw(peer, out + sent, LARGE - sent);
        write_raw(peer, "\0\0\0\1x", 5);
        data = in;
        mproc_time timeout = last % 2 ? MPROC_FOREVER : MPROC_NOWAIT;
        if (last < 2)
            assert_int_equal(mproc_connection_recv(connection, in, LARGE, &size, timeout), 0);
        else
            assert_int_equal(mproc_connection_recv_new(connection, &data, &size, timeout), 0);
        assert_true(size == LARGE && is_filled(data, size, 3));
        if (data != in)
            free(data);
        assert_int_equal(mproc_connection_recv(connection, in, 1, &size, MPROC_NOWAIT), 0);
        assert_true(size == 1 && in[0] == 'x');
        mproc_connection_free(connection);
        close(peer);
    }
}

static void an_unfinished_message_may_be_given_up(void **state)
{
    static unsigned char in[LARGE];
    int peer;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\0\4\x93\xe0", 4);
    write_raw(peer, in, 20000);
    assert_int_equal(mproc_connection_recv(connection, in, LARGE, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_connection_free(connection);
    close(peer);
}

static void a_timeout_is_as_long_as_it_says(void **state)
{
    mproc_connection *input, *output;
    char c;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        for (int i = 0; i < 4; i++) {
            double start = seconds();
            int result = i % 2 ? mproc_connection_poll(input, i < 2 ? MPROC_MS(150) : MPROC_NOWAIT)
                               : mproc_connection_recv(input, &c, 1, NULL, i < 2 ? MPROC_MS(150) : MPROC_NOWAIT);
            assert_int_equal(result, MPROC_TIMEOUT);
            assert_true(i >= 2 || seconds() - start >= 0.15);
            assert_true(seconds() - start < 10);
        }
        mproc_connection_free(input);
        mproc_connection_free(output);
    }
}

/* ---- sending against a wall ---- */

static void a_send_that_finds_no_room_sends_nothing(void **state)
{
    static char message[4000];
    mproc_connection *input, *output;
    size_t count = 0, size;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++, count = 0) {
        stream_kinds[kind](&input, &output);
        while (mproc_connection_send(output, message, sizeof message, MPROC_NOWAIT) == 0)
            count++;
        assert_true(count > 1);
        assert_int_equal(mproc_connection_send(output, message, sizeof message, MPROC_MS(5)), MPROC_TIMEOUT);
        for (size_t i = 0; i < count; i++)
            assert_int_equal(mproc_connection_recv(input, message, sizeof message, &size, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_connection_recv(input, message, sizeof message, &size, MPROC_NOWAIT), MPROC_TIMEOUT);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
        assert_int_equal(mproc_connection_recv(input, message, sizeof message, &size, MPROC_NOWAIT), 0);
        assert_int_equal(size, 1);
        mproc_connection_free(input);
        mproc_connection_free(output);
    }
}

static void a_message_that_was_sent_in_part_breaks_the_sender(void **state)
{
    static char message[10 * LARGE];
    mproc_connection *input, *output;
    size_t size;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        assert_int_equal(mproc_connection_send(output, message, sizeof message, kind ? MPROC_MS(5) : MPROC_NOWAIT),
                         MPROC_BROKEN);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_FOREVER), MPROC_BROKEN);
        assert_int_equal(mproc_connection_recv(input, message, sizeof message, &size, MPROC_NOWAIT), MPROC_TIMEOUT);
        output = mproc_connection_free(output);
        assert_int_equal(mproc_connection_recv(input, message, sizeof message, &size, MPROC_FOREVER), MPROC_BROKEN);
        mproc_connection_free(input);
    }
}

/* ---- polling ---- */

static void poll_sees_what_was_read_ahead(void **state)
{
    mproc_connection *input, *output;
    char c;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        assert_int_equal(mproc_connection_poll(input, MPROC_MS(1)), MPROC_TIMEOUT);
        for (int i = 0; i < 3; i++)
            assert_int_equal(mproc_connection_send(output, &"abc"[i], 1, MPROC_NOWAIT), 0);
        for (int i = 0; i < 3; i++) {
            assert_int_equal(mproc_connection_poll(input, MPROC_FOREVER), 0);
            assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), 0);
            assert_int_equal(c, "abc"[i]);
        }
        assert_int_equal(mproc_connection_poll(input, MPROC_NOWAIT), MPROC_TIMEOUT);
        mproc_connection_free(output);
        assert_int_equal(mproc_connection_poll(input, MPROC_FOREVER), 0);
        mproc_connection_free(input);
    }
}

/* Else a loop of poll and receive without waiting would spin until the rest comes. */
static void poll_waits_for_the_rest_of_a_message(void **state)
{
    char buffer[8];
    int peer;

    (void)state;
    mproc_connection *connection = make_raw(&peer);
    write_raw(peer, "\0\0\0\3ab", 6);
    assert_int_equal(mproc_connection_poll(connection, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_connection_poll(connection, MPROC_MS(1)), MPROC_TIMEOUT);
    write_raw(peer, "c", 1);
    assert_int_equal(mproc_connection_poll(connection, MPROC_FOREVER), 0);
    assert_int_equal(mproc_connection_recv(connection, buffer, 8, NULL, MPROC_NOWAIT), 0);
    mproc_connection_free(connection);
    close(peer);
}

/* ---- threads and signals ---- */

struct job {
    mproc_connection *connection;
    unsigned char seed;
    int count;
    _Atomic(bool) done;
    int result;
};

/* Messages of one repeated byte, small and large by turns. */
static void *send_many(void *arg)
{
    struct job *job = arg;
    unsigned char buffer[30000];

    memset(buffer, job->seed, sizeof buffer);
    for (int i = 0; i < job->count && !job->result; i++)
        job->result = mproc_connection_send(job->connection, buffer, i % 7 ? 100 : sizeof buffer, MPROC_FOREVER);
    return NULL;
}

static bool is_one_byte(const unsigned char *buffer, size_t size)
{
    for (size_t i = 1; i < size; i++)
        if (buffer[i] != buffer[0])
            return false;
    return size == 100 || size == 30000;
}

static void *receive_many(void *arg)
{
    static _Thread_local unsigned char buffer[30000];
    struct job *job = arg;
    size_t size;

    while ((job->result = mproc_connection_recv(job->connection, buffer, sizeof buffer, &size, MPROC_FOREVER)) == 0) {
        if (!is_one_byte(buffer, size))
            return job; /* mixed */
        job->count++;
    }
    return NULL;
}

static void threads_take_turns(void **state)
{
    mproc_connection *input, *output;
    pthread_t threads[4];
    void *mixed;

    (void)state;
    make_duplex_pipe(&input, &output);
    struct job jobs[4] = {
        {output, 'a', 500, false, 0}, {output, 'b', 500, false, 0}, {input, 0, 0, false, 0}, {input, 0, 0, false, 0}};
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, i < 2 ? send_many : receive_many, &jobs[i]), 0);
    pthread_join(threads[0], NULL);
    pthread_join(threads[1], NULL);
    mproc_connection_free(output);
    for (int i = 2; i < 4; i++) {
        pthread_join(threads[i], &mixed);
        assert_null(mixed);
        assert_int_equal(jobs[i].result, MPROC_CLOSED);
    }
    assert_int_equal(jobs[2].count + jobs[3].count, 1000);
    mproc_connection_free(input);
}

static void *receive_one(void *arg)
{
    struct job *job = arg;
    char c;

    job->result = mproc_connection_recv(job->connection, &c, 1, NULL, MPROC_FOREVER);
    atomic_store(&job->done, true);
    return NULL;
}

static void a_turn_that_does_not_come_is_a_timeout(void **state)
{
    mproc_connection *input, *output;
    pthread_t thread;
    char c;

    (void)state;
    make_duplex_pipe(&input, &output);
    struct job job = {.connection = input};
    assert_int_equal(pthread_create(&thread, NULL, receive_one, &job), 0);
    double start = seconds();
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_MS(50)), MPROC_TIMEOUT);
    assert_true(seconds() - start >= 0.05);
    assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_connection_send(input, "y", 1, MPROC_FOREVER), 0);
    assert_false(atomic_load(&job.done));
    assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_FOREVER), 0);
    pthread_join(thread, NULL);
    assert_int_equal(job.result, 0);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

static void set_interval(int microseconds)
{
    const struct itimerval interval = {{0, microseconds}, {0, microseconds}};

    assert_int_equal(setitimer(ITIMER_REAL, &interval, NULL), 0);
}

/* The interval timer takes the place of the harness's watchdog, which is therefore set again afterwards. */
static void a_storm_of_signals_changes_nothing(void **state)
{
    static unsigned char in[LARGE], out[LARGE];
    struct sigaction storm = {.sa_handler = count_signal}, before;
    mproc_connection *input, *output;
    size_t size;

    (void)state;
    unsigned left = alarm(0);
    assert_int_equal(sigaction(SIGALRM, &storm, &before), 0);
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        stream_kinds[kind](&input, &output);
        pid_t child = fork();
        if (child == 0) {
            set_interval(500);
            fill(out, LARGE, 1);
            for (int i = 0; i < 30; i++)
                if (mproc_connection_send(output, out, LARGE, MPROC_FOREVER))
                    _exit(1);
            _exit(mproc_connection_send(output, out, 10, MPROC_FOREVER));
        }
        output = mproc_connection_free(output);
        set_interval(300);
        double start = seconds();
        for (int i = 0; i < 30; i++) {
            assert_int_equal(mproc_connection_recv(input, in, LARGE, &size, i % 2 ? MPROC_FOREVER : MPROC_SEC(60)), 0);
            assert_true(size == LARGE && is_filled(in, LARGE, 1));
        }
        assert_int_equal(mproc_connection_recv(input, in, LARGE, &size, MPROC_FOREVER), 0);
        expect_exit(child, 0);
        assert_int_equal(mproc_connection_poll(input, MPROC_FOREVER), 0);
        mproc_connection_free(input);
        assert_true(seconds() - start < 60);
    }
    make_simplex_pipe(&input, &output);
    signals = 0;
    double start = seconds();
    assert_int_equal(mproc_connection_recv(input, in, LARGE, &size, MPROC_MS(150)), MPROC_TIMEOUT);
    assert_true(seconds() - start >= 0.15);
    assert_true(signals > 2);
    mproc_connection_free(input);
    mproc_connection_free(output);
    set_interval(0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    alarm(left);
}

/* ---- calls that are wrong ---- */

static void a_simplex_pipe_goes_one_way(void **state)
{
    mproc_connection *input, *output;
    void *data;
    char c;
    int fd;

    (void)state;
    for (size_t kind = 0; kind < STREAM_KINDS; kind++) {
        if (stream_kinds[kind] == make_duplex_pipe)
            continue;
        stream_kinds[kind](&input, &output);
        assert_int_equal(mproc_connection_send(input, "x", 1, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_send_fd(input, 0, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_recv(output, &c, 1, NULL, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_recv_new(output, &data, NULL, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_recv_fd(output, &fd, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_poll(output, MPROC_FOREVER), -EBADF);
        assert_int_equal(mproc_connection_send_fd(output, 0, MPROC_FOREVER), -EOPNOTSUPP);
        mproc_connection_free(input);
        mproc_connection_free(output);
    }
}

static void bad_input_is_refused(void **state)
{
    mproc_connection *input, *output, *untouched = (mproc_connection *)state;
    size_t size = 5;
    char c = 'k';
    void *data = &c;
    int fd = 7;

    assert_int_equal(mproc_pipe(NULL, &input, true), -EINVAL);
    assert_int_equal(mproc_pipe(&input, NULL, false), -EINVAL);
    assert_int_equal(mproc_pipe(&input, &input, false), -EINVAL);
    make_duplex_pipe(&input, &output);
    for (int i = 0; i < 2; i++) {
        mproc_connection *connection = i ? input : NULL;
        mproc_time timeout = i ? MPROC_NS(-2) : MPROC_NOWAIT;
        assert_int_equal(mproc_connection_send(connection, "x", 1, timeout), -EINVAL);
        assert_int_equal(mproc_connection_recv(connection, &c, 1, &size, timeout), -EINVAL);
        assert_int_equal(mproc_connection_recv_new(connection, &data, &size, timeout), -EINVAL);
        assert_int_equal(mproc_connection_poll(connection, timeout), -EINVAL);
        assert_int_equal(mproc_connection_send_fd(connection, 0, timeout), -EINVAL);
        assert_int_equal(mproc_connection_recv_fd(connection, &fd, timeout), -EINVAL);
    }
    assert_int_equal(mproc_connection_fileno(NULL), -EINVAL);
    assert_int_equal(mproc_connection_send(input, NULL, 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_connection_send(input, "x", (size_t)INT64_MAX + 1, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_connection_recv(input, NULL, 1, &size, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_connection_recv_new(input, NULL, &size, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_connection_recv_fd(input, NULL, MPROC_NOWAIT), -EINVAL);
    assert_true(size == 5 && c == 'k' && data == &c && fd == 7);
    assert_int_equal(mproc_connection_poll(output, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(mproc_connection_send(input, NULL, 0, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(output, NULL, 0, NULL, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_from_fd(NULL, 0), -EINVAL);
    assert_int_equal(mproc_connection_from_fd(&untouched, -1), -EBADF);
    assert_ptr_equal(untouched, state);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

static void freeing_twice_is_ignored(void **state)
{
    mproc_connection *input, *output;

    (void)state;
    assert_null(mproc_connection_free(NULL));
    make_duplex_pipe(&input, &output);
    int fd = mproc_connection_fileno(input);
    assert_true(fd >= 0 && (fcntl(fd, F_GETFD) & FD_CLOEXEC));
    assert_null(mproc_connection_free(input));
    assert_int_equal(fcntl(fd, F_GETFD), -1);
    assert_null(mproc_connection_free(input));
    assert_null(mproc_connection_free(output));
    assert_null(mproc_connection_free((mproc_connection *)(void *)&fd));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_timeout_keeps_what_came),
        unit(a_large_message_survives_any_number_of_timeouts),
        unit(an_unfinished_message_may_be_given_up),
        unit(a_timeout_is_as_long_as_it_says),
        unit(a_send_that_finds_no_room_sends_nothing),
        unit(a_message_that_was_sent_in_part_breaks_the_sender),
        unit(poll_sees_what_was_read_ahead),
        unit(poll_waits_for_the_rest_of_a_message),
        unit(threads_take_turns),
        unit(a_turn_that_does_not_come_is_a_timeout),
        unit(a_storm_of_signals_changes_nothing),
        unit(a_simplex_pipe_goes_one_way),
        unit(bad_input_is_refused),
        unit(freeing_twice_is_ignored),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
