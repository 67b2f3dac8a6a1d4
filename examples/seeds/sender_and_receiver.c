/* One process sends a message through a pipe, another receives it. */
#include <mproc.h>
#include <stdio.h>

/* Each process is given the one end that it uses and no other. So the receiver sees the end of the pipe, and does not
 * wait for ever, should the sender die before it sends. In the process its end is inherited connection number 0. */
static int sender(void *arg)
{
    mproc_connection *end = mproc_inherited_connection(0);
    const char text[] = "Hello, receiver!";
    (void)arg;

    int result = mproc_connection_send(end, text, sizeof text, MPROC_FOREVER);
    mproc_connection_free(end);
    return result ? 1 : 0;
}

static int receiver(void *arg)
{
    mproc_connection *end = mproc_inherited_connection(0);
    char text[64];
    (void)arg;

    int result = mproc_connection_recv(end, text, sizeof text, NULL, MPROC_FOREVER);
    if (result == 0)
        printf("%s\n", text);
    mproc_connection_free(end);
    return result ? 1 : 0;
}

int main(void)
{
    mproc_connection *parent_end = NULL, *child_end = NULL;
    mproc_process *sending = NULL, *receiving = NULL;
    int result, sent, received;

    if ((result = mproc_pipe(&parent_end, &child_end, true)) ||
        (result = mproc_process_start(&sending, sender, NULL,
                                      &(mproc_process_options){.connections = &child_end, .connection_count = 1})) ||
        (result = mproc_process_start(&receiving, receiver, NULL,
                                      &(mproc_process_options){.connections = &parent_end, .connection_count = 1}))) {
        fprintf(stderr, "sender_and_receiver: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_connection_free(parent_end);
    mproc_connection_free(child_end);

    if ((result = mproc_process_join(sending, MPROC_FOREVER)) ||
        (result = mproc_process_join(receiving, MPROC_FOREVER)) || (result = mproc_process_exitcode(sending, &sent)) ||
        (result = mproc_process_exitcode(receiving, &received))) {
        fprintf(stderr, "sender_and_receiver: %s\n", mproc_strerror(result));
        return 1;
    }
    mproc_process_free(sending);
    mproc_process_free(receiving);
    return sent || received;
}
