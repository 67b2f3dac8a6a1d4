/* Messages per second through a pair of unix sockets that keep message boundaries, 100 at a time by sendmmsg and
 * recvmmsg: see ../batches.h. */
#include "../batches.h"

#include <sys/socket.h>

static int ends[2];

static void *open_sockets(size_t size)
{
    (void)size;
    must(!socketpair(AF_UNIX, SOCK_SEQPACKET, 0, ends), "socketpair");
    return ends;
}

static void describe(struct mmsghdr *headers, struct iovec *parts, const void *batch, size_t size)
{
    memset(headers, 0, BATCH * sizeof *headers);
    for (size_t i = 0; i < BATCH; i++) {
        parts[i] = (struct iovec){(char *)(uintptr_t)batch + i * (size / BATCH), size / BATCH};
        headers[i].msg_hdr.msg_iov = &parts[i];
        headers[i].msg_hdr.msg_iovlen = 1;
    }
}

static void put(void *channel, const void *batch, size_t size)
{
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    int sent;

    (void)channel;
    describe(headers, parts, batch, size);
    for (unsigned done = 0; done < BATCH; done += (unsigned)sent) {
        sent = sendmmsg(ends[1], headers + done, BATCH - done, 0);
        must(sent > 0, "sendmmsg");
    }
}

/* As many as are there, at least one. */
static void get(void *channel, void *batch, size_t size)
{
    struct mmsghdr headers[BATCH];
    struct iovec parts[BATCH];
    int got;

    (void)channel;
    describe(headers, parts, batch, size);
    for (unsigned done = 0; done < BATCH; done += (unsigned)got) {
        got = recvmmsg(ends[0], headers + done, BATCH - done, MSG_WAITFORONE, NULL);
        must(got > 0 && headers[done].msg_len == size / BATCH, "recvmmsg");
    }
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_sockets, put, get, NULL};

    must(argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1, "one producer and one consumer");
    return measure_batches(argc, argv, &kind);
}
