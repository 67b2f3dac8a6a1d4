/* Messages per second through a pair of unix sockets that keep message boundaries; above 64 KiB, which is more than
 * such a socket takes at once, through a stream, for one producer and one consumer. See messages.h. */
#include "../messages.h"

#include <sys/socket.h>

static int ends[2];

static void *open_sockets(size_t size)
{
    must(!socketpair(AF_UNIX, size > 65536 ? SOCK_STREAM : SOCK_SEQPACKET, 0, ends), "socketpair");
    return ends;
}

/* Of a blocking socket, it sends all. */
static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(send(ends[1], message, size, 0) == (ssize_t)size, "send");
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    must(recv(ends[0], message, size, MSG_WAITALL) == (ssize_t)size, "recv");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_sockets, put, get, NULL};
    bool pair = argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1;

    must(pair || argument(argc, argv, 3, 64) <= 65536, "at most 64 KiB, or one producer and one consumer");
    return measure_messages(argc, argv, &kind);
}
