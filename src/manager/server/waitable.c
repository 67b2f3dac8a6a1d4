/* Locks, semaphores, events, conditions, barriers and queues of the server, and the requests that wait for them. Called
 * by requests.c, and by server.c for deadlines. All is private to the server: a wait is an entry in a list, and is
 * answered when its turn comes, its deadline is over or its connection ends.
 *
 * Those that wait for one object are in one list in the order in which they came. Whoever changes an object then lets
 * go on whoever can. A timeout of 0 never waits. */
#include "manager/server/waitable.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

/* ---- those that wait ---- */

/* Answer one that waits, and forget it. */
static void finish(struct server *server, struct waitable *waitable, struct waiter *waiter, int status,
                   const mproc_value *result)
{
    TAILQ_REMOVE(&waitable->waiters, waiter, entry);
    LIST_REMOVE(waiter, all_entry);
    if (waiter->session)
        session_answer(server, waiter->session, waiter->number, status, result);
    if (waiter->session && waiter->session->connection)
        server_connection_wake(waiter->session->connection);
    mproc_value_free(&waiter->value);
    free(waiter);
}

int waitable_wait(const struct waitable_call *turn, enum waiter_what what, const mproc_value *value)
{
    if (turn->timeout == 0)
        return MPROC_TIMEOUT;
    struct server *server = turn->server;
    struct waiter *waiter = os_malloc(sizeof *waiter);
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct waiter){.waitable = turn->waitable,
                              .session = turn->session,
                              .number = turn->number,
                              .thread = turn->thread,
                              .what = what,
                              .deadline = OS_NEVER};
    if (value && mproc_value_copy(&waiter->value, *value)) {
        free(waiter);
        return -ENOMEM;
    }
    if (turn->timeout > 0 && turn->timeout < OS_NEVER - server->now)
        waiter->deadline = server->now + turn->timeout;
    if (waiter->deadline < server->next_deadline)
        server->next_deadline = waiter->deadline;
    LIST_INSERT_HEAD(&server->waiters, waiter, all_entry);
    TAILQ_INSERT_TAIL(&turn->waitable->waiters, waiter, entry);
    return SERVER_STATUS_END;
}

static struct waiter *first_of(const struct waitable *waitable, enum waiter_what what, enum waiter_what or_what)
{
    struct waiter *waiter = TAILQ_FIRST(&waitable->waiters);
    /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): it cannot follow tqe_prev */
    while (waiter && waiter->what != what && waiter->what != or_what)
        waiter = TAILQ_NEXT(waiter, entry);
    return waiter;
}

void waitable_finish_all(struct server *server, struct waitable *waitable, enum waiter_what what, int status)
{
    struct waiter *waiter;
    while ((waiter = first_of(waitable, what, what)))
        finish(server, waitable, waiter, status, NULL);
}

/* ---- lock, rlock, and the lock of a condition ---- */

static bool is_holder(const struct waitable_call *turn)
{
    const struct waitable *waitable = turn->waitable;
    return waitable->depth && waitable->holder == turn->session &&
           (waitable->kind == MPROC_REMOTE_LOCK || waitable->thread == turn->thread);
}

static int take_lock(struct waitable *waitable, struct session *session, int64_t thread, uint64_t depth)
{
    int result = waitable->owner_died ? MPROC_OWNER_DIED : 0;
    waitable->owner_died = false;
    waitable->holder = session;
    waitable->thread = thread;
    waitable->depth = depth;
    return result;
}

static void pass_lock_on(struct server *server, struct waitable *waitable)
{
    struct waiter *waiter = first_of(waitable, WAITS_FOR_LOCK, WAITS_FOR_LOCK_AGAIN);
    waitable->depth = 0;
    waitable->holder = NULL;
    if (!waiter)
        return;
    int result = take_lock(waitable, waiter->session, waiter->thread, waiter->depth ? waiter->depth : 1);
    finish(server, waitable, waiter, result ? result : waiter->result, NULL);
}

static int lock_acquire(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    if (!waitable->depth)
        return take_lock(waitable, turn->session, turn->thread, 1);
    if (waitable->kind != MPROC_REMOTE_LOCK && is_holder(turn)) {
        waitable->depth++;
        return 0;
    }
    return waitable_wait(turn, WAITS_FOR_LOCK, NULL);
}

static int lock_release(struct waitable_call *turn)
{
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    if (--turn->waitable->depth == 0)
        pass_lock_on(turn->server, turn->waitable);
    return 0;
}

/* ---- condition ---- */

/* One that waited for a notice waits for the lock. */
static void go_for_lock(struct server *server, struct waiter *waiter, int result)
{
    struct waitable *waitable = waiter->waitable;
    waiter->what = WAITS_FOR_LOCK_AGAIN;
    waiter->result = result;
    waiter->deadline = OS_NEVER;
    TAILQ_REMOVE(&waitable->waiters, waiter, entry);
    TAILQ_INSERT_TAIL(&waitable->waiters, waiter, entry);
    if (!waitable->depth)
        pass_lock_on(server, waitable);
}

static int condition_wait(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    int result = waitable_wait(turn, WAITS_FOR_NOTICE, NULL);
    if (result != SERVER_STATUS_END)
        return result;
    LIST_FIRST(&turn->server->waiters)->depth = waitable->depth; /* the one that was just made */
    pass_lock_on(turn->server, waitable);
    return result;
}

static int condition_notify(struct waitable_call *turn)
{
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    if (turn->count != 1 || turn->args[0].kind != MPROC_INT)
        return SERVER_BAD_REQUEST;
    for (int64_t i = 0; i < turn->args[0].integer; i++) {
        struct waiter *waiter = first_of(turn->waitable, WAITS_FOR_NOTICE, WAITS_FOR_NOTICE);
        if (!waiter)
            break;
        go_for_lock(turn->server, waiter, 0);
    }
    return 0;
}

/* ---- semaphore ---- */

static struct holding *holding_of(struct waitable *waitable, const struct session *session)
{
    struct holding *holding = waitable->holdings;
    while (holding && holding->session != session)
        holding = holding->next;
    return holding;
}

static int take_unit(struct waitable *waitable, struct session *session)
{
    struct holding *holding = holding_of(waitable, session);
    if (!holding) {
        holding = os_malloc(sizeof *holding);
        if (!holding)
            return -ENOMEM;
        *holding = (struct holding){.next = waitable->holdings, .session = session};
        waitable->holdings = holding;
    }
    holding->count++;
    waitable->number--;
    return 0;
}

static void give_units(struct server *server, struct waitable *waitable, int64_t count)
{
    struct waiter *waiter;
    waitable->number += count;
    if (waitable->kind == MPROC_REMOTE_BOUNDED_SEMAPHORE && waitable->number > waitable->at_first)
        waitable->number = waitable->at_first;
    while (waitable->number > 0 && (waiter = first_of(waitable, WAITS_FOR_UNIT, WAITS_FOR_UNIT)))
        finish(server, waitable, waiter, take_unit(waitable, waiter->session), NULL);
}

static int semaphore_acquire(struct waitable_call *turn)
{
    if (turn->waitable->number > 0)
        return take_unit(turn->waitable, turn->session);
    return waitable_wait(turn, WAITS_FOR_UNIT, NULL);
}

static int semaphore_release(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    if (waitable->kind == MPROC_REMOTE_BOUNDED_SEMAPHORE && waitable->number >= waitable->at_first)
        return failure(-EOVERFLOW, "the value would be above the bound of remote");
    if (waitable->number == INT64_MAX)
        return failure(-EOVERFLOW, "the value would be above 2^63 - 1");
    struct holding *holding = holding_of(waitable, turn->session);
    if (holding && holding->count)
        holding->count--;
    give_units(turn->server, waitable, 1);
    return 0;
}

/* ---- event ---- */

static int event_set(struct waitable_call *turn)
{
    turn->waitable->is_set = true;
    waitable_finish_all(turn->server, turn->waitable, WAITS_FOR_EVENT, 0);
    return 0;
}

static int event_clear(struct waitable_call *turn)
{
    turn->waitable->is_set = false;
    return 0;
}

static int event_is_set(struct waitable_call *turn)
{
    *turn->result = mproc_bool(turn->waitable->is_set);
    return 0;
}

static int event_wait(struct waitable_call *turn)
{
    return turn->waitable->is_set ? 0 : waitable_wait(turn, WAITS_FOR_EVENT, NULL);
}

/* ---- barrier ---- */

static void break_barrier(struct server *server, struct waitable *waitable)
{
    waitable->is_broken = true;
    waitable_finish_all(server, waitable, WAITS_FOR_PARTIES, MPROC_BROKEN);
}

static int barrier_wait(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    int64_t there = 1;
    if (waitable->is_broken)
        return MPROC_BROKEN;
    for (const struct waiter *waiter = TAILQ_FIRST(&waitable->waiters); waiter; waiter = TAILQ_NEXT(waiter, entry))
        there++;
    if (there >= waitable->number) {
        waitable_finish_all(turn->server, waitable, WAITS_FOR_PARTIES, 0);
        return 0;
    }
    int result = waitable_wait(turn, WAITS_FOR_PARTIES, NULL);
    if (result != SERVER_STATUS_END)
        break_barrier(turn->server, waitable);
    return result;
}

static int barrier_abort(struct waitable_call *turn)
{
    break_barrier(turn->server, turn->waitable);
    return 0;
}

static int barrier_reset(struct waitable_call *turn)
{
    break_barrier(turn->server, turn->waitable);
    turn->waitable->is_broken = false;
    return 0;
}

/* ---- queue ---- */

int waitable_push(struct waitable *waitable, const mproc_value *value)
{
    struct queued *queued = os_malloc(sizeof *queued);
    if (!queued)
        return -ENOMEM;
    queued->next = NULL;
    if (mproc_value_copy(&queued->value, *value)) {
        free(queued);
        return -ENOMEM;
    }
    *waitable->items_end = queued;
    waitable->items_end = &queued->next;
    waitable->item_count++;
    return 0;
}

static int queue_put(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    bool any = false;
    if (turn->count != 1 || !registry_knows_all(&turn->server->registry, &turn->args[0], true, &any))
        return SERVER_BAD_REQUEST;
    struct waiter *getter = first_of(waitable, WAITS_FOR_ITEM, WAITS_FOR_ITEM);
    if (!getter && waitable->number && waitable->item_count >= waitable->number)
        return waitable_wait(turn, WAITS_FOR_ROOM, &turn->args[0]);
    int result = getter ? 0 : waitable_push(waitable, &turn->args[0]);
    if (getter)
        finish(turn->server, waitable, getter, 0, &turn->args[0]);
    waitable->unfinished += !result;
    return result;
}

static int queue_get(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    struct queued *queued = waitable->items;
    if (!queued)
        return waitable_wait(turn, WAITS_FOR_ITEM, NULL);
    waitable->items = queued->next;
    if (!waitable->items)
        waitable->items_end = &waitable->items;
    waitable->item_count--;
    *turn->result = queued->value;
    free(queued);
    struct waiter *putter = first_of(waitable, WAITS_FOR_ROOM, WAITS_FOR_ROOM);
    if (putter) {
        int status = waitable_push(waitable, &putter->value);
        waitable->unfinished += !status;
        finish(turn->server, waitable, putter, status, NULL);
    }
    return 0;
}

static int queue_size(struct waitable_call *turn)
{
    *turn->result = mproc_int(turn->waitable->item_count);
    return 0;
}

static int queue_task_done(struct waitable_call *turn)
{
    struct waitable *waitable = turn->waitable;
    if (!waitable->unfinished)
        return failure(-EINVAL, "more is said to be done than was put into remote");
    if (--waitable->unfinished == 0)
        waitable_finish_all(turn->server, waitable, WAITS_FOR_DONE, 0);
    return 0;
}

static int queue_join(struct waitable_call *turn)
{
    return turn->waitable->unfinished ? waitable_wait(turn, WAITS_FOR_DONE, NULL) : 0;
}

/* ---- methods ---- */

#define KIND(kind) (1U << ((unsigned)(kind)-MPROC_REMOTE_LOCK))
#define LOCKS      (KIND(MPROC_REMOTE_LOCK) | KIND(MPROC_REMOTE_RLOCK) | KIND(MPROC_REMOTE_CONDITION))
#define SEMAPHORES (KIND(MPROC_REMOTE_SEMAPHORE) | KIND(MPROC_REMOTE_BOUNDED_SEMAPHORE))

/* The last arguments of each are the thread, for those that ask who holds, and the timeout, for those that wait. */
static const struct method {
    unsigned kinds;
    const char *name;
    int (*function)(struct waitable_call *turn);
    bool has_thread, has_timeout;
} methods[] = {
    {LOCKS, "acquire", lock_acquire, true, true},
    {LOCKS, "release", lock_release, true, false},
    {SEMAPHORES, "acquire", semaphore_acquire, true, true},
    {SEMAPHORES, "release", semaphore_release, true, false},
    {KIND(MPROC_REMOTE_EVENT), "set", event_set, false, false},
    {KIND(MPROC_REMOTE_EVENT), "clear", event_clear, false, false},
    {KIND(MPROC_REMOTE_EVENT), "is_set", event_is_set, false, false},
    {KIND(MPROC_REMOTE_EVENT), "wait", event_wait, true, true},
    {KIND(MPROC_REMOTE_CONDITION), "wait", condition_wait, true, true},
    {KIND(MPROC_REMOTE_CONDITION), "notify", condition_notify, true, false},
    {KIND(MPROC_REMOTE_BARRIER), "wait", barrier_wait, true, true},
    {KIND(MPROC_REMOTE_BARRIER), "abort", barrier_abort, false, false},
    {KIND(MPROC_REMOTE_BARRIER), "reset", barrier_reset, false, false},
    {KIND(MPROC_REMOTE_QUEUE), "put", queue_put, false, true},
    {KIND(MPROC_REMOTE_QUEUE), "get", queue_get, false, true},
    {KIND(MPROC_REMOTE_QUEUE), "size", queue_size, false, false},
    {KIND(MPROC_REMOTE_QUEUE), "task_done", queue_task_done, false, false},
    {KIND(MPROC_REMOTE_QUEUE), "join", queue_join, false, true},
};

static const struct method *find_method(const struct waitable *waitable, const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].kinds & KIND(waitable->kind) && strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

bool waitable_has(const struct waitable *waitable, const char *method)
{
    return find_method(waitable, method) != NULL;
}

static bool take_int(struct waitable_call *turn, bool there, int64_t *number)
{
    if (!there)
        return true;
    if (turn->count == 0 || turn->args[turn->count - 1].kind != MPROC_INT)
        return false;
    *number = turn->args[--turn->count].integer;
    return true;
}

int waitable_call(struct server *server, struct session *session, struct server_object *served,
                  const struct wire_request *request, mproc_value *result)
{
    const struct method *method = find_method(served->waitable, request->method);
    struct waitable_call turn = {.server = server,
                                 .session = session,
                                 .waitable = served->waitable,
                                 .number = request->number,
                                 .args = request->args,
                                 .count = request->count,
                                 .result = result};
    if (!method)
        return MPROC_NOT_FOUND;
    if (!take_int(&turn, method->has_timeout, &turn.timeout) || !take_int(&turn, method->has_thread, &turn.thread) ||
        turn.timeout < OS_USER_FOREVER)
        return SERVER_BAD_REQUEST;
    return method->function(&turn);
}

/* ---- deadlines, connections that end, life ---- */

static void expire(struct server *server, struct waiter *waiter)
{
    struct waitable *waitable = waiter->waitable;
    if (waiter->what == WAITS_FOR_NOTICE) {
        go_for_lock(server, waiter, MPROC_TIMEOUT);
        return;
    }
    finish(server, waitable, waiter, MPROC_TIMEOUT, NULL);
    if (waitable->kind == MPROC_REMOTE_BARRIER)
        break_barrier(server, waitable);
}

/* The list may change with each that is answered, so it is looked through again from the start. */
void waitable_expire(struct server *server)
{
    if (server->now < server->next_deadline)
        return;
    struct waiter *waiter;
    do {
        waiter = LIST_FIRST(&server->waiters);
        while (waiter && waiter->deadline > server->now)
            waiter = LIST_NEXT(waiter, all_entry);
        if (waiter)
            expire(server, waiter);
    } while (waiter);
    server->next_deadline = OS_NEVER;
    for (waiter = LIST_FIRST(&server->waiters); waiter; waiter = LIST_NEXT(waiter, all_entry))
        if (waiter->deadline < server->next_deadline)
            server->next_deadline = waiter->deadline;
}

static bool stop_waiting(struct server *server, struct waitable *waitable, const struct session *session)
{
    bool any = false;
    struct waiter *next;
    for (struct waiter *waiter = TAILQ_FIRST(&waitable->waiters); waiter; waiter = next) {
        next = TAILQ_NEXT(waiter, entry);
        if (waiter->session != session)
            continue;
        waiter->session = NULL;
        finish(server, waitable, waiter, 0, NULL);
        any = true;
    }
    return any;
}

static void give_back(struct server *server, struct waitable *waitable, const struct session *session)
{
    for (struct holding **at = &waitable->holdings; *at; at = &(*at)->next) {
        struct holding *holding = *at;
        if (holding->session != session)
            continue;
        int64_t count = holding->count;
        *at = holding->next;
        free(holding);
        give_units(server, waitable, count);
        return;
    }
}

/* A connection has ended: what waits for it goes, and what it held is free. */
void waitable_leave(struct server *server, struct session *session)
{
    for (struct waitable *waitable = LIST_FIRST(&server->waitables); waitable; waitable = LIST_NEXT(waitable, entry)) {
        if (stop_waiting(server, waitable, session) && waitable->kind == MPROC_REMOTE_BARRIER)
            break_barrier(server, waitable);
        give_back(server, waitable, session);
        if (waitable->depth && waitable->holder == session) {
            waitable->owner_died = true;
            pass_lock_on(server, waitable);
        }
    }
}

void waitable_each_value(struct waitable *waitable, void (*each)(const mproc_value *value, void *arg), void *arg)
{
    for (const struct queued *queued = waitable->items; queued; queued = queued->next)
        each(&queued->value, arg);
    for (const struct waiter *waiter = TAILQ_FIRST(&waitable->waiters); waiter; waiter = TAILQ_NEXT(waiter, entry))
        each(&waiter->value, arg);
}

struct waitable *waitable_create(struct server *server, enum mproc_remote_kind kind, int64_t number)
{
    struct waitable *waitable = os_malloc(sizeof *waitable);
    if (!waitable)
        return NULL;
    *waitable = (struct waitable){.kind = kind, .number = number, .at_first = number};
    waitable->items_end = &waitable->items;
    TAILQ_INIT(&waitable->waiters);
    LIST_INSERT_HEAD(&server->waitables, waitable, entry);
    return waitable;
}

/* Whoever still waits has lost the object. */
void waitable_free(struct server *server, struct waitable *waitable)
{
    if (!waitable)
        return;
    while (!TAILQ_EMPTY(&waitable->waiters)) /* NOLINTNEXTLINE(clang-analyzer-unix.Malloc): as in first_of() */
        finish(server, waitable, TAILQ_FIRST(&waitable->waiters), SERVER_BAD_REQUEST, NULL);
    while (waitable->items) {
        struct queued *queued = waitable->items;
        waitable->items = queued->next;
        mproc_value_free(&queued->value);
        free(queued);
    }
    while (waitable->holdings) {
        struct holding *holding = waitable->holdings;
        waitable->holdings = holding->next;
        free(holding);
    }
    LIST_REMOVE(waitable, entry);
    free(waitable);
}
