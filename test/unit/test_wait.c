/* mproc_wait(): everything that can be waited for, alone and mixed. */
#include "harness.h"
#include "streams.h"
#include "sync/wake_fd.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/connection.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/process.h>
#include <mproc/queue.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/time.h>
#include <unistd.h>

/* ---- what is waited for ---- */

static int exit_when_told(void *arg)
{
    mproc_queue_get(arg, NULL, 0, NULL, MPROC_FOREVER);
    return 0;
}

static int return_when_told(void *ctx, const void *in, void *out)
{
    (void)in;
    (void)out;
    return exit_when_told(ctx);
}

/* One of each kind, and a way to make each ready. */
struct all {
    mproc_connection *input, *output;
    mproc_queue *queue;
    mproc_queue *process_gate, *task_gate;
    mproc_process *process;
    mproc_pool *pool;
    mproc_future *future;
    int pipe[2];
    mproc_wait_item items[5];
};

enum {
    CONNECTION,
    PROCESS,
    QUEUE,
    FUTURE,
    FD,
    KINDS
};

static void make_all(struct all *all)
{
    assert_int_equal(mproc_pool_create(&all->pool, &(mproc_pool_options){.workers = 1}), 0);
    assert_int_equal(mproc_queue_create(&all->queue, NULL), 0);
    assert_int_equal(mproc_queue_create(&all->process_gate, NULL), 0);
    assert_int_equal(mproc_queue_create(&all->task_gate, NULL), 0);
    make_duplex_pipe(&all->input, &all->output);
    assert_int_equal(pipe2(all->pipe, O_CLOEXEC), 0);
    assert_int_equal(mproc_process_start(&all->process, exit_when_told, all->process_gate, NULL), 0);
    assert_int_equal(mproc_pool_submit(all->pool, &all->future, return_when_told, all->task_gate, NULL, 0, 0), 0);
    all->items[CONNECTION] = (mproc_wait_item){.kind = MPROC_WAIT_CONNECTION, .on.connection = all->input};
    all->items[PROCESS] = (mproc_wait_item){.kind = MPROC_WAIT_PROCESS, .on.process = all->process};
    all->items[QUEUE] = (mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = all->queue};
    all->items[FUTURE] = (mproc_wait_item){.kind = MPROC_WAIT_FUTURE, .on.future = all->future};
    all->items[FD] = (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = all->pipe[0]};
}

/* Make one of them ready, by this process or at the end of it another. */
static int make_ready(struct all *all, int kind)
{
    switch (kind) {
    case CONNECTION:
        return mproc_connection_send(all->output, "x", 1, MPROC_FOREVER);
    case PROCESS:
        return mproc_queue_put(all->process_gate, NULL, 0, MPROC_FOREVER);
    case QUEUE:
        return mproc_queue_put(all->queue, "x", 1, MPROC_FOREVER);
    case FUTURE:
        return mproc_queue_put(all->task_gate, NULL, 0, MPROC_FOREVER);
    default:
        return write(all->pipe[1], "x", 1) == 1 ? 0 : 1;
    }
}

static void free_all(struct all *all)
{
    mproc_queue_put(all->process_gate, NULL, 0, MPROC_FOREVER);
    mproc_queue_put(all->task_gate, NULL, 0, MPROC_FOREVER);
    assert_int_equal(mproc_process_join(all->process, MPROC_FOREVER), 0);
    mproc_process_free(all->process);
    assert_int_equal(mproc_future_wait(all->future, MPROC_FOREVER), 0);
    mproc_future_free(all->future);
    mproc_pool_free(all->pool);
    mproc_connection_free(all->input);
    mproc_connection_free(all->output);
    mproc_queue_free(all->queue);
    mproc_queue_free(all->process_gate);
    mproc_queue_free(all->task_gate);
    close(all->pipe[0]);
    close(all->pipe[1]);
}

static void expect_ready(const struct all *all, size_t ready, unsigned expected)
{
    for (int kind = 0; kind < KINDS; kind++)
        assert_int_equal(all->items[kind].ready, expected >> kind & 1);
    assert_int_equal(ready, __builtin_popcount(expected));
}

/* ---- tests ---- */

/* A process forked per kind makes it ready while this one sleeps, beside all that are not. */
static void any_kind_wakes_a_wait_for_all(void **state)
{
    struct all all;
    size_t ready;

    (void)state;
    make_all(&all); /* what the start of processes keeps is no leak */
    free_all(&all);
    books_forgive();
    make_all(&all);
    unsigned expected = 0;
    assert_int_equal(mproc_wait(all.items, KINDS, &ready, MPROC_NOWAIT), MPROC_TIMEOUT);
    expect_ready(&all, ready, 0);
    assert_int_equal(mproc_wait(all.items, KINDS, &ready, MPROC_MS(120)), MPROC_TIMEOUT);
    expect_ready(&all, ready, 0);
    for (int kind = 0; kind < KINDS; kind++) {
        pid_t child = fork();
        if (child == 0) {
            usleep(20000);
            _exit(make_ready(&all, kind));
        }
        assert_int_equal(mproc_wait(&all.items[kind], 1, &ready, MPROC_FOREVER), 0);
        assert_true(all.items[kind].ready && ready == 1);
        expected |= 1u << kind;
        assert_int_equal(mproc_wait(all.items, KINDS, &ready, MPROC_FOREVER), 0);
        expect_ready(&all, ready, expected);
        expect_exit(child, 0);
    }
    free_all(&all);
}

static void each_kind_wakes_a_mixed_wait(void **state)
{
    size_t ready;

    (void)state;
    for (int kind = 0; kind < KINDS; kind++) {
        struct all all;
        make_all(&all);
        pid_t child = fork();
        if (child == 0) {
            usleep(20000);
            _exit(make_ready(&all, kind));
        }
        assert_int_equal(mproc_wait(all.items, KINDS, &ready, MPROC_FOREVER), 0);
        expect_ready(&all, ready, 1u << kind);
        expect_exit(child, 0);
        free_all(&all);
    }
}

static void each_kind_may_be_waited_for_alone(void **state)
{
    struct all all;
    size_t ready;

    (void)state;
    make_all(&all);
    for (int kind = 0; kind < KINDS; kind++) {
        ready = 9;
        assert_int_equal(mproc_wait(&all.items[kind], 1, &ready, MPROC_NOWAIT), MPROC_TIMEOUT);
        assert_true(!all.items[kind].ready && ready == 0);
        double start = seconds();
        assert_int_equal(mproc_wait(&all.items[kind], 1, NULL, MPROC_MS(110)), MPROC_TIMEOUT);
        assert_true(seconds() - start >= 0.11);
        assert_int_equal(make_ready(&all, kind), 0);
        assert_int_equal(mproc_wait(&all.items[kind], 1, &ready, MPROC_FOREVER), 0);
        assert_true(all.items[kind].ready && ready == 1);
        assert_int_equal(mproc_wait(&all.items[kind], 1, NULL, MPROC_NOWAIT), 0);
    }
    free_all(&all);
}

static void ends_are_ready_too(void **state)
{
    mproc_connection *input, *output;
    mproc_queue *queue;
    size_t ready;
    int fds[2];

    (void)state;
    make_simplex_pipe(&input, &output);
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_CONNECTION, .on.connection = input},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = queue},
                               {.kind = MPROC_WAIT_FD, .on.fd = fds[0]}};
    mproc_connection_free(output);
    assert_int_equal(mproc_wait(items, 3, &ready, MPROC_FOREVER), 0);
    assert_true(items[0].ready && ready == 1);
    assert_int_equal(mproc_queue_close(queue), 0);
    assert_int_equal(mproc_wait(items + 1, 2, &ready, MPROC_FOREVER), 0);
    assert_true(items[1].ready && ready == 1);
    close(fds[1]);
    assert_int_equal(mproc_wait(items, 3, &ready, MPROC_FOREVER), 0);
    assert_int_equal(ready, 3);
    close(fds[0]);
    mproc_connection_free(input);
    mproc_queue_free(queue);
}

static void what_was_read_ahead_counts_at_once(void **state)
{
    mproc_connection *input, *output;
    double fastest = 10;
    mproc_queue *queue;
    size_t ready;
    char c;

    (void)state;
    make_duplex_pipe(&input, &output);
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_CONNECTION, .on.connection = input},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = queue}};
    for (int i = 0; i < 40; i++)
        assert_int_equal(mproc_connection_send(output, "x", 1, MPROC_NOWAIT), 0);
    for (size_t i = 0; i < 40; i++) {
        double start = seconds();
        assert_int_equal(mproc_wait(items, 1 + i % 2, &ready, MPROC_FOREVER), 0);
        double took = seconds() - start;
        fastest = i % 2 == 0 && i > 0 && took < fastest ? took : fastest;
        assert_true(items[0].ready && ready == 1);
        assert_int_equal(mproc_connection_recv(input, &c, 1, NULL, MPROC_NOWAIT), 0);
    }
    assert_true(fastest < 0.08);
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_connection_free(input);
    mproc_connection_free(output);
    mproc_queue_free(queue);
}

static int put_many(void *arg)
{
    for (int i = 0; i < 1000; i++)
        if (mproc_queue_put(arg, &i, sizeof i, MPROC_FOREVER))
            return 1;
    return 0;
}

static void puts_of_another_process_wake_those_that_watch_descriptors(void **state)
{
    mproc_process *producer, *sleeper;
    mproc_queue *queue, *gate;
    int fds[2], number;
    size_t ready;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(mproc_queue_create(&queue, &(mproc_queue_options){.maxsize = 1}), 0);
    assert_int_equal(mproc_queue_create(&gate, NULL), 0);
    assert_int_equal(mproc_process_start(&sleeper, exit_when_told, gate, NULL), 0);
    assert_int_equal(mproc_process_start(&producer, put_many, queue, NULL), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_FD, .on.fd = fds[0]},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = queue},
                               {.kind = MPROC_WAIT_PROCESS, .on.process = sleeper}};
    for (int i = 0; i < 1000; i++) {
        assert_int_equal(mproc_wait(items, 3, &ready, MPROC_FOREVER), 0);
        assert_true(!items[0].ready && items[1].ready && !items[2].ready && ready == 1);
        assert_int_equal(mproc_queue_get(queue, &number, sizeof number, NULL, MPROC_NOWAIT), 0);
        assert_int_equal(number, i);
    }
    assert_int_equal(mproc_queue_put(gate, NULL, 0, MPROC_FOREVER), 0);
    assert_int_equal(mproc_wait(items, 3, &ready, MPROC_FOREVER), 0);
    assert_true(items[2].ready);
    assert_int_equal(mproc_process_join(producer, MPROC_FOREVER), 0);
    assert_int_equal(mproc_process_join(sleeper, MPROC_FOREVER), 0);
    mproc_process_free(producer);
    mproc_process_free(sleeper);
    mproc_queue_free(queue);
    mproc_queue_free(gate);
    close(fds[0]);
    close(fds[1]);
}

/* How long a wait takes while a child puts after 10 ms. */
static double time_wake(mproc_wait_item *items, size_t count, mproc_queue *queue)
{
    char c;

    pid_t child = fork();
    if (child == 0) {
        usleep(10000);
        _exit(mproc_queue_put(queue, "x", 1, MPROC_FOREVER));
    }
    double start = seconds();
    assert_int_equal(mproc_wait(items, count, NULL, MPROC_FOREVER), 0);
    double took = seconds() - start;
    assert_int_equal(mproc_queue_get(queue, &c, 1, NULL, MPROC_NOWAIT), 0);
    expect_exit(child, 0);
    return took;
}

/* A wake-up that is lost, or seen late, takes the rest of 100 ms each time; one that is not, only when the machine is
 * busy. */
static bool wakes_at_once(mproc_wait_item *items, size_t count, mproc_queue *queue)
{
    for (int i = 0; i < 100; i++)
        if (time_wake(items, count, queue) < 0.08)
            return true;
    return false;
}

static void a_put_wakes_at_once(void **state)
{
    mproc_queue *queue, *other;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    assert_int_equal(mproc_queue_create(&other, NULL), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = queue},
                               {.kind = MPROC_WAIT_FD, .on.fd = fds[0]},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = other}};
    for (size_t count = 1; count < 4; count++)
        assert_true(wakes_at_once(items, count, queue));
    mproc_queue_free(queue);
    mproc_queue_free(other);
    close(fds[0]);
    close(fds[1]);
}

static double seconds_of(const struct rusage *usage)
{
    const struct timeval *user = &usage->ru_utime, *system = &usage->ru_stime;

    return (double)(user->tv_sec + system->tv_sec) + (double)(user->tv_usec + system->tv_usec) / 1e6;
}

/* The bell has rung before, and rings once more under way for a change that is none of ours. */
static void a_wait_does_not_spin(void **state)
{
    struct rusage before, after;
    mproc_queue *queue;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = queue}, {.kind = MPROC_WAIT_FD, .on.fd = fds[0]}};
    wake_fd_ring();
    pid_t child = fork();
    if (child == 0) {
        usleep(50000);
        wake_fd_ring();
        _exit(0);
    }
    getrusage(RUSAGE_SELF, &before);
    assert_int_equal(mproc_wait(items, 2, NULL, MPROC_MS(500)), MPROC_TIMEOUT);
    getrusage(RUSAGE_SELF, &after);
    assert_true(seconds_of(&after) - seconds_of(&before) < 0.03);
    expect_exit(child, 0);
    mproc_queue_free(queue);
    close(fds[0]);
    close(fds[1]);
}

static void a_killed_process_is_ready(void **state)
{
    struct all all;
    size_t ready;

    (void)state;
    make_all(&all);
    assert_int_equal(mproc_process_kill(all.process), 0);
    assert_int_equal(mproc_wait(all.items, KINDS, &ready, MPROC_FOREVER), 0);
    expect_ready(&all, ready, 1u << PROCESS);
    free_all(&all);
}

static void the_same_thing_may_stand_there_twice_and_often(void **state)
{
    mproc_wait_item items[100];
    mproc_queue *queue;
    size_t ready;
    int fds[2];

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    assert_int_equal(mproc_queue_create(&queue, NULL), 0);
    for (int i = 0; i < 100; i++)
        items[i] = i % 2 ? (mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = queue}
                         : (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = fds[0]};
    assert_int_equal(mproc_wait(items, 100, &ready, MPROC_MS(1)), MPROC_TIMEOUT);
    assert_int_equal(mproc_queue_put(queue, "x", 1, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_wait(items, 100, &ready, MPROC_FOREVER), 0);
    assert_int_equal(ready, 50);
    write_raw(fds[1], "x", 1);
    assert_int_equal(mproc_wait(items, 100, &ready, MPROC_FOREVER), 0);
    assert_int_equal(ready, 100);
    mproc_queue_free(queue);
    close(fds[0]);
    close(fds[1]);
}

static volatile sig_atomic_t signals;

static void count_signal(int signal)
{
    (void)signal;
    signals++;
}

static void signals_do_not_end_a_wait(void **state)
{
    struct sigaction storm = {.sa_handler = count_signal}, before;
    const struct itimerval often = {{0, 1000}, {0, 1000}}, never = {{0, 0}, {0, 0}};
    struct all all;
    size_t ready;

    (void)state;
    make_all(&all);
    unsigned left = alarm(0);
    assert_int_equal(sigaction(SIGALRM, &storm, &before), 0);
    assert_int_equal(setitimer(ITIMER_REAL, &often, NULL), 0);
    for (int i = 0; i < 3; i++) {
        const int first[] = {CONNECTION, QUEUE, CONNECTION};
        const size_t count[] = {1, 1, KINDS};
        signals = 0;
        double start = seconds();
        assert_int_equal(mproc_wait(all.items + first[i], count[i], &ready, MPROC_MS(120)), MPROC_TIMEOUT);
        assert_true(seconds() - start >= 0.12 && signals > 2);
    }
    assert_int_equal(setitimer(ITIMER_REAL, &never, NULL), 0);
    assert_int_equal(sigaction(SIGALRM, &before, NULL), 0);
    alarm(left);
    free_all(&all);
}

static void bad_input_is_refused(void **state)
{
    mproc_connection *input, *output;
    size_t ready = 5;
    int pair[2];

    (void)state;
    make_simplex_pipe(&input, &output);
    assert_int_equal(pipe2(pair, O_CLOEXEC), 0);
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_CONNECTION, .on.connection = input, .ready = true},
                               {.kind = MPROC_WAIT_FD, .on.fd = pair[0], .ready = true}};
    assert_int_equal(mproc_wait(NULL, 1, &ready, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_wait(items, 0, &ready, MPROC_NOWAIT), -EINVAL);
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_NS(-2)), -EINVAL);
    for (int kind = -1; kind < 8; kind++) {
        if (kind == MPROC_WAIT_FD)
            continue;
        items[1] = (mproc_wait_item){.kind = (enum mproc_wait_kind)kind, .ready = true};
        assert_int_equal(mproc_wait(items, 2, &ready, MPROC_NOWAIT), -EINVAL);
        assert_true(items[1].ready);
    }
    items[1] = (mproc_wait_item){.kind = MPROC_WAIT_CONNECTION, .on.connection = output};
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_FOREVER), -EBADF);
    items[1] = (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = -1};
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_FOREVER), -EBADF);
    items[1] = (mproc_wait_item){.kind = MPROC_WAIT_FD, .on.fd = 1000000};
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_FOREVER), -EBADF);
    void *block = mproc_calloc(1, 4096);
    items[1] = (mproc_wait_item){.kind = MPROC_WAIT_QUEUE, .on.queue = block};
    assert_int_equal(mproc_wait(items, 2, &ready, MPROC_FOREVER), -EINVAL);
    assert_int_equal(mproc_wait(items + 1, 1, &ready, MPROC_FOREVER), -EINVAL);
    mproc_free(block);
    assert_true(items[0].ready && ready == 5);
    close(pair[0]);
    close(pair[1]);
    mproc_connection_free(input);
    mproc_connection_free(output);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(any_kind_wakes_a_wait_for_all),
        unit(each_kind_wakes_a_mixed_wait),
        unit(each_kind_may_be_waited_for_alone),
        unit(ends_are_ready_too),
        unit(what_was_read_ahead_counts_at_once),
        unit(puts_of_another_process_wake_those_that_watch_descriptors),
        unit(a_put_wakes_at_once),
        unit(a_wait_does_not_spin),
        unit(a_killed_process_is_ready),
        unit(the_same_thing_may_stand_there_twice_and_often),
        unit(signals_do_not_end_a_wait),
        unit(bad_input_is_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
