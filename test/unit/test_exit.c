/* exit() in the handler of a signal that comes in the midst of a call of the library: the program ends. */
#include "harness.h"
#include "pools.h"
#include "processes.h"

#include <errno.h>
#include <mproc.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>

enum {
    RUNS = 15,
    LEFT = 7 /* the exit code */
};

static void leave(int number)
{
    (void)number;
    exit(LEFT); /* NOLINT(bugprone-signal-handler): what programs do, though they may not */
}

/* SIGALRM in so many microseconds. */
static void leave_after(long microseconds)
{
    const struct itimerval soon = {.it_value.tv_usec = microseconds};
    signal(SIGALRM, leave);
    setitimer(ITIMER_REAL, &soon, NULL);
}

static mproc_pool *make_any_pool(void)
{
    mproc_pool *pool;
    if (mproc_pool_create(&pool, &(mproc_pool_options){.workers = 2, .method = MPROC_START_FORK}))
        _exit(1);
    return pool;
}

/* What is done until the signal comes. None of them ends. */
static void submit_to_pool(long microseconds)
{
    mproc_pool *pool = make_any_pool();
    const long number = 1;
    leave_after(microseconds);
    for (;;) {
        mproc_future *future;
        if (mproc_pool_submit(pool, &future, square, NULL, &number, sizeof number, sizeof number) == 0)
            mproc_future_free(future);
    }
}

static void map_in_pool(long microseconds)
{
    mproc_pool *pool = make_any_pool();
    long in[100] = {0}, out[100];
    const mproc_map map = {.count = 100, .in = in, .in_size = sizeof *in, .out = out, .out_size = sizeof *out};
    leave_after(microseconds);
    for (;;)
        mproc_pool_map(pool, square, NULL, &map, MPROC_FOREVER);
}

static void resize_pool(long microseconds)
{
    mproc_pool *pool = make_any_pool();
    leave_after(microseconds);
    for (unsigned i = 0;; i++)
        mproc_pool_resize(pool, 1 + i % 2);
}

static void make_pools(long microseconds)
{
    leave_after(microseconds * 4);
    for (;;)
        mproc_pool_free(make_any_pool());
}

static int do_nothing(void *arg)
{
    (void)arg;
    return 0;
}

static void start_processes(long microseconds)
{
    leave_after(microseconds);
    for (;;) {
        mproc_process *process;
        if (mproc_process_start(&process, do_nothing, NULL, NULL))
            _exit(1);
        mproc_process_join(process, MPROC_FOREVER);
        mproc_process_free(process);
    }
}

static void take_blocks(long microseconds)
{
    leave_after(microseconds);
    for (size_t i = 0;; i++)
        mproc_free(mproc_alloc(1 + i % 100000));
}

/* What a program still has at its end is no leak as long as it knows where. */
static mproc_pool *volatile pool_of_parent;

/* With a child that is ended at the end, and a pool that is too. */
static void take_blocks_of_a_parent(long microseconds)
{
    mproc_process *process;
    pool_of_parent = make_any_pool();
    if (mproc_process_start(&process, do_nothing, NULL, &(mproc_process_options){.daemon = true}))
        _exit(1);
    take_blocks(microseconds);
}

static void put_and_get(long microseconds)
{
    mproc_queue *queue;
    char text[100] = "text";
    if (mproc_queue_create(&queue, NULL))
        _exit(1);
    leave_after(microseconds);
    for (;;) {
        mproc_queue_put(queue, text, sizeof text, MPROC_FOREVER);
        mproc_queue_get(queue, text, sizeof text, NULL, MPROC_FOREVER);
    }
}

struct end {
    pid_t pid;
    int status;
};

static bool has_ended(void *arg)
{
    struct end *end = arg;
    return waitpid(end->pid, &end->status, WNOHANG) == end->pid;
}

/* A plain child, as a program that was just started. It ends without freeing what it has, in the arena of this test. */
static void must_end(void (*work)(long microseconds))
{
    for (int i = 0; i < RUNS; i++) {
        struct end end = {.pid = fork()};
        assert_true(end.pid >= 0);
        if (end.pid == 0) {
            work(1 + i * 1237 % 5000);
            _exit(1);
        }
        bool ended = wait_until(has_ended, &end, 30000);
        if (!ended)
            kill(end.pid, SIGKILL);
        assert_true(ended);
        assert_true(WIFEXITED(end.status));
        assert_int_equal(WEXITSTATUS(end.status), LEFT);
    }
    books_forgive();
}

static void a_program_in_a_call_of_a_pool_ends(void **state)
{
    (void)state;
    must_end(submit_to_pool);
    must_end(map_in_pool);
    must_end(resize_pool);
    must_end(make_pools);
}

static void a_program_that_starts_processes_ends(void **state)
{
    (void)state;
    must_end(start_processes);
}

static void a_program_in_the_heap_or_a_queue_ends(void **state)
{
    (void)state;
    must_end(take_blocks_of_a_parent);
    must_end(put_and_get);
}

/* A child of the library gives back what it holds at its end. */
static int allocating_child(void *arg)
{
    take_blocks(*(long *)arg);
    return 1;
}

static int submitting_child(void *arg)
{
    submit_to_pool(*(long *)arg);
    return 1;
}

static void a_child_of_the_library_ends(void **state)
{
    mproc_target *const targets[] = {allocating_child, submitting_child};
    (void)state;
    for (int i = 0; i < RUNS * 2; i++) {
        mproc_process *process;
        int code;
        long microseconds = 1 + i * 1237 % 5000;
        const mproc_process_options options = {.arg_size = sizeof microseconds};
        assert_int_equal(mproc_process_start(&process, targets[i % 2], &microseconds, &options), 0);
        assert_int_equal(mproc_process_join(process, MPROC_SEC(30)), 0);
        assert_int_equal(mproc_process_exitcode(process, &code), 0);
        assert_int_equal(code, LEFT);
        mproc_process_free(process);
    }
    books_forgive();
}

static void *leave_in_thread(void *arg)
{
    (void)arg;
    nap(5);
    exit(LEFT);
}

static void submit_while_another_thread_leaves(long microseconds)
{
    pthread_t thread;
    (void)microseconds;
    pthread_create(&thread, NULL, leave_in_thread, NULL);
    submit_to_pool(999999);
}

static void a_program_ends_that_another_thread_ends(void **state)
{
    (void)state;
    must_end(submit_while_another_thread_leaves);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_program_in_a_call_of_a_pool_ends),      unit(a_program_that_starts_processes_ends),
        unit(a_program_in_the_heap_or_a_queue_ends),   unit(a_child_of_the_library_ends),
        unit(a_program_ends_that_another_thread_ends),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
