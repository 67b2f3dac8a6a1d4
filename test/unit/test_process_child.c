/* Processes by fork, seen from the child: its name and its relatives, and what it inherits. */
#include "children.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

/* ---- names and relatives ---- */

struct names {
    char self[128];
    char parent[128];
    char child[128];
    char grandchild[128];
    pid_t parent_pid;
    bool parent_alive;
    bool daemon;
};

static int tell_grandchild(void *arg)
{
    struct names *names = arg;
    strcpy(names->grandchild, mproc_process_name(mproc_current_process()));
    return 0;
}

static int tell_names(void *arg)
{
    struct names *names = arg;
    strcpy(names->self, mproc_process_name(mproc_current_process()));
    strcpy(names->parent, mproc_process_name(mproc_parent_process()));
    names->parent_pid = mproc_process_pid(mproc_parent_process());
    names->parent_alive = mproc_process_is_alive(mproc_parent_process());
    names->daemon = mproc_process_is_daemon(mproc_current_process());
    mproc_process *first = start(return_int, &(int){0}, &(mproc_process_options){.daemon = names->daemon});
    finish(first);
    mproc_process *second = start(tell_grandchild, names, &(mproc_process_options){.daemon = names->daemon});
    strcpy(names->child, mproc_process_name(second));
    return finish(second);
}

/* The number in the name of the next child. */
static int next_number(void)
{
    int number;
    mproc_process *process = start(return_int, &(int){0}, NULL);
    assert_int_equal(sscanf(mproc_process_name(process), "Process-%d", &number), 1);
    finish(process);
    return number + 1;
}

static void names_follow_the_line_of_descent(void **state)
{
    struct names *names = shared(sizeof *names);
    char expected[128];
    (void)state;
    assert_string_equal(mproc_process_name(mproc_current_process()), "MainProcess");
    assert_null(mproc_parent_process());
    int number = next_number();
    mproc_process *process = start(tell_names, names, NULL);
    snprintf(expected, sizeof expected, "Process-%d", number);
    assert_string_equal(mproc_process_name(process), expected);
    assert_int_equal(finish(process), 0);
    assert_string_equal(names->self, expected);
    assert_string_equal(names->parent, "MainProcess");
    snprintf(expected, sizeof expected, "Process-%d:2", number);
    assert_string_equal(names->child, expected);
    assert_string_equal(names->grandchild, expected);
    assert_int_equal(names->parent_pid, getpid());
    assert_true(names->parent_alive);
    assert_false(names->daemon);
    shared_free(names);
}

static void a_name_of_ones_own_changes_no_numbers(void **state)
{
    struct names *names = shared(sizeof *names);
    char expected[128];
    (void)state;
    int number = next_number();
    assert_int_equal(run(tell_names, names, &(mproc_process_options){.name = "worker", .daemon = true}), 0);
    assert_string_equal(names->self, "worker");
    snprintf(expected, sizeof expected, "Process-%d:2", number);
    assert_string_equal(names->grandchild, expected);
    assert_true(names->daemon);
    shared_free(names);
}

static void a_long_name_is_cut_after_63_bytes(void **state)
{
    char name[200];
    (void)state;
    memset(name, 'n', sizeof name);
    name[sizeof name - 1] = '\0';
    mproc_process *process = start(sleep_for_ever, NULL, &(mproc_process_options){.name = name});
    assert_int_equal(strlen(mproc_process_name(process)), 63);
    mproc_process_kill(process);
    finish(process);
    memcpy(name + 61, "\xe2\x82\xac", 3); /* a letter over the end is left out */
    process = start(sleep_for_ever, NULL, &(mproc_process_options){.name = name});
    assert_int_equal(strlen(mproc_process_name(process)), 61);
    mproc_process_kill(process);
    finish(process);
    process = start(sleep_for_ever, NULL, &(mproc_process_options){.name = ""});
    assert_string_equal(mproc_process_name(process), "");
    mproc_process_kill(process);
    finish(process);
}

static int ask_self(void *arg)
{
    int exitcode;
    mproc_process *self = mproc_current_process();
    mproc_process *parent = mproc_parent_process();
    (void)arg;
    if (mproc_process_join(self, MPROC_NOWAIT) != -EDEADLK || mproc_process_pid(self) != getpid())
        return 1;
    if (!mproc_process_is_alive(self) || mproc_process_exitcode(self, &exitcode) != MPROC_RUNNING)
        return 2;
    if (mproc_process_join(parent, MPROC_NOWAIT) != -ECHILD || mproc_process_exitcode(parent, &exitcode) != -ECHILD)
        return 3;
    if (mproc_process_kill(parent) != -ECHILD || mproc_process_sentinel(parent) < 0)
        return 4;
    mproc_process_free(self);
    mproc_process_free(parent);
    return mproc_current_process() == self && mproc_parent_process() == parent ? 0 : 5;
}

static void one_cannot_join_oneself_or_ones_parent(void **state)
{
    (void)state;
    assert_int_equal(mproc_process_join(mproc_current_process(), MPROC_FOREVER), -EDEADLK);
    assert_int_equal(run(ask_self, NULL, NULL), 0);
}

static int watch_parent(void *arg)
{
    _Atomic(int) *words = arg;
    struct pollfd end = {.fd = mproc_process_sentinel(mproc_parent_process()), .events = POLLIN};
    if (poll(&end, 1, 0) != 0)
        return 1;
    atomic_store(&words[0], 1);
    if (poll(&end, 1, PATIENCE_MS) != 1 || mproc_process_is_alive(mproc_parent_process()))
        return 1;
    atomic_store(&words[1], 1);
    return 0;
}

static int start_watcher(void *arg)
{
    start(watch_parent, arg, NULL);
    return sleep_for_ever(NULL);
}

static void a_child_sees_the_death_of_its_parent(void **state)
{
    _Atomic(int) *words = shared(2 * sizeof *words);
    (void)state;
    pid_t host = program_start(start_watcher, words);
    assert_true(await_word(&words[0]));
    child_kill(host);
    assert_true(await_word(&words[1]));
    shared_free(words);
}

/* ---- what is inherited ---- */

static int compare_argument(void *arg)
{
    return strcmp(arg, "as it was") == 0 ? 0 : 1;
}

static void a_copied_argument_is_private(void **state)
{
    char *text = shared(32);
    (void)state;
    for (int i = 0; i < 20; i++) {
        strcpy(text, "as it was");
        mproc_process *process = start(compare_argument, text, &(mproc_process_options){.arg_size = 32});
        strcpy(text, "changed");
        assert_int_equal(finish(process), 0);
    }
    shared_free(text);
}

static volatile sig_atomic_t caught;

static void catch (int number)
{
    caught = number;
}

static void do_nothing(int number)
{
    (void)number;
}

static int look_at_signals(void *arg)
{
    sigset_t mask, pending;
    struct sigaction action;
    (void)arg;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    sigpending(&pending);
    if (!sigisemptyset(&mask) || !sigisemptyset(&pending))
        return 1;
    sigaction(SIGUSR1, NULL, &action);
    if (action.sa_handler != SIG_DFL)
        return 2;
    sigaction(SIGRTMAX, NULL, &action);
    if (action.sa_handler != SIG_DFL)
        return 5;
    sigaction(SIGUSR2, NULL, &action);
    if (action.sa_handler != SIG_IGN)
        return 3;
    sigaction(SIGCHLD, NULL, &action);
    return action.sa_handler == SIG_DFL ? 0 : 4;
}

static void a_signal_directly_after_the_start_is_not_caught_by_the_parents_handler(void **state)
{
    (void)state;
    signal(SIGTERM, catch);
    for (int i = 0; i < 100; i++) {
        mproc_process *process = start(sleep_for_ever, NULL, NULL);
        assert_int_equal(mproc_process_terminate(process), 0);
        assert_int_equal(finish(process), -SIGTERM);
    }
    signal(SIGTERM, SIG_DFL);
}

static void a_child_has_default_signals_and_an_empty_mask(void **state)
{
    sigset_t blocked, before, after;
    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigaddset(&blocked, SIGUSR1);
    sigprocmask(SIG_SETMASK, &blocked, &before);
    caught = 0;
    signal(SIGUSR1, catch);
    signal(SIGRTMAX, catch);
    signal(SIGCHLD, do_nothing);
    signal(SIGUSR2, SIG_IGN);
    raise(SIGUSR1); /* pending here only */
    mproc_process *process = start(look_at_signals, NULL, NULL);
    assert_int_equal(finish(process), 0);
    sigprocmask(SIG_SETMASK, NULL, &after);
    assert_int_equal(sigismember(&after, SIGTERM), 1);
    assert_int_equal(sigismember(&after, SIGINT), 0);
    assert_int_equal(caught, 0);
    sigprocmask(SIG_SETMASK, &before, NULL);
    assert_int_equal(caught, SIGUSR1);
    signal(SIGUSR1, SIG_DFL);
    signal(SIGRTMAX, SIG_DFL);
    signal(SIGCHLD, SIG_DFL);
    signal(SIGUSR2, SIG_DFL);
}

static void *wait_for_the_end(void *lock)
{
    pthread_mutex_lock(lock);
    pthread_mutex_unlock(lock);
    return NULL;
}

/* Another thread may install a handler at any moment, so the child is started in another way. */
static void a_child_of_a_process_with_threads_has_default_signals_too(void **state)
{
    pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
    pthread_t thread;

    pthread_mutex_lock(&lock);
    assert_int_equal(pthread_create(&thread, NULL, wait_for_the_end, &lock), 0);
    a_child_has_default_signals_and_an_empty_mask(state);
    pthread_mutex_unlock(&lock);
    pthread_join(thread, NULL);
}

static int send_on_all(void *arg)
{
    mproc_connection **ends = arg;
    int result = mproc_connection_send(ends[1], "x", 1, MPROC_NOWAIT);
    int other = mproc_connection_send(ends[3], "x", 1, MPROC_NOWAIT);
    if (result)
        return 1;
    if (mproc_inherited_connection(0) == ends[1])
        return other == -EBADF && !mproc_inherited_connection(1) ? 10 : 2;
    return other == 0 ? 20 : 3;
}

static void a_list_of_connections_closes_the_others(void **state)
{
    mproc_connection *ends[4];
    (void)state;
    assert_int_equal(mproc_pipe(&ends[0], &ends[1], true), 0);
    assert_int_equal(mproc_pipe(&ends[2], &ends[3], false), 0);
    assert_int_equal(run(send_on_all, ends, NULL), 20);
    assert_int_equal(run(send_on_all, ends, &(mproc_process_options){.connections = &ends[1], .connection_count = 1}),
                     10);
    for (int i = 0; i < 4; i++)
        mproc_connection_free(ends[i]);
}

static int compare_key(void *arg)
{
    unsigned char key[256];
    size_t size;
    return mproc_authkey_get(key, sizeof key, &size) == 0 && size == 32 && memcmp(key, arg, 32) == 0 ? 0 : 1;
}

static void children_have_the_authkey(void **state)
{
    unsigned char key[256], long_key[257] = {0};
    size_t size;
    (void)state;
    assert_int_equal(mproc_authkey_get(key, sizeof key, &size), 0);
    assert_int_equal(size, 32);
    assert_int_equal(run(compare_key, key, NULL), 0);
    assert_int_equal(mproc_authkey_set("0123456789abcdef0123456789abcdef", 32), 0);
    assert_int_equal(run(compare_key, (void *)(uintptr_t) "0123456789abcdef0123456789abcdef", NULL), 0);
    assert_int_equal(mproc_authkey_get(key, 10, &size), MPROC_TOO_SMALL);
    assert_int_equal(size, 32);
    assert_int_equal(mproc_authkey_set(NULL, 4), -EINVAL);
    assert_int_equal(mproc_authkey_set(key, 0), -EINVAL);
    assert_int_equal(mproc_authkey_set(long_key, 257), -EINVAL);
    assert_int_equal(mproc_authkey_set(long_key, 256), 0);
    assert_int_equal(mproc_authkey_get(key, sizeof key, &size), 0);
    assert_int_equal(size, 256);
    assert_int_equal(mproc_authkey_get(NULL, 1, &size), -EINVAL);
    assert_int_equal(mproc_authkey_get(key, sizeof key, NULL), -EINVAL);
}

/* In shared memory: how many descriptors there are in each generation. */
struct generations {
    int depth;
    int count[5];
};

static int count_in_each(void *arg)
{
    struct generations *generations = arg;
    generations->count[generations->depth++] = count_descriptors();
    return generations->depth < 5 ? run(count_in_each, arg, NULL) : 0;
}

static void descriptors_do_not_heap_up_from_generation_to_generation(void **state)
{
    struct generations *generations = shared(sizeof *generations);
    (void)state;
    int own = count_descriptors();
    assert_int_equal(run(count_in_each, generations, NULL), 0);
    assert_int_equal(generations->count[0], own); /* that of itself has become a pidfd of its parent */
    for (int i = 1; i < 5; i++)
        assert_int_equal(generations->count[i], generations->count[0]);
    shared_free(generations);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(names_follow_the_line_of_descent),
        unit(a_name_of_ones_own_changes_no_numbers),
        unit(a_long_name_is_cut_after_63_bytes),
        unit(one_cannot_join_oneself_or_ones_parent),
        unit(a_child_sees_the_death_of_its_parent),
        unit(a_copied_argument_is_private),
        unit(a_signal_directly_after_the_start_is_not_caught_by_the_parents_handler),
        unit(a_child_has_default_signals_and_an_empty_mask),
        unit(a_child_of_a_process_with_threads_has_default_signals_too),
        unit(a_list_of_connections_closes_the_others),
        unit(children_have_the_authkey),
        unit(descriptors_do_not_heap_up_from_generation_to_generation),
    };
    return cmocka_run_group_tests(tests, warm_up, NULL);
}
