/* Messages over a pair of nng sockets at ipc://. See ../exchange.h. */
#include "../exchange.h"

#include <nng/nng.h>
#include <nng/protocol/pair0/pair.h>

static char address[64];
static nng_socket end;

static void choose_address(void)
{
    snprintf(address, sizeof address, "ipc:///tmp/bench-nng-%d", (int)getpid());
}

/* nng has threads, so each process begins for itself. The child tries until the parent listens. */
static void enter(bool is_parent)
{
    must(!nng_pair0_open(&end), "nng_pair0_open");
    nng_socket_set_size(end, NNG_OPT_RECVMAXSZ, 0);
    if (is_parent) {
        must(!nng_listen(end, address, NULL, 0), address);
        return;
    }
    for (int i = 0; i < 5000 && nng_dial(end, address, NULL, 0); i++)
        sleep_us(1000);
}

static void send_message(const void *message, size_t size)
{
    must(!nng_send(end, (void *)(uintptr_t)message, size, 0), "nng_send");
}

static void receive_message(void *message, size_t size)
{
    size_t length = size;

    must(!nng_recv(end, message, &length, 0) && length == size, "nng_recv");
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {choose_address, enter, send_message, receive_message};
    int result = measure_exchange(argc, argv, &kind);

    unlink(address + strlen("ipc://"));
    return result;
}
