/* As containers.h says. */
#include "containers.h"

#include "children.h"
#include "container/container.h"
#include "harness.h"
#include "pools.h"
#include <signal.h>
#include <stdlib.h>
#include <sys/wait.h>
#include <unistd.h>

static uint64_t state;

void random_seed(uint64_t seed)
{
    state = seed * UINT64_C(0x9e3779b97f4a7c15) + 1;
}

unsigned random_below(unsigned below)
{
    state ^= state << 13;
    state ^= state >> 7;
    state ^= state << 17;
    return (unsigned)((state >> 20) % below);
}

void value_is(mproc_value *found, mproc_value expected)
{
    bool equal = mproc_value_equal(*found, expected);
    if (!equal) {
        char *a = mproc_value_repr(*found);
        char *b = mproc_value_repr(expected);
        print_error("found %s, expected %s\n", a, b);
        free(a);
        free(b);
    }
    assert_true(equal);
    mproc_value_free(found);
}

FILE *python_start(void)
{
    if (system("command -v python3 >/dev/null 2>&1") != 0)
        return NULL;
    signal(SIGPIPE, SIG_IGN);
    FILE *python = popen("python3 -", "w");
    assert_non_null(python);
    return python;
}

void python_say(FILE *python, const char *text, ...)
{
    va_list arguments;
    if (!python)
        return;
    va_start(arguments, text);
    vfprintf(python, text, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
    va_end(arguments);
    fputc('\n', python);
}

void python_expect(FILE *python, mproc_value *found, const char *expression, ...)
{
    char *text = mproc_value_repr(*found);
    assert_non_null(text);
    if (python) {
        va_list arguments;
        fputs("assert ", python);
        va_start(arguments, expression);
        vfprintf(python, expression, arguments); /* NOLINT(clang-analyzer-valist.Uninitialized) */
        va_end(arguments);
        fprintf(python, " == %s\n", text);
    }
    free(text);
    mproc_value_free(found);
}

void python_finish(FILE *python)
{
    if (python)
        assert_int_equal(pclose(python), 0);
}

static int hold_for_ever(void *arg)
{
    struct container *container = arg;
    if (container_lock(container_type_of(container), container, OS_NEVER))
        return 1;
    raise(SIGSTOP);
    return 0;
}

void expect_timeout_while_stopped(int (*operate)(void *container), void *container)
{
    int status;
    pid_t holder = child_start(hold_for_ever, container);
    assert_int_equal(waitpid(holder, &status, WUNTRACED), holder);
    assert_true(WIFSTOPPED(status));
    int64_t begin = now();
    assert_int_equal(operate(container), MPROC_TIMEOUT);
    assert_true(now() - begin >= MPROC_MS(100).nanoseconds);
    child_kill(holder);
    assert_int_equal(operate(container), 0);
}
