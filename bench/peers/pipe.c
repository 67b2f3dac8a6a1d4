/* Messages per second through a plain pipe, which all processes share: see messages.h. A write of a small message is
 * atomic; reads find whole messages as long as the size divides a page. Larger messages are for one producer and one
 * consumer, and the pipe is made as large as everybody may have it. */
#include "../messages.h"

#include <fcntl.h>

static int ends[2];

static void *open_pipe(size_t size)
{
    must(!pipe(ends), "pipe");
    if (size >= 65536)
        must(fcntl(ends[1], F_SETPIPE_SZ, 1 << 20) > 0, "F_SETPIPE_SZ");
    return ends;
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    for (size_t done = 0; done < size;) {
        ssize_t written = write(ends[1], (const char *)message + done, size - done);
        must(written > 0, "write");
        done += (size_t)written;
    }
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    for (size_t done = 0; done < size;) {
        ssize_t got = read(ends[0], (char *)message + done, size - done);
        must(got > 0, "read");
        done += (size_t)got;
    }
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_pipe, put, get, NULL};
    bool pair = argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1;

    must(pair || 4096 % argument(argc, argv, 3, 64) == 0, "a size that divides 4096, or one producer and one consumer");
    return measure_messages(argc, argv, &kind);
}
