/* Listeners without a key: where they listen, what they leave behind, who comes through, what a fork does to them. */
#include "harness.h"
#include "peers.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

static const mproc_connect_options no_key;

static const char *path_of(const mproc_listener *listener)
{
    return mproc_listener_address(listener) + strlen("unix:");
}

static bool exists(const char *path)
{
    struct stat status;
    return lstat(path, &status) == 0;
}

/* A folder of the test's, and an address in it. */
struct place {
    char folder[64];
    char path[96];
    char address[112];
};

static void make_place(struct place *place)
{
    snprintf(place->folder, sizeof place->folder, "/tmp/mproc-test-XXXXXX");
    assert_non_null(mkdtemp(place->folder));
    snprintf(place->path, sizeof place->path, "%s/socket", place->folder);
    snprintf(place->address, sizeof place->address, "unix:%s", place->path);
}

/* Nothing may be left in it. */
static void remove_place(const struct place *place)
{
    assert_int_equal(rmdir(place->folder), 0);
}

static void connect_and_accept(mproc_listener *listener, mproc_connection **client, mproc_connection **server)
{
    assert_int_equal(mproc_connect(client, mproc_listener_address(listener), &no_key, MPROC_SEC(20)), 0);
    assert_int_equal(mproc_listener_accept(listener, server, MPROC_SEC(20)), 0);
}

static void both_ends_are_connections(void **state)
{
    mproc_connection *client, *server;
    mproc_listener *listener = listen_unix(NULL);

    (void)state;
    connect_and_accept(listener, &client, &server);
    expect_connected(client, server);
    assert_int_equal(mproc_connection_send_fd(client, STDIN_FILENO, MPROC_SEC(20)), 0);
    int fd = -1;
    assert_int_equal(mproc_connection_recv_fd(server, &fd, MPROC_SEC(20)), 0);
    close(fd);
    assert_null(mproc_listener_free(listener));
    expect_connected(server, client);
    mproc_connection_free(client);
    assert_int_equal(mproc_connection_recv(server, NULL, 0, NULL, MPROC_SEC(20)), MPROC_CLOSED);
    mproc_connection_free(server);
}

static void a_chosen_path_lies_in_a_folder_of_its_own(void **state)
{
    mproc_listener *listener = listen_unix(NULL);
    char folder[PATH_MAX];
    struct stat status;

    (void)state;
    snprintf(folder, sizeof folder, "%s", path_of(listener));
    *strrchr(folder, '/') = '\0';
    assert_int_equal(stat(folder, &status), 0);
    assert_int_equal(status.st_mode & 07777, 0700);
    assert_int_equal(lstat(path_of(listener), &status), 0);
    assert_int_equal(status.st_mode & 07777, 0600);
    mproc_listener_free(listener);
    assert_false(exists(folder));
}

static void a_path_is_taken_once(void **state)
{
    mproc_listener *listener, *other = NULL;
    mproc_connection *client, *server;
    struct place place;

    (void)state;
    make_place(&place);
    assert_int_equal(mproc_listener_create(&listener, place.address, NULL), 0);
    assert_string_equal(mproc_listener_address(listener), place.address);
    assert_int_equal(mproc_listener_create(&other, place.address, NULL), -EADDRINUSE);
    assert_null(other);
    connect_and_accept(listener, &client, &server);
    expect_connected(client, server);
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
    assert_false(exists(place.path));
    remove_place(&place);
}

/* As a listener that was killed leaves it. */
static void leave_stale(const char *path)
{
    struct sockaddr_un address = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    memcpy(address.sun_path, path, strlen(path));
    assert_int_equal(bind(fd, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(fd, 1), 0);
    close(fd);
}

static void a_dead_listeners_file_is_replaced(void **state)
{
    mproc_connection *client, *server;
    mproc_listener *listener;
    struct place place;

    (void)state;
    make_place(&place);
    leave_stale(place.path);
    assert_int_equal(mproc_listener_create(&listener, place.address, NULL), 0);
    connect_and_accept(listener, &client, &server);
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
    remove_place(&place);
}

static void a_file_that_is_no_socket_stays(void **state)
{
    mproc_listener *listener;
    struct place place;

    (void)state;
    make_place(&place);
    int fd = open(place.path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0 && write(fd, "kept", 4) == 4);
    close(fd);
    assert_int_equal(mproc_listener_create(&listener, place.address, NULL), -EADDRINUSE);
    struct stat status;
    assert_int_equal(stat(place.path, &status), 0);
    assert_int_equal(status.st_size, 4);
    assert_int_equal(unlink(place.path), 0);
    remove_place(&place);
}

enum {
    RIVALS = 8
};

/* Each says by its exit code whether it became the listener; those that did go on until they are told. */
static void run_rival(const char *address, int start, int end, int won)
{
    mproc_listener *listener;
    char byte;

    (void)!read(start, &byte, 1);
    int result = mproc_listener_create(&listener, address, NULL);
    if (result && result != -EADDRINUSE)
        _exit(2);
    (void)!write(won, result ? "n" : "y", 1);
    (void)!read(end, &byte, 1);
    if (!result)
        mproc_listener_free(listener);
    _exit(0);
}

static void of_many_that_want_a_dead_listeners_place_one_gets_it(void **state)
{
    int start[2] = {-1, -1}, end[2] = {-1, -1}, won[2] = {-1, -1}, winners = 0;
    pid_t children[RIVALS];
    struct place place;

    (void)state;
    make_place(&place);
    leave_stale(place.path);
    assert_int_equal(pipe2(start, O_CLOEXEC) || pipe2(end, O_CLOEXEC) || pipe2(won, O_CLOEXEC), 0);
    for (int i = 0; i < RIVALS; i++) {
        children[i] = fork();
        if (children[i] == 0) {
            close(start[1]);
            close(end[1]);
            run_rival(place.address, start[0], end[0], won[1]);
        }
    }
    close(start[1]);
    for (int i = 0; i < RIVALS; i++) {
        char answer;
        assert_int_equal(read(won[0], &answer, 1), 1);
        winners += answer == 'y';
    }
    close(end[1]);
    for (int i = 0; i < RIVALS; i++)
        expect_exit(children[i], 0);
    assert_int_equal(winners, 1);
    close(start[0]);
    close(end[0]);
    close(won[0]);
    close(won[1]);
    remove_place(&place);
}

static void only_its_own_file_is_removed(void **state)
{
    mproc_listener *first, *second;
    struct place place;

    (void)state;
    make_place(&place);
    assert_int_equal(mproc_listener_create(&first, place.address, NULL), 0);
    assert_int_equal(unlink(place.path), 0);
    assert_int_equal(mproc_listener_create(&second, place.address, NULL), 0);
    mproc_listener_free(first);
    assert_true(exists(place.path));
    mproc_listener_free(second);
    remove_place(&place);
}

static void accept_ends_when_the_time_is_over(void **state)
{
    mproc_connection *connection = NULL;
    mproc_listener *listener = listen_unix(NULL);

    (void)state;
    assert_int_equal(mproc_listener_accept(listener, &connection, MPROC_NOWAIT), MPROC_TIMEOUT);
    double before = seconds();
    assert_int_equal(mproc_listener_accept(listener, &connection, MPROC_MS(150)), MPROC_TIMEOUT);
    assert_true(seconds() - before >= 0.149);
    assert_null(connection);
    mproc_listener_free(listener);
}

static void an_accept_wakes_for_who_comes(void **state)
{
    mproc_connection *server;
    mproc_listener *listener = listen_unix(NULL);
    struct client client = {.address = mproc_listener_address(listener), .timeout = MPROC_SEC(20)};

    (void)state;
    client_start(&client);
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_FOREVER), 0);
    assert_int_equal(client_join(&client), 0);
    expect_connected(client.connection, server);
    mproc_connection_free(client.connection);
    mproc_connection_free(server);
    mproc_listener_free(listener);
}

static void the_descriptor_shows_who_comes(void **state)
{
    mproc_connection *client, *server;
    mproc_listener *listener = listen_unix(NULL);
    struct pollfd watch = {.fd = mproc_listener_fileno(listener), .events = POLLIN};

    (void)state;
    assert_int_equal(poll(&watch, 1, 0), 0);
    assert_int_equal(mproc_connect(&client, mproc_listener_address(listener), NULL, MPROC_SEC(20)), 0);
    assert_int_equal(poll(&watch, 1, 20000), 1);
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_NOWAIT), 0);
    assert_int_equal(poll(&watch, 1, 0), 0);
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
}

static void nobody_listens(void **state)
{
    mproc_connection *connection = NULL;
    struct place place;

    (void)state;
    make_place(&place);
    assert_int_equal(mproc_connect(&connection, place.address, NULL, MPROC_SEC(20)), -ENOENT);
    leave_stale(place.path);
    assert_int_equal(mproc_connect(&connection, place.address, NULL, MPROC_SEC(20)), -ECONNREFUSED);
    assert_int_equal(unlink(place.path), 0);
    assert_null(connection);
    remove_place(&place);
}

static void a_full_backlog_is_waited_for(void **state)
{
    mproc_connection *connections[3] = {NULL}, *servers[3];
    mproc_listener *listener = listen_unix(&(mproc_listener_options){.backlog = 1});
    struct client client = {.address = mproc_listener_address(listener), .timeout = MPROC_SEC(20)};
    int count = 0;

    (void)state;
    while (count < 3 && mproc_connect(&connections[count], mproc_listener_address(listener), NULL, MPROC_MS(30)) == 0)
        count++;
    assert_int_equal(count, 2);
    client_start(&client);
    for (int i = 0; i < 3; i++)
        assert_int_equal(mproc_listener_accept(listener, &servers[i], MPROC_SEC(20)), 0);
    assert_int_equal(client_join(&client), 0);
    expect_connected(client.connection, servers[2]);
    mproc_connection_free(client.connection);
    for (int i = 0; i < 3; i++) {
        mproc_connection_free(connections[i]);
        mproc_connection_free(servers[i]);
    }
    mproc_listener_free(listener);
}

static void the_last_accepted_is_known(void **state)
{
    mproc_connection *client, *server;
    char address[MPROC_ADDRESS_MAX];
    mproc_listener *listener = listen_unix(NULL);

    (void)state;
    assert_int_equal(mproc_listener_last_accepted(listener, address, sizeof address), MPROC_NOT_FOUND);
    connect_and_accept(listener, &client, &server);
    assert_int_equal(mproc_listener_last_accepted(listener, address, sizeof address), 0);
    assert_string_equal(address, "unix:");
    assert_int_equal(mproc_listener_last_accepted(listener, address, 5), MPROC_TOO_SMALL);
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
}

static int use_in_child(mproc_listener *listener)
{
    mproc_connection *connection;

    if (mproc_listener_fileno(listener) != -EBADF ||
        mproc_listener_accept(listener, &connection, MPROC_NOWAIT) != -EBADF ||
        strncmp(mproc_listener_address(listener), "unix:", 5) != 0 || mproc_listener_free(listener))
        return 1;
    return 0;
}

static void a_forked_child_has_no_listener(void **state)
{
    mproc_connection *client, *server;
    mproc_listener *listener = listen_unix(NULL);

    (void)state;
    pid_t child = fork();
    if (child == 0)
        _exit(use_in_child(listener));
    expect_exit(child, 0);
    assert_true(exists(path_of(listener)));
    connect_and_accept(listener, &client, &server);
    expect_connected(client, server);
    mproc_connection_free(client);
    mproc_connection_free(server);
    mproc_listener_free(listener);
}

/* Else a peer would wait for somebody who has gone. */
static void a_forked_child_keeps_no_port_open(void **state)
{
    const mproc_connect_options options = {.key = "k", .key_size = 1};
    mproc_connection *connection;
    char address[MPROC_ADDRESS_MAX], byte;
    int ends[2];
    mproc_listener *listener;

    (void)state;
    assert_int_equal(mproc_listener_create(&listener, "tcp::0", &(mproc_listener_options){.key = "k", .key_size = 1}),
                     0);
    snprintf(address, sizeof address, "%s", mproc_listener_address(listener));
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, ends), 0);
    pid_t child = fork();
    if (child == 0) {
        close(ends[1]);
        _exit(write(ends[0], "r", 1) != 1 || read(ends[0], &byte, 1) != 0);
    }
    close(ends[0]);
    assert_int_equal(read(ends[1], &byte, 1), 1);
    mproc_listener_free(listener);
    assert_int_equal(mproc_connect(&connection, address, &options, MPROC_SEC(20)), -ECONNREFUSED);
    close(ends[1]);
    expect_exit(child, 0);
}

static void bad_options_are_refused(void **state)
{
    static const unsigned char long_key[MPROC_KEY_MAX + 1];
    mproc_listener *listener = NULL;
    mproc_connection *connection = NULL;

    (void)state;
    const mproc_listener_options bad[] = {
        {.backlog = -1},
        {.handshake_time = MPROC_FOREVER},
        {.key_size = 1},
        {.key = "", .key_size = 0},
        {.key = long_key, .key_size = sizeof long_key},
        {.any_user = true},
    };
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
        assert_int_equal(mproc_listener_create(&listener, "unix:", &bad[i]), -EINVAL);
    assert_int_equal(mproc_listener_create(&listener, "tcp::0", NULL), -EINVAL);
    assert_int_equal(mproc_listener_create(&listener, NULL, NULL), -EINVAL);
    assert_int_equal(mproc_listener_create(NULL, "unix:", NULL), -EINVAL);
    assert_null(listener);
    assert_int_equal(mproc_connect(&connection, "tcp::4", NULL, MPROC_SEC(1)), -EINVAL);
    assert_int_equal(mproc_connect(&connection, "unix:", NULL, MPROC_SEC(1)), -EINVAL);
    assert_int_equal(mproc_connect(&connection, "unix:/x", NULL, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_connect(NULL, "unix:/x", NULL, MPROC_SEC(1)), -EINVAL);
    assert_int_equal(mproc_connect(&connection, "unix:/x", &(mproc_connect_options){.any_user = true}, MPROC_SEC(1)),
                     -EINVAL);
    assert_null(connection);
    assert_int_equal(mproc_listener_accept(NULL, &connection, MPROC_SEC(1)), -EINVAL);
    assert_int_equal(mproc_listener_fileno(NULL), -EINVAL);
    assert_null(mproc_listener_address(NULL));
    assert_null(mproc_listener_free(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(both_ends_are_connections),
        unit(a_chosen_path_lies_in_a_folder_of_its_own),
        unit(a_path_is_taken_once),
        unit(a_dead_listeners_file_is_replaced),
        unit(a_file_that_is_no_socket_stays),
        unit(of_many_that_want_a_dead_listeners_place_one_gets_it),
        unit(only_its_own_file_is_removed),
        unit(accept_ends_when_the_time_is_over),
        unit(an_accept_wakes_for_who_comes),
        unit(the_descriptor_shows_who_comes),
        unit(nobody_listens),
        unit(a_full_backlog_is_waited_for),
        unit(the_last_accepted_is_known),
        unit(a_forked_child_has_no_listener),
        unit(a_forked_child_keeps_no_port_open),
        unit(bad_options_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
