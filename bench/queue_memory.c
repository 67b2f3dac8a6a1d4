/* The memory of an mproc_queue that holds many messages, and that was drained: see holding.h. */
#include "check.h"
#include "holding.h"

#include <mproc/queue.h>

static mproc_queue *queue;

static void open_queue(size_t count)
{
    (void)count;
    check(mproc_queue_create(&queue, NULL), "mproc_queue_create");
}

static void put(const void *message)
{
    check(mproc_queue_put(queue, message, HELD_SIZE, MPROC_NOWAIT), "mproc_queue_put");
}

static void get(void *message)
{
    check(mproc_queue_get(queue, message, HELD_SIZE, NULL, MPROC_NOWAIT), "mproc_queue_get");
}

/* A getter that waits in vain gives the last of it back. */
static void wait_in_vain(void)
{
    char message[HELD_SIZE];

    must(mproc_queue_get(queue, message, HELD_SIZE, NULL, MPROC_MS(1)) == MPROC_TIMEOUT, "mproc_queue_get");
}

int main(int argc, char **argv)
{
    static const struct store kind = {open_queue, put, get, wait_in_vain};

    return measure_holding(argc, argv, &kind);
}
