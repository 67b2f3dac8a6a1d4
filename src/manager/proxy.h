/* Proxies: what stands for an object of a server in a client. Called by manager.c and remote.c; the containers find
 * them by the hook in object.h. */
#ifndef MPROC_MANAGER_PROXY_H
#define MPROC_MANAGER_PROXY_H

#include "manager/link.h"
#include <mproc/manager.h>

#define PROXY_BUCKETS 1024

/* All but the first part is under the link's mutex. There is one for each object. */
struct proxy {
    uint64_t stamp;
    struct mproc_manager *manager;
    uint64_t id;
    enum mproc_type type;
    unsigned epoch;

    struct proxy *next;
    uint64_t seen;    /* how often the server sent it: so often it counts a reference of ours */
    uint64_t holders; /* callers that will give it back */
    bool is_found;    /* it came out of a value */
};

struct mproc_manager {
    struct link link;
    struct mproc_manager *next_forked; /* of all managers of this process, for forks */
    struct proxy **proxies;            /* by number */
    struct proxy *spare;               /* for an answer that finds no memory */
    mproc_process *server;             /* started by this process, or NULL */
    mproc_set *estate;                 /* what that has in the family's memory, or NULL */
    char folder[MPROC_ADDRESS_MAX];    /* that was made for its socket, or empty */
    bool server_saves;                 /* when it ends */
};

/* Call a method of the server itself, or with a proxy of that. Objects in args are proxies. */
int proxy_call(struct mproc_manager *manager, const struct proxy *proxy, const struct link_request *request,
               mproc_value *result, int64_t deadline);

/* Make a request of one whose args have proxies in them; copy, to be freed after the request, holds what is not in
 * args. -EINVAL: an object is no proxy of this manager. -ENOMEM. */
int proxy_request(struct mproc_manager *manager, const struct proxy *proxy, struct link_request *request,
                  mproc_value *copy);

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

/* For the link. */
int proxy_arrived(struct link *link, mproc_value *answer, bool is_new);
void proxy_renewed(struct link *link);

#endif
