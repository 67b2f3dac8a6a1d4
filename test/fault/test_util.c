/* The log, the CPU count and mproc_wait() where system calls fail. */
#include "harness.h"
#include "os/cpu.h"
#include "plan.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mproc/connection.h>
#include <mproc/log.h>
#include <mproc/queue.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- mproc_wait ---- */

struct trial {
    mproc_queue *queue;
    int fd;
    bool wrong;
};

/* So many items that they are listed in memory from malloc(), none ready, for long enough to sleep. */
static int wait_in_vain(void *arg)
{
    struct trial *mine = arg;
    mproc_wait_item items[40];
    size_t ready = 7;

    for (size_t i = 0; i < 40; i++)
        items[i] = i % 2 ? (mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = mine->queue}
                         : (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = mine->fd};
    int result = mproc_wait(items, 40, &ready, MPROC_MS(1));
    if (result >= 0 ? ready != 0 : ready != 7)
        mine->wrong = true;
    return result;
}

static int wait_for_one(void *arg)
{
    struct trial *mine = arg;
    mproc_wait_item items[2] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = mine->queue},
                                {.kind = MPROC_WAIT_FD, .on.fd = mine->fd}};
    size_t ready = 7;

    if (mproc_queue_put(mine->queue, "x", 1, MPROC_NOWAIT))
        return MPROC_TIMEOUT; /* that one failed */
    int result = mproc_wait(items, 2, &ready, MPROC_FOREVER);
    if (result == 0 && !(items[0].ready && !items[1].ready && ready == 1))
        mine->wrong = true;
    if (mproc_queue_get(mine->queue, NULL, 0, NULL, MPROC_NOWAIT) != MPROC_TOO_SMALL)
        mine->wrong = true;
    char c;
    if (mproc_queue_get(mine->queue, &c, 1, NULL, MPROC_NOWAIT))
        mine->wrong = true;
    return result ? result : MPROC_TIMEOUT;
}

static void check_wait(void *arg, int result, const struct fault *fault)
{
    const struct trial *mine = arg;

    assert_false(mine->wrong);
    if (fault && result != MPROC_TIMEOUT)
        assert_int_equal(result, -fault->error);
    else
        assert_int_equal(result, MPROC_TIMEOUT);
}

/* Made before the books are opened. */
static struct trial trial;

static void make_trial(void)
{
    int fds[2];
    char c;

    if (pipe2(fds, O_CLOEXEC) || mproc_queue_create(&trial.queue, NULL) ||
        mproc_queue_put(trial.queue, "x", 1, MPROC_NOWAIT) || mproc_queue_get(trial.queue, &c, 1, NULL, MPROC_NOWAIT))
        abort();
    trial.fd = fds[0];
}

static void each_call_of_a_wait_may_fail(void **state)
{
    (void)state;
    assert_true(fault_walk(wait_in_vain, check_wait, &trial) >= 6);
    assert_true(fault_walk(wait_for_one, check_wait, &trial) >= 2);
}

/* ---- the log ---- */

static void ignore(void *arg, int level, const char *process, const char *text)
{
    (void)arg;
    (void)level;
    (void)process;
    (void)text;
}

static void a_callback_without_memory_changes_nothing(void **state)
{
    (void)state;
    assert_int_equal(mproc_log_to_stderr(MPROC_LOG_OFF), 0);
    fault_arm(OS_MALLOC, 0, ENOMEM);
    assert_int_equal(mproc_log_to_callback(ignore, state), -ENOMEM);
    fault_disarm();
}

static void an_interrupted_line_is_written(void **state)
{
    const int errors[] = {EINTR, ENOSPC};
    char text[64] = "";
    int fds[2];

    (void)state;
    assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
    int saved = fcntl(STDERR_FILENO, F_DUPFD_CLOEXEC, 3);
    dup2(fds[1], STDERR_FILENO);
    mproc_log_to_stderr(MPROC_LOG_INFO);
    for (int i = 0; i < 2; i++) {
        fault_arm(OS_WRITE, 0, errors[i]);
        errno = ERANGE;
        mproc_log(MPROC_LOG_INFO, "%d", i);
        int kept = errno;
        fault_disarm();
        ssize_t got = recv(fds[0], text, sizeof text, MSG_DONTWAIT);
        assert_int_equal(got > 0, errors[i] == EINTR);
        assert_int_equal(kept, ERANGE);
    }
    mproc_log_to_stderr(MPROC_LOG_OFF);
    dup2(saved, STDERR_FILENO);
    close(saved);
    close(fds[0]);
    close(fds[1]);
}

/* ---- CPUs ---- */

/* The kernel says -EINVAL while the set is too small for its CPUs. */
static void a_larger_set_is_tried_for_many_cpus(void **state)
{
    (void)state;
    int cpus = mproc_cpu_count();
    fault_arm(OS_AFFINITY, 0, EINVAL);
    assert_int_equal(mproc_cpu_count(), cpus);
    assert_int_equal(fault_hits(), 1);
    fault_arm(OS_AFFINITY, 0, EPERM);
    assert_int_equal(mproc_cpu_count(), 1);
    fault_disarm();
}

static void a_quota_that_cannot_be_read_is_none(void **state)
{
    (void)state;
    fault_arm(OS_OPEN, 0, EMFILE);
    assert_true(mproc_cpu_count() >= 1);
    fault_arm(OS_OPEN, 1, EMFILE);
    assert_int_equal(os_cpu_quota(""), INT_MAX);
    assert_int_equal(fault_hits(), 1);
    fault_disarm();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(each_call_of_a_wait_may_fail),        unit(a_callback_without_memory_changes_nothing),
        unit(an_interrupted_line_is_written),      unit(a_larger_set_is_tried_for_many_cpus),
        unit(a_quota_that_cannot_be_read_is_none),
    };
    make_trial();
    return cmocka_run_group_tests(tests, NULL, NULL);
}
