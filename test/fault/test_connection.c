/* Connections whose system calls fail: the call says so, nothing stays behind, and afterwards the connection is as
 * documented. A fault strikes once, so the same call again shows what the first one left. */
#include "harness.h"
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/connection.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#define LARGE ((size_t)40000)

static unsigned char out[LARGE], in[LARGE];

/* What a run tells its check. */
struct trial {
    bool duplex;
    bool gone; /* a message was lost or changed */
};

/* ---- what is done ---- */

/* Send, and again if that failed. Returns the first result. */
static int send_twice(struct trial *trial, mproc_connection *connection, size_t size)
{
    int result = mproc_connection_send(connection, out, size, MPROC_SEC(10));

    if (result && mproc_connection_send(connection, out, size, MPROC_SEC(10)) != (result == MPROC_BROKEN ? result : 0))
        trial->gone = true;
    return result;
}

static int receive_twice(struct trial *trial, mproc_connection *connection, size_t size, mproc_time timeout)
{
    size_t got = 0;

    memset(in, 0, size);
    int result = mproc_connection_recv(connection, in, LARGE, &got, timeout);
    int second = result ? mproc_connection_recv(connection, in, LARGE, &got, timeout) : 0;
    if (result == MPROC_BROKEN ? second != MPROC_BROKEN : second || got != size || memcmp(in, out, size) != 0)
        trial->gone = true;
    return result;
}

static int receive_new_twice(struct trial *trial, mproc_connection *connection, size_t size)
{
    void *data = NULL;
    size_t got = 0;

    int result = mproc_connection_recv_new(connection, &data, &got, MPROC_SEC(10));
    int second = result ? mproc_connection_recv_new(connection, &data, &got, MPROC_SEC(10)) : 0;
    if (result == MPROC_BROKEN ? second != MPROC_BROKEN : second || got != size || memcmp(data, out, size) != 0)
        trial->gone = true;
    free(data);
    return result;
}

static int exchange(struct trial *trial, mproc_connection *input, mproc_connection *output)
{
    int result = mproc_connection_poll(input, MPROC_MS(1));

    if (result != MPROC_TIMEOUT)
        return result;
    result = send_twice(trial, output, 10);
    if (!result)
        result = receive_twice(trial, input, 10, MPROC_FOREVER);
    for (int i = 0; !result && i < 3; i++) {
        result = send_twice(trial, output, LARGE);
        if (!result)
            result = i == 2 ? receive_new_twice(trial, input, LARGE)
                            : receive_twice(trial, input, LARGE, i ? MPROC_SEC(10) : MPROC_FOREVER);
    }
    if (!result)
        result = send_twice(trial, output, 20);
    return result ? result : receive_new_twice(trial, input, 20);
}

static int pipe_and_exchange(void *arg)
{
    struct trial *trial = arg;
    mproc_connection *input = NULL, *output = NULL;

    int result = mproc_pipe(&input, &output, trial->duplex);
    if (result) {
        trial->gone = trial->gone || input || output;
        return result;
    }
    result = exchange(trial, input, output);
    mproc_connection_free(input);
    mproc_connection_free(output);
    return result;
}

static int adopt_and_exchange(void *arg)
{
    mproc_connection *input, *output;
    int fds[2];

    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds), 0);
    int result = mproc_connection_from_fd(&input, fds[0]);
    if (result) {
        assert_int_equal(close(fds[0]) || close(fds[1]), 0);
        return result;
    }
    result = mproc_connection_from_fd(&output, fds[1]);
    if (result)
        assert_int_equal(close(fds[1]), 0);
    else {
        result = exchange(arg, input, output);
        mproc_connection_free(output);
    }
    mproc_connection_free(input);
    return result;
}

static int pass_descriptors(void *arg)
{
    struct trial *trial = arg;
    mproc_connection *input, *output;
    int fd = -1;

    int result = mproc_pipe(&input, &output, true);
    if (result)
        return result;
    result = mproc_connection_send_fd(output, STDIN_FILENO, MPROC_SEC(10));
    if (result && mproc_connection_send_fd(output, STDIN_FILENO, MPROC_SEC(10)))
        trial->gone = true;
    int received = mproc_connection_recv_fd(input, &fd, MPROC_FOREVER);
    if (received && mproc_connection_recv_fd(input, &fd, MPROC_FOREVER))
        trial->gone = true;
    if (fd < 0 || close(fd))
        trial->gone = true;
    mproc_connection_free(input);
    mproc_connection_free(output);
    return result ? result : received;
}

/* ---- what must hold ---- */

static void check_trial(void *arg, int result, const struct fault *fault)
{
    struct trial *trial = arg;

    assert_false(trial->gone);
    if (!fault || fault->call == OS_SETSOCKOPT || fault->error == EINTR ||
        (fault->error == EAGAIN && fault->call != OS_MMAP))
        assert_int_equal(result, 0);
    else if (result == MPROC_CLOSED || result == MPROC_BROKEN)
        assert_true(fault->error == EPIPE || fault->error == ECONNRESET);
    else if (fault->error == EPIPE || fault->error == ECONNRESET)
        assert_int_equal(result, MPROC_CLOSED);
    else
        assert_true(result == -fault->error || result == MPROC_BROKEN);
}

static void set_up(void)
{
    for (size_t i = 0; i < LARGE; i++)
        out[i] = (unsigned char)(i * 7 + (i >> 8));
}

static void each_call_of_a_pipe_may_fail(void **state)
{
    (void)state;
    set_up();
    for (int duplex = 0; duplex < 2; duplex++) {
        struct trial trial = {.duplex = duplex};
        assert_true(fault_walk(pipe_and_exchange, check_trial, &trial) > 20);
    }
}

static void each_call_of_an_adopted_socket_may_fail(void **state)
{
    struct trial trial = {.duplex = true};

    (void)state;
    set_up();
    assert_true(fault_walk(adopt_and_exchange, check_trial, &trial) > 20);
}

static void each_call_that_passes_a_descriptor_may_fail(void **state)
{
    struct trial trial = {.duplex = true};

    (void)state;
    assert_true(fault_walk(pass_descriptors, check_trial, &trial) > 5);
}

/* ---- memory ---- */

/* A timeout must not lose what came; so no byte is taken before there is a place to keep it. */
static void a_large_message_stays_when_there_is_no_memory_to_keep_it(void **state)
{
    struct trial trial = {0};
    mproc_connection *input, *output;
    void *data;

    (void)state;
    set_up();
    assert_int_equal(mproc_pipe(&input, &output, true), 0);
    assert_int_equal(mproc_connection_send(output, out, LARGE, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_poll(input, MPROC_NOWAIT), 0);
    fault_arm(OS_MALLOC, 0, ENOMEM);
    assert_int_equal(mproc_connection_recv(input, in, LARGE, NULL, MPROC_NOWAIT), -ENOMEM);
    fault_arm(OS_MALLOC, 0, ENOMEM);
    assert_int_equal(mproc_connection_recv_new(input, &data, NULL, MPROC_NOWAIT), -ENOMEM);
    fault_disarm();
    assert_int_equal(receive_twice(&trial, input, LARGE, MPROC_NOWAIT), 0);
    assert_false(trial.gone);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

/* ---- kernels that can less ---- */

static int run_on_old_kernel(enum os_call call, long after)
{
    struct trial trial = {.duplex = false};

    fault_arm(call, after, EOPNOTSUPP);
    int result = pipe_and_exchange(&trial);
    assert_int_equal(fault_hits(), 1);
    fault_disarm();
    assert_false(trial.gone);
    return result;
}

static void pipes_work_where_the_kernel_can_less(void **state)
{
    (void)state;
    set_up();
    assert_int_equal(run_on_old_kernel(OS_WRITE, 0), 0);
    assert_int_equal(run_on_old_kernel(OS_READ, 0), 0);
}

/* The second step down hides the signal by the thread's mask, and leaves no trace in it. */
static void a_closed_pipe_raises_no_signal_on_old_kernels(void **state)
{
    mproc_connection *input, *output;
    sigset_t set;

    (void)state;
    assert_true(signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    for (int blocked = 0; blocked < 2; blocked++) {
        assert_int_equal(mproc_pipe(&input, &output, false), 0);
        mproc_connection_free(input);
        sigemptyset(&set);
        sigaddset(&set, SIGPIPE);
        assert_int_equal(sigprocmask(blocked ? SIG_BLOCK : SIG_UNBLOCK, &set, NULL), 0);
        if (blocked)
            raise(SIGPIPE);
        fault_arm(OS_WRITE, 0, EOPNOTSUPP);
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_FOREVER), MPROC_CLOSED);
        assert_int_equal(fault_hits(), 1);
        fault_disarm();
        assert_int_equal(sigprocmask(SIG_SETMASK, NULL, &set), 0);
        assert_int_equal(sigismember(&set, SIGPIPE), blocked);
        assert_int_equal(sigpending(&set), 0);
        assert_int_equal(sigismember(&set, SIGPIPE), blocked);
        mproc_connection_free(output);
    }
    assert_true(signal(SIGPIPE, SIG_IGN) != SIG_ERR); /* drops the pending one */
    sigemptyset(&set);
    assert_int_equal(sigprocmask(SIG_SETMASK, &set, NULL), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_call_of_a_pipe_may_fail),
        unit(each_call_of_an_adopted_socket_may_fail),
        unit(each_call_that_passes_a_descriptor_may_fail),
        unit(a_large_message_stays_when_there_is_no_memory_to_keep_it),
        unit(pipes_work_where_the_kernel_can_less),
        unit(a_closed_pipe_raises_no_signal_on_old_kernels),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
