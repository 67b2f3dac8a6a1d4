/* Managers when somebody dies, a connection is lost, or a client misbehaves: only that client has to do with it. */
#include "children.h"
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* ---- the server ---- */

static int kill_soon(void *arg)
{
    usleep(50000);
    return kill(*(pid_t *)arg, SIGKILL);
}

static void a_killed_server_hangs_nobody(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_remote *event;
    mproc_dict *dict;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_manager_remote(manager, &event, MPROC_REMOTE_EVENT, 0, NULL, SOON), 0);
    pid_t server = server_of_managers();
    pid_t killer = child_start(kill_soon, &server);
    assert_int_equal(mproc_remote_wait(event, MPROC_FOREVER), MPROC_SERVER_DIED);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(1), MPROC_FOREVER), MPROC_SERVER_DIED);
    assert_int_equal(child_finish(killer), 0);
    mproc_manager_free(manager);
}

static void a_stopped_server_is_waited_for_no_longer_than_was_said(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    pid_t server = server_of_managers();
    assert_int_equal(kill(server, SIGSTOP), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(1), MPROC_MS(100)), MPROC_TIMEOUT);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(1), SOON), 0);
    mproc_manager_free(manager);
}

/* ---- lost connections ---- */

static void a_lost_connection_is_made_again(void **state)
{
    mproc_manager *manager = make_manager("tcp::0", NULL);
    mproc_dict *dict;
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    for (int i = 0; i < 10; i++) {
        assert_int_equal(mproc_dict_add(dict, mproc_int(1), mproc_int(1), NULL, SOON), 0);
        cut_connections();
    }
    assert_int_equal(mproc_dict_get(dict, mproc_int(1), &found, SOON), 0);
    assert_int_equal(found.integer, 10);
    mproc_manager_free(manager);
}

static int add_without_rest(void *arg)
{
    for (int i = 0; i < 300; i++)
        if (mproc_dict_add(arg, mproc_int(1), mproc_int(1), NULL, SOON))
            return 1;
    return 0;
}

static _Atomic(bool) is_over;

static int cut_without_rest(void *arg)
{
    (void)arg;
    while (!is_over) {
        cut_connections();
        usleep(3000);
    }
    return 0;
}

static int add_and_cut(void *arg)
{
    static _Atomic(int) role;
    if (atomic_fetch_add(&role, 1) == 0)
        return cut_without_rest(NULL);
    int result = add_without_rest(arg);
    is_over = true;
    return result;
}

/* The connection is cut at any moment: before a request was sent, while it was done, and before its answer came. */
static void each_request_is_done_once_however_often_the_connection_is_lost(void **state)
{
    mproc_manager *manager = make_manager("tcp::0", NULL);
    mproc_dict *dict;
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    threads_run(add_and_cut, dict, 2);
    assert_int_equal(mproc_dict_get(dict, mproc_int(1), &found, SOON), 0);
    assert_int_equal(found.integer, 300);
    mproc_manager_free(manager);
}

/* ---- clients that die ---- */

struct held {
    mproc_remote *lock, *semaphore;
    _Atomic(int) *is_held;
};

static int hold(void *arg)
{
    struct held *held = arg;
    if (mproc_remote_acquire(held->lock, SOON) || mproc_remote_acquire(held->semaphore, SOON))
        return 1;
    *held->is_held = 1;
    pause();
    return 0;
}

static void what_a_killed_client_held_is_free(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    struct held held = {.is_held = shared(sizeof *held.is_held)};

    (void)state;
    assert_int_equal(mproc_manager_remote(manager, &held.lock, MPROC_REMOTE_LOCK, 0, NULL, SOON), 0);
    assert_int_equal(mproc_manager_remote(manager, &held.semaphore, MPROC_REMOTE_SEMAPHORE, 1, NULL, SOON), 0);
    pid_t child = child_start(hold, &held);
    await_value(held.is_held, 1);
    assert_int_equal(mproc_remote_acquire(held.lock, MPROC_MS(10)), MPROC_TIMEOUT);
    assert_int_equal(mproc_remote_acquire(held.semaphore, MPROC_NOWAIT), MPROC_TIMEOUT);
    child_kill(child);
    assert_int_equal(mproc_remote_acquire(held.lock, SOON), MPROC_OWNER_DIED);
    assert_int_equal(mproc_remote_acquire(held.semaphore, SOON), 0);
    assert_int_equal(mproc_remote_release(held.lock, SOON), 0);
    assert_int_equal(mproc_remote_acquire(held.lock, SOON), 0);
    mproc_manager_free(manager);
    shared_free((void *)held.is_held);
}

/* ---- clients that misbehave ---- */

static void send_raw(int fd, const void *data, size_t size)
{
    const unsigned char *at = data;
    while (size) {
        ssize_t sent = send(fd, at, size, MSG_NOSIGNAL);
        if (sent <= 0)
            return; /* the server has closed meanwhile */
        at += sent;
        size -= (size_t)sent;
    }
}

static void send_frame(int fd, const void *data, size_t size)
{
    unsigned char head[WIRE_HEAD];
    wire_put_size(head, size);
    send_raw(fd, head, sizeof head);
    send_raw(fd, data, size);
}

static void send_request(int fd, int64_t number, uint64_t object, const char *method, const mproc_value *args,
                         size_t count)
{
    unsigned char *data;
    size_t size;
    assert_int_equal(wire_encode_request(object, method, args, count, &data, &size), 0);
    wire_fill_in(data, (uint64_t)number, 0);
    send_raw(fd, data, size);
    free(data);
}

static void send_value(int fd, mproc_value value)
{
    void *data;
    size_t size;
    assert_int_equal(mproc_value_encode(value, &data, &size), 0);
    send_frame(fd, data, size);
    free(data);
}

static void nonsense_ends_that_connection_only(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    unsigned char deep[1000];

    (void)state;
    memset(deep, 0x91, sizeof deep); /* lists of one in one another */
    for (int i = 0; i < 6; i++) {
        struct channel raw = raw_client(manager);
        const mproc_value four[] = {mproc_int(1), mproc_int(0), mproc_int(0), mproc_string("ping")};
        const mproc_value wrong[] = {mproc_int(-1), mproc_int(0), mproc_int(0), mproc_string("ping"),
                                     mproc_list_of(NULL, 0)};
        const mproc_value early[] = {mproc_int(1), mproc_int(9), mproc_int(0), mproc_string("ping"),
                                     mproc_list_of(NULL, 0)};
        if (i == 0)
            send_frame(raw.fd, "\xc1", 1);
        else if (i == 1)
            send_frame(raw.fd, deep, sizeof deep);
        else if (i == 2)
            send_value(raw.fd, mproc_list_of(four, 4));
        else if (i == 3)
            send_value(raw.fd, mproc_list_of(wrong, 5));
        else if (i == 4)
            send_value(raw.fd, mproc_list_of(early, 5)); /* it claims answers that there were not */
        else
            send_raw(raw.fd, "\x7f\xff\xff\xff\xff\xff\xff\xff", 8);
        assert_true(drops(raw.fd));
        channel_close(&raw);
        assert_serves(manager);
    }
    mproc_manager_free(manager);
}

static void a_stranger_can_make_nothing_but_noise(void **state)
{
    const mproc_manager_options limits = {.waiting_most = 4, .authentication_time = MPROC_MS(300)};
    mproc_manager *manager = make_manager(NULL, &limits);
    static const unsigned char noise[2000];
    int silent[8];

    (void)state;
    int fd = raw_socket(manager);
    send_frame(fd, noise, sizeof noise); /* larger than a stranger's may be */
    assert_true(drops(fd));
    close(fd);
    fd = raw_socket(manager);
    send_frame(fd, noise, 100);
    assert_true(drops(fd));
    close(fd);
    for (int i = 0; i < 8; i++)
        silent[i] = raw_socket(manager);
    assert_serves(manager);
    mproc_manager *other = join_manager(manager); /* when those before are dropped */
    assert_serves(other);
    for (int i = 0; i < 8; i++) {
        assert_true(drops(silent[i]));
        close(silent[i]);
    }
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

static void a_frame_that_stalls_ends_its_connection(void **state)
{
    const mproc_manager_options limits = {.stall_time = MPROC_MS(200)};
    mproc_manager *manager = make_manager(NULL, &limits);

    (void)state;
    struct channel raw = raw_client(manager);
    send_raw(raw.fd, "\0\0\0\0\0\0\0\x20half", 12);
    assert_true(drops(raw.fd));
    channel_close(&raw);
    assert_serves(manager);
    mproc_manager_free(manager);
}

/* Its requests are left alone when it does not read the answers, so that these are bounded, and then it goes. */
static void a_client_that_does_not_read_is_dropped(void **state)
{
    enum {
        SIZE = 200000
    };
    const mproc_manager_options limits = {.stall_time = MPROC_MS(300)};
    mproc_manager *manager = make_manager(NULL, &limits);
    char *text = calloc(1, SIZE);
    mproc_value args[] = {mproc_string("variable"), mproc_string("it"), mproc_nil()};
    const mproc_value inner = mproc_bytes(text, SIZE);
    mproc_variable *variable;
    int64_t number = 0;

    (void)state;
    assert_int_equal(mproc_manager_variable(manager, &variable, "it", inner, SOON), 0);
    struct channel raw = raw_client(manager);
    args[2] = mproc_list_of(&inner, 1);
    send_request(raw.fd, ++number, 0, "make", args, 3);
    struct pollfd watch = {.fd = raw.fd, .events = POLLIN};
    assert_int_equal(poll(&watch, 1, 20000), 1);
    fcntl(raw.fd, F_SETFL, O_NONBLOCK);
    while (watch.revents != POLLHUP && !(watch.revents & POLLHUP)) {
        send_request(raw.fd, ++number, (uint64_t)1 << 32 | 1, "get", NULL, 0);
        watch.events = 0;
        poll(&watch, 1, 1);
        assert_true(number < 100000);
    }
    channel_close(&raw);
    assert_serves(manager);
    free(text);
    mproc_manager_free(manager);
}

/* One sends as much as it can and reads all answers; the others are served meanwhile. */
static int flood(void *arg)
{
    struct channel *raw = arg;
    static char rest[65536];
    int64_t number = 0;
    while (number < 20000) {
        for (int i = 0; i < 100; i++)
            send_request(raw->fd, ++number, 0, "ping", NULL, 0);
        while (recv(raw->fd, rest, sizeof rest, MSG_DONTWAIT) > 0)
            ;
    }
    return 0;
}

static void a_flood_leaves_turns_for_others(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    struct channel raw = raw_client(manager);

    (void)state;
    pid_t child = child_start(flood, &raw);
    int served = 0;
    while (waitpid(child, NULL, WNOHANG) == 0) {
        assert_serves(manager);
        served++;
    }
    channel_close(&raw);
    assert_true(served > 3);
    mproc_manager_free(manager);
}

static void a_thousand_clients_are_served(void **state)
{
    enum {
        CLIENTS = 1000
    };
    struct rlimit limit;
    mproc_manager *others[CLIENTS];

    (void)state;
    assert_int_equal(getrlimit(RLIMIT_NOFILE, &limit), 0);
    const struct rlimit enough = {limit.rlim_cur < 2 * CLIENTS ? 2 * CLIENTS : limit.rlim_cur, limit.rlim_max};
    assert_int_equal(setrlimit(RLIMIT_NOFILE, &enough), 0);
    mproc_manager *manager = make_manager(NULL, NULL);
    for (int i = 0; i < CLIENTS; i++)
        others[i] = join_manager(manager);
    for (int i = 0; i < CLIENTS; i += 20)
        assert_serves(others[i]);
    for (int i = 0; i < CLIENTS; i++)
        mproc_manager_free(others[i]);
    mproc_manager_free(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_killed_server_hangs_nobody),
        unit(a_stopped_server_is_waited_for_no_longer_than_was_said),
        unit(a_lost_connection_is_made_again),
        unit(each_request_is_done_once_however_often_the_connection_is_lost),
        unit(what_a_killed_client_held_is_free),
        unit(nonsense_ends_that_connection_only),
        unit(a_stranger_can_make_nothing_but_noise),
        unit(a_frame_that_stalls_ends_its_connection),
        unit(a_client_that_does_not_read_is_dropped),
        unit(a_flood_leaves_turns_for_others),
        unit(a_thousand_clients_are_served),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
