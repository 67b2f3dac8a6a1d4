/* Messages per second through a plain pipe, which all processes share: see messages.h. A write of a small message is
 * atomic; reads find whole messages as long as the size divides a page. */
#include "../messages.h"

static int ends[2];

static void *open_pipe(size_t size)
{
    must(4096 % size == 0, "a size that divides 4096");
    must(!pipe(ends), "pipe");
    return ends;
}

static void put(void *channel, const void *message, size_t size)
{
    (void)channel;
    must(write(ends[1], message, size) == (ssize_t)size, "write");
}

static void get(void *channel, void *message, size_t size)
{
    (void)channel;
    must(read(ends[0], message, size) == (ssize_t)size, "read");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_pipe, put, get};

    return measure_messages(argc, argv, &kind);
}
