/* Children that somebody else reaps: the kernel, a handler, another thread. Their end is seen, and how they ended is
 * known where the kernel tells it. */
#include "children.h"
#include "groups.h"
#include "harness.h"
#include "os/pidfd.h"
#include "processes.h"

#include <errno.h>
#include <mproc/memory.h>
#include <mproc/pool.h>
#include <mproc/sync.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

static const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};

static int kill_self(void *arg)
{
    (void)arg;
    raise(SIGKILL);
    return 0;
}

/* What one process ends with: its exit code where the kernel tells, else that it is not known. */
static bool ends_with(mproc_target *fn, enum mproc_start_method method, int expected)
{
    int seven = 7, exitcode = 77;
    mproc_process *process = start(fn, &seven, &(mproc_process_options){.method = method, .arg_size = sizeof seven});
    if (mproc_process_join(process, MPROC_MS(PATIENCE_MS)))
        return false;
    struct pollfd end = {.fd = mproc_process_sentinel(process), .events = POLLIN};
    int result = mproc_process_exitcode(process, &exitcode);
    bool good = os_pidfd_tells_end() ? result == 0 && exitcode == expected : result == -ECHILD && exitcode == 77;
    good = good && poll(&end, 1, 0) == 1 && !mproc_process_is_alive(process) && mproc_process_kill(process) == 0;
    mproc_process_free(process);
    return good;
}

static void expect_known_ends(int rounds)
{
    for (int i = 0; i < rounds; i++) {
        for (size_t k = 0; k < sizeof methods / sizeof *methods; k++) {
            assert_true(ends_with(return_int, methods[k], 7));
            assert_true(ends_with(kill_self, methods[k], -SIGKILL));
        }
    }
}

static void how_a_process_ended_is_known_where_sigchld_is_ignored(void **state)
{
    (void)state;
    void (*before)(int) = signal(SIGCHLD, SIG_IGN);
    expect_known_ends(20);
    signal(SIGCHLD, before);
}

static void how_a_process_ended_is_known_where_children_leave_no_zombies(void **state)
{
    const struct sigaction action = {.sa_handler = SIG_DFL, .sa_flags = SA_NOCLDWAIT};
    struct sigaction before;
    (void)state;
    sigaction(SIGCHLD, &action, &before);
    expect_known_ends(20);
    sigaction(SIGCHLD, &before, NULL);
}

static void reap_all(int number)
{
    int error = errno;
    (void)number;
    while (waitpid(-1, NULL, WNOHANG) > 0) {
    }
    errno = error;
}

static void how_a_process_ended_is_known_where_a_handler_reaps_it(void **state)
{
    const struct sigaction action = {.sa_handler = reap_all, .sa_flags = SA_RESTART};
    struct sigaction before;
    (void)state;
    sigaction(SIGCHLD, &action, &before);
    expect_known_ends(20);
    sigaction(SIGCHLD, &before, NULL);
}

static _Atomic(bool) is_over;

static void *reap_all_the_time(void *arg)
{
    while (!atomic_load(&is_over))
        if (waitpid(-1, NULL, WNOHANG) <= 0)
            usleep(50);
    return arg;
}

static void how_a_process_ended_is_known_where_a_thread_reaps_it(void **state)
{
    pthread_t thread;
    int code = 77;
    (void)state;
    atomic_store(&is_over, false);
    assert_int_equal(pthread_create(&thread, NULL, reap_all_the_time, NULL), 0);
    for (int i = 0; i < 60; i++) { /* the thread may also come too late */
        mproc_process *process = start(return_int, &(int){7}, &(mproc_process_options){.arg_size = sizeof(int)});
        assert_int_equal(mproc_process_join(process, MPROC_MS(PATIENCE_MS)), 0);
        int result = mproc_process_exitcode(process, &code);
        assert_true(result == 0 ? code == 7 : !os_pidfd_tells_end() && result == -ECHILD);
        mproc_process_free(process);
    }
    atomic_store(&is_over, true);
    pthread_join(thread, NULL);
}

/* ---- a program that was started with SIGCHLD ignored ---- */

static int item(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)in;
    (void)out;
    return 0;
}

static int know_all_ends(void)
{
    int zero = 0;
    mproc_pool *pool;
    mproc_group *group = make_group(false);
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        const mproc_process_options options = {.method = methods[i], .arg_size = sizeof(int)};
        if (run(return_int, &(int){7}, &options) != 7 || run(kill_self, &zero, &options) != -SIGKILL)
            return 1 + (int)i;
    }
    add_member(group, return_int, &zero);
    if (mproc_group_wait_all(group, MPROC_FOREVER))
        return 4;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2}) ||
        mproc_pool_call(pool, item, NULL, NULL, 0, NULL, 0, MPROC_SEC(20)))
        return 5;
    mproc_pool_free(pool);
    mproc_group_free(group);
    return 0;
}

struct holding {
    mproc_lock lock;
    _Atomic(int) is_held;
};

/* Another process that has this one's memory keeps it a moment longer than this one lives, as one does that reads of it
 * in /proc. */
static int hold_and_share_memory(void *arg)
{
    struct holding *holding = *(struct holding **)arg;
    pid_t self = getpid();
    if (mproc_lock_acquire(&holding->lock, MPROC_NOWAIT))
        return 1;
    if (vfork() == 0) {
        atomic_store(&holding->is_held, 1);
        while (getppid() == self)
            usleep(1000);
        usleep(5000);
        _exit(0);
    }
    return 2;
}

static void what_a_process_held_is_free_after_its_join_though_its_memory_stays_a_while(void **state)
{
    struct holding *holding = shared(sizeof *holding);
    (void)state;
    for (int i = 0; i < 5; i++) {
        assert_int_equal(mproc_lock_init(&holding->lock), 0);
        atomic_store(&holding->is_held, 0);
        mproc_process *process =
            start(hold_and_share_memory, &holding, &(mproc_process_options){.arg_size = sizeof holding});
        await_value(&holding->is_held, 1);
        assert_int_equal(mproc_process_kill(process), 0);
        assert_int_equal(mproc_process_join(process, MPROC_MS(PATIENCE_MS)), 0);
        assert_int_equal(mproc_lock_acquire(&holding->lock, MPROC_NOWAIT), MPROC_OWNER_DIED);
        assert_int_equal(mproc_lock_release(&holding->lock), 0);
        mproc_process_free(process);
    }
    shared_free(holding);
}

static int execute_ignoring(void *arg)
{
    signal(SIGCHLD, SIG_IGN);
    execl("/proc/self/exe", "test", (char *)arg, (char *)NULL);
    return 100;
}

static void a_program_that_was_started_with_sigchld_ignored_knows_all_ends(void **state)
{
    (void)state;
    assert_int_equal(in_child(execute_ignoring, (void *)(uintptr_t) "--ignoring"), 0);
}

int main(int argc, char **argv)
{
    mproc_init();
    if (argc > 1 && strcmp(argv[1], "--ignoring") == 0)
        return know_all_ends();
    const struct CMUnitTest tests[] = {
        unit(how_a_process_ended_is_known_where_sigchld_is_ignored),
        unit(how_a_process_ended_is_known_where_children_leave_no_zombies),
        unit(how_a_process_ended_is_known_where_a_handler_reaps_it),
        unit(how_a_process_ended_is_known_where_a_thread_reaps_it),
        unit(a_program_that_was_started_with_sigchld_ignored_knows_all_ends),
        unit(what_a_process_held_is_free_after_its_join_though_its_memory_stays_a_while),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
