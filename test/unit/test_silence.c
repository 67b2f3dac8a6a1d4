/* A host that is gone without a word: nothing comes from it any more, and nothing says why. The hosts are processes in
 * a network of their own, whose one interface is switched off. Skipped where no such network is to be had. */
#include "children.h"
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <fcntl.h>
#include <mproc.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#define SILENCE MPROC_SEC(3) /* until one is known to be gone */
#define LONGEST 40           /* seconds, under whatever load */

#define NO_NETWORK 77

/* ---- the network ---- */

static int switch_loopback(bool on)
{
    struct ifreq request = {.ifr_name = "lo"};
    int fd = socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0);
    request.ifr_flags = on ? IFF_UP : 0;
    int result = ioctl(fd, SIOCSIFFLAGS, &request);
    close(fd);
    return result;
}

/* Called in a child, with one thread. */
static void enter_network(void)
{
    if (unshare(CLONE_NEWNET) && unshare(CLONE_NEWUSER | CLONE_NEWNET))
        _exit(NO_NETWORK);
    if (switch_loopback(true))
        _exit(NO_NETWORK);
}

/* What is said in a child counts as its exit code: the line, or 0. */
#define must(condition)                                                                                                \
    do {                                                                                                               \
        if (!(condition)) {                                                                                            \
            fprintf(stderr, "line %d: %s\n", __LINE__, #condition);                                                    \
            _exit(1);                                                                                                  \
        }                                                                                                              \
    } while (0)

static void run_in_network(child_function *run)
{
    int result = in_child(run, NULL);
    if (result == NO_NETWORK) {
        print_message("skipped: no network namespace may be made here\n");
        skip();
    }
    assert_int_equal(result, 0);
}

/* ---- managers ---- */

static const char *address;
static int told[2]; /* a pipe on which clients say what became of their calls */

static mproc_manager_options options_of(void)
{
    return (mproc_manager_options){.key = "k", .key_size = 1, .silence_time = SILENCE};
}

static void say(int result)
{
    must(write(told[1], &result, sizeof result) == sizeof result);
}

static int hear(void)
{
    int result;
    must(read(told[0], &result, sizeof result) == sizeof result);
    return result;
}

static int hold_a_lock(void *arg)
{
    mproc_manager *manager;
    mproc_remote *lock;
    const mproc_manager_options options = options_of();
    (void)arg;
    must(mproc_manager_connect(&manager, address, &options, SOON) == 0);
    must(mproc_manager_remote(manager, &lock, MPROC_REMOTE_LOCK, 0, "lock", SOON) == 0);
    say(mproc_remote_acquire(lock, SOON));
    pause();
    return 0;
}

static int wait_for_an_item(void *arg)
{
    mproc_manager *manager;
    mproc_remote *queue;
    mproc_value item;
    const mproc_manager_options options = options_of();
    (void)arg;
    must(mproc_manager_connect(&manager, address, &options, SOON) == 0);
    must(mproc_manager_remote(manager, &queue, MPROC_REMOTE_QUEUE, 0, "queue", SOON) == 0);
    say(0);
    say(mproc_remote_get(queue, &item, MPROC_FOREVER));
    return 0;
}

static int64_t seconds(void)
{
    return now() / 1000000000;
}

static int cut_a_manager(const char *scheme)
{
    mproc_manager *manager, *third;
    mproc_remote *lock;
    mproc_manager_options options = options_of();
    char text[32];
    alarm(110);
    enter_network();
    snprintf(text, sizeof text, "%s:127.0.0.1:0", scheme);
    options.address = text;
    must(pipe2(told, O_CLOEXEC) == 0);
    must(mproc_manager_create(&manager, &options) == 0);
    address = mproc_manager_address(manager);
    pid_t holder = child_start(hold_a_lock, NULL);
    must(hear() == 0);
    pid_t waiter = child_start(wait_for_an_item, NULL);
    must(hear() == 0);
    must(switch_loopback(false) == 0);
    int64_t begin = seconds();
    must(hear() == MPROC_SERVER_DIED); /* the one that waited */
    must(seconds() - begin < LONGEST);
    usleep(4500000); /* which the server needs as well; it cannot be asked */
    must(switch_loopback(true) == 0);
    options.address = NULL;
    must(mproc_manager_connect(&third, address, &options, SOON) == 0);
    must(mproc_manager_remote(third, &lock, MPROC_REMOTE_LOCK, 0, "lock", SOON) == 0);
    must(mproc_remote_acquire(lock, MPROC_SEC(LONGEST)) == MPROC_OWNER_DIED);
    child_kill(holder);
    child_finish(waiter);
    mproc_manager_free(third);
    mproc_manager_free(manager);
    return 0;
}

static int cut_tcp(void *arg)
{
    (void)arg;
    return cut_a_manager("tcp");
}

static int cut_tls(void *arg)
{
    (void)arg;
    return cut_a_manager("tls");
}

static void a_manager_and_its_clients_learn_that_the_other_host_is_gone(void **state)
{
    (void)state;
    run_in_network(cut_tcp);
}

static void so_they_do_over_tls(void **state)
{
    (void)state;
    run_in_network(cut_tls);
}

/* ---- connections ---- */

static int wait_for_a_message(void *arg)
{
    mproc_connection *connection;
    const mproc_connect_options options = {.key = "k", .key_size = 1, .silence_time = SILENCE};
    (void)arg;
    must(mproc_connect(&connection, address, &options, SOON) == 0);
    say(0);
    say(mproc_connection_recv(connection, NULL, 0, NULL, MPROC_FOREVER));
    pause();
    return 0;
}

static int cut_a_connection(void *arg)
{
    mproc_listener *listener;
    mproc_connection *connection;
    const mproc_listener_options options = {.key = "k", .key_size = 1, .silence_time = SILENCE};
    (void)arg;
    alarm(110);
    enter_network();
    must(pipe2(told, O_CLOEXEC) == 0);
    must(mproc_listener_create(&listener, "tcp:127.0.0.1:0", &options) == 0);
    address = mproc_listener_address(listener);
    pid_t client = child_start(wait_for_a_message, NULL);
    must(mproc_listener_accept(listener, &connection, SOON) == 0);
    must(hear() == 0);
    must(switch_loopback(false) == 0);
    int64_t begin = seconds();
    must(mproc_connection_recv(connection, NULL, 0, NULL, MPROC_FOREVER) == MPROC_CLOSED);
    must(hear() == MPROC_CLOSED);
    must(seconds() - begin < LONGEST);
    child_kill(client);
    mproc_connection_free(connection);
    mproc_listener_free(listener);
    return 0;
}

static void both_ends_of_a_connection_learn_that_the_other_host_is_gone(void **state)
{
    (void)state;
    run_in_network(cut_a_connection);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_manager_and_its_clients_learn_that_the_other_host_is_gone),
        unit(so_they_do_over_tls),
        unit(both_ends_of_a_connection_learn_that_the_other_host_is_gone),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
