/* The cases of every.h for listeners, connecting and keys. The peers move their bytes by calls of their own, which do
 * not fail. */
#include "every.h"

#include "connection/handshake.h"
#include <errno.h>
#include <fcntl.h>
#include <mproc/listener.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#define SHORT MPROC_MS(2)
#define WHILE MPROC_MS(300)

static const char key[] = "the key";
static const mproc_listener_options with_key = {.key = key, .key_size = sizeof key};

static mproc_listener *listener;
static mproc_connection *connection;
static char folder[64], path[96], address[112];
static unsigned char read_key[64];
static size_t read_size;
static int peer = -1;
static pid_t child;

/* ---- scenes ---- */

static void begin_nothing(void)
{
    listener = NULL;
    connection = NULL;
    peer = -1;
    read_size = 0;
    snprintf(folder, sizeof folder, "/tmp/mproc-test-XXXXXX");
    if (!mkdtemp(folder))
        every_wrong("there is no folder to be had");
    snprintf(path, sizeof path, "%s/file", folder);
    snprintf(address, sizeof address, "unix:%s", path);
}

static struct sockaddr_un place(void)
{
    struct sockaddr_un at = {.sun_family = AF_UNIX};

    memcpy(at.sun_path, path, strlen(path));
    return at;
}

/* A socket that listens, of nobody's library. */
static int listen_raw(void)
{
    struct sockaddr_un at = place();
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    if (bind(fd, (struct sockaddr *)&at, sizeof at) || listen(fd, 8))
        every_wrong("nobody can listen");
    return fd;
}

static void begin_stale(void)
{
    begin_nothing();
    close(listen_raw());
}

static void begin_raw_listener(void)
{
    begin_nothing();
    peer = listen_raw();
}

static void begin_listener(void)
{
    begin_nothing();
    every_must(mproc_listener_create(&listener, address, NULL));
}

static void begin_waiting(void)
{
    struct sockaddr_un at = place();

    peer = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (connect(peer, (struct sockaddr *)&at, sizeof at))
        every_wrong("nobody listens");
}

static void begin_peer(void)
{
    begin_listener();
    begin_waiting();
}

static void begin_accepted(void)
{
    begin_peer();
    every_must(mproc_listener_accept(listener, &connection, SHORT));
}

/* A handshake over a socket, to its end. It was begun before there was a child, for that takes a call that can fail. */
static void shake(int fd, struct handshake handshake)
{
    while (!handshake_is_over(&handshake)) {
        const void *bytes;
        void *to;
        size_t size = handshake_output(&handshake, &bytes);
        ssize_t moved = size ? send(fd, bytes, size, MSG_NOSIGNAL) : 0;
        if (size && moved > 0)
            handshake_sent(&handshake, (size_t)moved);
        size = handshake_input(&handshake, &to);
        if (size && (moved = recv(fd, to, size, 0)) > 0)
            every_must(handshake_received(&handshake, (size_t)moved));
        if (moved <= 0)
            return;
    }
}

static void begin_client_with_key(void)
{
    const struct handshake_key own = {key, sizeof key, false};
    struct handshake handshake;

    begin_nothing();
    every_must(mproc_listener_create(&listener, address, &with_key));
    begin_waiting();
    every_must(handshake_begin(&handshake, HANDSHAKE_CLIENT, &own));
    child = fork();
    if (child == 0) {
        shake(peer, handshake);
        _exit(0);
    }
}

/* Serves all who come, one after the other. */
static void begin_listener_with_key(void)
{
    const struct handshake_key own = {key, sizeof key, false};
    struct handshake handshake;
    int fd;

    begin_raw_listener();
    every_must(handshake_begin(&handshake, HANDSHAKE_LISTENER, &own));
    child = fork();
    if (child)
        return;
    while ((fd = accept4(peer, NULL, NULL, SOCK_CLOEXEC)) >= 0) {
        shake(fd, handshake);
        close(fd);
    }
    _exit(0);
}

static void begin_file(void)
{
    begin_nothing();
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0 || write(fd, key, sizeof key) != sizeof key)
        every_wrong("no key was written");
    close(fd);
}

static void begin_open_file(void)
{
    begin_file();
    peer = open(path, O_RDONLY | O_CLOEXEC);
}

static void end_all(void)
{
    if (peer >= 0)
        shutdown(peer, SHUT_RDWR);
    if (child > 0 && waitpid(child, NULL, 0) != child)
        every_wrong("the peer is lost");
    child = 0;
    connection = mproc_connection_free(connection);
    listener = mproc_listener_free(listener);
    if (peer >= 0)
        close(peer);
    peer = -1;
    unlink(path);
    if (rmdir(folder))
        every_wrong("a file was left");
}

static void look_at_all(long *seen)
{
    struct stat status;

    seen[0] = listener != NULL;
    seen[1] = connection != NULL;
    seen[2] = (long)read_size;
    seen[3] = stat(path, &status) == 0;
}

/* A chosen path is not in this folder. */
static void look_at_handles(long *seen)
{
    seen[0] = listener != NULL;
    seen[1] = connection != NULL;
    seen[2] = (long)read_size;
}

/* ---- calls ---- */

static int create_anywhere(void)
{
    return mproc_listener_create(&listener, "unix:", NULL);
}

static int create_at_path(void)
{
    return mproc_listener_create(&listener, address, NULL);
}

static int create_tcp(void)
{
    return mproc_listener_create(&listener, "tcp:127.0.0.1:0", &with_key);
}

static int accept_one(void)
{
    return mproc_listener_accept(listener, &connection, MPROC_SEC(20));
}

static int accept_one_soon(void)
{
    return mproc_listener_accept(listener, &connection, WHILE);
}

static int accept_for_a_while(void)
{
    return mproc_listener_accept(listener, &connection, SHORT);
}

static int connect_without_key(void)
{
    return mproc_connect(&connection, address, NULL, MPROC_SEC(20));
}

static int connect_with_key(void)
{
    return mproc_connect(&connection, address, &(mproc_connect_options){.key = key, .key_size = sizeof key},
                         MPROC_SEC(20));
}

/* Nobody answers. */
static int connect_for_a_while(void)
{
    return mproc_connect(&connection, address, &(mproc_connect_options){.key = key, .key_size = sizeof key}, SHORT);
}

static int see_address(void)
{
    return strcmp(mproc_listener_address(listener), address);
}

static int see_last_accepted(void)
{
    char text[MPROC_ADDRESS_MAX];
    return mproc_listener_last_accepted(listener, text, sizeof text);
}

static int fileno_is_open(void)
{
    return fcntl(mproc_listener_fileno(listener), F_GETFD) == FD_CLOEXEC ? 0 : -1;
}

static int free_listener(void)
{
    listener = mproc_listener_free(listener);
    return 0;
}

static int take_key_from_file(void)
{
    return mproc_key_from_file(path, read_key, sizeof read_key, &read_size);
}

/* From where it is, so that a call that failed may be made again: what it had read is lost to it. */
static int take_key_from_fd(void)
{
    lseek(peer, 0, SEEK_SET);
    return mproc_key_from_fd(peer, read_key, sizeof read_key, &read_size);
}

static const struct every_scene nothing = {begin_nothing, look_at_handles, end_all};
static const struct every_scene empty = {begin_nothing, look_at_all, end_all};
static const struct every_scene stale = {begin_stale, look_at_handles, end_all};
static const struct every_scene listening = {begin_listener, look_at_all, end_all};
static const struct every_scene to_be_freed = {begin_listener, look_at_handles, end_all};
static const struct every_scene waiting = {begin_peer, look_at_all, end_all};
static const struct every_scene accepted = {begin_accepted, look_at_all, end_all};
static const struct every_scene client_with_key = {begin_client_with_key, look_at_all, end_all};
static const struct every_scene raw_listener = {begin_raw_listener, look_at_all, end_all};
static const struct every_scene listener_with_key = {begin_listener_with_key, look_at_all, end_all};
static const struct every_scene file = {begin_file, look_at_all, end_all};
static const struct every_scene open_file = {begin_open_file, look_at_all, end_all};

/* A dead listener's file is left alone where it cannot be found out that it is. A peer whose socket fails is dropped,
 * and another is waited for; one that was accepted when there was no more to be had stays, which is a descriptor. */
static const struct every_case list[] = {
    {"mproc_listener_create", "a path is chosen", &nothing, create_anywhere, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_listener_create", "at a path", &empty, create_at_path, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_listener_create", "where a dead one was", &stale, create_at_path, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {-EADDRINUSE}},
    {"mproc_listener_create", "tcp", &empty, create_tcp, 0, CHILD_MAY_NOT, .calls = CALLS},
    {"mproc_listener_accept", "somebody waits", &waiting, accept_one, 0, CHILD_MAY_NOT, .calls = CALLS,
     .is_final = true},
    {"mproc_listener_accept", "nobody comes", &listening, accept_for_a_while, MPROC_TIMEOUT, CHILD_MAY_NOT,
     .calls = CALLS},
    {"mproc_listener_accept", "with a key", &client_with_key, accept_one_soon, 0, CHILD_MAY_NOT, .calls = CALLS,
     .is_final = true, .answers = {MPROC_TIMEOUT}},
    {"mproc_listener_address", NULL, &listening, see_address, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_listener_last_accepted", NULL, &accepted, see_last_accepted, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_listener_fileno", NULL, &listening, fileno_is_open, 0, CHILD_MAY_NOT, .calls = CALLS_NONE},
    {"mproc_listener_free", NULL, &to_be_freed, free_listener, 0, CHILD_MAY_NOT, .calls = CALLS_AT_TIMES},
    {"mproc_connect", "without a key", &raw_listener, connect_without_key, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_connect", "with a key", &listener_with_key, connect_with_key, 0, CHILD_MAY_NOT, .calls = CALLS,
     .answers = {MPROC_CLOSED}},
    {"mproc_connect", "nobody answers", &raw_listener, connect_for_a_while, MPROC_TIMEOUT, CHILD_STAYS_OUT,
     .calls = CALLS, .answers = {MPROC_CLOSED}},
    {"mproc_key_from_file", NULL, &file, take_key_from_file, 0, CHILD_STAYS_OUT, .calls = CALLS},
    {"mproc_key_from_fd", NULL, &open_file, take_key_from_fd, 0, CHILD_STAYS_OUT, .calls = CALLS},
};

const struct every_table cases_listener = {list, sizeof list / sizeof *list};
