/* Messages per second through a plain pipe, 100 at a time by one writev and one readv: see ../batches.h. */
#include "../batches.h"

#include <sys/uio.h>

static int ends[2];

static void *open_pipe(size_t size)
{
    (void)size;
    must(!pipe(ends), "pipe");
    return ends;
}

/* The parts of the batch from this place on. */
static int parts_from(struct iovec *parts, const void *batch, size_t size, size_t done)
{
    size_t each = size / BATCH;
    int count = 0;

    while (done < size) {
        size_t length = each - done % each;
        parts[count++] = (struct iovec){(char *)(uintptr_t)batch + done, length};
        done += length;
    }
    return count;
}

static void put(void *channel, const void *batch, size_t size)
{
    struct iovec parts[BATCH];

    (void)channel;
    for (size_t done = 0; done < size;) {
        ssize_t written = writev(ends[1], parts, parts_from(parts, batch, size, done));
        must(written > 0, "writev");
        done += (size_t)written;
    }
}

static void get(void *channel, void *batch, size_t size)
{
    struct iovec parts[BATCH];

    (void)channel;
    for (size_t done = 0; done < size;) {
        ssize_t got = readv(ends[0], parts, parts_from(parts, batch, size, done));
        must(got > 0, "readv");
        done += (size_t)got;
    }
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_pipe, put, get, NULL};

    must(argument(argc, argv, 1, 1) == 1 && argument(argc, argv, 2, 1) == 1, "one producer and one consumer");
    return measure_batches(argc, argv, &kind);
}
