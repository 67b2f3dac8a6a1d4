/* Messages per second over PUSH and PULL sockets of ZeroMQ at ipc://. See ../messages.h. Each consumer binds an
 * address, and each producer connects to all of them; a PUSH socket deals its messages out in turn. With more than one
 * consumer there is no high-water mark: it would go on to the next consumer when it meets that, and the shares would
 * not be equal. Of large messages no more than 16 MiB wait on either side, which is faster than the 1000 messages of
 * the default. */
#include "../messages.h"

#include <zmq.h>

static char base[64];
static int most_waiting;
static void *socket_of_part;

static void *choose_address(size_t size)
{
    snprintf(base, sizeof base, "/tmp/bench-zmq-push-%d", (int)getpid());
    most_waiting = size >= 65536 ? (int)((16 << 20) / size) : 1000;
    return base;
}

static void make_address(char *address, size_t size, unsigned consumer)
{
    snprintf(address, size, "ipc://%s-%u", base, consumer);
}

/* ZeroMQ has threads, so each process makes its own context. */
static void enter(void *channel, const struct part *part)
{
    int mark = part->consumers > 1 ? 0 : most_waiting;
    char address[128];

    (void)channel;
    socket_of_part = zmq_socket(zmq_ctx_new(), part->puts ? ZMQ_PUSH : ZMQ_PULL);
    must(socket_of_part, "zmq_socket");
    must(!zmq_setsockopt(socket_of_part, part->puts ? ZMQ_SNDHWM : ZMQ_RCVHWM, &mark, sizeof mark), "zmq_setsockopt");
    if (!part->puts) {
        make_address(address, sizeof address, part->nth);
        must(!zmq_bind(socket_of_part, address), address);
        return;
    }
    for (unsigned i = 0; i < part->consumers; i++) {
        make_address(address, sizeof address, i);
        must(!zmq_connect(socket_of_part, address), address);
    }
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(zmq_send(socket_of_part, message, size, 0) == (int)size, "zmq_send");
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    must(zmq_recv(socket_of_part, message, size, 0) == (int)size, "zmq_recv");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {choose_address, put, get, enter};
    unsigned consumers = (unsigned)argument(argc, argv, 2, 1);
    char address[128];
    int result = measure_messages(argc, argv, &kind);

    for (unsigned i = 0; i < consumers; i++) {
        make_address(address, sizeof address, i);
        unlink(address + strlen("ipc://"));
    }
    return result;
}
