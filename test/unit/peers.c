/* What the tests of listeners share, see peers.h. */
#include "peers.h"

#include "harness.h"

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>

enum {
    PATIENCE_MS = 20000
};

mproc_listener *listen_unix(const mproc_listener_options *options)
{
    mproc_listener *listener;

    assert_int_equal(mproc_listener_create(&listener, "unix:", options), 0);
    return listener;
}

static int connect_unix(const char *path)
{
    struct sockaddr_un place = {.sun_family = AF_UNIX};
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);

    assert_true(fd >= 0 && strlen(path) < sizeof place.sun_path);
    memcpy(place.sun_path, path, strlen(path));
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof place), 0);
    return fd;
}

static int connect_tcp(const char *port)
{
    struct sockaddr_in place = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

    place.sin_port = htons((uint16_t)atoi(port));
    assert_true(fd >= 0);
    assert_int_equal(connect(fd, (struct sockaddr *)&place, sizeof place), 0);
    return fd;
}

int connect_raw(const mproc_listener *listener)
{
    const char *address = mproc_listener_address(listener);

    return strncmp(address, "unix:", 5) == 0 ? connect_unix(address + 5) : connect_tcp(strrchr(address, ':') + 1);
}

void send_frame(int fd, const void *data, size_t size)
{
    uint32_t header = htonl((uint32_t)size);

    assert_int_equal(send(fd, &header, sizeof header, MSG_NOSIGNAL), sizeof header);
    assert_int_equal(send(fd, data, size, MSG_NOSIGNAL), size);
}

static ssize_t receive_all(int fd, void *buffer, size_t size)
{
    size_t have = 0;

    while (have < size) {
        struct pollfd watch = {.fd = fd, .events = POLLIN};
        assert_int_equal(poll(&watch, 1, PATIENCE_MS), 1);
        ssize_t got = recv(fd, (char *)buffer + have, size - have, 0);
        if (got <= 0)
            return -1;
        have += (size_t)got;
    }
    return (ssize_t)size;
}

long receive_frame(int fd, void *buffer, size_t capacity)
{
    uint32_t header;

    if (receive_all(fd, &header, sizeof header) < 0)
        return -1;
    size_t size = ntohl(header);
    assert_true(size <= capacity);
    return receive_all(fd, buffer, size);
}

bool is_closed(int fd)
{
    char buffer[512];
    struct pollfd watch = {.fd = fd, .events = POLLIN};

    while (poll(&watch, 1, PATIENCE_MS) == 1)
        if (recv(fd, buffer, sizeof buffer, 0) <= 0)
            return true;
    return false;
}

static void *run_client(void *arg)
{
    struct client *client = arg;

    client->result = mproc_connect(&client->connection, client->address, &client->options, client->timeout);
    return NULL;
}

void client_start(struct client *client)
{
    client->connection = NULL;
    assert_int_equal(pthread_create(&client->thread, NULL, run_client, client), 0);
}

int client_join(struct client *client)
{
    assert_int_equal(pthread_join(client->thread, NULL), 0);
    return client->result;
}

static void expect_passage(mproc_connection *from, mproc_connection *to, const char *text)
{
    char buffer[64];
    size_t size;

    assert_int_equal(mproc_connection_send(from, text, strlen(text), MPROC_SEC(20)), 0);
    assert_int_equal(mproc_connection_recv(to, buffer, sizeof buffer, &size, MPROC_SEC(20)), 0);
    assert_int_equal(size, strlen(text));
    assert_memory_equal(buffer, text, size);
}

void expect_connected(mproc_connection *a, mproc_connection *b)
{
    expect_passage(a, b, "there");
    expect_passage(b, a, "and back");
}
