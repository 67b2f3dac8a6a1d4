/* The library's descriptors: they are none of stdio, also where stdio is closed, and what is at their number after the
 * program has closed them is left alone. */
#include "children.h"
#include "harness.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/pidfd.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- stdio is closed ---- */

/* A bit for each of 0, 1 and 2 that is open. */
static int open_stdio(void)
{
    int mask = 0;
    for (int fd = 0; fd < OS_FIRST_FD; fd++)
        mask |= os_is_open(fd) << fd;
    return mask;
}

static int say_stdio(void *arg)
{
    mproc_queue_put(arg, "x", 1, MPROC_SEC(20));
    return open_stdio();
}

static int starts(enum mproc_start_method method, int mask)
{
    mproc_queue *queue;
    mproc_process *process;
    char text[4];
    int code = -1;
    if (mproc_queue_create(&queue, NULL) ||
        mproc_process_start(&process, say_stdio, queue, &(mproc_process_options){.method = method}) ||
        mproc_queue_get(queue, text, sizeof text, NULL, MPROC_SEC(20)) || mproc_process_join(process, MPROC_SEC(20)) ||
        mproc_process_exitcode(process, &code))
        return -1;
    process = mproc_process_free(process);
    queue = mproc_queue_free(queue);
    return code == mask ? 0 : -2;
}

static int forks(int mask)
{
    return starts(MPROC_START_FORK, mask);
}

static int spawns(int mask)
{
    return starts(MPROC_START_SPAWN, mask);
}

static int asks_server(int mask)
{
    return starts(MPROC_START_FORKSERVER, mask);
}

/* A descriptor goes through a connection and back. */
static int connects(int mask)
{
    mproc_connection *a, *b;
    int fd = -1, pipe_result;
    char text[4];
    (void)mask;
    if (mproc_pipe(&a, &b, false))
        return -1;
    pipe_result = mproc_connection_send(b, "abc", 4, MPROC_SEC(1));
    pipe_result = pipe_result ? pipe_result : mproc_connection_recv(a, text, sizeof text, NULL, MPROC_SEC(1));
    mproc_connection_free(a);
    mproc_connection_free(b);
    if (pipe_result || mproc_pipe(&a, &b, true) ||
        mproc_connection_send_fd(a, mproc_connection_fileno(b), MPROC_SEC(1)) ||
        mproc_connection_recv_fd(b, &fd, MPROC_SEC(1)))
        return -2;
    mproc_connection_free(a);
    mproc_connection_free(b);
    int result = fd >= OS_FIRST_FD ? 0 : -3;
    close(fd);
    return result;
}

static int listens(int mask)
{
    mproc_listener *listener;
    mproc_connection *client, *server;
    (void)mask;
    if (mproc_listener_create(&listener, "unix:", NULL) ||
        mproc_connect(&client, mproc_listener_address(listener), NULL, MPROC_SEC(20)) ||
        mproc_listener_accept(listener, &server, MPROC_SEC(20)))
        return -1;
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
    return 0;
}

static int waits(int mask)
{
    mproc_queue *first, *second;
    (void)mask;
    if (mproc_queue_create(&first, NULL) || mproc_queue_create(&second, NULL))
        return -1;
    mproc_wait_item items[] = {{.kind = MPROC_WAIT_QUEUE, .on.queue = first},
                               {.kind = MPROC_WAIT_QUEUE, .on.queue = second}};
    int result = mproc_wait(items, 2, NULL, MPROC_MS(1));
    mproc_queue_free(first);
    mproc_queue_free(second);
    return result == MPROC_TIMEOUT ? 0 : -2;
}

static int names(int mask)
{
    mproc_shared_memory *memory;
    (void)mask;
    if (mproc_shared_memory_create(&memory, NULL, 100))
        return -1;
    memory = mproc_shared_memory_free(memory);
    return 0;
}

static int stdio_of_task(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    *(int *)out = open_stdio();
    return 0;
}

static int pools(int mask)
{
    mproc_pool *pool;
    int seen = -1;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 1}) ||
        mproc_pool_call(pool, stdio_of_task, NULL, NULL, 0, &seen, sizeof seen, MPROC_SEC(20)))
        return -1;
    pool = mproc_pool_free(pool);
    return seen == mask ? 0 : -2;
}

static int manages(int mask)
{
    mproc_manager *manager;
    mproc_dict *dict;
    (void)mask;
    if (mproc_manager_create(&manager, NULL) || mproc_manager_dict(manager, &dict, "d", MPROC_SEC(20)))
        return -1;
    mproc_dict_free(dict);
    mproc_manager_free(manager);
    return 0;
}

static int (*const uses[])(int mask) = {waits, forks, spawns, asks_server, connects, listens, names, pools, manages};

/* In a fresh program: what went wrong, by the place in the list, or 100 and a mask when something is open. */
static int use_all(void)
{
    int mask = open_stdio();
    for (size_t i = 0; i < sizeof uses / sizeof *uses; i++) {
        if (uses[i](mask))
            return 1 + (int)i;
        if (open_stdio() != mask)
            return 101 + (int)i;
    }
    return 0;
}

/* Run this program anew with those of stdio closed that are not in the mask. */
static int execute_with(int mask)
{
    pid_t pid = fork();
    if (pid == 0) {
        for (int fd = 0; fd < OS_FIRST_FD; fd++)
            if (!(mask & 1 << fd))
                close(fd);
        execl("/proc/self/exe", "test_descriptors", "use", NULL);
        _exit(126);
    }
    return child_finish(pid);
}

static void nothing_of_ours_is_stdio(void **state)
{
    (void)state;
    for (int mask = 0; mask < 1 << OS_FIRST_FD; mask++)
        assert_int_equal(execute_with(mask), 0);
}

/* ---- which are ours ---- */

static void what_is_at_the_number_later_is_left_alone(void **state)
{
    (void)state;
    int fd = os_eventfd_create();
    assert_true(os_is_kept(fd));
    assert_int_equal(close(fd), 0);
    assert_false(os_is_kept(fd));
    int others[] = {open("/dev/null", O_RDONLY), eventfd(0, 0), os_pidfd_open(getpid())};
    for (size_t i = 0; i < sizeof others / sizeof *others; i++) {
        int pipes[2];
        fd = os_eventfd_create();
        assert_int_equal(pipe(pipes), 0);
        assert_int_equal(dup2(i < 2 ? others[i] : pipes[0], fd), fd);
        assert_false(os_is_kept(fd));
        assert_int_equal(os_close(fd), 0);
        assert_true(os_is_open(fd));
        close(fd);
        close(pipes[0]);
        close(pipes[1]);
    }
    close(others[0]);
    close(others[1]);
    os_close(others[2]);
}

static void one_that_was_given_is_closed(void **state)
{
    (void)state;
    int fd = os_eventfd_create();
    close(fd);
    int given = open("/dev/null", O_RDONLY);
    assert_int_equal(dup2(given, fd), fd);
    os_adopt(fd);
    assert_true(os_is_kept(fd));
    assert_int_equal(os_close(fd), 0);
    assert_false(os_is_open(fd));
    close(given);
}

int main(int argc, char **argv)
{
    mproc_init();
    if (argc == 2 && strcmp(argv[1], "use") == 0)
        return use_all();
    const struct CMUnitTest tests[] = {
        unit(nothing_of_ours_is_stdio),
        unit(what_is_at_the_number_later_is_left_alone),
        unit(one_that_was_given_is_closed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
