/* Messages per second over a PUSH and a PULL socket of nng at ipc://, for one consumer: nng gives a message to whoever
 * takes it first, so that the shares of several would not be equal. See ../messages.h. */
#include "../messages.h"

#include <nng/nng.h>
#include <nng/protocol/pipeline0/pull.h>
#include <nng/protocol/pipeline0/push.h>

enum {
    MOST_WAITING = 128
};

static char address[64];
static nng_socket end;

static void *choose_address(size_t size)
{
    (void)size;
    snprintf(address, sizeof address, "ipc:///tmp/bench-nng-push-%d", (int)getpid());
    return address;
}

/* nng has threads, so each process begins for itself. */
static void enter(void *channel, const struct part *part)
{
    (void)channel;
    must(!(part->puts ? nng_push0_open : nng_pull0_open)(&end), "opening a socket");
    nng_socket_set_size(end, NNG_OPT_RECVMAXSZ, 0);
    nng_socket_set_int(end, part->puts ? NNG_OPT_SENDBUF : NNG_OPT_RECVBUF, MOST_WAITING); /* where it has one */
    must(!(part->puts ? nng_dial(end, address, NULL, 0) : nng_listen(end, address, NULL, 0)), address);
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(!nng_send(end, (void *)(uintptr_t)message, size, 0), "nng_send");
}

static void get(void *channel, void *message, size_t size)
{
    size_t length = size;

    (void)channel;
    must(!nng_recv(end, message, &length, 0) && length == size, "nng_recv");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {choose_address, put, get, enter};

    must(argument(argc, argv, 2, 1) == 1, "one consumer");
    int result = measure_messages(argc, argv, &kind);
    unlink(address + strlen("ipc://"));
    return result;
}
