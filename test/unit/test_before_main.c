/* A program may use the library before the library's own constructors have run: in its own constructors, as those of
 * static C++ objects are, where it is linked with the static library. What is said here is found out before main(). */
#include "harness.h"

#include <errno.h>
#include <mproc.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    NOT_TRIED = -1000
};

struct found {
    int by_library, by_fork; /* what taking the lock of a dead child said */
    int semaphore;           /* whether a dead child's unit came back */
    int called, answer;      /* by a pool */
    int received;            /* through a connection that a forked child has too */
    int accepted;
    int closed_in_child;
};
static struct found found = {.by_library = NOT_TRIED};
static mproc_pool *pool;

static int take_and_die(void *arg)
{
    if (mproc_lock_acquire(arg, MPROC_SEC(20)) == 0)
        raise(SIGKILL);
    return 1;
}

static int take_unit_and_die(void *arg)
{
    if (mproc_semaphore_acquire(arg, MPROC_SEC(20)) == 0)
        raise(SIGKILL);
    return 1;
}

static void run_by_library(mproc_target *fn, void *arg)
{
    mproc_process *process;
    if (mproc_process_start(&process, fn, arg, NULL) == 0)
        mproc_process_join(process, MPROC_SEC(60));
    mproc_process_free(process);
}

static void run_by_fork(mproc_target *fn, void *arg)
{
    pid_t pid = fork();
    if (pid == 0)
        _exit(fn(arg));
    waitpid(pid, NULL, 0);
}

static int add_one(void *ctx, const void *in, void *out)
{
    (void)ctx;
    *(int *)out = *(const int *)in + 1;
    return 0;
}

static void try_locks(void)
{
    mproc_lock *lock = mproc_calloc(1, sizeof *lock);
    if (!lock || mproc_lock_init(lock))
        return;
    run_by_library(take_and_die, lock);
    found.by_library = mproc_lock_acquire(lock, MPROC_SEC(60));
    mproc_lock_release(lock);
    run_by_fork(take_and_die, lock);
    found.by_fork = mproc_lock_acquire(lock, MPROC_SEC(60));
    mproc_lock_release(lock);
    mproc_free(lock);
}

static void try_semaphore(void)
{
    mproc_semaphore *semaphore = mproc_calloc(1, sizeof *semaphore);
    if (!semaphore || mproc_semaphore_init(semaphore, 1, 0))
        return;
    run_by_library(take_unit_and_die, semaphore);
    found.semaphore = mproc_semaphore_acquire(semaphore, MPROC_SEC(60));
    mproc_free(semaphore);
}

static void try_pool(void)
{
    int in = 4;
    found.called = mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = MPROC_START_FORK});
    if (!found.called)
        found.called =
            mproc_pool_call(pool, add_one, NULL, &in, sizeof in, &found.answer, sizeof found.answer, MPROC_SEC(60));
}

/* A listener is its maker's: a forked child has none. */
static void try_listener(void)
{
    mproc_listener *listener;
    mproc_connection *client = NULL, *server = NULL;
    char text[4] = "";
    found.accepted = mproc_listener_create(&listener, "unix:", NULL);
    if (found.accepted)
        return;
    pid_t pid = fork();
    if (pid == 0)
        _exit(mproc_listener_fileno(listener) == -EBADF ? 0 : 1);
    int status = 1;
    waitpid(pid, &status, 0);
    found.closed_in_child = status == 0;
    found.accepted = mproc_connect(&client, mproc_listener_address(listener), NULL, MPROC_SEC(60));
    if (!found.accepted)
        found.accepted = mproc_listener_accept(listener, &server, MPROC_SEC(60));
    if (!found.accepted && mproc_connection_send(client, "abc", 4, MPROC_SEC(60)) == 0)
        found.received =
            mproc_connection_recv(server, text, sizeof text, NULL, MPROC_SEC(60)) == 0 && strcmp(text, "abc") == 0;
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
}

/* Before all constructors without a number, as the library's are. */
__attribute__((constructor(101))) static void use_early(void)
{
    alarm(120);
    try_listener();
    try_locks();
    try_semaphore();
    try_pool();
    alarm(0);
}

/* After the exit handlers, those of the library among them. */
__attribute__((destructor(101))) static void use_late(void)
{
    alarm(60);
    pool = mproc_pool_free(pool);
}

static void what_a_dead_child_held_goes_on(void **state)
{
    (void)state;
    assert_int_equal(found.by_library, MPROC_OWNER_DIED);
    assert_int_equal(found.by_fork, MPROC_OWNER_DIED);
    assert_int_equal(found.semaphore, 0);
}

static void a_pool_works_before_main_and_in_it(void **state)
{
    int in = 9, out = 0;
    (void)state;
    assert_int_equal(found.called, 0);
    assert_int_equal(found.answer, 5);
    assert_int_equal(mproc_pool_call(pool, add_one, NULL, &in, sizeof in, &out, sizeof out, MPROC_SEC(60)), 0);
    assert_int_equal(out, 10);
}

static void a_listener_is_no_forked_childs(void **state)
{
    (void)state;
    assert_int_equal(found.accepted, 0);
    assert_true(found.closed_in_child);
    assert_true(found.received);
}

/* Without books: the server of the pool is a child that was there before, and stays until the end. */
int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_a_dead_child_held_goes_on),
        cmocka_unit_test(a_pool_works_before_main_and_in_it),
        cmocka_unit_test(a_listener_is_no_forked_childs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
