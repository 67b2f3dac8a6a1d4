/* The files of listeners: paths that are longer than what the kernel takes, and what is left when a program ends. */
#include "children.h"
#include "harness.h"
#include "peers.h"
#include "streams.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <mproc.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <unistd.h>

static char folder[64];

static int begin(void **state)
{
    strcpy(folder, "/tmp/mproc-test-XXXXXX");
    if (!mkdtemp(folder))
        return -1;
    setenv("TMPDIR", folder, 1);
    return books_open(state);
}

static int end(void **state)
{
    int result = books_check(state);
    unsetenv("TMPDIR");
    return rmdir(folder) ? -1 : result;
}

#define files(fn)                                                                                                      \
    {                                                                                                                  \
#fn, fn, begin, end, NULL                                                                                      \
    }

/* What is in the folder of the test. */
static int entries(void)
{
    int count = 0;
    DIR *opened = opendir(folder);
    assert_non_null(opened);
    for (const struct dirent *entry = readdir(opened); entry; entry = readdir(opened))
        count += entry->d_name[0] != '.';
    closedir(opened);
    return count;
}

/* ---- long paths ---- */

/* A folder in the folder of the test, whose path has this length, made of as many as are needed. */
static void make_long(char path[PATH_MAX], size_t length)
{
    strcpy(path, folder);
    while (strlen(path) < length) {
        size_t at = strlen(path), part = length - at - 1;
        if (part > 200)
            part = part - 200 < 2 ? 198 : 200;
        path[at] = '/';
        memset(path + at + 1, 'd', part);
        path[at + 1 + part] = '\0';
        assert_int_equal(mkdir(path, 0700), 0);
    }
    assert_int_equal(strlen(path), length);
}

static void remove_long(char path[PATH_MAX])
{
    while (strlen(path) > strlen(folder)) {
        assert_int_equal(rmdir(path), 0);
        *strrchr(path, '/') = '\0';
    }
}

static void assert_is_reached(mproc_listener *listener)
{
    static const mproc_connect_options no_key;
    mproc_connection *client, *server;
    assert_int_equal(mproc_connect(&client, mproc_listener_address(listener), &no_key, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_SEC(20)), 0);
    expect_connected(client, server);
    mproc_connection_free(client);
    mproc_connection_free(server);
}

static void a_path_may_be_as_long_as_a_path_can_be(void **state)
{
    static const size_t lengths[] = {80, 91, 105, 106, 107, 108, 200, 1000, PATH_MAX - 60};
    static const char *const names[] = {"s", "a-name-of-forty-and-some-bytes-for-a-socket"};
    (void)state;
    for (size_t i = 0; i < sizeof lengths / sizeof *lengths; i++) {
        char path[PATH_MAX], address[MPROC_ADDRESS_MAX];
        mproc_listener *listener, *other;
        make_long(path, lengths[i]);
        snprintf(address, sizeof address, "unix:%s/%s", path, names[i % 2]);
        assert_int_equal(mproc_listener_create(&listener, address, NULL), 0);
        assert_string_equal(mproc_listener_address(listener), address);
        assert_int_equal(mproc_listener_create(&other, address, NULL), -EADDRINUSE);
        assert_is_reached(listener);
        mproc_listener_free(listener);
        remove_long(path);
    }
}

static void a_name_may_be_as_long_as_a_name_can_be(void **state)
{
    char address[MPROC_ADDRESS_MAX];
    mproc_listener *listener;
    (void)state;
    snprintf(address, sizeof address, "unix:%s/%0*d", folder, NAME_MAX, 7);
    assert_int_equal(mproc_listener_create(&listener, address, NULL), 0);
    assert_is_reached(listener);
    mproc_listener_free(listener);
    snprintf(address, sizeof address, "unix:%s/%0*d", folder, NAME_MAX + 1, 7);
    assert_int_equal(mproc_listener_create(&listener, address, NULL), -ENAMETOOLONG);
}

/* As a listener that was killed leaves it. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    snprintf(address.sun_path, sizeof address.sun_path, "%s/stale", folder);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
    assert_int_equal(rename(address.sun_path, path), 0);
}

static void a_dead_listeners_file_at_a_long_path_is_replaced(void **state)
{
    char path[PATH_MAX], file[PATH_MAX + 8], address[PATH_MAX + 16];
    mproc_listener *listener;
    (void)state;
    make_long(path, 300);
    snprintf(file, sizeof file, "%s/s", path);
    snprintf(address, sizeof address, "unix:%s", file);
    leave_stale(file);
    assert_int_equal(mproc_listener_create(&listener, address, NULL), 0);
    assert_is_reached(listener);
    mproc_listener_free(listener);
    remove_long(path);
}

static void a_chosen_path_may_be_long(void **state)
{
    char path[PATH_MAX];
    mproc_listener *listener;
    mproc_manager *manager;
    mproc_list *list;
    (void)state;
    make_long(path, 200);
    setenv("TMPDIR", path, 1);
    assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
    assert_memory_equal(mproc_listener_address(listener) + strlen("unix:"), path, strlen(path));
    assert_is_reached(listener);
    mproc_listener_free(listener);
    assert_int_equal(mproc_manager_create(&manager, NULL), 0);
    assert_memory_equal(mproc_manager_address(manager) + strlen("unix:"), path, strlen(path));
    assert_int_equal(mproc_manager_list(manager, &list, NULL, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_list_append(list, mproc_int(1), MPROC_SEC(20)), 0);
    mproc_list_free(list);
    mproc_manager_free(manager);
    remove_long(path);
}

static void count_line(void *arg, int level, const char *process, const char *text)
{
    (void)level;
    (void)process;
    *(int *)arg += strncmp(text, "TMPDIR is ", strlen("TMPDIR is ")) == 0;
}

static void where_there_is_no_such_folder_the_common_one_is_taken(void **state)
{
    static const char *const unfit[] = {"/no/such/folder", "/proc/self/exe", "not/absolute", ""};
    int lines = 0;
    (void)state;
    mproc_log_to_callback(count_line, &lines);
    mproc_log_set_level(MPROC_LOG_WARNING);
    for (size_t i = 0; i < sizeof unfit / sizeof *unfit; i++) {
        mproc_listener *listener;
        setenv("TMPDIR", unfit[i], 1);
        assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
        assert_memory_equal(mproc_listener_address(listener), "unix:/tmp/", strlen("unix:/tmp/"));
        assert_is_reached(listener);
        mproc_listener_free(listener);
    }
    mproc_log_set_level(MPROC_LOG_OFF);
    mproc_log_to_callback(NULL, NULL);
    assert_int_equal(lines, 3); /* an empty one says nothing */
}

/* ---- the end of a program ---- */

enum {
    BY_EXIT,
    BY_QUICK_EXIT,
    BY_IMMEDIATE_EXIT,
    BY_KILL
};

static int leave_by(int how)
{
    switch (how) {
    case BY_EXIT:
        exit(0);
    case BY_QUICK_EXIT:
        quick_exit(0);
    case BY_IMMEDIATE_EXIT:
        _exit(0);
    default:
        return raise(SIGKILL);
    }
}

/* One of each kind. */
static void make_listeners(void)
{
    mproc_listener *listener;
    char address[128];
    snprintf(address, sizeof address, "unix:%s/named", folder);
    if (mproc_listener_create(&listener, "unix:", NULL) || mproc_listener_create(&listener, address, NULL))
        _exit(1);
}

static int leave_listeners(void *arg)
{
    make_listeners();
    return leave_by(*(const int *)arg);
}

static void a_program_that_ends_leaves_no_socket(void **state)
{
    (void)state;
    for (int how = BY_EXIT; how <= BY_QUICK_EXIT; how++) {
        assert_int_equal(in_child(leave_listeners, &how), 0);
        assert_int_equal(entries(), 0);
    }
}

static int return_with_listeners(void *arg)
{
    (void)arg;
    make_listeners();
    return 0;
}

/* Such a child runs no exit handlers of its parent, which has one already. */
static void a_process_that_ends_leaves_no_socket(void **state)
{
    mproc_listener *listener;
    mproc_process *process;
    int exitcode = -1;
    (void)state;
    assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
    assert_int_equal(mproc_process_start(&process, return_with_listeners, NULL, NULL), 0);
    assert_int_equal(mproc_process_join(process, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_process_exitcode(process, &exitcode), 0);
    assert_int_equal(exitcode, 0);
    mproc_process_free(process);
    assert_int_equal(entries(), 1);
    assert_is_reached(listener);
    mproc_listener_free(listener);
}

static int only_leave(void *arg)
{
    return leave_by(*(const int *)arg);
}

static void a_forked_copy_removes_nothing(void **state)
{
    mproc_listener *listener;
    (void)state;
    assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
    for (int how = BY_EXIT; how <= BY_QUICK_EXIT; how++)
        assert_int_equal(in_child(only_leave, &how), 0);
    assert_int_equal(entries(), 1);
    assert_is_reached(listener);
    mproc_listener_free(listener);
}

/* ---- the killed ---- */

/* A process sweeps once, so it is a child that does. */
static int listen_and_leave(void *arg)
{
    mproc_listener *listener;
    (void)arg;
    if (mproc_listener_create(&listener, "unix:", NULL))
        return 1;
    int left = entries();
    mproc_listener_free(listener);
    return left;
}

static void what_a_killed_process_left_goes_with_the_next_listener(void **state)
{
    char named[128];
    mproc_listener *listener;
    (void)state;
    assert_int_equal(mproc_listener_create(&listener, "unix:", NULL), 0);
    for (int how = BY_IMMEDIATE_EXIT; how <= BY_KILL; how++) {
        assert_int_equal(in_child(leave_listeners, &how), how == BY_KILL ? -SIGKILL : 0);
        assert_int_equal(entries(), 3);
        assert_int_equal(in_child(listen_and_leave, NULL), 3); /* its own, that of this process, and the named one */
        assert_int_equal(entries(), 2);
    }
    assert_is_reached(listener);
    mproc_listener_free(listener);
    snprintf(named, sizeof named, "%s/named", folder);
    assert_int_equal(unlink(named), 0);
}

/* Whatever has such a name. */
static void nothing_else_is_swept(void **state)
{
    char other[128], inside[160], link[128];
    (void)state;
    snprintf(other, sizeof other, "%s/mproc-listener-abcdef", folder);
    snprintf(inside, sizeof inside, "%s/work", other);
    snprintf(link, sizeof link, "%s/mproc-listener-ghijkl", folder);
    assert_int_equal(mkdir(other, 0700), 0);
    assert_int_equal(symlink("/tmp", link), 0);
    int fd = open(inside, O_WRONLY | O_CREAT | O_CLOEXEC, 0600);
    close(fd);
    assert_int_equal(in_child(listen_and_leave, NULL), 3);
    assert_int_equal(unlink(inside), 0);
    assert_int_equal(chmod(other, 0755), 0); /* it cannot be ours */
    assert_int_equal(in_child(listen_and_leave, NULL), 3);
    assert_int_equal(unlink(link), 0);
    assert_int_equal(rmdir(other), 0);
}

/* Those who make folders and those who sweep them meet at any moment. */
static int listen_in_turn(void *arg)
{
    (void)arg;
    for (int i = 0; i < 20; i++) {
        int result = in_child(listen_and_leave, NULL);
        if (result < 1 || result > 100)
            return 1;
    }
    return 0;
}

static void many_that_sweep_take_no_folder_from_one_another(void **state)
{
    (void)state;
    children_run(listen_in_turn, NULL, 6);
    assert_int_equal(entries(), 0);
}

/* What processes keep for good after their first manager is no leak of a test. */
static int make_first_manager(void **state)
{
    mproc_manager *manager;
    books_open(state);
    if (mproc_manager_create(&manager, NULL))
        return -1;
    mproc_manager_free(manager);
    return 0;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        files(a_path_may_be_as_long_as_a_path_can_be),
        files(a_name_may_be_as_long_as_a_name_can_be),
        files(a_dead_listeners_file_at_a_long_path_is_replaced),
        files(a_chosen_path_may_be_long),
        files(where_there_is_no_such_folder_the_common_one_is_taken),
        files(a_program_that_ends_leaves_no_socket),
        files(a_process_that_ends_leaves_no_socket),
        files(a_forked_copy_removes_nothing),
        files(what_a_killed_process_left_goes_with_the_next_listener),
        files(nothing_else_is_swept),
        files(many_that_sweep_take_no_folder_from_one_another),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
