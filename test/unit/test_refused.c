/* System calls that a kernel does not know (ENOSYS), or that a filter refuses (EPERM), as those of containers do: for
 * each of them a host does one thing after the other, all its descendants under the same filter. Where the library can
 * do without the call everything works; else what needs it is that very error. Nothing hangs, and nobody dies. */
#include "harness.h"

#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#define SOON MPROC_SEC(10)

struct call {
    const char *name;
    int number;
    bool is_needed; /* an error is in order */
};

static const struct call calls[] = {
    {"epoll_pwait2", SYS_epoll_pwait2, false},
    {"preadv2", SYS_preadv2, false},
    {"pwritev2", SYS_pwritev2, false},
    {"close_range", SYS_close_range, false},
    {"accept4", SYS_accept4, false},
    {"getrandom", SYS_getrandom, false},
    {"clone3", SYS_clone3, false},
    {"madvise", SYS_madvise, false},
    {"statx", SYS_statx, false},
    {"sched_getaffinity", SYS_sched_getaffinity, false},
    {"pidfd_open", SYS_pidfd_open, false},
    {"pidfd_send_signal", SYS_pidfd_send_signal, false},
    {"memfd_create", SYS_memfd_create, false},
    {"capget", SYS_capget, false},
    {"ioprio_get", SYS_ioprio_get, false},
    {"get_robust_list", SYS_get_robust_list, false},
    {"rt_tgsigqueueinfo", SYS_rt_tgsigqueueinfo, false},
    {"faccessat2", SYS_faccessat2, false},
    {"dup3", SYS_dup3, false},
    {"prlimit64", SYS_prlimit64, false},
    {"sched_setaffinity", SYS_sched_setaffinity, false},
    {"fstatfs", SYS_fstatfs, false},
    {"rseq", SYS_rseq, false},
    {"membarrier", SYS_membarrier, false},
    {"waitid", SYS_waitid, false},
    {"gettid", SYS_gettid, false},
    {"tgkill", SYS_tgkill, false},
    {"pipe2", SYS_pipe2, true},
    {"fallocate", SYS_fallocate, true},
    {"eventfd2", SYS_eventfd2, true},
    {"epoll_create1", SYS_epoll_create1, true},
};

static int refuse(int number, int error)
{
    struct sock_filter code[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, offsetof(struct seccomp_data, nr)),
        BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, (unsigned)number, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | (unsigned)error),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW),
    };
    struct sock_fprog program = {sizeof code / sizeof *code, code};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) || prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &program);
}

/* ---- what is tried; each returns what the library said, or 1000 and more for a wrong outcome ---- */

static int seven(void *arg)
{
    (void)arg;
    return 7;
}

static int process_by(enum mproc_start_method method, bool daemon)
{
    mproc_process *process;
    int code = -1;
    const mproc_process_options options = {.method = method, .daemon = daemon};
    int result = mproc_process_start(&process, seven, NULL, &options);
    if (result)
        return result;
    result = mproc_process_join(process, SOON);
    if (!result)
        result = mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    return result ? result : code == 7 ? 0 : 1000 + code;
}

static int by_fork(void)
{
    return process_by(MPROC_START_FORK, false);
}

static int by_spawn(void)
{
    return process_by(MPROC_START_SPAWN, true);
}

static int by_server(void)
{
    return process_by(MPROC_START_FORKSERVER, false);
}

static int sleeps(void *arg)
{
    (void)arg;
    for (;;)
        pause();
    return 0;
}

static int killed(void)
{
    mproc_process *process;
    int code = 0;
    int result = mproc_process_start(&process, sleeps, NULL, NULL);
    if (result)
        return result;
    if (!mproc_process_is_alive(process) || mproc_process_join(process, MPROC_MS(1)) != MPROC_TIMEOUT)
        return 1001;
    mproc_wait_item item = {.kind = MPROC_WAIT_PROCESS, .on.process = process};
    if (mproc_wait(&item, 1, NULL, MPROC_MS(1)) != MPROC_TIMEOUT)
        return 1002;
    result = mproc_process_kill(process);
    if (!result)
        result = mproc_wait(&item, 1, NULL, SOON);
    if (!result)
        result = mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    return result ? result : code == -SIGKILL ? 0 : 1003;
}

static int parent_lives(void *arg)
{
    (void)arg;
    return mproc_process_is_alive(mproc_parent_process()) && mproc_process_sentinel(mproc_parent_process()) >= 0 ? 7
                                                                                                                 : 8;
}

static int parent(void)
{
    mproc_process *process;
    int code = -1;
    int result = mproc_process_start(&process, parent_lives, NULL, NULL);
    if (result)
        return result;
    mproc_process_join(process, SOON);
    mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    return code == 7 ? 0 : 1000 + code;
}

static int group(void)
{
    mproc_group *group;
    int result = mproc_group_create(&group, NULL);
    for (int i = 0; i < 2 && !result; i++)
        result = mproc_group_start(group, NULL, sleeps, NULL, NULL);
    if (!result)
        result = mproc_group_terminate(group, MPROC_SEC(1));
    if (!result)
        result = mproc_group_wait_all(group, SOON) == MPROC_TASK_FAILED ? 0 : 1001;
    mproc_group_free(group);
    return result;
}

static int puts_one(void *arg)
{
    return mproc_queue_put(arg, "text", 5, SOON);
}

static int queue(void)
{
    char text[8];
    mproc_queue *queue;
    mproc_process *process = NULL;
    int result = mproc_queue_create(&queue, NULL);
    if (!result)
        result = mproc_process_start(&process, puts_one, queue, NULL);
    if (!result)
        result = mproc_queue_get(queue, text, sizeof text, NULL, SOON);
    if (process)
        mproc_process_join(process, SOON);
    mproc_process_free(process);
    mproc_queue_free(queue);
    return result;
}

static int dies_with_lock(void *arg)
{
    if (mproc_lock_acquire(arg, SOON))
        return 1;
    kill(getpid(), SIGKILL);
    return 0;
}

static int lock(void)
{
    mproc_process *process;
    int code = 0;
    mproc_lock *taken = mproc_calloc(1, sizeof *taken);
    int result = taken ? mproc_lock_init(taken) : -errno;
    if (!result)
        result = mproc_process_start(&process, dies_with_lock, taken, NULL);
    if (result)
        return result;
    result = mproc_process_join(process, SOON);
    if (!result)
        result = mproc_process_exitcode(process, &code);
    mproc_process_free(process);
    if (result || code != -SIGKILL)
        return result ? result : 1001;
    result = mproc_lock_acquire(taken, SOON);
    if (result != MPROC_OWNER_DIED)
        return result ? result : 1002;
    result = mproc_lock_release(taken);
    mproc_free(taken);
    return result;
}

static int exchange(bool duplex)
{
    char text[8] = "";
    mproc_connection *a, *b;
    int result = mproc_pipe(&a, &b, duplex);
    if (result)
        return result;
    result = mproc_connection_send(b, "text", 5, SOON);
    if (!result)
        result = mproc_connection_recv(a, text, sizeof text, NULL, SOON);
    mproc_connection_free(a);
    mproc_connection_free(b);
    return result ? result : strcmp(text, "text") ? 1001 : 0;
}

static int pipe_one_way(void)
{
    return exchange(false);
}

static int pipe_duplex(void)
{
    return exchange(true);
}

static int dies(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    if (*(const int *)in == 3)
        kill(getpid(), SIGKILL); /* raise() needs the calls of threads */
    return 0;
}

static int pool_by(enum mproc_start_method method)
{
    mproc_pool *pool;
    int in[8] = {0, 1, 2, 3, 4, 5, 6, 7};
    int result = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = method});
    if (result)
        return result;
    result =
        mproc_pool_map(pool, dies, NULL, &(mproc_map){.count = 8, .in = in, .in_size = sizeof *in, .chunk = 1}, SOON);
    mproc_pool_free(pool);
    return result == MPROC_WORKER_DIED ? 0 : result ? result : 1001;
}

static int pool_by_fork(void)
{
    return pool_by(MPROC_START_FORK);
}

static int pool_by_spawn(void)
{
    return pool_by(MPROC_START_SPAWN);
}

static int manager(void)
{
    mproc_manager *manager;
    mproc_dict *dict;
    int result = mproc_manager_create(&manager, NULL);
    if (result)
        return result;
    result = mproc_manager_dict(manager, &dict, NULL, SOON);
    if (!result)
        result = mproc_dict_set(dict, mproc_int(1), mproc_int(2), SOON);
    mproc_manager_free(manager);
    return result;
}

static void *tries(void *arg)
{
    return (void *)(intptr_t)mproc_remote_acquire(arg, MPROC_NOWAIT);
}

/* A thread cannot be made, or aborts the process, without these calls of the C library's. */
static bool threads_are_to_be_had(void)
{
    bool has_rseq = syscall(SYS_rseq, NULL, 0, 0, 0) == 0 || errno == EINVAL;
    return has_rseq && (syscall(SYS_clone3, NULL, 0) == 0 || errno == EINVAL);
}

/* Threads are told apart. */
static int rlock(void)
{
    mproc_manager *manager;
    mproc_remote *taken = NULL;
    pthread_t thread;
    void *other = NULL;
    int result = mproc_manager_create(&manager, NULL);
    if (result)
        return result;
    result = mproc_manager_remote(manager, &taken, MPROC_REMOTE_RLOCK, 0, NULL, SOON);
    if (!result)
        result = mproc_remote_acquire(taken, SOON);
    if (!result && threads_are_to_be_had() && pthread_create(&thread, NULL, tries, taken) == 0) {
        pthread_join(thread, &other);
        result = (intptr_t)other == MPROC_TIMEOUT ? 0 : 1001;
    }
    mproc_manager_free(manager);
    return result;
}

static int connects(void *arg)
{
    mproc_connection *connection;
    const mproc_connect_options options = {.key = "k", .key_size = 1};
    int result = mproc_connect(&connection, arg, &options, SOON);
    if (!result)
        mproc_connection_free(connection);
    return result ? 8 : 7;
}

static int listener(void)
{
    mproc_listener *listener;
    mproc_connection *connection;
    mproc_process *process;
    int code = -1;
    int result = mproc_listener_create(&listener, "tcp::0", &(mproc_listener_options){.key = "k", .key_size = 1});
    if (result)
        return result;
    result = mproc_process_start(&process, connects, mproc_listener_address(listener), NULL);
    if (!result)
        result = mproc_listener_accept(listener, &connection, SOON);
    if (!result) {
        mproc_connection_free(connection);
        result = mproc_process_join(process, SOON);
        mproc_process_exitcode(process, &code);
        mproc_process_free(process);
    }
    mproc_listener_free(listener);
    return result ? result : code == 7 ? 0 : 1000 + code;
}

static const struct {
    const char *name;
    int (*run)(void);
} steps[] = {
    {"fork", by_fork},         {"spawn", by_spawn},
    {"forkserver", by_server}, {"kill", killed},
    {"parent", parent},        {"group", group},
    {"queue", queue},          {"lock", lock},
    {"pipe", pipe_one_way},    {"duplex pipe", pipe_duplex},
    {"pool", pool_by_fork},    {"spawned pool", pool_by_spawn},
    {"manager", manager},      {"rlock", rlock},
    {"listener", listener},
};

/* ---- the host ---- */

static int run_steps(const struct call *call, int error)
{
    int failed = 0;
    if (refuse(call->number, error))
        return 99;
    for (size_t i = 0; i < sizeof steps / sizeof *steps; i++) {
        int result = steps[i].run();
        if (result == 0 || (call->is_needed && (result == -error || result == MPROC_SERVER_DIED)))
            continue;
        failed++;
        fprintf(stderr, "no %s (%s): %s: %d, %s\n", call->name, strerror(error), steps[i].name, result,
                mproc_strerror(result));
    }
    return failed;
}

static bool everything_works_or_says_why(const struct call *call, int error)
{
    int status;
    pid_t host = fork();
    if (host == 0) {
        alarm(20);
        _exit(run_steps(call, error));
    }
    assert_int_equal(waitpid(host, &status, 0), host);
    if (WIFSIGNALED(status))
        fprintf(stderr, "no %s (%s): signal %d\n", call->name, strerror(error), WTERMSIG(status));
    return status == 0;
}

static void without_a_call_everything_works_or_says_why(void **state)
{
    bool good = true;
    (void)state;
    for (size_t i = 0; i < sizeof calls / sizeof *calls; i++) {
        good = everything_works_or_says_why(&calls[i], ENOSYS) && good;
        good = everything_works_or_says_why(&calls[i], EPERM) && good;
    }
    assert_true(good);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(without_a_call_everything_works_or_says_why),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
