/* The harness itself: that it notices what it is there to notice. What must be noticed is left behind in a forked copy
 * of the test, whose stderr the test reads. */
#include "harness.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc/memory.h>
#include <signal.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

/* Run fn in a forked copy, and put what it says on stderr into text. Returns its exit code, or minus its signal. */
static int run_copy(int (*fn)(void), char *text, size_t size)
{
    int output[2], status;
    size_t length = 0;
    ssize_t got;

    assert_int_equal(pipe2(output, O_CLOEXEC), 0);
    pid_t copy = fork();
    assert_true(copy >= 0);
    if (copy == 0) {
        dup2(output[1], STDERR_FILENO);
        close(output[0]);
        close(output[1]);
        _exit(fn());
    }
    close(output[1]);
    while (length < size - 1 && (got = read(output[0], text + length, size - 1 - length)) > 0)
        length += (size_t)got;
    text[length] = '\0';
    close(output[0]);
    assert_int_equal(waitpid(copy, &status, 0), copy);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status);
}

static pid_t start_sleeper(void)
{
    pid_t child = fork();

    if (child == 0)
        for (;;)
            pause();
    return child;
}

static int keep_the_books(void)
{
    books_open(NULL);
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    void *block = mproc_alloc(1);
    pid_t child = start_sleeper();
    close(fd);
    mproc_free(block);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    return books_check(NULL);
}

static void a_clean_test_passes(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run_copy(keep_the_books, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static int leave_everything(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    books_open(NULL);
    close(fd);
    (void)!open("/dev/zero", O_RDONLY | O_CLOEXEC);
    (void)!open("/dev/full", O_RDONLY | O_CLOEXEC);
    void *block = mproc_alloc(1000);
    start_sleeper();
    pid_t zombie = fork();
    if (zombie == 0)
        _exit(0);
    int result = books_check(NULL);
    mproc_free(block); /* which is the family's, so this process's end would not free it */
    return result && waitpid(-1, NULL, WNOHANG) == -1 && errno == ECHILD ? 0 : 1;
}

static void each_thing_left_behind_is_named_and_children_are_removed(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run_copy(leave_everything, text, sizeof text), 0);
    assert_non_null(strstr(text, "/dev/full"));
    assert_non_null(strstr(text, "bytes in use before the test"));
    assert_non_null(strstr(text, ") S "));
    assert_non_null(strstr(text, ") Z "));
}

static int close_what_was_open(void)
{
    int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);
    books_open(NULL);
    close(fd);
    return books_check(NULL) ? 0 : 1;
}

static void a_descriptor_closed_by_mistake_is_named(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run_copy(close_what_was_open, text, sizeof text), 0);
    assert_non_null(strstr(text, "closed: descriptor"));
}

static int keep_what_is_allowed(void)
{
    books_open(NULL);
    pid_t child = start_sleeper();
    (void)!open("/dev/null", O_RDONLY | O_CLOEXEC);
    void *block = mproc_alloc(1000);
    books_allow_child(child);
    books_forgive();
    int result = books_check(NULL);
    mproc_free(block);
    kill(child, SIGKILL);
    return result;
}

static void what_is_forgiven_or_allowed_is_no_leak(void **state)
{
    char text[4096];

    (void)state;
    assert_int_equal(run_copy(keep_what_is_allowed, text, sizeof text), 0);
    assert_string_equal(text, "");
}

static volatile pid_t *sleeper;

static int hang(void)
{
    *sleeper = start_sleeper();
    raise(SIGALRM);
    return 0;
}

static bool sleeper_is_gone(void *arg)
{
    (void)arg;
    return kill(*sleeper, 0) != 0;
}

static void the_watchdog_ends_the_program_and_its_children(void **state)
{
    char text[16384];

    (void)state;
    sleeper = mmap(NULL, sizeof *sleeper, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    assert_ptr_not_equal((void *)sleeper, MAP_FAILED);
    assert_int_equal(run_copy(hang, text, sizeof text), 124);
    assert_non_null(strstr(text, "watchdog"));
    assert_true(wait_until(sleeper_is_gone, NULL, 5000));
    munmap((void *)sleeper, sizeof *sleeper);
}

static bool never(void *arg)
{
    ++*(int *)arg;
    return false;
}

static void a_wait_ends_at_its_deadline(void **state)
{
    int looks = 0;

    (void)state;
    assert_false(wait_until(never, &looks, 20));
    assert_in_range(looks, 2, 21);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_clean_test_passes),
        unit(each_thing_left_behind_is_named_and_children_are_removed),
        unit(a_descriptor_closed_by_mistake_is_named),
        unit(what_is_forgiven_or_allowed_is_no_leak),
        unit(the_watchdog_ends_the_program_and_its_children),
        unit(a_wait_ends_at_its_deadline),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
