/* The fork server itself: its life and death, what it loads, and that it costs the same whatever its host holds. */
#include "children.h"
#include "harness.h"
#include "process/forkserver.h"
#include "processes.h"

#include <dlfcn.h>
#include <errno.h>
#include <grp.h>
#include <mproc/memory.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static const mproc_process_options by_server = {.method = MPROC_START_FORKSERVER};

static int run_by_server(mproc_target *fn, void *arg)
{
    return run(fn, arg, &by_server);
}

/* At the end of a test that has made new servers: they may have their descriptors at other places than the first, but
 * must not have more. */
static void allow_new_server(int descriptors)
{
    assert_int_equal(count_descriptors(), descriptors);
    books_forgive();
    books_allow_child(forkserver_pid());
}

static int add(void *arg)
{
    atomic_fetch_add((_Atomic(int) *)arg, 1);
    return 0;
}

static void one_server_forks_all_children(void **state)
{
    _Atomic(int) *word = shared(sizeof *word);
    (void)state;
    pid_t server = forkserver_pid();
    assert_true(server > 0);
    for (int i = 0; i < 20; i++)
        assert_int_equal(run_by_server(add, word), 0);
    assert_int_equal(atomic_load(word), 20);
    assert_int_equal(forkserver_pid(), server);
    shared_free(word);
}

static void a_dead_server_is_replaced(void **state)
{
    int descriptors = count_descriptors();
    _Atomic(int) *word = shared(sizeof *word);
    (void)state;
    for (int i = 0; i < 5; i++) {
        pid_t server = forkserver_pid();
        kill(server, SIGKILL);
        if (i % 2)
            assert_true(await_gone(server)); /* else it may die before, while or after it makes the child */
        assert_int_equal(run_by_server(add, word), 0);
        assert_int_equal(atomic_load(word), i + 1);
    }
    shared_free(word);
    allow_new_server(descriptors);
}

static int kill_server(void *arg)
{
    _Atomic(int) *pid = arg;
    const struct timespec nap = {.tv_nsec = 3000000};
    while (atomic_load(pid) >= 0) {
        if (atomic_load(pid) > 0)
            kill(atomic_load(pid), SIGKILL);
        nanosleep(&nap, NULL);
    }
    return 0;
}

/* Whenever the server dies, a start either gives a child that runs once or fails and leaves nothing. */
static void a_server_may_die_at_any_time(void **state)
{
    int descriptors = count_descriptors();
    _Atomic(int) *words = shared(2 * sizeof *words);
    mproc_process *process;
    int started = 0;
    (void)state;
    pid_t killer = child_start(kill_server, &words[0]);
    for (int i = 0; i < 200; i++) {
        atomic_store(&words[0], forkserver_pid());
        int result = mproc_process_start(&process, add, &words[1], &by_server);
        assert_true(result == 0 || result == -EPIPE);
        if (result)
            continue;
        assert_int_equal(finish(process), 0);
        started++;
    }
    atomic_store(&words[0], -1);
    assert_int_equal(child_finish(killer), 0);
    assert_int_equal(atomic_load(&words[1]), started);
    assert_true(started > 0);
    assert_int_equal(run_by_server(add, &words[1]), 0);
    shared_free(words);
    allow_new_server(descriptors);
}

static int wait_for_go(void *arg)
{
    return await_word(arg) ? 6 : 1;
}

static void children_outlive_the_server(void **state)
{
    int descriptors = count_descriptors();
    _Atomic(int) *go = shared(sizeof *go);
    (void)state;
    mproc_process *process = start(wait_for_go, go, &by_server);
    pid_t server = forkserver_pid();
    kill(server, SIGKILL);
    assert_true(await_gone(server));
    assert_true(mproc_process_is_alive(process));
    atomic_store(go, 1);
    assert_int_equal(finish(process), 6);
    assert_int_equal(run_by_server(add, go), 0);
    shared_free(go);
    allow_new_server(descriptors);
}

static int start_and_tell_server(void *arg)
{
    _Atomic(int) *words = arg;
    run_by_server(add, &words[1]);
    atomic_store(&words[0], forkserver_pid());
    return atomic_load(&words[2]) ? sleep_for_ever(NULL) : 0;
}

static void a_server_ends_with_its_host(void **state)
{
    (void)state;
    for (int killed = 0; killed < 2; killed++) {
        _Atomic(int) *words = shared(3 * sizeof *words);
        atomic_store(&words[2], killed);
        pid_t host = program_start(start_and_tell_server, words);
        assert_true(await_word(&words[0]));
        if (killed)
            child_kill(host);
        else
            assert_int_equal(child_finish(host), 0);
        assert_true(await_gone(words[0]));
        assert_int_not_equal(words[0], forkserver_pid());
        shared_free(words);
    }
}

static int fork_while_server_runs(void *arg)
{
    _Atomic(int) *words = arg;
    run_by_server(add, &words[1]);
    pid_t other = fork();
    if (other == 0)
        _exit(sleep_for_ever(NULL));
    atomic_store(&words[2], other);
    atomic_store(&words[0], forkserver_pid());
    return sleep_for_ever(NULL);
}

static void a_forked_copy_of_its_host_does_not_keep_it_alive(void **state)
{
    _Atomic(int) *words = shared(3 * sizeof *words);
    (void)state;
    pid_t host = program_start(fork_while_server_runs, words);
    assert_true(await_word(&words[0]));
    child_kill(host);
    assert_true(await_gone(words[0]));
    assert_false(is_gone(words[2]));
    kill(words[2], SIGKILL);
    shared_free(words);
}

static void a_ctrl_c_does_not_end_the_server(void **state)
{
    int code = 0;
    (void)state;
    pid_t server = forkserver_pid();
    kill(server, SIGINT);
    assert_int_equal(run(return_int, &code, &(mproc_process_options){.method = MPROC_START_FORKSERVER, .arg_size = 4}),
                     0);
    assert_int_equal(forkserver_pid(), server);
    mproc_process *process = start(sleep_for_ever, NULL, &by_server);
    assert_int_equal(mproc_process_interrupt(process), 0);
    assert_int_equal(finish(process), -SIGINT);
}

static int start_by_server_from_thread(void *arg)
{
    for (int i = 0; i < 10; i++) {
        mproc_process *process;
        int result = mproc_process_start(&process, add, arg, &by_server);
        if (result)
            return result;
        mproc_process_join(process, MPROC_FOREVER);
        mproc_process_free(process);
    }
    return 0;
}

static void threads_may_start_at_once(void **state)
{
    _Atomic(int) *word = shared(sizeof *word);
    (void)state;
    threads_run(start_by_server_from_thread, word, 8);
    assert_int_equal(atomic_load(word), 80);
    shared_free(word);
}

/* ---- what it loads ---- */

static int has_loaded(void *arg)
{
    return dlopen(arg, RTLD_NOW | RTLD_NOLOAD) ? 0 : 1;
}

static int preload_and_ask(void *arg)
{
    const char *libraries[] = {"libresolv.so.2", "/no/such/library.so"};
    const mproc_process_options copied = {.method = MPROC_START_FORKSERVER, .arg_size = 15};
    (void)arg;
    if (mproc_forkserver_preload(libraries, 1))
        return 1;
    if (run(has_loaded, (void *)(uintptr_t)libraries[0], &copied))
        return 2;
    return mproc_forkserver_preload(libraries, 1) == -EBUSY ? 0 : 3;
}

static void a_server_loads_what_it_is_told(void **state)
{
    (void)state;
    const char *none = NULL;
    assert_int_equal(mproc_forkserver_preload(NULL, 1), -EINVAL);
    assert_int_equal(mproc_forkserver_preload(&none, 1), -EINVAL);
    assert_int_equal(mproc_forkserver_preload(NULL, 0), -EBUSY);
    assert_int_equal(run(has_loaded, (void *)(uintptr_t) "libresolv.so.2",
                         &(mproc_process_options){.method = MPROC_START_FORKSERVER, .arg_size = 15}),
                     1);
    assert_int_equal(child_finish(program_start(preload_and_ask, NULL)), 0);
}

/* ---- a large host ---- */

static int64_t time_to_run(const mproc_process_options *options)
{
    int64_t best = INT64_MAX;
    for (int i = 0; i < 5; i++) {
        int64_t begin = now();
        assert_int_equal(run(return_int, &(int){0}, options), 0);
        int64_t span = now() - begin;
        best = span < best ? span : best;
    }
    return best;
}

static void a_start_costs_the_same_in_a_large_host(void **state)
{
    const size_t size = (size_t)512 << 20;
    (void)state;
    char *memory = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (memory == MAP_FAILED)
        skip();
    madvise(memory, size, MADV_NOHUGEPAGE);
    for (size_t i = 0; i < size; i += 4096)
        memory[i] = 1;
    int64_t by_fork = time_to_run(&(mproc_process_options){.method = MPROC_START_FORK});
    int64_t served = time_to_run(&(mproc_process_options){.method = MPROC_START_FORKSERVER, .arg_size = sizeof(int)});
    munmap(memory, size);
    if (served * 2 > by_fork)
        fail_msg("%d us by the server, %d us by fork", (int)(served / 1000), (int)(by_fork / 1000));
}

/* ---- threads in children: what a copy made by hand must get right ---- */

static pthread_mutex_t recursive = PTHREAD_RECURSIVE_MUTEX_INITIALIZER_NP;

static int try_it(void *arg)
{
    (void)arg;
    return pthread_mutex_trylock(&recursive);
}

static int use_threads(void *arg)
{
    pthread_mutexattr_t attributes;
    pthread_mutex_t checked;
    (void)arg;
    pthread_mutexattr_init(&attributes);
    pthread_mutexattr_settype(&attributes, PTHREAD_MUTEX_ERRORCHECK);
    pthread_mutexattr_setrobust(&attributes, PTHREAD_MUTEX_ROBUST);
    pthread_mutex_init(&checked, &attributes);
    pthread_mutex_lock(&recursive);
    pthread_mutex_lock(&recursive);
    if (in_thread(try_it, NULL) != EBUSY)
        return 1;
    if (pthread_mutex_lock(&checked) || pthread_mutex_lock(&checked) != EDEADLK || pthread_mutex_unlock(&checked))
        return 2;
    if (checked.__data.__owner != 0 || recursive.__data.__owner != gettid())
        return 3;
    pid_t child = fork();
    if (child == 0)
        _exit(4);
    int status;
    if (waitpid(child, &status, 0) != child || WEXITSTATUS(status) != 4)
        return 5;
    return system("exit 7") >> 8 == 7 ? 0 : 6;
}

static void a_child_is_a_whole_process(void **state)
{
    (void)state;
    assert_int_equal(run_by_server(use_threads, NULL), 0);
}

static int raise_abort(void *arg)
{
    (void)arg;
    abort();
}

static void a_child_can_abort(void **state)
{
    (void)state;
    assert_int_equal(run_by_server(raise_abort, NULL), -SIGABRT);
}

/* ---- a host that changes ---- */

/* What a process is, as far as it can be compared. */
struct seen {
    uid_t users[3];
    gid_t groups[3];
    int group_count;
    mode_t mask;
    int priority;
    pid_t session;
    struct rlimit core, files;
};

static int see(void *arg)
{
    struct seen *seen = arg;
    getresuid(&seen->users[0], &seen->users[1], &seen->users[2]);
    getresgid(&seen->groups[0], &seen->groups[1], &seen->groups[2]);
    seen->group_count = getgroups(0, NULL);
    seen->mask = umask(0);
    umask(seen->mask);
    seen->priority = getpriority(PRIO_PROCESS, 0);
    seen->session = getsid(0);
    getrlimit(RLIMIT_CORE, &seen->core);
    getrlimit(RLIMIT_NOFILE, &seen->files);
    return 0;
}

static bool change_mask(void)
{
    umask(027);
    return true;
}

static bool change_limits(void)
{
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur--;
    return setrlimit(RLIMIT_CORE, &(struct rlimit){0, 0}) == 0 && setrlimit(RLIMIT_NOFILE, &files) == 0;
}

static bool change_priority(void)
{
    errno = 0;
    return nice(1) >= 0 || errno == 0;
}

static bool change_session(void)
{
    return setsid() > 0;
}

static bool change_user(void)
{
    if (geteuid() != 0)
        return true;
    return setgroups(0, NULL) == 0 && setresgid(65534, 65534, 65534) == 0 && setresuid(65534, 65534, 65534) == 0;
}

/* In shared memory: what the host is, and its child. */
static int change_and_see(void *arg)
{
    bool (*const changes[])(void) = {change_mask, change_limits, change_priority, change_session, change_user};
    struct seen *both = arg;
    if (run_by_server(see, &both[1]))
        return 1;
    for (size_t i = 0; i < sizeof changes / sizeof *changes; i++) {
        mproc_process *process;
        int code = 1;
        if (!changes[i]())
            return 10 + (int)i;
        see(&both[0]);
        memset(&both[1], 0, sizeof *both);
        if (mproc_process_start(&process, see, &both[1], &by_server) == -EACCES)
            continue; /* another user may not execute the program */
        if (mproc_process_join(process, MPROC_MS(PATIENCE_MS)) || mproc_process_exitcode(process, &code) || code)
            return 20 + (int)i;
        if (memcmp(&both[0], &both[1], sizeof *both) != 0)
            return 30 + (int)i;
        mproc_process_free(process);
    }
    return 0;
}

static void a_child_is_what_its_host_is_at_the_start(void **state)
{
    struct seen *both = shared(2 * sizeof *both);
    (void)state;
    assert_int_equal(child_finish(program_start(change_and_see, both)), 0);
    shared_free(both);
}

static int change_and_start(void *arg)
{
    for (int i = 0; i < 8; i++) {
        umask((mode_t)(i % 2 ? 022 : 027));
        if (run_by_server(add, arg))
            return 1;
    }
    return 0;
}

static int change_in_threads(void *arg)
{
    threads_run(change_and_start, arg, 4);
    return atomic_load((_Atomic(int) *)arg) == 32 ? 0 : 1;
}

static void no_start_is_lost_when_the_server_is_replaced_for_a_change(void **state)
{
    _Atomic(int) *word = shared(sizeof *word);
    (void)state;
    assert_int_equal(child_finish(program_start(change_in_threads, word)), 0);
    shared_free(word);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(one_server_forks_all_children),
        unit(a_dead_server_is_replaced),
        unit(a_server_may_die_at_any_time),
        unit(children_outlive_the_server),
        unit(a_server_ends_with_its_host),
        unit(a_forked_copy_of_its_host_does_not_keep_it_alive),
        unit(a_ctrl_c_does_not_end_the_server),
        unit(threads_may_start_at_once),
        unit(a_server_loads_what_it_is_told),
        unit(a_start_costs_the_same_in_a_large_host),
        unit(a_child_is_a_whole_process),
        unit(a_child_can_abort),
        unit(a_child_is_what_its_host_is_at_the_start),
        unit(no_start_is_lost_when_the_server_is_replaced_for_a_change),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
