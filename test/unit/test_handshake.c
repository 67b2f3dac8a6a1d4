/* Handshakes: who is let in and who is not, peers that send anything, and many at a time. Peers that misbehave are raw
 * descriptors. */
#include "connection/handshake.h"
#include "harness.h"
#include "peers.h"
#include "streams.h"

#include <errno.h>
#include <fcntl.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#define KEY      "the key"
#define KEY_SIZE (sizeof KEY - 1)
#define WAIT     MPROC_SEC(20)

static const mproc_listener_options with_key = {.key = KEY, .key_size = KEY_SIZE};
static const mproc_listener_options with_md5 = {.key = KEY, .key_size = KEY_SIZE, .allow_md5 = true};
static const struct handshake_key right = {KEY, KEY_SIZE, false};

static mproc_listener *listen_tcp(const mproc_listener_options *options)
{
    mproc_listener *listener;

    assert_int_equal(mproc_listener_create(&listener, "tcp::0", options), 0);
    return listener;
}

static void start(struct client *client, const mproc_listener *listener, const void *key, size_t size)
{
    *client = (struct client){.address = mproc_listener_address(listener), .timeout = WAIT};
    client->options = (mproc_connect_options){.key = key, .key_size = size};
    client_start(client);
}

/* That a client with the right key gets through. */
static void expect_open(mproc_listener *listener)
{
    mproc_connection *server = NULL;
    struct client client;

    start(&client, listener, KEY, KEY_SIZE);
    assert_int_equal(mproc_listener_accept(listener, &server, WAIT), 0);
    assert_int_equal(client_join(&client), 0);
    expect_connected(client.connection, server);
    mproc_connection_free(client.connection);
    mproc_connection_free(server);
}

static void the_right_key_opens(void **state)
{
    static unsigned char key[MPROC_KEY_MAX];
    const size_t sizes[] = {1, 64, 65, MPROC_KEY_MAX};

    (void)state;
    fill(key, sizeof key, 3);
    for (size_t i = 0; i < 2 * sizeof sizes / sizeof *sizes; i++) {
        const mproc_listener_options options = {.key = key, .key_size = sizes[i / 2]};
        mproc_listener *listener = i % 2 ? listen_unix(&options) : listen_tcp(&options);
        mproc_connection *server;
        struct client client;
        start(&client, listener, key, sizes[i / 2]);
        assert_int_equal(mproc_listener_accept(listener, &server, WAIT), 0);
        assert_int_equal(client_join(&client), 0);
        expect_connected(client.connection, server);
        mproc_connection_free(client.connection);
        mproc_connection_free(server);
        mproc_listener_free(listener);
    }
}

static void a_wrong_key_does_not(void **state)
{
    static const char *const wrong[] = {"the kez", "the ke", "the key ", "x"};
    mproc_connection *server = NULL;
    mproc_listener *listener = listen_unix(&with_key);
    struct client client;

    (void)state;
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        start(&client, listener, wrong[i], strlen(wrong[i]));
        assert_int_equal(mproc_listener_accept(listener, &server, MPROC_MS(200)), MPROC_TIMEOUT);
        while (mproc_listener_accept(listener, &server, MPROC_MS(1)) == 0)
            ;
        assert_int_equal(client_join(&client), MPROC_AUTH);
        assert_null(client.connection);
    }
    assert_null(server);
    expect_open(listener);
    mproc_listener_free(listener);
}

/* A message of the right size is not taken for more than it is. */
static void whoever_sends_anything_else_is_dropped(void **state)
{
    static const unsigned char too_large[] = {0, 0, 1, 1}, minus_one[] = {255, 255, 255, 255, 0, 0, 0, 0, 0, 0, 0, 9};
    static const unsigned char minus_two[] = {255, 255, 255, 254}, http[] = "GET / HTTP/1.0\r\n\r\n";
    static const unsigned char empty[] = {0, 0, 0, 0}, sixteen[4 + 16] = {0, 0, 0, 16};
    static const unsigned char largest[4 + 256] = {0, 0, 1, 0}, prefix[4 + 8 + 32] = "\0\0\0\x28{sha256}";
    static const unsigned char md5[4 + 5 + 16] = "\0\0\0\x15{md5}", welcome[] = "\0\0\0\x09#WELCOME#";
    static const struct {
        const void *bytes;
        size_t size;
    } garbage[] = {
        {too_large, sizeof too_large}, {minus_one, sizeof minus_one}, {minus_two, sizeof minus_two},
        {http, sizeof http - 1},       {empty, sizeof empty},         {sixteen, sizeof sixteen},
        {largest, sizeof largest},     {prefix, sizeof prefix},       {md5, sizeof md5},
        {welcome, sizeof welcome - 1},
    };
    mproc_connection *server = NULL;

    (void)state;
    for (size_t i = 0; i < 2 * sizeof garbage / sizeof *garbage; i++) {
        mproc_listener *listener = listen_unix(i % 2 ? &with_md5 : &with_key);
        int fd = connect_raw(listener);
        write_raw(fd, garbage[i / 2].bytes, garbage[i / 2].size);
        assert_int_equal(mproc_listener_accept(listener, &server, MPROC_MS(5)), MPROC_TIMEOUT);
        assert_true(is_closed(fd));
        close(fd);
        expect_open(listener);
        mproc_listener_free(listener);
    }
    assert_null(server);
}

static void one_that_stalls_holds_up_nobody(void **state)
{
    mproc_listener *listener = listen_unix(&with_key);
    int silent = connect_raw(listener), half = connect_raw(listener);

    (void)state;
    write_raw(half, "\0\0\0\x28{sha", 8);
    double before = seconds();
    for (int i = 0; i < 3; i++)
        expect_open(listener);
    assert_true(seconds() - before < 5);
    close(silent);
    close(half);
    mproc_listener_free(listener);
}

static void one_that_is_late_is_dropped(void **state)
{
    mproc_connection *server = NULL;
    mproc_listener *listener =
        listen_unix(&(mproc_listener_options){.key = KEY, .key_size = KEY_SIZE, .handshake_time = MPROC_MS(50)});
    int fd = connect_raw(listener);

    (void)state;
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_MS(250)), MPROC_TIMEOUT);
    assert_true(is_closed(fd));
    close(fd);
    mproc_listener_free(listener);
}

/* Who is beyond the cap is not even read from, and gets in when there is room. */
static void no_more_than_the_cap_are_at_their_handshake(void **state)
{
    mproc_connection *server = NULL;
    mproc_listener *listener = listen_unix(
        &(mproc_listener_options){.key = KEY, .key_size = KEY_SIZE, .handshakes = 2, .handshake_time = MPROC_SEC(60)});
    int fds[3];
    unsigned char message[256];

    (void)state;
    for (int i = 0; i < 3; i++)
        fds[i] = connect_raw(listener);
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_MS(30)), MPROC_TIMEOUT);
    for (int i = 0; i < 2; i++)
        assert_true(receive_frame(fds[i], message, sizeof message) > 20);
    assert_int_equal(recv(fds[2], message, sizeof message, MSG_DONTWAIT), -1);
    close(fds[0]);
    assert_int_equal(mproc_listener_accept(listener, &server, MPROC_MS(30)), MPROC_TIMEOUT);
    assert_true(receive_frame(fds[2], message, sizeof message) > 20);
    close(fds[1]);
    expect_open(listener);
    close(fds[2]);
    mproc_listener_free(listener);
}

static void many_come_at_once(void **state)
{
    enum {
        MANY = 40
    };
    static struct client clients[MANY];
    mproc_connection *servers[MANY];
    mproc_listener *listener = listen_unix(&with_key);

    (void)state;
    for (int i = 0; i < MANY; i++)
        start(&clients[i], listener, KEY, KEY_SIZE);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(mproc_listener_accept(listener, &servers[i], WAIT), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(client_join(&clients[i]), 0);
        mproc_connection_free(clients[i].connection);
        mproc_connection_free(servers[i]);
    }
    mproc_listener_free(listener);
}

/* The first message may come with the last of the handshake. */
static void what_follows_the_handshake_is_not_read_by_it(void **state)
{
    mproc_connection *server;
    mproc_listener *listener = listen_unix(&with_key);
    struct client client;
    char buffer[8];
    size_t size;

    (void)state;
    for (int i = 0; i < 20; i++) {
        start(&client, listener, KEY, KEY_SIZE);
        while (mproc_listener_accept(listener, &server, MPROC_NOWAIT) == MPROC_TIMEOUT)
            ;
        assert_int_equal(client_join(&client), 0);
        assert_int_equal(mproc_connection_send(client.connection, "first", 5, WAIT), 0);
        assert_int_equal(mproc_connection_recv(server, buffer, sizeof buffer, &size, WAIT), 0);
        assert_int_equal(size, 5);
        mproc_connection_free(client.connection);
        mproc_connection_free(server);
    }
    mproc_listener_free(listener);
}

static void a_client_does_not_wait_for_ever(void **state)
{
    mproc_connection *connection = NULL;
    mproc_listener *listener = listen_unix(NULL);
    const mproc_connect_options options = {.key = KEY, .key_size = KEY_SIZE};

    (void)state;
    double before = seconds();
    assert_int_equal(mproc_connect(&connection, mproc_listener_address(listener), &options, MPROC_MS(100)),
                     MPROC_TIMEOUT);
    assert_true(seconds() - before >= 0.099 && seconds() - before < 10);
    assert_null(connection);
    mproc_listener_free(listener);
}

/* ---- the two state machines, without a wire ---- */

/* Move all output of one to the other. Returns whether anything moved. */
static bool carry(struct handshake *from, struct handshake *to)
{
    const void *bytes;
    size_t size = handshake_output(from, &bytes);

    for (size_t moved = 0; moved < size;) {
        void *place;
        size_t wanted = handshake_input(to, &place);
        if (wanted == 0)
            return false;
        wanted = wanted < size - moved ? wanted : size - moved;
        memcpy(place, (const char *)bytes + moved, wanted);
        assert_int_equal(handshake_received(to, wanted), 0);
        moved += wanted;
    }
    handshake_sent(from, size);
    return size > 0;
}

static void shake(struct handshake *a, struct handshake *b)
{
    while (carry(a, b) || carry(b, a)) {
    }
}

static void both_sides_pass(void **state)
{
    struct handshake listener, client;

    (void)state;
    assert_int_equal(handshake_begin(&listener, HANDSHAKE_LISTENER, &right), 0);
    assert_int_equal(handshake_begin(&client, HANDSHAKE_CLIENT, &right), 0);
    shake(&listener, &client);
    assert_int_equal(listener.step, HANDSHAKE_PASSED);
    assert_int_equal(client.step, HANDSHAKE_PASSED);
}

/* Somebody without a key lets one client answer what another one asks. */
static void a_client_does_not_answer_for_another(void **state)
{
    struct handshake asked, asking, listener;

    (void)state;
    assert_int_equal(handshake_begin(&asking, HANDSHAKE_CLIENT, &right), 0);
    assert_int_equal(handshake_begin(&asked, HANDSHAKE_CLIENT, &right), 0);
    assert_int_equal(handshake_begin(&listener, HANDSHAKE_LISTENER, &right), 0);
    assert_true(carry(&listener, &asking));
    assert_true(carry(&asking, &listener));
    assert_true(carry(&listener, &asking));
    assert_true(carry(&asking, &asked));
    assert_int_equal(asked.step, HANDSHAKE_FAILED);
    const void *bytes;
    assert_int_equal(handshake_output(&asked, &bytes), 0);
}

static void a_listener_does_not_answer_itself(void **state)
{
    struct handshake listener, client;

    (void)state;
    assert_int_equal(handshake_begin(&listener, HANDSHAKE_LISTENER, &right), 0);
    assert_int_equal(handshake_begin(&client, HANDSHAKE_CLIENT, &right), 0);
    assert_true(carry(&listener, &client));
    assert_true(carry(&client, &listener));
    memcpy(client.challenge, listener.challenge, sizeof client.challenge);
    assert_true(carry(&listener, &client));
    assert_true(carry(&client, &listener));
    assert_int_equal(listener.step, HANDSHAKE_FAILED);
}

/* ---- MD5 ---- */

/* A listener that knows MD5 only sends this. */
static void md5_is_given_only_where_it_is_allowed(void **state)
{
    static const unsigned char old[4 + 11 + 20] = "\0\0\0\x1f#CHALLENGE#01234567890123456789";
    struct handshake client;

    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        const struct handshake_key key = {KEY, KEY_SIZE, allowed};
        const void *bytes;
        assert_int_equal(handshake_begin(&client, HANDSHAKE_CLIENT, &key), 0);
        memcpy(client.input, old, 4);
        assert_int_equal(handshake_received(&client, 4), 0);
        memcpy(client.input + 4, old + 4, sizeof old - 4);
        assert_int_equal(handshake_received(&client, sizeof old - 4), 0);
        assert_int_equal(handshake_output(&client, &bytes), allowed ? 4 + MAC_MD5_SIZE : 0);
        assert_int_equal(client.step, allowed ? HANDSHAKE_AWAITS_VERDICT : HANDSHAKE_FAILED);
    }
}

static void md5_is_taken_only_where_it_is_allowed(void **state)
{
    unsigned char mac[MAC_MD5_SIZE], challenge[256], verdict[256];
    mproc_connection *server;

    (void)state;
    for (int allowed = 0; allowed < 2; allowed++) {
        mproc_listener *listener = listen_unix(allowed ? &with_md5 : &with_key);
        int fd = connect_raw(listener);
        assert_int_equal(mproc_listener_accept(listener, &server, MPROC_NOWAIT), MPROC_TIMEOUT);
        long size = receive_frame(fd, challenge, sizeof challenge);
        assert_int_equal(size, 11 + HANDSHAKE_CHALLENGE);
        assert_int_equal(mac_md5(mac, KEY, KEY_SIZE, challenge + 11, (size_t)size - 11), 0);
        send_frame(fd, mac, sizeof mac);
        assert_int_equal(mproc_listener_accept(listener, &server, MPROC_NOWAIT), MPROC_TIMEOUT);
        assert_int_equal(receive_frame(fd, verdict, sizeof verdict), 9);
        assert_memory_equal(verdict, allowed ? "#WELCOME#" : "#FAILURE#", 9);
        close(fd);
        mproc_listener_free(listener);
    }
}

/* ---- keys ---- */

static void write_key(const char *path, const char *text, size_t size)
{
    int fd = open(path, O_CREAT | O_TRUNC | O_WRONLY | O_CLOEXEC, 0600);

    assert_true(fd >= 0);
    write_raw(fd, text, size);
    close(fd);
}

static void a_key_is_read_from_a_private_file(void **state)
{
    char path[] = "/tmp/mproc-test-XXXXXX", key[MPROC_KEY_MAX];
    static const char large[MPROC_KEY_MAX + 1];
    size_t size = 77;

    (void)state;
    close(mkstemp(path));
    write_key(path, "secret\n", 7);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), 0);
    assert_int_equal(size, 6);
    assert_memory_equal(key, "secret", 6);
    assert_int_equal(mproc_key_from_file(path, key, 5, &size), MPROC_TOO_SMALL);
    assert_int_equal(size, 6);
    write_key(path, large, MPROC_KEY_MAX);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), 0);
    assert_int_equal(size, MPROC_KEY_MAX);
    write_key(path, large, sizeof large);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), -EINVAL);
    write_key(path, "\n", 1);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), -EINVAL);
    write_key(path, "secret", 6);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), MPROC_KEY_EXPOSED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(mproc_key_from_file(path, key, sizeof key, &size), -ENOENT);
    assert_int_equal(mproc_key_from_file("/tmp", key, sizeof key, &size), -EISDIR);
    assert_int_equal(mproc_key_from_file(NULL, key, sizeof key, &size), -EINVAL);
}

static void a_key_is_read_from_a_pipe(void **state)
{
    int fds[2];
    char key[8];
    size_t size;

    (void)state;
    assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
    write_raw(fds[1], "key", 3);
    close(fds[1]);
    assert_int_equal(mproc_key_from_fd(fds[0], key, sizeof key, &size), 0);
    assert_int_equal(size, 3);
    assert_memory_equal(key, "key", 3);
    close(fds[0]);
    assert_int_equal(mproc_key_from_fd(-1, key, sizeof key, &size), -EBADF);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(the_right_key_opens),
        unit(a_wrong_key_does_not),
        unit(whoever_sends_anything_else_is_dropped),
        unit(one_that_stalls_holds_up_nobody),
        unit(one_that_is_late_is_dropped),
        unit(no_more_than_the_cap_are_at_their_handshake),
        unit(many_come_at_once),
        unit(what_follows_the_handshake_is_not_read_by_it),
        unit(a_client_does_not_wait_for_ever),
        unit(both_sides_pass),
        unit(a_client_does_not_answer_for_another),
        unit(a_listener_does_not_answer_itself),
        unit(md5_is_given_only_where_it_is_allowed),
        unit(md5_is_taken_only_where_it_is_allowed),
        unit(a_key_is_read_from_a_private_file),
        unit(a_key_is_read_from_a_pipe),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
