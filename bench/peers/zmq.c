/* Messages over a pair of ZeroMQ sockets at ipc://. See ../exchange.h. */
#include "../exchange.h"

#include <zmq.h>

static char address[64];
static void *socket_of_end;

static void choose_address(void)
{
    snprintf(address, sizeof address, "ipc:///tmp/bench-zmq-%d", (int)getpid());
}

/* ZeroMQ has threads, so each process makes its own context. */
static void enter(bool is_parent)
{
    socket_of_end = zmq_socket(zmq_ctx_new(), ZMQ_PAIR);
    must(socket_of_end, "zmq_socket");
    must(!(is_parent ? zmq_bind : zmq_connect)(socket_of_end, address), address);
}

static void send_message(const void *message, size_t size)
{
    must(zmq_send(socket_of_end, message, size, 0) == (int)size, "zmq_send");
}

static void receive_message(void *message, size_t size)
{
    must(zmq_recv(socket_of_end, message, size, 0) == (int)size, "zmq_recv");
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {choose_address, enter, send_message, receive_message};
    int result = measure_exchange(argc, argv, &kind);

    unlink(address + strlen("ipc://"));
    return result;
}
