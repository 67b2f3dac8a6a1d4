/* Calls a second of a dict in a manager's server by many clients at a time: manager_many get|set [CLIENTS [DEPTH [CALLS
 * [ADDRESS]]]]. One process has all clients. Each of them sends DEPTH calls, and when their answers are in, the next
 * DEPTH. Over tcp on the loopback unless an address is given. */
#include "check.h"
#include "measure.h"

#include <mproc/manager.h>
#include <string.h>

enum {
    KEYS = 1000,
    MOST_CLIENTS = 1000,
    MOST_DEPTH = 100
};

static struct client {
    mproc_manager *manager;
    mproc_dict *dict;
    mproc_batch *batch;
    mproc_call calls[MOST_DEPTH];
    mproc_value args[MOST_DEPTH][2];
} clients[MOST_CLIENTS];

static void send_calls(struct client *client, const char *method, size_t depth, size_t first)
{
    for (size_t i = 0; i < depth; i++) {
        client->args[i][0] = mproc_int((int64_t)((first + i * 7) % KEYS));
        client->args[i][1] = mproc_int((int64_t)i);
        client->calls[i] = (mproc_call){
            .object = client->dict, .method = method, .args = client->args[i], .count = strcmp(method, "set") ? 1 : 2};
    }
    check(mproc_manager_send(client->manager, client->calls, depth, &client->batch), "mproc_manager_send");
}

static void take_answers(struct client *client, size_t depth)
{
    check(mproc_batch_wait(client->batch, MPROC_FOREVER), "mproc_batch_wait");
    client->batch = mproc_batch_free(client->batch);
    for (size_t i = 0; i < depth; i++) {
        check(client->calls[i].status, client->calls[i].method);
        mproc_value_free(&client->calls[i].result);
    }
}

static mproc_manager *start(const char *address, size_t count)
{
    const mproc_manager_options options = {.address = address};
    mproc_manager *server;
    mproc_dict *dict;

    check(mproc_manager_create(&server, &options), "mproc_manager_create");
    check(mproc_manager_dict(server, &dict, "dict", MPROC_FOREVER), "mproc_manager_dict");
    for (int64_t i = 0; i < KEYS; i++)
        check(mproc_dict_set(dict, mproc_int(i), mproc_int(i), MPROC_FOREVER), "mproc_dict_set");
    for (size_t i = 0; i < count; i++) {
        struct client *client = &clients[i];
        check(mproc_manager_connect(&client->manager, mproc_manager_address(server), &options, MPROC_FOREVER),
              "mproc_manager_connect");
        check(mproc_manager_dict(client->manager, &client->dict, "dict", MPROC_FOREVER), "mproc_manager_dict");
    }
    return server;
}

int main(int argc, char **argv)
{
    const char *method = argc > 1 ? argv[1] : "get";
    size_t count = argument(argc, argv, 2, 50), depth = argument(argc, argv, 3, 16);
    size_t rounds = argument(argc, argv, 4, 400000) / (count * depth);

    must(count > 0 && count <= MOST_CLIENTS && depth > 0 && depth <= MOST_DEPTH && rounds > 0, "the arguments");
    mproc_manager *server = start(argc > 5 ? argv[5] : "tcp::0", count);
    double begin = seconds_now();
    for (size_t i = 0; i < count; i++)
        send_calls(&clients[i], method, depth, i);
    for (size_t round = 1; round <= rounds; round++) {
        for (size_t i = 0; i < count; i++) {
            take_answers(&clients[i], depth);
            if (round < rounds)
                send_calls(&clients[i], method, depth, round * count + i);
        }
    }
    report((double)(count * depth * rounds) / (seconds_now() - begin));
    for (size_t i = 0; i < count; i++)
        mproc_manager_free(clients[i].manager);
    mproc_manager_free(server);
    return 0;
}
