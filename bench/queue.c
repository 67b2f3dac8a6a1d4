/* Messages per second through an mproc_queue with default options: see messages.h. A fifth argument bounds the queue to
 * so many messages. */
#include "check.h"
#include "messages.h"

#include <mproc/queue.h>

static size_t bound;

static void *open_queue(size_t size)
{
    mproc_queue *queue;

    (void)size;
    check(mproc_queue_create(&queue, &(mproc_queue_options){.maxsize = bound}), "mproc_queue_create");
    return queue;
}

static void put(void *channel, const void *message, size_t size)
{
    check(mproc_queue_put(channel, message, size, MPROC_FOREVER), "mproc_queue_put");
}

static void get(void *channel, void *message, size_t size)
{
    check(mproc_queue_get(channel, message, size, NULL, MPROC_FOREVER), "mproc_queue_get");
}

int main(int argc, char **argv)
{
    static const struct channel kind = {open_queue, put, get, NULL};

    bound = argument(argc, argv, 5, 0);
    return measure_messages(argc, argv, &kind);
}
