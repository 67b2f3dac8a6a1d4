/* What waitable.c keeps of an object of the server that can be waited for. */
#ifndef MPROC_MANAGER_SERVER_WAITABLE_H
#define MPROC_MANAGER_SERVER_WAITABLE_H

#include "manager/server/server.h"

enum waiter_what {
    WAITS_FOR_LOCK = 1,
    WAITS_FOR_LOCK_AGAIN, /* after a wait on a condition */
    WAITS_FOR_NOTICE,
    WAITS_FOR_UNIT,
    WAITS_FOR_EVENT,
    WAITS_FOR_PARTIES,
    WAITS_FOR_ITEM,
    WAITS_FOR_ROOM,
    WAITS_FOR_DONE,
    WAITS_FOR_SAVE,   /* that is to begin */
    WAITS_FOR_WRITING /* of a save that has begun */
};

/* A request that waits. */
struct waiter {
    TAILQ_ENTRY(waiter) entry;    /* in waiters of the waitable, in the order in which they came */
    LIST_ENTRY(waiter) all_entry; /* in waiters of the server */
    struct waitable *waitable;
    struct session *session; /* NULL: nobody is to be answered */
    uint64_t number;
    int64_t thread;
    int64_t deadline;
    enum waiter_what what;
    int result;        /* of one that waits for the lock again */
    uint64_t depth;    /* to which that one held the lock */
    mproc_value value; /* to be put */
};

/* An item of a queue. */
struct queued {
    struct queued *next;
    mproc_value value;
};

/* How much of a semaphore a client has. */
struct holding {
    struct holding *next;
    const struct session *session;
    int64_t count;
};

struct waitable {
    LIST_ENTRY(waitable) entry; /* in waitables of the server */
    enum mproc_remote_kind kind;
    int64_t number;         /* what a semaphore has left; parties of a barrier; most items of a queue, 0: no limit */
    int64_t at_first;       /* of a semaphore */
    struct session *holder; /* of a lock, while depth is not 0 */
    int64_t thread;
    uint64_t depth;
    bool owner_died; /* and nobody was told */
    bool is_set, is_broken;
    struct holding *holdings;
    TAILQ_HEAD(, waiter) waiters;
    struct queued *items, **items_end;
    int64_t item_count, unfinished;
};

/* A request to such an object. */
struct waitable_call {
    struct server *server;
    struct session *session;
    struct waitable *waitable;
    uint64_t number;
    const mproc_value *args;
    size_t count; /* without thread and timeout */
    int64_t thread, timeout;
    mproc_value *result;
};

/* Add an item to a queue for which nobody waits. 0 or -ENOMEM. */
int waitable_push(struct waitable *waitable, const mproc_value *value);

/* Answer all that wait for this. */
void waitable_finish_all(struct server *server, struct waitable *waitable, enum waiter_what what, int status);

/* A request waits from now on: SERVER_STATUS_END, or what it is answered at once. */
int waitable_wait(const struct waitable_call *turn, enum waiter_what what, const mproc_value *value);

#endif
