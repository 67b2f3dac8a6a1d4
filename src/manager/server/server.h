/* The server of a manager: what its files share. One process, one thread; nothing here is shared memory but what the
 * containers are made of, which no other process knows.
 *
 *     server.c     the loop: events, deadlines, the end
 *     server_connection.c       one connection: frames in, authentication, answers out
 *     session.c    one client, which outlives its connection for a while: answers, references
 *     requests.c   what a request asks for
 *     registry.c   the objects, their names, and which of them can still be reached
 *     waitable.c      locks, queues and the like, and who waits for them
 *     snapshot.c      what it has in a file, see snapshot.h
 *     stop.c       its end, where no client asks for it */
#ifndef MPROC_MANAGER_SERVER_SERVER_H
#define MPROC_MANAGER_SERVER_SERVER_H

#include "connection/endpoint.h"
#include "container/container.h"
#include "manager/server/stop.h"
#include "manager/wire/channel.h"
#include "manager/wire/spin.h"
#include "manager/wire/wire.h"
#include "os/clock.h"
#include <errno.h>
#include <limits.h>
#include <mproc/manager.h>
#include <sys/queue.h>

/* What a client may make the server keep: answers that it has not read stop its requests beyond SERVER_UNREAD bytes,
 * and of answers that it may have read SERVER_KEPT bytes are kept for a new connection. */
#define SERVER_UNREAD     ((size_t)1 << 20)
#define SERVER_KEPT       ((size_t)1 << 20)
#define SERVER_ROUND      64                /* requests of one client before the next one's turn */
#define SERVER_READ       ((size_t)1 << 16) /* bytes to read at a time */
#define SERVER_LINGERING  1024              /* clients without a connection */
#define SERVER_STATUS_END INT_MIN           /* of a request that waits: there is no answer yet */

/* What a request has for arguments, or asks for, cannot be: a client of ours has said so before it was sent. */
#define SERVER_BAD_REQUEST (-EINVAL)

/* ---- clients ---- */

/* An answer, with its frame behind it. A session has them in the order of their making: those that were sent and may
 * have to be sent again, then those that were not. */
struct answer {
    struct answer *next;
    uint64_t number; /* of the request */
    size_t size;
};

struct reference {
    uint64_t object; /* 0: none */
    uint64_t count;
};

struct session {
    LIST_ENTRY(session) entry;            /* in sessions of the server */
    struct server_connection *connection; /* NULL: the connection is lost */
    int64_t lost_at;
    bool leaves; /* it has said that it will not come back */
    unsigned char identity[WIRE_IDENTITY];
    uint64_t highest;   /* number of a request */
    uint64_t forgotten; /* highest number of those whose answer is not kept any more and was not acknowledged */
    uint64_t received;  /* answers that the client has, as it counts them */
    struct answer *first, *last;
    struct answer *next_out; /* the first that was not sent whole */
    size_t out_offset;       /* bytes of it that were */
    size_t unread, kept;     /* bytes of answers from next_out on, and before */
    struct reference *references;
    size_t reference_count, reference_capacity; /* a power of two */
};

enum server_connection_state {
    SERVER_CONNECTION_TLS,
    SERVER_CONNECTION_HELLO,
    SERVER_CONNECTION_READY,
    SERVER_CONNECTION_GONE
};

struct server_connection {
    LIST_ENTRY(server_connection) entry; /* in connections of the server */
    struct server *server;
    struct channel channel;
    enum server_connection_state state;
    uint32_t events;  /* that are watched */
    bool has_turn;    /* there are requests that came and were not looked at */
    bool is_held;     /* so there are, and its answers must be read first */
    bool closes;      /* when what is in out was sent */
    const char *doom; /* why it is to be dropped when nobody is at work on it; or NULL */
    int64_t deadline; /* of the authentication, or of the frame that has begun; OS_NEVER */
    int64_t out_deadline;
    unsigned char *in; /* bytes that came: from in_start, in_size of them */
    size_t in_start, in_size, in_capacity;
    struct session *session;
    struct wire_server_hello hello;
    char endpoint[ADDRESS_GIVEN_MAX];
    char name[ADDRESS_GIVEN_MAX];                                    /* for the log */
    unsigned char out[WIRE_HEAD + sizeof(struct wire_server_hello)]; /* frames of the authentication */
    size_t out_size, out_sent;
};

/* ---- objects ---- */

struct server_object {
    uint64_t id;
    enum mproc_type type;
    const struct container_type *container;
    const mproc_manager_type *user;
    void *object;              /* of a container or a type of the program's */
    struct waitable *waitable; /* of a lock, a queue and the like */
    char *name;
    struct server_object *next_named;
    uint64_t references; /* of all sessions */
    bool is_nested;      /* it was put into another one at some time */
    bool holds;          /* another one was put into it at some time */
    bool is_marked;
};

#define REGISTRY_NAMES 1024
#define ORPHANS_LEAST  64

struct registry {
    struct server_object **slots;
    uint32_t *generations;
    size_t capacity, used, count;
    uint32_t *free_slots;
    size_t free_count;
    size_t orphans; /* that may be held by others only */
    size_t orphans_most;
    bool wants_look;
    struct server_object *names[REGISTRY_NAMES];
};

struct server_limits {
    size_t frame_most, waiting_most;
    int64_t authentication_time, stall_time, linger_time, silence_time;
    bool any_user;
};

struct server {
    struct endpoint endpoint;
    bool tls;
    const void *key;
    size_t key_size;
    struct server_limits limits;
    mproc_set *server_memory; /* see server_memory.h; or NULL */
    unsigned char instance[WIRE_IDENTITY];
    int epoll;
    bool accepts; /* the endpoint is watched */
    int64_t now;  /* at the beginning of this round */
    int64_t looked_at;
    int64_t stop_at; /* 0; else it ends then, or when all answers are sent */
    struct stop stop;
    int result; /* of the end: what was not saved, and why */
    LIST_HEAD(, server_connection) connections;
    size_t peer_count, gone_count, waiting_count, lingering_count;
    size_t turn_count; /* of connections that have a turn */
    LIST_HEAD(, session) sessions;
    struct registry registry;
    LIST_HEAD(, waitable) waitables;
    LIST_HEAD(, waiter) waiters;
    int64_t next_deadline; /* of waiters; may be too early */
    struct spin spin;
    bool is_busy;              /* something came in the last round */
    struct snapshot *snapshot; /* NULL: there is no snapshot file */
    unsigned char scratch[SERVER_READ];
};

/* server.c */
int server_open(struct server *server);
int server_loop(struct server *server);

/* server_connection.c */
int server_connection_accept(struct server *server);
void server_connection_input(struct server_connection *connection);  /* it can be read */
void server_connection_work(struct server_connection *connection);   /* look at some of what came */
void server_connection_output(struct server_connection *connection); /* send what can be sent */
void server_connection_look(struct server_connection *connection);   /* at its deadlines */
/* Drop it; reason NULL: it left by itself. */
void server_connection_drop(struct server_connection *connection, const char *reason);
/* There is an answer for it, made in the turn of another. */
void server_connection_wake(struct server_connection *connection);
void server_connection_bury(struct server_connection *connection);

/* session.c */
struct session *session_open(struct server *server, const struct wire_client_hello *hello);
void session_lose(struct server *server, struct session *session);
void session_end(struct server *server, struct session *session);
bool session_acknowledge(struct session *session, uint64_t received);
void session_sent(struct session *session, size_t size);
int session_refer(struct server *server, struct session *session, uint64_t object, uint64_t count);
void session_release(struct server *server, struct session *session, uint64_t object, uint64_t count);
void session_answer(struct server *server, struct session *session, uint64_t number, int status,
                    const mproc_value *result);
bool session_has_answer(const struct session *session, uint64_t number);

/* requests.c */
void request_do(struct server *server, struct session *session, const struct wire_request *request);

/* registry.c */
struct server_object *registry_find(struct registry *registry, uint64_t id);
struct server_object *registry_named(struct registry *registry, const char *name);
struct server_object *registry_add(struct registry *registry, const char *name);
void registry_forget(struct server *server, struct server_object *served);
void registry_unreferenced(struct server *server, struct server_object *served);
void registry_look(struct server *server);
void registry_clear(struct server *server);
bool registry_knows_all(struct registry *registry, const mproc_value *value, bool nest, bool *any);

/* waitable.c */
struct waitable *waitable_create(struct server *server, enum mproc_remote_kind kind, int64_t number);
bool waitable_has(const struct waitable *waitable, const char *method);
void waitable_free(struct server *server, struct waitable *waitable);
int waitable_call(struct server *server, struct session *session, struct server_object *served,
                  const struct wire_request *request, mproc_value *result);
void waitable_leave(struct server *server, struct session *session);
void waitable_expire(struct server *server);
void waitable_each_value(struct waitable *waitable, void (*each)(const mproc_value *value, void *arg), void *arg);

/* types.c */
const mproc_manager_type *types_find(const char *name);
const mproc_manager_method *types_method(const mproc_manager_type *type, const char *name);

#endif
