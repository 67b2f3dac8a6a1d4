/* Messages over the two ends of an mproc_pipe: see exchange.h. */
#include "check.h"
#include "exchange.h"

#include <mproc/connection.h>

static mproc_connection *ends[2];
static mproc_connection *end;

static void open_pipe(void)
{
    check(mproc_pipe(&ends[0], &ends[1], true), "mproc_pipe");
}

static void enter(bool is_parent)
{
    end = ends[!is_parent];
    mproc_connection_free(ends[is_parent]);
}

static void send_message(const void *message, size_t size)
{
    check(mproc_connection_send(end, message, size, MPROC_FOREVER), "mproc_connection_send");
}

static void receive_message(void *message, size_t size)
{
    check(mproc_connection_recv(end, message, size, NULL, MPROC_FOREVER), "mproc_connection_recv");
}

int main(int argc, char **argv)
{
    static const struct exchange kind = {open_pipe, enter, send_message, receive_message};

    return measure_exchange(argc, argv, &kind);
}
