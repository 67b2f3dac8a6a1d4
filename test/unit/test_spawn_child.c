/* Fresh processes, by spawn and by the fork server: what the child gets, and what it does not. What is said here holds
 * for both methods. */
#include "children.h"
#include "fresh.h"
#include "harness.h"
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

/* ---- what is inherited ---- */

struct found {
    int fds[32];
    char targets[32][64];
    int count;
};

static int list_descriptors(void *arg)
{
    struct found *found = arg;
    char path[64];
    for (int fd = 0; fd < 1024 && found->count < 32; fd++) {
        snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
        if (readlink(path, found->targets[found->count], 63) >= 0)
            found->fds[found->count++] = fd;
    }
    return 0;
}

static void a_child_has_the_descriptors_of_the_library_and_no_others(void **state)
{
    struct found *found = shared(sizeof *found);
    (void)state;
    int leaked = open("/dev/zero", O_RDONLY); /* not close-on-exec */
    assert_int_equal(run_shared(list_descriptors, found), 0);
    close(leaked);
    int arenas = 0, bells = 0, pidfds = 0, others = 0;
    for (int i = 0; i < found->count; i++) {
        if (found->fds[i] < 3)
            continue;
        if (strstr(found->targets[i], "/memfd:mproc "))
            arenas++;
        else if (strstr(found->targets[i], "eventfd"))
            bells++;
        else if (strstr(found->targets[i], "pidfd"))
            pidfds++;
        else
            others++;
    }
    assert_int_equal(arenas, 1);
    assert_int_equal(bells, 1);
    assert_int_equal(pidfds, 1);
    assert_int_equal(others, 0);
    shared_free(found);
}

static int look_at_signals(void *arg)
{
    sigset_t mask;
    struct sigaction action;
    (void)arg;
    sigprocmask(SIG_SETMASK, NULL, &mask);
    if (!sigisemptyset(&mask))
        return 1;
    for (int number = 1; number < NSIG; number++)
        if (sigaction(number, NULL, &action) == 0 && action.sa_handler != SIG_DFL)
            return number;
    return 0;
}

static void ignore_it(int number)
{
    (void)number;
}

static void a_child_has_default_signals_and_an_empty_mask(void **state)
{
    sigset_t blocked, before;
    (void)state;
    sigemptyset(&blocked);
    sigaddset(&blocked, SIGTERM);
    sigprocmask(SIG_SETMASK, &blocked, &before);
    signal(SIGUSR1, ignore_it);
    assert_int_equal(run_shared(look_at_signals, NULL), 0);
    signal(SIGUSR1, SIG_DFL);
    sigprocmask(SIG_SETMASK, &before, NULL);
}

static int look_at_environment(void *arg)
{
    char folder[PATH_MAX];
    const char *value = getenv("MPROC_TEST_VARIABLE");
    if (!value || strcmp(value, "as it is now") || getenv("MPROC_SPAWN"))
        return 1;
    setenv("MPROC_TEST_VARIABLE", "another", 1);
    unsetenv("HOME");
    return getcwd(folder, sizeof folder) && strcmp(folder, arg) == 0 ? 0 : 2;
}

static void a_child_has_the_environment_and_the_folder_of_its_parent(void **state)
{
    char before[PATH_MAX];
    (void)state;
    assert_non_null(getcwd(before, sizeof before));
    assert_int_equal(chdir("/proc"), 0);
    setenv("MPROC_TEST_VARIABLE", "as it is now", 1);
    assert_int_equal(run_copied(look_at_environment, "/proc", 6), 0);
    unsetenv("MPROC_TEST_VARIABLE");
    assert_int_equal(chdir(before), 0);
}

static int print(void *arg)
{
    printf("%s", (const char *)arg);
    fprintf(stderr, "!");
    return 0;
}

static int print_elsewhere(void *arg)
{
    int fd = *(int *)arg;
    printf("hello ");
    dup2(fd, STDOUT_FILENO);
    dup2(fd, STDERR_FILENO);
    printf("said the parent,");
    int code = run_copied(print, " the child", 11);
    printf(" and the parent");
    return code;
}

static void a_child_writes_where_its_parent_writes_now(void **state)
{
    char text[256];
    (void)state;
    int fd = memfd_create("output", 0);
    assert_int_equal(child_finish(program_start(print_elsewhere, &fd)), 0);
    ssize_t size = pread(fd, text, sizeof text - 1, 0);
    assert_true(size > 0);
    text[size] = '\0';
    close(fd);
    assert_non_null(strstr(text, "said the parent,"));
    assert_non_null(strstr(text, " the child"));
    assert_non_null(strchr(text, '!'));
    assert_true(strstr(text, "said the parent,") < strstr(text, " the child"));
    assert_true(strstr(text, " the child") < strstr(text, " and the parent"));
}

static int has_no_stdin(void *arg)
{
    (void)arg;
    return fcntl(STDIN_FILENO, F_GETFD) < 0 ? 0 : 1;
}

static int close_stdin_and_start(void *arg)
{
    (void)arg;
    close(STDIN_FILENO);
    return run_shared(has_no_stdin, NULL);
}

static void what_the_parent_has_closed_is_closed(void **state)
{
    (void)state;
    assert_int_equal(child_finish(program_start(close_stdin_and_start, NULL)), 0);
}

static int answer(void *arg)
{
    char text[16];
    size_t size;
    mproc_connection *first = mproc_inherited_connection(0);
    mproc_connection *second = mproc_inherited_connection(1);
    (void)arg;
    if (!first || !second || mproc_inherited_connection(2))
        return 1;
    if (mproc_connection_recv(first, text, sizeof text, &size, MPROC_MS(PATIENCE_MS)) || size != 4)
        return 2;
    if (mproc_connection_recv(first, text, sizeof text, &size, MPROC_MS(PATIENCE_MS)) || size != 5)
        return 3;
    if (mproc_connection_recv(second, text, sizeof text, &size, MPROC_NOWAIT) != -EBADF)
        return 4;
    if (mproc_connection_send(second, text, size, MPROC_NOWAIT))
        return 5;
    mproc_connection_free(first);
    mproc_connection_free(second);
    return 0;
}

static void connections_are_passed_and_no_others(void **state)
{
    mproc_connection *ours[2], *theirs[2], *other[2];
    char text[16];
    size_t size;
    (void)state;
    assert_int_equal(mproc_pipe(&ours[0], &theirs[0], true), 0);
    assert_int_equal(mproc_pipe(&ours[1], &theirs[1], false), 0);
    assert_int_equal(mproc_pipe(&other[0], &other[1], true), 0);
    assert_int_equal(mproc_connection_send(ours[0], "read", 4, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_send(ours[0], "ahead", 5, MPROC_NOWAIT), 0);
    assert_int_equal(mproc_connection_recv(theirs[0], text, 1, &size, MPROC_FOREVER), MPROC_TOO_SMALL);
    mproc_process *process = start(
        answer, NULL, &(mproc_process_options){.method = fresh_method, .connections = theirs, .connection_count = 2});
    mproc_connection_free(theirs[0]);
    mproc_connection_free(theirs[1]);
    assert_int_equal(mproc_connection_recv(ours[1], text, sizeof text, &size, MPROC_MS(PATIENCE_MS)), 0);
    assert_int_equal(size, 5);
    assert_memory_equal(text, "ahead", 5);
    assert_int_equal(mproc_connection_recv(ours[1], text, sizeof text, &size, MPROC_FOREVER), MPROC_CLOSED);
    mproc_connection_free(other[1]); /* nobody else has it */
    assert_int_equal(mproc_connection_recv(other[0], text, sizeof text, &size, MPROC_FOREVER), MPROC_CLOSED);
    assert_int_equal(finish(process), 0);
    mproc_connection_free(ours[0]);
    mproc_connection_free(ours[1]);
    mproc_connection_free(other[0]);
}

static int count_connections(void *arg)
{
    size_t count = 0;
    char byte;
    (void)arg;
    while (count < 64 && mproc_inherited_connection(count))
        count++;
    for (size_t i = 0; i < count; i++)
        if (mproc_connection_recv(mproc_inherited_connection(i), &byte, 1, NULL, MPROC_NOWAIT) || (size_t)byte != i)
            return 255;
    return (int)count;
}

static void sixty_four_connections_can_be_passed(void **state)
{
    mproc_connection *ours[64], *theirs[64];
    (void)state;
    for (int i = 0; i < 64; i++) {
        char byte = (char)i;
        assert_int_equal(mproc_pipe(&theirs[i], &ours[i], false), 0);
        assert_int_equal(mproc_connection_send(ours[i], &byte, 1, MPROC_NOWAIT), 0);
    }
    /* From the last to the first, so that descriptors change places; and the other way round. */
    for (int turn = 0; turn < 2; turn++)
        assert_int_equal(run(count_connections, NULL,
                             &(mproc_process_options){
                                 .method = fresh_method, .connections = theirs, .connection_count = 64 - (size_t)turn}),
                         turn ? 255 : 64); /* the bytes are gone */
    for (int i = 0; i < 64; i++) {
        mproc_connection_free(ours[i]);
        mproc_connection_free(theirs[i]);
    }
}

int main(void)
{
    mproc_init();
    mproc_init();
    const struct CMUnitTest tests[] = {
        both(a_child_has_the_descriptors_of_the_library_and_no_others),
        both(a_child_has_default_signals_and_an_empty_mask),
        both(a_child_has_the_environment_and_the_folder_of_its_parent),
        both(a_child_writes_where_its_parent_writes_now),
        both(what_the_parent_has_closed_is_closed),
        both(connections_are_passed_and_no_others),
        both(sixty_four_connections_can_be_passed),
    };
    return cmocka_run_group_tests(tests, warm_up_with_server, NULL);
}
