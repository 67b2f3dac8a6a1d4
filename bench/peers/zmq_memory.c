/* The memory of a PUSH socket of ZeroMQ without a high-water mark, whose messages nobody receives yet, and of that and
 * the PULL socket when all were received. See ../holding.h. */
#include "../holding.h"

#include <zmq.h>

static char address[64];
static void *context;
static void *sender;
static void *receiver;

static void *open_socket(int type, int mark)
{
    int none = 0;
    void *made = zmq_socket(context, type);

    must(made && !zmq_setsockopt(made, mark, &none, sizeof none), "zmq_socket");
    return made;
}

static void open_sender(size_t count)
{
    (void)count;
    snprintf(address, sizeof address, "ipc:///tmp/bench-zmq-memory-%d", (int)getpid());
    context = zmq_ctx_new();
    sender = open_socket(ZMQ_PUSH, ZMQ_SNDHWM);
    must(!zmq_connect(sender, address), address);
}

static void put(const void *message)
{
    must(zmq_send(sender, message, HELD_SIZE, 0) == HELD_SIZE, "zmq_send");
}

static void get(void *message)
{
    if (!receiver) {
        receiver = open_socket(ZMQ_PULL, ZMQ_RCVHWM);
        must(!zmq_bind(receiver, address), address);
    }
    must(zmq_recv(receiver, message, HELD_SIZE, 0) == HELD_SIZE, "zmq_recv");
}

int main(int argc, char **argv)
{
    static const struct store kind = {open_sender, put, get, NULL};
    int result = measure_holding(argc, argv, &kind);

    unlink(address + strlen("ipc://"));
    return result;
}
