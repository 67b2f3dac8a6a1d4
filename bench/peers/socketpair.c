/* Messages per second through a pair of unix sockets that keep message boundaries: see messages.h. */
#include "../messages.h"

#include <sys/socket.h>

static int ends[2];

static void *open_sockets(size_t size)
{
    (void)size;
    must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), "socketpair");
    return ends;
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(send(ends[1], message, size, 0) == (ssize_t)size, "send");
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    must(recv(ends[0], message, size, 0) == (ssize_t)size, "recv");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_sockets, put, get};

    return measure_messages(argc, argv, &kind);
}
