/* Maps that show on stderr how they go on: on a terminal, into a pipe, and where nobody reads or nothing can be
 * written. */
#include "harness.h"
#include "pools.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum {
    ITEMS = 40,
    SHORT = 20 /* milliseconds that an item takes */
};

static int sleep_and_fail_at_last(void *ctx, const void *in, void *out)
{
    int item = *(const int *)in;
    (void)ctx;
    (void)out;
    nap(SHORT);
    return item == ITEMS - 1;
}

static int die_at_first(void *ctx, const void *in, void *out)
{
    (void)ctx;
    (void)out;
    if (*(const int *)in == 0)
        raise(SIGKILL);
    return 0;
}

/* ---- where stderr goes ---- */

static int kept_stderr;

static void redirect(int fd)
{
    fflush(stderr);
    kept_stderr = dup(STDERR_FILENO);
    assert_true(kept_stderr >= 0);
    assert_int_equal(dup2(fd, STDERR_FILENO), STDERR_FILENO);
}

static void restore(void)
{
    dup2(kept_stderr, STDERR_FILENO);
    close(kept_stderr);
}

/* What can be read at once. */
static char *read_all(int fd)
{
    static char text[65536];
    size_t length = 0;
    fcntl(fd, F_SETFL, O_NONBLOCK);
    for (ssize_t got; (got = read(fd, text + length, sizeof text - 1 - length)) > 0;)
        length += (size_t)got;
    text[length] = '\0';
    return text;
}

static int open_terminal(int *terminal, unsigned short columns)
{
    int master = posix_openpt(O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(master >= 0);
    assert_int_equal(grantpt(master), 0);
    assert_int_equal(unlockpt(master), 0);
    *terminal = open(ptsname(master), O_RDWR | O_NOCTTY | O_CLOEXEC);
    assert_true(*terminal >= 0);
    assert_int_equal(ioctl(master, TIOCSWINSZ, &(struct winsize){.ws_row = 24, .ws_col = columns}), 0);
    return master;
}

static int run_map(mproc_pool *pool, mproc_task *fn, const char *label, mproc_time timeout)
{
    int in[ITEMS];
    for (int i = 0; i < ITEMS; i++)
        in[i] = i;
    return mproc_pool_map(pool, fn, NULL,
                          &(mproc_map){.count = ITEMS, .in = in, .in_size = sizeof *in, .chunk = 1, .show = label},
                          timeout);
}

/* ---- tests ---- */

/* Every line is drawn over the last, none is wider than the terminal, none is shorter than what it covers. */
static void a_terminal_shows_one_line_that_is_written_over(void **state)
{
    int terminal, master = open_terminal(&terminal, 60);
    mproc_pool *pool = make_pool(2);
    (void)state;
    int64_t begin = milliseconds();
    redirect(terminal);
    int result = run_map(pool, sleep_and_fail_at_last, "nap", MPROC_FOREVER);
    restore();
    int64_t took = milliseconds() - begin;
    char *text = read_all(master);
    assert_int_equal(result, MPROC_TASK_FAILED);
    int lines = 0;
    for (char *at = text; (at = strchr(at, '\r')) != NULL && at[1] != '\n'; lines++) {
        at++;
        assert_int_equal(strncmp(at, "nap: ", 5), 0);
        assert_in_range(strcspn(at, "\r\n"), 20, 59);
    }
    assert_in_range(lines, 2, 2 + took / 100);
    assert_non_null(strstr(text, "\rnap: 40/40  100%"));
    assert_non_null(strstr(text, "1 failed"));
    assert_string_equal(text + strlen(text) - 2, "\r\n");
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    mproc_pool_free(pool);
    close(terminal);
    close(master);
}

static void a_narrow_terminal_gets_a_narrow_line(void **state)
{
    (void)state;
    for (unsigned short columns = 1; columns < 30; columns += 7) {
        int terminal, master = open_terminal(&terminal, columns);
        mproc_pool *pool = make_pool(1);
        redirect(terminal);
        assert_int_equal(run_map(pool, die_at_first, "a label that is long", MPROC_FOREVER), MPROC_WORKER_DIED);
        restore();
        const char *text = read_all(master);
        assert_in_range(strcspn(text + 1, "\r\n"), 0, columns - 1);
        if (columns > 5)
            assert_non_null(strstr(text, "100%"));
        mproc_pool_free(pool);
        close(terminal);
        close(master);
    }
}

static void a_pipe_gets_whole_lines(void **state)
{
    int ends[2];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    redirect(ends[1]);
    int result = run_map(pool, die_at_first, "deaths", MPROC_FOREVER);
    restore();
    const char *text = read_all(ends[0]);
    assert_int_equal(result, MPROC_WORKER_DIED);
    assert_int_equal(strncmp(text, "deaths: 40/40  100%  ", 21), 0);
    assert_non_null(strstr(text, "  1 failed\n"));
    assert_null(strchr(text, '\r'));
    assert_ptr_equal(strchr(text, '\n'), text + strlen(text) - 1);
    mproc_pool_free(pool);
    close(ends[0]);
    close(ends[1]);
}

static void a_map_that_runs_out_of_time_says_so(void **state)
{
    int ends[2];
    mproc_pool *pool = make_pool(1);
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    redirect(ends[1]);
    int result = run_map(pool, sleep_and_fail_at_last, "", MPROC_MS(SHORT * 5));
    restore();
    const char *text = read_all(ends[0]);
    assert_int_equal(result, MPROC_TIMEOUT);
    assert_non_null(strstr(text, "/40  "));
    assert_non_null(strstr(text, "stopped after 0."));
    mproc_pool_free(pool);
    close(ends[0]);
    close(ends[1]);
}

static void count_calls(void *arg, size_t done, size_t total)
{
    (void)done;
    assert_int_equal(total, ITEMS);
    ++*(int *)arg;
}

static void a_callback_may_be_given_as_well(void **state)
{
    int ends[2], in[ITEMS] = {0}, calls = 0;
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC), 0);
    redirect(ends[1]);
    int result = mproc_pool_map(pool, sleep_and_fail_at_last, NULL,
                                &(mproc_map){.count = ITEMS,
                                             .in = in,
                                             .in_size = sizeof *in,
                                             .progress = count_calls,
                                             .progress_arg = &calls,
                                             .show = "both"},
                                MPROC_FOREVER);
    restore();
    assert_int_equal(result, 0);
    assert_int_equal(strncmp(read_all(ends[0]), "both: 40/40  ", 13), 0);
    assert_in_range(calls, 2, 1000);
    mproc_pool_free(pool);
    close(ends[0]);
    close(ends[1]);
}

/* A pipe that is full, one that nobody reads, and no stderr at all. */
static void a_stderr_that_takes_nothing_does_not_matter(void **state)
{
    static char much[1 << 16];
    int ends[2];
    mproc_pool *pool = make_pool(2);
    (void)state;
    assert_int_equal(pipe2(ends, O_CLOEXEC | O_NONBLOCK), 0);
    while (write(ends[1], much, sizeof much) > 0)
        ;
    fcntl(ends[1], F_SETFL, 0);
    redirect(ends[1]);
    int64_t begin = milliseconds();
    int full = run_map(pool, sleep_and_fail_at_last, "full", MPROC_FOREVER);
    int64_t took = milliseconds() - begin;
    close(ends[0]);
    int broken = run_map(pool, sleep_and_fail_at_last, "broken", MPROC_FOREVER);
    close(STDERR_FILENO);
    int none = run_map(pool, sleep_and_fail_at_last, "none", MPROC_FOREVER);
    restore();
    assert_int_equal(full, MPROC_TASK_FAILED);
    assert_int_equal(broken, MPROC_TASK_FAILED);
    assert_int_equal(none, MPROC_TASK_FAILED);
    assert_in_range(took, SHORT * ITEMS / 2, 10000);
    mproc_pool_free(pool);
    close(ends[1]);
}

/* Nobody would draw it. */
static void a_map_that_is_not_waited_for_shows_nothing(void **state)
{
    mproc_pool *pool = make_pool(1);
    mproc_future *future;
    (void)state;
    assert_int_equal(mproc_pool_map_async(pool, &future, square, NULL, &(mproc_map){.count = 1, .show = "no"}),
                     -EINVAL);
    mproc_pool_free(pool);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_terminal_shows_one_line_that_is_written_over),
        unit(a_narrow_terminal_gets_a_narrow_line),
        unit(a_pipe_gets_whole_lines),
        unit(a_map_that_runs_out_of_time_says_so),
        unit(a_callback_may_be_given_as_well),
        unit(a_stderr_that_takes_nothing_does_not_matter),
        unit(a_map_that_is_not_waited_for_shows_nothing),
    };
    return run_with_each_server(tests, sizeof tests / sizeof *tests);
}
