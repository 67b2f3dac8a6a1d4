/* Many processes, many threads that start them, and starts where something is used up. */
#include "children.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/memory.h>
#include <mproc/sync.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__SANITIZE_THREAD__) || defined(__SANITIZE_ADDRESS__)
enum {
    MANY = 100
};
#else
enum {
    MANY = 1000
};
#endif

static const enum mproc_start_method methods[] = {MPROC_START_FORK, MPROC_START_SPAWN, MPROC_START_FORKSERVER};

struct count {
    _Atomic(int) here;
    _Atomic(int) go;
};

static int arrive_and_wait(void *arg)
{
    struct count *count = arg;
    atomic_fetch_add(&count->here, 1);
    while (!atomic_load(&count->go))
        usleep(20000);
    return 3;
}

static bool all_are_here(void *arg)
{
    return atomic_load(&((struct count *)arg)->here) == MANY;
}

/* In a process of its own, whose books need not balance until it ends. */
static int start_many(void *arg)
{
    static mproc_process *processes[MANY], *children[MANY];
    struct count *count = arg;
    for (int i = 0; i < MANY; i++)
        processes[i] = start(arrive_and_wait, count, NULL);
    if (!wait_until(all_are_here, count, 2 * PATIENCE_MS) || mproc_active_children(children, MANY) != MANY)
        return 1;
    atomic_store(&count->go, 1);
    for (int i = 0; i < MANY; i++)
        if (finish(processes[i]) != 3)
            return 2;
    return mproc_active_children(NULL, 0);
}

static void a_thousand_processes_run_at_once(void **state)
{
    struct count *count = shared(sizeof *count);
    (void)state;
    assert_int_equal(child_finish(program_start(start_many, count)), 0);
    shared_free(count);
}

static int group_many(void *arg)
{
    struct count *count = arg;
    mproc_group *group;
    mproc_process *ended;
    atomic_store(&count->go, 1);
    if (mproc_group_create(&group, NULL))
        return 1;
    for (int i = 0; i < MANY; i++)
        if (mproc_group_start(group, NULL, arrive_and_wait, count, NULL))
            return 2;
    for (int i = 0; i < MANY; i++)
        if (mproc_group_wait_any(group, &ended, MPROC_FOREVER))
            return 3;
    if (mproc_group_wait_all(group, MPROC_NOWAIT) != MPROC_TASK_FAILED || mproc_group_size(group) != 0)
        return 4;
    mproc_group_free(group);
    return atomic_load(&count->here) == MANY ? 0 : 5;
}

static void a_thousand_processes_are_a_group(void **state)
{
    struct count *count = shared(sizeof *count);
    (void)state;
    assert_int_equal(child_finish(program_start(group_many, count)), 0);
    shared_free(count);
}

/* ---- threads ---- */

static _Atomic(bool) stopping;

static void *use_malloc(void *arg)
{
    (void)arg;
    while (!atomic_load(&stopping)) {
        char *memory = malloc(1 + (size_t)rand() % 5000);
        snprintf(memory, 1, "%s", "");
        free(memory);
    }
    return NULL;
}

static int use_malloc_and_stdio(void *arg)
{
    char *text = malloc(100);
    snprintf(text, 100, "%d", *(int *)arg);
    int code = atoi(text);
    free(text);
    return code;
}

static int start_some(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int code = i;
        if (run(use_malloc_and_stdio, &code,
                &(mproc_process_options){.arg_size = sizeof code, .method = methods[i % 10 ? 0 : 2]}) != i)
            return 1;
    }
    return 0;
}

static void threads_may_start_while_others_run(void **state)
{
    pthread_t busy[2];
    (void)state;
    atomic_store(&stopping, false);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&busy[i], NULL, use_malloc, NULL), 0);
    threads_run(start_some, NULL, 6);
    atomic_store(&stopping, true);
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_join(busy[i], NULL), 0);
}

/* ---- limits ---- */

/* Start with so many descriptors left, from none on, until it succeeds. */
static int start_with_few_descriptors(void *arg)
{
    const enum mproc_start_method method = *(enum mproc_start_method *)arg;
    const mproc_process_options options = {.method = method, .arg_size = sizeof(int), .daemon = true};
    const struct rlimit limit = {64, 64};
    mproc_process *process;
    int zero = 0, fd, fds[64], open_count = 0, failures = 0;
    if (setrlimit(RLIMIT_NOFILE, &limit))
        return 1;
    run(return_int, &zero, &options); /* has what is kept: a server with this limit too */
    while ((fd = dup(0)) >= 0)
        fds[open_count++] = fd;
    for (;;) {
        int before = count_descriptors();
        int result = mproc_process_start(&process, return_int, &zero, &options);
        if (result == 0)
            break;
        if (result != -EMFILE || process || ++failures > 20)
            return 2;
        if (count_descriptors() != before || waitpid(-1, NULL, WNOHANG) > 0)
            return 3;
        if (open_count == 0)
            return 5;
        close(fds[--open_count]);
    }
    if (failures == 0)
        return 4;
    return finish(process);
}

static void a_start_without_descriptors_fails_and_leaves_nothing(void **state)
{
    (void)state;
    for (size_t i = 0; i < 3; i++)
        assert_int_equal(child_finish(program_start(start_with_few_descriptors, (void *)(uintptr_t)&methods[i])), 0);
}

/* As a user that may have no more processes than he has; the super-user may have any number. */
static int start_with_few_processes(void *arg)
{
    const enum mproc_start_method method = *(enum mproc_start_method *)arg;
    const mproc_process_options options = {.method = method, .arg_size = sizeof(int)};
    const struct rlimit limit = {1, 1};
    mproc_process *process;
    int zero = 0;
    run(return_int, &zero, &options); /* has what is kept */
    int before = count_descriptors();
    if (setrlimit(RLIMIT_NPROC, &limit) || (geteuid() == 0 && (setgid(65534) || setuid(65534))))
        return 1;
    if (mproc_process_start(&process, return_int, &zero, &options) != -EAGAIN || process)
        return 2;
    return count_descriptors() == before && waitpid(-1, NULL, WNOHANG) <= 0 ? 0 : 3;
}

static void a_start_above_the_limit_of_processes_fails(void **state)
{
    (void)state;
    for (size_t i = 0; i < 2; i++)
        assert_int_equal(in_child(start_with_few_processes, (void *)(uintptr_t)&methods[i]), 0);
}

/* ---- what the dead held ---- */

static int hold_and_die(void *arg)
{
    mproc_semaphore_acquire(arg, MPROC_FOREVER);
    return raise(SIGKILL);
}

static void what_a_dead_child_held_is_given_back_when_it_is_joined(void **state)
{
    mproc_semaphore *semaphore = shared(sizeof *semaphore);
    (void)state;
    assert_int_equal(mproc_semaphore_init(semaphore, 1, 0), 0);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(run(hold_and_die, semaphore, &(mproc_process_options){.method = methods[i]}), -SIGKILL);
        assert_int_equal(mproc_semaphore_value(semaphore), 1);
    }
    shared_free(semaphore);
}

int main(void)
{
    mproc_init();
    const struct CMUnitTest tests[] = {
        unit(a_thousand_processes_run_at_once),           unit(a_thousand_processes_are_a_group),
        unit(threads_may_start_while_others_run),         unit(a_start_without_descriptors_fails_and_leaves_nothing),
        unit(a_start_above_the_limit_of_processes_fails), unit(what_a_dead_child_held_is_given_back_when_it_is_joined),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
