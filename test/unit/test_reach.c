/* Names of hosts with several addresses, of which some do not answer. The name service is this test's. */
#include "children.h"
#include "harness.h"
#include "managers.h"
#include "streams.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <mproc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* ---- names ---- */

/* "A,B.test" has the addresses 127.0.0.A and 127.0.0.B, in this order. Any other host is its number. */
static struct addrinfo *make_address(const char *host, const char *service)
{
    struct addrinfo *info = calloc(1, sizeof *info + sizeof(struct sockaddr_in));
    struct sockaddr_in *address = (struct sockaddr_in *)(info + 1);
    address->sin_family = AF_INET;
    address->sin_port = htons((uint16_t)atoi(service));
    if (inet_pton(AF_INET, host, &address->sin_addr) != 1)
        abort();
    info->ai_family = AF_INET;
    info->ai_addr = (struct sockaddr *)address;
    info->ai_addrlen = sizeof *address;
    return info;
}

int getaddrinfo(const char *name, const char *service, const struct addrinfo *req, struct addrinfo **pai)
{
    char rest[64], one[80];
    struct addrinfo **at = pai;
    (void)req;
    *pai = NULL;
    if (!strstr(name, ".test")) {
        *pai = make_address(name, service);
        return 0;
    }
    snprintf(rest, sizeof rest, "%.*s", (int)(strstr(name, ".test") - name), name);
    for (char *save = NULL, *part = strtok_r(rest, ",", &save); part; part = strtok_r(NULL, ",", &save)) {
        snprintf(one, sizeof one, "127.0.0.%s", part);
        *at = make_address(one, service);
        at = &(*at)->ai_next;
    }
    return 0;
}

void freeaddrinfo(struct addrinfo *ai)
{
    while (ai) {
        struct addrinfo *next = ai->ai_next;
        free(ai);
        ai = next;
    }
}

/* ---- addresses ---- */

#define FILLING 4

/* A place that swallows what comes: who listens there never accepts, and all room is taken. */
struct hole {
    int listener;
    int filling[FILLING];
};

static void dig(struct hole *hole, int last, unsigned port)
{
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    const int yes = 1;
    address.sin_addr.s_addr = htonl(0x7f000000U + (unsigned)last);
    hole->listener = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(hole->listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    assert_int_equal(bind(hole->listener, (struct sockaddr *)&address, sizeof address), 0);
    assert_int_equal(listen(hole->listener, 0), 0);
    for (int i = 0; i < FILLING; i++) {
        hole->filling[i] = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        int result = connect(hole->filling[i], (struct sockaddr *)&address, sizeof address);
        assert_true(result == 0 || errno == EINPROGRESS);
    }
}

static void fill_up(const struct hole *hole)
{
    for (int i = 0; i < FILLING; i++)
        close(hole->filling[i]);
    close(hole->listener);
}

static unsigned port_of(const char *address)
{
    return (unsigned)atoi(strrchr(address, ':') + 1);
}

#define KEY .key = "k", .key_size = 1

static void *accept_one(void *listener)
{
    mproc_connection *connection = NULL;
    mproc_listener_accept(listener, &connection, SOON);
    return connection;
}

/* How a connection to such a name ends, from a listener at 127.0.0.1. */
static int connect_by(const char *name, mproc_listener *listener, mproc_time timeout)
{
    char address[100];
    mproc_connection *connection;
    const mproc_connect_options options = {KEY};
    snprintf(address, sizeof address, "tcp:%s:%u", name, port_of(mproc_listener_address(listener)));
    int result = mproc_connect(&connection, address, &options, timeout);
    if (!result)
        mproc_connection_free(connection);
    return result;
}

static void assert_connects(const char *name, mproc_listener *listener)
{
    pthread_t thread;
    void *accepted;
    assert_int_equal(pthread_create(&thread, NULL, accept_one, listener), 0);
    int64_t begin = now();
    assert_int_equal(connect_by(name, listener, SOON), 0);
    assert_true(now() - begin < 10 * INT64_C(1000000000));
    pthread_join(thread, &accepted);
    assert_non_null(accepted);
    mproc_connection_free(accepted);
}

static mproc_listener *listen_tcp(void)
{
    mproc_listener *listener;
    const mproc_listener_options options = {KEY};
    assert_int_equal(mproc_listener_create(&listener, "tcp:127.0.0.1:0", &options), 0);
    return listener;
}

static void an_address_that_swallows_holds_up_nobody(void **state)
{
    struct hole holes[2];
    (void)state;
    mproc_listener *listener = listen_tcp();
    dig(&holes[0], 2, port_of(mproc_listener_address(listener)));
    dig(&holes[1], 3, port_of(mproc_listener_address(listener)));
    assert_connects("2,1.test", listener);
    assert_connects("2,3,1.test", listener);
    assert_connects("1,2.test", listener);
    assert_connects("2,9,1.test", listener); /* at 9 nobody listens */
    fill_up(&holes[0]);
    fill_up(&holes[1]);
    mproc_listener_free(listener);
}

static void where_nobody_answers_the_time_is_over_when_it_was_said(void **state)
{
    struct hole holes[2];
    (void)state;
    mproc_listener *listener = listen_tcp();
    dig(&holes[0], 2, port_of(mproc_listener_address(listener)));
    dig(&holes[1], 3, port_of(mproc_listener_address(listener)));
    int64_t begin = now();
    assert_int_equal(connect_by("2,3.test", listener, MPROC_MS(600)), MPROC_TIMEOUT);
    assert_true(now() - begin >= 600 * INT64_C(1000000));
    assert_int_equal(connect_by("2,3.test", listener, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(connect_by("8,9.test", listener, SOON), -ECONNREFUSED);
    fill_up(&holes[0]);
    fill_up(&holes[1]);
    mproc_listener_free(listener);
}

/* ---- managers ---- */

static void assert_manager_connects(const char *scheme)
{
    char address[100];
    struct hole hole;
    mproc_manager *other;
    snprintf(address, sizeof address, "%s:127.0.0.1:0", scheme);
    mproc_manager *manager = make_manager(address, NULL);
    unsigned port = port_of(mproc_manager_address(manager));
    dig(&hole, 2, port);
    snprintf(address, sizeof address, "%s:2,1.test:%u", scheme, port);
    const mproc_manager_options options = {.key = manager_key, .key_size = sizeof manager_key};
    assert_int_equal(mproc_manager_connect(&other, address, &options, SOON), 0);
    assert_serves(other);
    mproc_manager_free(other);
    fill_up(&hole);
    mproc_manager_free(manager);
}

static void a_managers_client_tries_all_addresses(void **state)
{
    (void)state;
    assert_manager_connects("tcp");
    assert_manager_connects("tls");
}

/* ---- forks ---- */

static void *connect_in_vain(void *listener)
{
    connect_by("2,3.test", listener, MPROC_SEC(2));
    return NULL;
}

static int count_descriptors(void)
{
    int count = 0;
    DIR *opened = opendir("/proc/self/fd");
    for (const struct dirent *entry = readdir(opened); entry; entry = readdir(opened))
        count += entry->d_name[0] != '.';
    closedir(opened);
    return count;
}

static bool has_both(void *before)
{
    return count_descriptors() == *(int *)before + 2;
}

static int count_again(void *before)
{
    return count_descriptors() - *(int *)before;
}

static void a_forked_child_has_no_copy_of_what_is_being_tried(void **state)
{
    struct hole holes[2];
    pthread_t thread;
    (void)state;
    mproc_listener *listener = listen_tcp();
    dig(&holes[0], 2, port_of(mproc_listener_address(listener)));
    dig(&holes[1], 3, port_of(mproc_listener_address(listener)));
    int before = count_descriptors();
    int without = in_child(count_again, &before); /* a child has no listeners */
    assert_int_equal(pthread_create(&thread, NULL, connect_in_vain, listener), 0);
    assert_true(wait_until(has_both, &before, 20000));
    assert_int_equal(in_child(count_again, &before), without);
    pthread_join(thread, NULL);
    fill_up(&holes[0]);
    fill_up(&holes[1]);
    mproc_listener_free(listener);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(an_address_that_swallows_holds_up_nobody),
        unit(where_nobody_answers_the_time_is_over_when_it_was_said),
        unit(a_managers_client_tries_all_addresses),
        unit(a_forked_child_has_no_copy_of_what_is_being_tried),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
