/* Many calls of a manager at a time: order, results, whatever happens to the server or the connection meanwhile. */
#include "children.h"
#include "harness.h"
#include "managers.h"

#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#define MANY 200

static mproc_dict *make_dict(mproc_manager *manager)
{
    mproc_dict *dict;
    assert_int_equal(mproc_manager_dict(manager, &dict, NULL, SOON), 0);
    return dict;
}

static mproc_call call_of(void *object, const char *method, const mproc_value *args, size_t count)
{
    return (mproc_call){.object = object, .method = method, .args = args, .count = count, .status = -1};
}

static int64_t integer_of(mproc_dict *dict, int64_t key)
{
    mproc_value found;
    assert_int_equal(mproc_dict_get(dict, mproc_int(key), &found, SOON), 0);
    return found.integer;
}

/* ---- what they do ---- */

static void calls_are_done_in_their_order_and_each_has_its_result(void **state)
{
    static const char *const addresses[] = {NULL, "tcp::0", "tls::0"};
    const mproc_value ada[] = {mproc_string("Ada"), mproc_int(36)}, one[] = {mproc_string("Ada"), mproc_int(1)};

    (void)state;
    for (size_t i = 0; i < 3; i++) {
        mproc_manager *manager = make_manager(addresses[i], NULL);
        mproc_dict *dict = make_dict(manager);
        mproc_call calls[] = {call_of(dict, "get", ada, 1),     call_of(dict, "set", ada, 2),
                              call_of(dict, "add", one, 2),     call_of(dict, "get", ada, 1),
                              call_of(dict, "length", NULL, 0), call_of(dict, "sing", NULL, 0),
                              call_of(dict, "set", ada, 1)};
        assert_int_equal(mproc_manager_call(manager, calls, 7, SOON), 0);
        assert_int_equal(calls[0].status, MPROC_NOT_FOUND);
        assert_int_equal(calls[1].status, 0);
        assert_int_equal(calls[2].status, 0);
        assert_int_equal(calls[2].result.integer, 37);
        assert_int_equal(calls[3].result.integer, 37);
        assert_int_equal(calls[4].result.integer, 1);
        assert_int_equal(calls[5].status, MPROC_NOT_FOUND);
        assert_int_equal(calls[6].status, -EINVAL);
        mproc_manager_free(manager);
    }
}

static void objects_of_all_kinds_can_be_called(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_remote *queue, *lock;
    mproc_list *list;
    mproc_dict *dict = make_dict(manager);

    (void)state;
    assert_int_equal(mproc_manager_remote(manager, &queue, MPROC_REMOTE_QUEUE, 2, NULL, SOON), 0);
    assert_int_equal(mproc_manager_remote(manager, &lock, MPROC_REMOTE_LOCK, 0, NULL, SOON), 0);
    assert_int_equal(mproc_manager_list(manager, &list, NULL, SOON), 0);
    const mproc_value item = mproc_int(7), inner = mproc_object_value(list);
    const mproc_value nested[] = {mproc_int(1), inner};
    mproc_call calls[] = {call_of(queue, "put", &item, 1),   call_of(queue, "put", &item, 1),
                          call_of(queue, "put", &item, 1),   call_of(queue, "get", NULL, 0),
                          call_of(queue, "size", NULL, 0),   call_of(lock, "acquire", NULL, 0),
                          call_of(lock, "acquire", NULL, 0), call_of(lock, "release", NULL, 0),
                          call_of(dict, "set", nested, 2),   call_of(dict, "get", nested, 1)};
    assert_int_equal(mproc_manager_call(manager, calls, 10, SOON), 0);
    assert_int_equal(calls[1].status, 0);
    assert_int_equal(calls[2].status, MPROC_TIMEOUT);
    assert_int_equal(calls[3].result.integer, 7);
    assert_int_equal(calls[4].result.integer, 1);
    assert_int_equal(calls[5].status, 0);
    assert_int_equal(calls[6].status, MPROC_TIMEOUT);
    assert_int_equal(calls[7].status, 0);
    assert_int_equal(calls[8].status, 0);
    assert_ptr_equal(calls[9].result.object, list);
    mproc_manager_free(manager);
}

static void wrong_arguments_send_nothing(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL), *other = join_manager(manager);
    mproc_dict *dict = make_dict(manager), *others = make_dict(other), *near;
    const mproc_value pair[] = {mproc_int(1), mproc_int(1)}, wrong[] = {mproc_int(1), {.kind = (enum mproc_kind)99}};
    mproc_call good = call_of(dict, "set", pair, 2);
    mproc_batch *batch;
    size_t length;

    (void)state;
    assert_int_equal(mproc_dict_create(&near), 0);
    const mproc_call bad[] = {call_of(others, "set", pair, 2), call_of(near, "set", pair, 2),
                              call_of(NULL, "set", pair, 2),   call_of(dict, NULL, pair, 2),
                              call_of(dict, "set", NULL, 2),   call_of(dict, "set", wrong, 2)};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        mproc_call calls[] = {good, bad[i]};
        assert_int_equal(mproc_manager_call(manager, calls, 2, SOON), -EINVAL);
    }
    assert_int_equal(mproc_manager_call(NULL, &good, 1, SOON), -EINVAL);
    assert_int_equal(mproc_manager_call(manager, NULL, 1, SOON), -EINVAL);
    assert_int_equal(mproc_manager_call(manager, &good, 0, SOON), -EINVAL);
    assert_int_equal(mproc_manager_call(manager, &good, 1, MPROC_NS(-2)), -EINVAL);
    assert_int_equal(mproc_manager_send(manager, &good, 1, NULL), -EINVAL);
    assert_int_equal(mproc_manager_send(manager, &good, 0, &batch), -EINVAL);
    assert_null(batch);
    assert_int_equal(mproc_batch_wait(NULL, SOON), -EINVAL);
    assert_null(mproc_batch_free(NULL));
    assert_int_equal(mproc_dict_length(dict, &length, SOON), 0);
    assert_int_equal(length, 0);
    mproc_dict_free(near);
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

/* Far more than sockets hold, in both directions: the server stops to take requests while nobody reads its answers. */
static void more_than_the_sockets_hold_goes_through(void **state)
{
    static char text[100000];
    static mproc_call calls[2 * MANY];
    static mproc_value args[MANY][2];
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict = make_dict(manager);

    (void)state;
    memset(text, 'x', sizeof text);
    for (int i = 0; i < MANY; i++) {
        args[i][0] = mproc_int(i);
        args[i][1] = mproc_string_of(text, sizeof text - (size_t)i);
        calls[2 * i] = call_of(dict, "set", args[i], 2);
        calls[2 * i + 1] = call_of(dict, "get", args[i], 1);
    }
    assert_int_equal(mproc_manager_call(manager, calls, sizeof calls / sizeof *calls, MPROC_FOREVER), 0);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(calls[2 * i].status, 0);
        assert_int_equal(calls[2 * i + 1].result.size, sizeof text - (size_t)i);
        mproc_value_free(&calls[2 * i + 1].result);
    }
    mproc_manager_free(manager);
}

/* ---- in two steps ---- */

static void a_batch_is_done_while_its_sender_does_something_else(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL), *other = join_manager(manager);
    const mproc_value pair[] = {mproc_int(1), mproc_int(5)};
    mproc_call call, next;
    mproc_batch *batch, *second;
    mproc_dict *dict, *same;

    (void)state;
    assert_int_equal(mproc_manager_dict(manager, &dict, "it", SOON), 0);
    assert_int_equal(mproc_manager_dict(other, &same, "it", SOON), 0);
    call = call_of(dict, "set", pair, 2);
    next = call_of(dict, "add", pair, 2);
    assert_int_equal(mproc_manager_send(manager, &call, 1, &batch), 0);
    assert_int_equal(mproc_manager_send(manager, &next, 1, &second), 0);
    mproc_value found = mproc_nil();
    while (!(mproc_dict_get(same, mproc_int(1), &found, SOON) == 0 && found.integer == 10))
        assert_true(found.kind == MPROC_NIL || found.integer == 5);
    assert_int_equal(mproc_batch_wait(second, SOON), 0);
    assert_int_equal(next.result.integer, 10);
    assert_int_equal(mproc_batch_wait(batch, SOON), 0);
    assert_int_equal(call.status, 0);
    assert_int_equal(mproc_batch_wait(batch, MPROC_NOWAIT), 0);
    assert_null(mproc_batch_free(batch));
    assert_null(mproc_batch_free(second));
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

static int add_in_batches(void *arg)
{
    mproc_dict *dict = ((void **)arg)[1];
    const mproc_value pair[] = {mproc_int(1), mproc_int(1)};
    for (int i = 0; i < 50; i++) {
        mproc_call calls[10];
        for (int j = 0; j < 10; j++)
            calls[j] = call_of(dict, "add", pair, 2);
        if (mproc_manager_call(((void **)arg)[0], calls, 10, MPROC_FOREVER))
            return 1;
        for (int j = 0; j < 10; j++)
            if (calls[j].status || (j && calls[j].result.integer <= calls[j - 1].result.integer))
                return 2;
    }
    return 0;
}

static void threads_have_batches_at_the_same_time(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict = make_dict(manager);
    void *both[] = {manager, dict};

    (void)state;
    threads_run(add_in_batches, both, 4);
    assert_int_equal(integer_of(dict, 1), 4 * 50 * 10);
    mproc_manager_free(manager);
}

/* ---- when something happens meanwhile ---- */

static void a_killed_server_answers_every_call_of_a_batch(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict = make_dict(manager);
    const mproc_value pair[] = {mproc_int(1), mproc_int(1)};
    mproc_call calls[] = {call_of(dict, "set", pair, 2), call_of(dict, "get", pair, 1)};
    mproc_batch *batch;

    (void)state;
    pid_t server = server_of_managers();
    assert_int_equal(kill(server, SIGSTOP), 0);
    assert_int_equal(mproc_manager_send(manager, calls, 2, &batch), 0);
    assert_int_equal(kill(server, SIGKILL), 0);
    assert_int_equal(mproc_batch_wait(batch, MPROC_FOREVER), 0);
    assert_int_equal(calls[0].status, MPROC_SERVER_DIED);
    assert_int_equal(calls[1].status, MPROC_SERVER_DIED);
    mproc_batch_free(batch);
    mproc_manager_free(manager);
    books_forgive(); /* what the server had in the arena */
}

static void a_stopped_server_is_waited_for_no_longer_than_was_said(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict = make_dict(manager);
    const mproc_value pair[] = {mproc_int(1), mproc_int(1)};
    mproc_call first = call_of(dict, "set", pair, 2), second = call_of(dict, "add", pair, 2);
    mproc_batch *batch;

    (void)state;
    pid_t server = server_of_managers();
    assert_int_equal(kill(server, SIGSTOP), 0);
    assert_int_equal(mproc_manager_call(manager, &first, 1, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(first.status, MPROC_TIMEOUT);
    assert_int_equal(mproc_manager_send(manager, &second, 1, &batch), 0);
    assert_int_equal(mproc_batch_wait(batch, MPROC_MS(20)), MPROC_TIMEOUT);
    assert_int_equal(mproc_batch_wait(batch, MPROC_NOWAIT), MPROC_TIMEOUT);
    assert_int_equal(second.status, -1);
    assert_int_equal(kill(server, SIGCONT), 0);
    assert_int_equal(mproc_batch_wait(batch, SOON), 0);
    assert_int_equal(second.result.integer, 2); /* the first was done after all */
    mproc_batch_free(batch);
    mproc_manager_free(manager);
}

static _Atomic(bool) is_over;

static int add_or_cut(void *arg)
{
    static _Atomic(int) role;
    if (atomic_fetch_add(&role, 1) == 0) {
        int result = add_in_batches(arg);
        is_over = true;
        return result;
    }
    while (!is_over) {
        cut_connections();
        usleep(2000);
    }
    return 0;
}

static void each_call_is_done_once_however_often_the_connection_is_lost(void **state)
{
    mproc_manager *manager = make_manager("tcp::0", NULL);
    mproc_dict *dict = make_dict(manager);
    void *both[] = {manager, dict};

    (void)state;
    threads_run(add_or_cut, both, 2);
    assert_int_equal(integer_of(dict, 1), 50 * 10);
    mproc_manager_free(manager);
}

static void what_a_batch_got_that_nobody_waited_for_is_given_back(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL), *other = join_manager(manager);
    mproc_remote *lock, *same;
    mproc_batch *batch;

    (void)state;
    assert_int_equal(mproc_manager_remote(manager, &lock, MPROC_REMOTE_LOCK, 0, "it", SOON), 0);
    assert_int_equal(mproc_manager_remote(other, &same, MPROC_REMOTE_LOCK, 0, "it", SOON), 0);
    mproc_call call = call_of(lock, "acquire", NULL, 0);
    assert_int_equal(mproc_manager_send(manager, &call, 1, &batch), 0);
    mproc_batch_free(batch);
    assert_int_equal(call.status, MPROC_SERVER_DIED);
    int result = mproc_remote_acquire(same, SOON); /* before the other client had it, or after it was given back */
    assert_true(result == 0 || result == MPROC_OWNER_DIED);
    assert_serves(manager);
    mproc_manager_free(other);
    mproc_manager_free(manager);
}

struct of_parent {
    mproc_batch *batch;
    mproc_call *call;
    mproc_dict *dict;
};

static int look_at_batch(void *arg)
{
    const struct of_parent *parent = arg;
    if (mproc_batch_wait(parent->batch, SOON) || parent->call->status != MPROC_SERVER_DIED)
        return 1;
    if (mproc_batch_free(parent->batch))
        return 2;
    return mproc_dict_set(parent->dict, mproc_int(2), mproc_int(2), SOON);
}

static void a_forked_child_has_no_answer_to_the_batch_of_its_parent(void **state)
{
    mproc_manager *manager = make_manager(NULL, NULL);
    mproc_dict *dict = make_dict(manager);
    const mproc_value pair[] = {mproc_int(1), mproc_int(1)};
    mproc_call call = call_of(dict, "set", pair, 2);
    struct of_parent parent = {.call = &call, .dict = dict};

    (void)state;
    assert_int_equal(mproc_manager_send(manager, &call, 1, &parent.batch), 0);
    assert_int_equal(in_child(look_at_batch, &parent), 0);
    assert_int_equal(mproc_batch_wait(parent.batch, SOON), 0);
    assert_int_equal(call.status, 0);
    assert_int_equal(integer_of(dict, 1), 1);
    assert_int_equal(integer_of(dict, 2), 2);
    mproc_batch_free(parent.batch);
    mproc_manager_free(manager);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(calls_are_done_in_their_order_and_each_has_its_result),
        unit(objects_of_all_kinds_can_be_called),
        unit(wrong_arguments_send_nothing),
        unit(more_than_the_sockets_hold_goes_through),
        unit(a_batch_is_done_while_its_sender_does_something_else),
        unit(threads_have_batches_at_the_same_time),
        unit(a_killed_server_answers_every_call_of_a_batch),
        unit(a_stopped_server_is_waited_for_no_longer_than_was_said),
        unit(each_call_is_done_once_however_often_the_connection_is_lost),
        unit(what_a_batch_got_that_nobody_waited_for_is_given_back),
        unit(a_forked_child_has_no_answer_to_the_batch_of_its_parent),
    };
    return cmocka_run_group_tests(tests, make_first_manager, NULL);
}
