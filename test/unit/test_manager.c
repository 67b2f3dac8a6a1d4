/* Managers: a server in a process of its own, clients, proxies of containers, names, nesting, types of the program's.
 */
#include "children.h"
#include "harness.h"
#include "managers.h"
#include "pools.h"

#include <errno.h>
#include <poll.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static void assert_shown(mproc_value value, const char *text)
{
    char *shown = mproc_value_repr(value);
    assert_string_equal(shown, text);
    free(shown);
}

/* ---- clients ---- */

static void two_clients_share_a_dict_by_its_name(void **state)
{
    static const char *const addresses[] = {NULL, "tcp::0", "tls::0"};
    mproc_value found;

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        mproc_dict *dict, *same;
        mproc_manager *manager = make_manager(addresses[i], NULL), *other = join_manager(manager);
        assert_int_equal(mproc_manager_dict(manager, &dict, "ages", SOON), 0);
        assert_int_equal(mproc_manager_dict(other, &same, "ages", SOON), 0);
        assert_int_equal(mproc_dict_set(dict, mproc_string("Ada"), mproc_int(36), SOON), 0);
        assert_int_equal(mproc_dict_get(same, mproc_string("Ada"), &found, SOON), 0);
        assert_shown(found, "36");
        mproc_value_free(&found);
        assert_int_equal(mproc_dict_get(same, mproc_string("Bob"), &found, SOON), MPROC_NOT_FOUND);
        mproc_manager_free(other);
        mproc_manager_free(manager);
    }
}

static void another_key_lets_nobody_in(void **state)
{
    static const char *const addresses[] = {NULL, "tcp::0", "tls::0"};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        const mproc_manager_options options = {.key = "another", .key_size = 7};
        mproc_manager *manager = make_manager(addresses[i], NULL), *other;
        assert_int_equal(mproc_manager_connect(&other, mproc_manager_address(manager), &options, SOON), MPROC_AUTH);
        assert_null(other);
        assert_serves(manager);
        mproc_manager_free(manager);
    }
}

static void wrong_arguments_are_refused(void **state)
{
    mproc_manager *manager;
    mproc_dict *dict;

    (void)state;
    assert_int_equal(mproc_manager_create(NULL, NULL), -EINVAL);
    assert_int_equal(mproc_manager_create(&manager, &(mproc_manager_options){.address = "nowhere"}), -EINVAL);
    assert_int_equal(mproc_manager_create(&manager, &(mproc_manager_options){.key = "", .key_size = 0}), -EINVAL);
    assert_int_equal(mproc_manager_connect(&manager, "unix:", NULL, SOON), -EINVAL);
    assert_int_equal(mproc_manager_connect(&manager, "tcp::0", NULL, SOON), -EINVAL);
    assert_int_equal(mproc_manager_connect(&manager, "unix:/no/such", NULL, SOON), -ENOENT);
    assert_int_equal(mproc_manager_connect(&manager, "unix:/no/such", NULL, MPROC_NS(-2)), -EINVAL);
    assert_null(manager);
    assert_int_equal(mproc_manager_dict(NULL, &dict, NULL, SOON), -EINVAL);
    assert_null(mproc_manager_address(NULL));
    assert_null(mproc_manager_free(NULL));
}

/* Read answers until so many have come, as the socket says that there is something, or the channel that it holds it. */
static size_t count_answers(struct channel *channel, size_t most)
{
    static unsigned char in[65536];
    size_t size = 0, count = 0;
    while (count < most) {
        struct pollfd watch = {.fd = channel->fd, .events = POLLIN};
        if (!channel_holds(channel) && poll(&watch, 1, 10000) != 1)
            return count;
        ssize_t got = channel_receive(channel, in + size, sizeof in - size);
        if (got <= 0 && got != -EAGAIN)
            return count;
        size += got > 0 ? (size_t)got : 0;
        size_t at = 0;
        for (; size - at >= WIRE_HEAD && size - at - WIRE_HEAD >= wire_get_size(in + at); count++)
            at += WIRE_HEAD + wire_get_size(in + at);
        memmove(in, in + at, size - at);
        size -= at;
    }
    return count;
}

/* Pings, so many with each call, to a server that is stopped until the socket takes no more. */
static void send_pings(struct channel *channel, uint64_t count, uint64_t together, pid_t server)
{
    unsigned char all[16384], *data;
    size_t size = 0, one;
    for (uint64_t number = 1; number <= count; number++) {
        assert_int_equal(wire_encode_request(0, "ping", NULL, 0, &data, &one), 0);
        wire_fill_in(data, number, 0);
        assert_true(size + one <= sizeof all);
        memcpy(all + size, data, one);
        size += one;
        free(data);
        struct iovec part = {all, size};
        while ((number % together == 0 || number == count) && part.iov_len) {
            ssize_t sent = channel_send(channel, &part, 1);
            assert_true(sent > 0 || sent == -EAGAIN);
            if (sent == -EAGAIN)
                assert_int_equal(kill(server, SIGCONT), 0);
            part.iov_base = (char *)part.iov_base + (sent > 0 ? sent : 0);
            part.iov_len -= sent > 0 ? (size_t)sent : 0;
            size = 0;
        }
    }
}

/* They are more than one turn's, and more than the server reads at a time, and all are there when it first looks. */
static void requests_that_come_at_once_are_all_answered(void **state)
{
    enum {
        REQUESTS = 3000
    };
    static const char *const addresses[] = {NULL, "tcp::0", "tls::0"};

    (void)state;
    for (size_t i = 0; i < 6; i++) {
        mproc_manager *manager = make_manager(addresses[i / 2], NULL);
        struct channel channel = raw_client(manager);
        mproc_process *server;
        assert_int_equal(mproc_active_children(&server, 1), 1);
        const pid_t pid = mproc_process_pid(server);
        assert_int_equal(kill(pid, SIGSTOP), 0);
        send_pings(&channel, REQUESTS, i % 2 ? 100 : 20, pid);
        assert_int_equal(kill(pid, SIGCONT), 0);
        assert_int_equal(count_answers(&channel, REQUESTS), REQUESTS);
        channel_close(&channel);
        mproc_manager_free(manager);
    }
}

static void nothing_is_left_of_a_server(void **state)
{
    struct stat status;
    char path[MPROC_ADDRESS_MAX];

    (void)state;
    mproc_manager *manager = make_manager(NULL, NULL);
    snprintf(path, sizeof path, "%s", mproc_manager_address(manager) + strlen("unix:"));
    assert_int_equal(stat(path, &status), 0);
    *strrchr(path, '/') = 0;
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    mproc_manager_free(manager);
    assert_int_equal(stat(path, &status), -1);
}

static char own_address[64];

static int serve_here(void *arg)
{
    return mproc_manager_serve(arg, &(mproc_manager_options){.key = manager_key, .key_size = sizeof manager_key});
}

static bool connects(void *arg)
{
    return mproc_manager_connect(arg, own_address,
                                 &(mproc_manager_options){.key = manager_key, .key_size = sizeof manager_key},
                                 SOON) == 0;
}

static void a_process_serves_until_it_is_shut_down(void **state)
{
    mproc_manager *manager;

    (void)state;
    snprintf(own_address, sizeof own_address, "unix:/tmp/mproc-test-manager-%d", (int)getpid());
    pid_t child = child_start(serve_here, own_address);
    assert_true(wait_until(connects, &manager, 20000));
    assert_serves(manager);
    assert_int_equal(mproc_manager_shutdown(manager, SOON), 0);
    assert_int_equal(child_finish(child), 0);
    mproc_dict *dict;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), MPROC_SERVER_DIED);
    mproc_manager_free(manager);
}

/* ---- containers ---- */

static void every_container_has_a_proxy(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_set *set;
    mproc_namespace *names;
    mproc_variable *variable;
    mproc_array *array;
    mproc_value found;
    int numbers[] = {1, 2, 3}, back[3] = {0};

    (void)state;
    assert_int_equal(mproc_manager_set(manager, &set, NULL, SOON), 0);
    assert_int_equal(mproc_set_add(set, mproc_int(5), SOON), 0);
    assert_int_equal(mproc_set_contains(set, mproc_double(5), SOON), 0);
    assert_int_equal(mproc_manager_namespace(manager, &names, NULL, SOON), 0);
    assert_int_equal(mproc_namespace_set(names, "x", mproc_string("text"), SOON), 0);
    assert_int_equal(mproc_namespace_get(names, "x", &found, SOON), 0);
    assert_shown(found, "'text'");
    mproc_value_free(&found);
    assert_int_equal(mproc_manager_variable(manager, &variable, NULL, mproc_int(7), SOON), 0);
    assert_int_equal(mproc_variable_get(variable, &found, SOON), 0);
    assert_shown(found, "7");
    assert_int_equal(mproc_manager_array(manager, &array, NULL, 3, sizeof *numbers, SOON), 0);
    assert_int_equal(mproc_array_write(array, 0, 3, numbers, SOON), 0);
    assert_int_equal(mproc_array_read(array, 1, 2, back, SOON), 0);
    assert_int_equal(back[1], 3);
    assert_null(mproc_array_data(array));
    assert_null(mproc_set_free(set));
    assert_null(mproc_array_free(array));
    mproc_manager_free(manager);
}

static void a_proxied_list_has_slices(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_list *list;
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    for (int i = 0; i < 10; i++)
        assert_int_equal(mproc_list_append(list, mproc_int(i * i), SOON), 0);
    assert_int_equal(mproc_list_get_slice(list, 2, 5, 1, &found, SOON), 0);
    assert_shown(found, "[4, 9, 16]");
    mproc_value_free(&found);
    assert_int_equal(mproc_list_get(list, 10, &found, SOON), MPROC_NOT_FOUND);
    assert_int_equal(mproc_list_get(list, 4, &found, MPROC_NOWAIT), MPROC_TIMEOUT);
    mproc_manager_free(manager);
}

static void a_large_value_comes_back_whole(void **state)
{
    enum {
        SIZE = 5 << 20
    };
    mproc_manager *manager = make_manager("tls::0", NULL);
    mproc_variable *variable;
    mproc_value found;
    unsigned char *bytes = malloc(SIZE);

    (void)state;
    for (size_t i = 0; i < SIZE; i++)
        bytes[i] = (unsigned char)(i * 7 + (i >> 8));
    assert_int_equal(mproc_manager_variable(manager, &variable, NULL, mproc_nil(), SOON), 0);
    assert_int_equal(mproc_variable_set(variable, mproc_bytes(bytes, SIZE), SOON), 0);
    assert_int_equal(mproc_variable_get(variable, &found, SOON), 0);
    assert_int_equal(found.size, SIZE);
    assert_memory_equal(found.bytes, bytes, SIZE);
    mproc_value_free(&found);
    free(bytes);
    mproc_manager_free(manager);
}

/* ---- names and references ---- */

static void a_name_is_of_one_type_and_can_be_taken_away(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict;
    mproc_list *list;
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &list, "it", SOON), -EEXIST);
    assert_null(list);
    assert_int_equal(mproc_dict_set(dict, mproc_int(1), mproc_int(2), SOON), 0);
    dict = mproc_dict_free(dict);
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_dict_get(dict, mproc_int(1), &found, SOON), 0);
    mproc_dict_free(dict);
    assert_int_equal(mproc_manager_forget(manager, "it", SOON), 0);
    assert_int_equal(mproc_manager_forget(manager, "it", SOON), MPROC_NOT_FOUND);
    assert_int_equal(mproc_manager_list(manager, &list, "it", SOON), 0);
    mproc_manager_free(manager);
}

static void proxies_are_nested_in_one_another(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL), *other = join_manager(manager);
    mproc_dict *outer, *same;
    mproc_list *inner, *local;
    mproc_value found, all;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &outer, "outer", SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &inner, NULL, SOON), 0);
    assert_int_equal(mproc_list_append(inner, mproc_string("deep"), SOON), 0);
    assert_int_equal(mproc_dict_set(outer, mproc_int(1), mproc_object_value(inner), SOON), 0);
    mproc_list_free(inner);
    assert_int_equal(mproc_manager_dict(other, &same, "outer", SOON), 0);
    assert_int_equal(mproc_dict_get(same, mproc_int(1), &found, SOON), 0);
    assert_int_equal(mproc_object_type(found.object), MPROC_TYPE_LIST);
    assert_int_equal(mproc_list_append(found.object, mproc_int(3), SOON), 0);
    assert_int_equal(mproc_list_copy(found.object, &all, SOON), 0);
    assert_shown(all, "['deep', 3]");
    mproc_value_free(&all);
    assert_int_equal(mproc_list_create(&local), 0);
    assert_int_equal(mproc_dict_set(same, mproc_int(2), mproc_object_value(local), SOON), -EINVAL);
    assert_int_equal(mproc_dict_set(outer, mproc_int(2), found, SOON), -EINVAL);
    mproc_list_free(local);
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

/* Each generation holds itself in a circle, and nobody else does. */
static void objects_that_nobody_can_reach_go(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *kept;
    mproc_list *list, *inner;
    mproc_value found;
    size_t length;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &kept, "kept", SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &inner, NULL, SOON), 0);
    assert_int_equal(mproc_list_append(inner, mproc_int(1), SOON), 0);
    assert_int_equal(mproc_dict_set(kept, mproc_int(1), mproc_object_value(inner), SOON), 0);
    mproc_list_free(inner);
    size_t before = bytes_in_use();
    for (int i = 0; i < 500; i++) {
        assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
        assert_int_equal(mproc_list_append(list, mproc_object_value(list), SOON), 0);
        mproc_list_free(list);
    }
    assert_serves(manager);
    assert_true(bytes_in_use() < before + 200 * 1000);
    assert_int_equal(mproc_dict_get(kept, mproc_int(1), &found, SOON), 0);
    assert_int_equal(mproc_list_length(found.object, &length, SOON), 0);
    assert_int_equal(length, 1);
    mproc_manager_free(manager);
}

/* ---- threads and forks ---- */

enum {
    THREADS = 4,
    ROUNDS = 200
};

static int add_many(void *arg)
{
    for (int i = 0; i < ROUNDS; i++)
        if (mproc_dict_add(arg, mproc_string("sum"), mproc_int(1), NULL, SOON))
            return 1;
    return 0;
}

static void assert_sum(mproc_dict *dict, int64_t sum)
{
    mproc_value found;
    assert_int_equal(mproc_dict_get(dict, mproc_string("sum"), &found, SOON), 0);
    assert_int_equal(found.integer, sum);
    mproc_value_free(&found);
}

static void threads_share_a_connection(void **state)
{
    mproc_manager *manager = make_manager("tls::0", NULL);
    mproc_dict *dict;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    threads_run(add_many, dict, THREADS);
    assert_sum(dict, THREADS * ROUNDS);
    mproc_manager_free(manager);
}

static void a_forked_child_has_a_connection_of_its_own(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    children_run(add_many, dict, THREADS);
    assert_sum(dict, THREADS * ROUNDS);
    mproc_manager_free(manager);
}

/* ---- types of the program's ---- */

struct counter {
    int64_t count;
};

static int make_counter(void **object, const mproc_value *args, size_t count)
{
    struct counter *counter = malloc(sizeof *counter);
    if (!counter || count != 1 || args[0].kind != MPROC_INT) {
        free(counter);
        return -EINVAL;
    }
    counter->count = args[0].integer;
    *object = counter;
    return 0;
}

static int counter_up(void *object, const mproc_value *args, size_t count, mproc_value *result)
{
    struct counter *counter = object;
    (void)args;
    (void)count;
    *result = mproc_int(++counter->count);
    return 0;
}

static int refuse(void *object, const mproc_value *args, size_t count, mproc_value *result)
{
    (void)object;
    (void)args;
    (void)count;
    (void)result;
    return -ERANGE;
}

static void registered_types_are_called_by_name(void **state)
{
    static const mproc_manager_method methods[] = {{"up", counter_up}, {"refuse", refuse}};
    static const mproc_manager_type type = {
        .name = "Counter", .construct = make_counter, .destroy = free, .methods = methods, .method_count = 2};
    mproc_object *counter, *same;
    const mproc_value at_first = mproc_int(10);
    mproc_value found;

    (void)state;
    assert_int_equal(mproc_manager_register(NULL), -EINVAL);
    assert_int_equal(mproc_manager_register(&type), 0);
    assert_int_equal(mproc_manager_register(&type), -EEXIST);
    books_forgive();
    mproc_manager *manager = make_manager(NULL, NULL), *other = join_manager(manager);
    assert_int_equal(mproc_manager_object(manager, &counter, "Clock", NULL, NULL, 0, SOON), MPROC_NOT_FOUND);
    assert_int_equal(mproc_manager_object(manager, &counter, "Counter", NULL, NULL, 0, SOON), -EINVAL);
    assert_int_equal(mproc_manager_object(manager, &counter, "Counter", "c", &at_first, 1, SOON), 0);
    assert_int_equal(mproc_object_call(counter, "up", NULL, 0, &found, SOON), 0);
    assert_int_equal(found.integer, 11);
    assert_int_equal(mproc_manager_object(other, &same, "Counter", "c", NULL, 0, SOON), 0);
    assert_int_equal(mproc_object_call(same, "up", NULL, 0, &found, SOON), 0);
    assert_int_equal(found.integer, 12);
    assert_int_equal(mproc_object_call(same, "refuse", NULL, 0, NULL, SOON), -ERANGE);
    assert_int_equal(mproc_object_call(same, "system", NULL, 0, NULL, SOON), MPROC_NOT_FOUND);
    mproc_object_free(counter);
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(two_clients_share_a_dict_by_its_name), unit(another_key_lets_nobody_in),
        unit(wrong_arguments_are_refused),          unit(requests_that_come_at_once_are_all_answered),
        unit(nothing_is_left_of_a_server),          unit(a_process_serves_until_it_is_shut_down),
        unit(every_container_has_a_proxy),          unit(a_proxied_list_has_slices),
        unit(a_large_value_comes_back_whole),       unit(a_name_is_of_one_type_and_can_be_taken_away),
        unit(proxies_are_nested_in_one_another),    unit(objects_that_nobody_can_reach_go),
        unit(threads_share_a_connection),           unit(a_forked_child_has_a_connection_of_its_own),
        unit(registered_types_are_called_by_name),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
