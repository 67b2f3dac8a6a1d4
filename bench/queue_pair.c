/* Messages over two mproc_queues, one for each way: see exchange.h. */
#include "check.h"
#include "exchange.h"

#include <mproc/queue.h>

static mproc_queue *queues[2];
static mproc_queue *in;
static mproc_queue *out;

static void open_queues(void)
{
    check(mproc_queue_create(&queues[0], NULL), "mproc_queue_create");
    check(mproc_queue_create(&queues[1], NULL), "mproc_queue_create");
}

static void enter(bool is_parent)
{
    in = queues[!is_parent];
    out = queues[is_parent];
}

static void send_message(const void *message, size_t size)
{
    check(mproc_queue_put(out, message, size, MPROC_FOREVER), "mproc_queue_put");
}

static void receive_message(void *message, size_t size)
{
    check(mproc_queue_get(in, message, size, NULL, MPROC_FOREVER), "mproc_queue_get");
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {open_queues, enter, send_message, receive_message};

    return measure_exchange(argc, argv, &kind);
}
