/* What the tests of listeners share: peers that do what they like with their bytes, and threads that connect. */
#ifndef TEST_UNIT_PEERS_H
#define TEST_UNIT_PEERS_H

#include <mproc/listener.h>
#include <pthread.h>

/* A listener at "unix:". */
mproc_listener *listen_unix(const mproc_listener_options *options);

/* A socket that is connected to a listener, and sends nothing by itself. It waits until there is room. */
int connect_raw(const mproc_listener *listener);

/* Send a message, with its size before it; and receive one: its size, -1 at the end of file. */
void send_frame(int fd, const void *data, size_t size);
long receive_frame(int fd, void *buffer, size_t capacity);

/* Whether the other end closes it before some seconds are over, whatever it sends until then. */
bool is_closed(int fd);

/* A thread that connects. */
struct client {
    pthread_t thread;
    const char *address;
    mproc_connect_options options;
    mproc_time timeout;
    mproc_connection *connection;
    int result;
};

void client_start(struct client *client);
int client_join(struct client *client);

/* That the connection takes a message to the other one, and back. */
void expect_connected(mproc_connection *a, mproc_connection *b);

#endif
