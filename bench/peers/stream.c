/* Messages over a bare socketpair, a stream: a length of four bytes and the message by one writev, and read until both
 * are there. See ../exchange.h. */
#include "../exchange.h"

#include <stdint.h>
#include <sys/socket.h>
#include <sys/uio.h>

static int ends[2];
static int end;

static void open_pair(void)
{
    must(!socketpair(AF_UNIX, SOCK_STREAM, 0, ends), "socketpair");
}

static void enter(bool is_parent)
{
    end = ends[!is_parent];
    close(ends[is_parent]);
}

static void send_message(const void *message, size_t size)
{
    uint32_t length = (uint32_t)size;
    struct iovec parts[] = {{&length, sizeof length}, {(void *)(uintptr_t)message, size}};
    ssize_t sent = writev(end, parts, 2);

    must(sent >= (ssize_t)sizeof length, "writev");
    for (size_t done = (size_t)sent - sizeof length; done < size; done += (size_t)sent) {
        sent = write(end, (const char *)message + done, size - done);
        must(sent > 0, "write");
    }
}

/* What has come with the length is copied out of the buffer; the rest of a large message is read where it is to be. */
static void receive_message(void *message, size_t size)
{
    static unsigned char buffer[4096];
    static size_t held;
    uint32_t length;

    while (held < sizeof length) {
        ssize_t got = read(end, buffer + held, sizeof buffer - held);
        must(got > 0, "read");
        held += (size_t)got;
    }
    memcpy(&length, buffer, sizeof length);
    must(length == size, "a wrong length");
    size_t taken = held - sizeof length < size ? held - sizeof length : size;
    memcpy(message, buffer + sizeof length, taken);
    held -= sizeof length + taken;
    memmove(buffer, buffer + sizeof length + taken, held);
    while (taken < size) {
        ssize_t got = read(end, (char *)message + taken, size - taken);
        must(got > 0, "read");
        taken += (size_t)got;
    }
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {open_pair, enter, send_message, receive_message};

    return measure_exchange(argc, argv, &kind);
}
