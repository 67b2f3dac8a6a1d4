/* The client's end: one connection to a server, shared by all threads of a process. Called by proxy.c and manager.c.
 *
 * A thread that calls puts its request into a list, sends what the socket takes, and waits for its answer. One of those
 * that wait is the leader: it alone waits at the socket, and gives each answer to whose it is; when it has its own,
 * another one becomes leader. All is done under the mutex but the waits and the making of a connection. */
#ifndef MPROC_MANAGER_CLIENT_CLIENT_CONNECTION_H
#define MPROC_MANAGER_CLIENT_CLIENT_CONNECTION_H

#include "manager/wire/channel.h"
#include "manager/wire/manager_address.h"
#include "manager/wire/spin.h"
#include "manager/wire/wire.h"
#include "os/clock.h"
#include <pthread.h>

/* Who wants the answers of some calls. Under the mutex. */
struct client_waiter {
    pthread_cond_t wake;
    size_t left; /* calls without an answer */
    bool sleeps; /* a thread waits for wake */
};

struct client_call {
    struct client_call *next;
    uint64_t number;
    unsigned char *frame;
    size_t size, sent;
    bool is_done, is_new, server_waits;
    bool has_object;
    bool is_answered; /* the status is the server's */
    unsigned epoch;   /* of the object */
    int status;
    mproc_value value;
    struct client_waiter *waiter; /* NULL: nobody wants the answer */
};

/* What two sides have agreed on when a connection is made. */
struct client_handshake_result {
    struct channel channel;
    unsigned char instance[WIRE_IDENTITY];
    uint64_t received;
};

struct client_connection {
    pthread_mutex_t mutex;
    struct manager_address way;
    size_t frame_most;
    struct channel channel;
    bool is_connected, has_leader;
    bool is_watched;    /* the leader waits at the socket, without the mutex: then it closes it, and nobody else */
    bool may_wait;      /* in a receive, which ends after a tick */
    struct spin spin;   /* of the leader */
    bool was_connected; /* there is a session to go on with */
    unsigned char identity[WIRE_IDENTITY], instance[WIRE_IDENTITY];
    unsigned epoch; /* grows when the server is another one */
    unsigned forks; /* between the process that made it and this one */
    int failures;   /* connections lost since the last answer */
    uint64_t number, received;
    struct client_call *calls, **calls_end; /* in the order of their numbers */
    struct client_call *next_out;           /* the first that was not sent whole */
    unsigned char *in;
    size_t in_size, in_capacity;
    /* Under the mutex: an answer has come, which is changed in place; is_new: its object is for the caller to keep. */
    int (*arrived)(struct client_connection *connection, mproc_value *answer, bool is_new);
    void (*renewed)(struct client_connection *connection); /* under the mutex: the server does not know this client */
};

/* The failure that the other side did not prove that it has the key: MPROC_AUTH. */
int link_stranger(void);

/* client_handshake.c: make a connection. resumes: as the client that the server knows. 0, MPROC_AUTH, MPROC_TIMEOUT,
 * -errno; MPROC_CLOSED: it ended meanwhile; MPROC_NOT_FOUND: the client is not known. */
int client_handshake(const struct manager_address *way, const unsigned char identity[WIRE_IDENTITY], bool resumes,
                     uint64_t received, struct client_handshake_result *meeting, int64_t deadline);

int client_open(struct client_connection *connection, int64_t deadline);
void client_close(struct client_connection *connection);

struct client_request {
    uint64_t object;
    unsigned epoch; /* of the objects */
    const char *method;
    const mproc_value *args;
    size_t count;
    bool server_waits; /* the method has a timeout of its own, and is always answered */
    bool is_new;       /* the answer is an object for the caller to keep */
    bool has_objects;  /* among the arguments, of the same epoch */
};

/* Call a method and wait for the answer. *result, which may be NULL, is written when there is one. */
int client_call(struct client_connection *connection, const struct client_request *request, mproc_value *result,
                int64_t deadline);

/* The same in steps, for several calls at a time. Make a call, without the mutex: 0, -EINVAL, -ENOMEM, -EMSGSIZE. */
int client_make(const struct client_connection *connection, const struct client_request *request,
                struct client_call **call);

/* Let it begin, in the order of these. With the mutex. */
void client_begin(struct client_connection *connection, struct client_call *call, struct client_waiter *waiter);

/* Send what the socket takes now of all that has begun. With the mutex. */
void client_flush(struct client_connection *connection);

/* Wait until all calls of a waiter have their answers: 0, or MPROC_TIMEOUT. With the mutex. */
int client_await(struct client_connection *connection, struct client_waiter *waiter, int64_t deadline);

/* Free a call, whether it has begun or not, and write its answer. Without one: MPROC_TIMEOUT, and nobody wants it any
 * more; or MPROC_SERVER_DIED, and the connection ends with all that others wait for. With the mutex, if it has begun.
 */
int client_end(struct client_connection *connection, struct client_call *call, mproc_value *result);

/* Call a method of the server without waiting, and for nobody. With the mutex. */
void client_tell(struct client_connection *connection, const char *method, const mproc_value *args, size_t count);

/* In a forked child: whose all this is is another process. */
void client_forget(struct client_connection *connection);

#endif
