/* Proxies: what stands for an object of a server in a client. Called by manager.c and remote.c; the containers find
 * them by the hook in container.h. */
#ifndef MPROC_MANAGER_CLIENT_PROXY_H
#define MPROC_MANAGER_CLIENT_PROXY_H

#include "manager/client/client_connection.h"
#include <mproc/manager.h>

#define PROXY_BUCKETS 1024

/* The first part is constant, the rest under the connection's mutex. There is one for each object; two where one of
 * them was found again by its name when there was another already. */
struct proxy {
    uint64_t stamp;
    struct mproc_manager *manager;
    enum mproc_type type;

    uint64_t id;
    unsigned epoch;
    bool is_told;       /* its user has learned that the object's server is gone */
    mproc_value remake; /* arguments of "make" that find the object by its name or make it; or nil */
    struct proxy *next;
    uint64_t seen;    /* how often the server sent it: so often it counts a reference of ours */
    uint64_t holders; /* callers that will give it back */
    bool is_found;    /* it came out of a value */
};

struct mproc_manager {
    struct client_connection connection;
    struct mproc_manager *next_forked; /* of all managers of this process, for forks */
    struct proxy **proxies;            /* by number */
    struct proxy *spare;               /* for an answer that finds no memory */
    mproc_process *server;             /* started by this process, or NULL */
    mproc_set *server_memory;          /* what that has in the family's memory, or NULL */
    char folder[MPROC_ADDRESS_MAX];    /* that was made for its socket, or empty */
    bool server_saves;                 /* when it ends */
};

/* Call a method of the server itself, or with a proxy of that. Objects in args are proxies. */
int proxy_call(struct mproc_manager *manager, struct proxy *proxy, const struct client_request *request,
               mproc_value *result, int64_t deadline);

/* Make a request of one whose args have proxies in them; copy, to be freed after the request, holds what is not in
 * args. -EINVAL: an object is no proxy of this manager. MPROC_SERVER_DIED: one is of a server that is gone. -ENOMEM. */
int proxy_request(struct mproc_manager *manager, const struct proxy *proxy, struct client_request *request,
                  mproc_value *copy);

/* Obtain anew what a proxy with a name stands for, if its user was told that the server is gone, and there may be
 * another one. 0, also where there is nothing to be done; or what asking for it has come to. */
int proxy_revive(struct proxy *proxy, int64_t deadline);

/* With the mutex: a call with this proxy has come to that. */
static inline void proxy_note(struct proxy *proxy, int status)
{
    proxy->is_told = proxy->is_told || status == MPROC_SERVER_DIED;
}

/* With the mutex: the same for MPROC_SERVER_DIED and an object that may have been freed since. */
void proxy_note_if_there(const struct mproc_manager *manager, const void *object);

/* Keep the arguments by which an object was obtained, if it has a name. */
void proxy_remember(struct proxy *proxy, const mproc_value *args, size_t count);

/* The proxy that this is, or NULL. */
struct proxy *proxy_of(const void *object);

/* Whether it stands for a lock, a queue or the like. */
static inline bool proxy_is_remote(const struct proxy *proxy)
{
    return (unsigned)proxy->type >= MPROC_REMOTE_LOCK && (unsigned)proxy->type <= MPROC_REMOTE_QUEUE;
}

/* Before an object is asked for, see to it that there is memory for it. 0 or -ENOMEM. */
int proxy_prepare(struct mproc_manager *manager);

void proxy_release(struct proxy *proxy);
void proxy_free_all(struct mproc_manager *manager);

/* Append what a method of a lock, a queue or the like has beside its arguments: the thread and the timeout. args has
 * room for two more. Whether the server may wait. */
bool proxy_complete(const char *method, mproc_value *args, size_t *count, mproc_time timeout);

/* For the connection. */
int proxy_arrived(struct client_connection *connection, mproc_value *answer, bool is_new);
void proxy_renewed(struct client_connection *connection);

#endif
