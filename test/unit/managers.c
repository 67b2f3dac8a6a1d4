/* What the tests of managers share. */
#include "managers.h"

#include "harness.h"
#include "os/address.h"
#include "os/listen.h"
#include <errno.h>
#include <poll.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

const char manager_key[21] = "the key of the tests";

static mproc_manager_options with_key(const mproc_manager_options *limits)
{
    mproc_manager_options options = {.key = NULL};
    if (limits)
        options = *limits;
    options.key = manager_key;
    options.key_size = sizeof manager_key;
    return options;
}

mproc_manager *make_manager(const char *address, const mproc_manager_options *limits)
{
    mproc_manager *manager;
    mproc_manager_options options = with_key(limits);
    options.address = address;
    assert_int_equal(mproc_manager_create(&manager, &options), 0);
    return manager;
}

mproc_manager *join_manager(const mproc_manager *manager)
{
    mproc_manager *other;
    const mproc_manager_options options = with_key(NULL);
    assert_int_equal(mproc_manager_connect(&other, mproc_manager_address(manager), &options, SOON), 0);
    return other;
}

struct channel raw_client(const mproc_manager *manager)
{
    static unsigned char number;
    struct manager_address way = {.key_size = sizeof manager_key};
    struct client_handshake_result meeting;
    const unsigned char identity[WIRE_IDENTITY] = {++number};

    memcpy(way.key, manager_key, sizeof manager_key);
    assert_int_equal(manager_address_parse(&way, mproc_manager_address(manager)), 0);
    assert_int_equal(client_handshake(&way, identity, false, 0, &meeting, os_deadline(SOON)), 0);
    return meeting.channel;
}

int raw_socket(const mproc_manager *manager)
{
    struct manager_address way;
    struct os_address place;

    assert_int_equal(manager_address_parse(&way, mproc_manager_address(manager)), 0);
    assert_int_equal(way.address.scheme, ADDRESS_UNIX);
    assert_int_equal(os_address_of_path(&place, way.address.path), 0);
    int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0);
    assert_int_equal(connect(fd, &place.as.any, place.size), 0);
    return fd;
}

bool drops(int fd)
{
    static unsigned char rest[65536];
    struct pollfd watch = {.fd = fd, .events = POLLIN};

    while (poll(&watch, 1, 20000) == 1) {
        ssize_t got = recv(fd, rest, sizeof rest, 0);
        if (got <= 0)
            return got == 0 || errno == ECONNRESET;
    }
    return false;
}

pid_t server_of_managers(void)
{
    mproc_process *child = NULL;
    assert_int_equal(mproc_active_children(&child, 1), 1);
    return mproc_process_pid(child);
}

void cut_connections(void)
{
    struct sockaddr_storage address = {.ss_family = AF_UNSPEC};
    for (int fd = 3; fd < 256; fd++) {
        socklen_t size = sizeof address;
        if (getpeername(fd, (struct sockaddr *)&address, &size) == 0 && address.ss_family == AF_INET)
            shutdown(fd, SHUT_RDWR);
    }
}

void assert_serves(mproc_manager *manager)
{
    mproc_list *list;
    size_t length;
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    assert_int_equal(mproc_list_append(list, mproc_int(1), SOON), 0);
    assert_int_equal(mproc_list_length(list, &length, SOON), 0);
    assert_int_equal(length, 1);
    mproc_list_free(list);
}

int make_first_manager(void **state)
{
    books_open(state);
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_manager_free(manager);
    manager = make_manager("tls::0", NULL);
    mproc_manager_free(manager);
    return 0;
}
