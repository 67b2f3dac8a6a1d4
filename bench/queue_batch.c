/* Messages per second through an mproc_queue by mproc_queue_put_many and mproc_queue_get_many, 100 at a time: see
 * batches.h. */
#include "batches.h"
#include "check.h"

#include <mproc/queue.h>

static void *open_queue(size_t size)
{
    mproc_queue *queue;

    (void)size;
    check(mproc_queue_create(&queue, NULL), "mproc_queue_create");
    return queue;
}

static void put(void *channel, const void *batch, size_t size)
{
    mproc_message messages[BATCH];

    for (size_t i = 0; i < BATCH; i++)
        messages[i] = (mproc_message){(char *)(uintptr_t)batch + i * (size / BATCH), size / BATCH};
    check(mproc_queue_put_many(channel, messages, BATCH, MPROC_FOREVER), "mproc_queue_put_many");
}

/* It gets as many as are there, up to so many. */
static void get(void *channel, void *batch, size_t size)
{
    mproc_message messages[BATCH];
    size_t got;

    for (size_t done = 0; done < BATCH; done += got) {
        for (size_t i = done; i < BATCH; i++)
            messages[i] = (mproc_message){(char *)batch + i * (size / BATCH), size / BATCH};
        check(mproc_queue_get_many(channel, messages + done, BATCH - done, &got, MPROC_FOREVER),
              "mproc_queue_get_many");
        must(got > 0 && messages[done].size == size / BATCH, "a message of another size");
    }
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    return measure_batches(argc, argv, &kind);
}
