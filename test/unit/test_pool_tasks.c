/* What the tasks of a pool may do, and what reaches them. */
#include "harness.h"
#include "pools.h"

#include <fcntl.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <unistd.h>

/* ---- what tasks may do ---- */

static int print_number(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    printf("%d ", *(const int *)in);
    return 0;
}

static void what_tasks_print_is_written_when_they_are_done_in_their_order(void **state)
{
    char text[256], byte;
    int numbers[20], pipe_ends[2];
    (void)state;
    fflush(stdout);
    int kept = dup(STDOUT_FILENO);
    assert_int_equal(pipe2(pipe_ends, O_CLOEXEC | O_NONBLOCK), 0);
    dup2(pipe_ends[1], STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOFBF, 4096); /* inherited by the workers */
    mproc_pool *pool = make_pool(1);
    for (int i = 0; i < 20; i++)
        numbers[i] = i;
    const mproc_map map = {.count = 20, .in = numbers, .in_size = sizeof *numbers};
    assert_int_equal(mproc_pool_map(pool, print_number, NULL, &map, MPROC_FOREVER), 0);
    ssize_t length = read(pipe_ends[0], text, sizeof text - 1);
    int missing = 0;
    for (int i = 0; i < 200; i++) {
        mproc_future *future;
        mproc_pool_submit(pool, &future, print_number, NULL, numbers, sizeof *numbers, 0);
        mproc_future_wait(future, MPROC_FOREVER);
        missing += read(pipe_ends[0], &byte, 1) != 1 || read(pipe_ends[0], &byte, 1) != 1;
        mproc_future_free(future);
    }
    mproc_pool_free(pool);
    dup2(kept, STDOUT_FILENO);
    setvbuf(stdout, NULL, _IOLBF, 0);
    close(kept);
    close(pipe_ends[0]);
    close(pipe_ends[1]);
    assert_int_equal(missing, 0);
    assert_true(length > 0);
    text[length] = '\0';
    assert_string_equal(text, "0 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 ");
}

static void the_interrupt_of_the_terminal_reaches_the_host_alone(void **state)
{
    long in[COUNT], out[COUNT];
    pid_t before[2], after[2];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_workers(pool, before, 2), 2);
    for (int i = 0; i < 2; i++)
        assert_int_equal(kill(before[i], SIGINT), 0);
    map_squares(pool, in, out, COUNT, 0);
    assert_int_equal(mproc_pool_workers(pool, after, 2), 2);
    assert_memory_equal(before, after, sizeof before);
    mproc_pool_free(pool);
}

static int return_five(void *arg)
{
    (void)arg;
    return 5;
}

static int start_a_process(void *ctx, const void *in, void *out)
{
    mproc_process *process;
    int exitcode = -1;
    (void)ctx;
    (void)in;
    int result = mproc_process_start(&process, return_five, NULL, NULL);
    if (result)
        return result;
    mproc_process_join(process, MPROC_FOREVER);
    mproc_process_exitcode(process, &exitcode);
    mproc_process_free(process);
    *(int *)out = exitcode;
    return 0;
}

static void tasks_may_start_processes(void **state)
{
    int out[8];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(mproc_pool_map(pool, start_a_process, NULL,
                                    &(mproc_map){.count = 8, .out = out, .out_size = sizeof *out}, MPROC_FOREVER),
                     0);
    for (int i = 0; i < 8; i++)
        assert_int_equal(out[i], 5);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(what_tasks_print_is_written_when_they_are_done_in_their_order),
        unit(the_interrupt_of_the_terminal_reaches_the_host_alone),
        unit(tasks_may_start_processes),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
