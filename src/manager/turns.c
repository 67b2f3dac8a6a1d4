/* Locks, semaphores, events, conditions, barriers and queues of the server, and the requests that wait for them. Called
 * by requests.c, and by server.c for deadlines. All is private to the server: a wait is an entry in a list, and is
 * answered when its turn comes, its deadline is over or its connection ends.
 *
 * Those that wait for one object are in one list in the order in which they came. Whoever changes an object then lets
 * go on whoever can. A timeout of 0 never waits. */
#include "manager/turns.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

/* ---- those that wait ---- */

/* Answer one that waits, and forget it. */
static void finish(struct server *server, struct turns *turns, struct waiter *waiter, int status,
                   const mproc_value *result)
{
    TAILQ_REMOVE(&turns->waiters, waiter, entry);
    LIST_REMOVE(waiter, all_entry);
    if (waiter->session)
        session_answer(server, waiter->session, waiter->number, status, result);
    if (waiter->session && waiter->session->peer)
        peer_wake(waiter->session->peer);
    mproc_value_free(&waiter->value);
    free(waiter);
}

int turns_wait(const struct turn *turn, enum waiter_what what, const mproc_value *value)
{
    if (turn->timeout == 0)
        return MPROC_TIMEOUT;
    struct server *server = turn->server;
    struct waiter *waiter = os_malloc(sizeof *waiter);
    if (!waiter)
        return -ENOMEM;
    *waiter = (struct waiter){.turns = turn->turns,
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
    TAILQ_INSERT_TAIL(&turn->turns->waiters, waiter, entry);
    return SERVER_STATUS_END;
}

static struct waiter *first_of(const struct turns *turns, enum waiter_what what, enum waiter_what or_what)
{
    struct waiter *waiter = TAILQ_FIRST(&turns->waiters);
    while (waiter && waiter->what != what && waiter->what != or_what)
        waiter = TAILQ_NEXT(waiter, entry);
    return waiter;
}

void turns_finish_all(struct server *server, struct turns *turns, enum waiter_what what, int status)
{
    struct waiter *waiter;
    while ((waiter = first_of(turns, what, what)))
        finish(server, turns, waiter, status, NULL);
}

/* ---- lock, rlock, and the lock of a condition ---- */

static bool is_holder(const struct turn *turn)
{
    const struct turns *turns = turn->turns;
    return turns->depth && turns->holder == turn->session &&
           (turns->kind == MPROC_REMOTE_LOCK || turns->thread == turn->thread);
}

static int take_lock(struct turns *turns, struct session *session, int64_t thread, uint64_t depth)
{
    int result = turns->owner_died ? MPROC_OWNER_DIED : 0;
    turns->owner_died = false;
    turns->holder = session;
    turns->thread = thread;
    turns->depth = depth;
    return result;
}

static void pass_lock_on(struct server *server, struct turns *turns)
{
    struct waiter *waiter = first_of(turns, WAITS_FOR_LOCK, WAITS_FOR_LOCK_AGAIN);
    turns->depth = 0;
    turns->holder = NULL;
    if (!waiter)
        return;
    int result = take_lock(turns, waiter->session, waiter->thread, waiter->depth ? waiter->depth : 1);
    finish(server, turns, waiter, result ? result : waiter->result, NULL);
}

static int lock_acquire(struct turn *turn)
{
    struct turns *turns = turn->turns;
    if (!turns->depth)
        return take_lock(turns, turn->session, turn->thread, 1);
    if (turns->kind != MPROC_REMOTE_LOCK && is_holder(turn)) {
        turns->depth++;
        return 0;
    }
    return turns_wait(turn, WAITS_FOR_LOCK, NULL);
}

static int lock_release(struct turn *turn)
{
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    if (--turn->turns->depth == 0)
        pass_lock_on(turn->server, turn->turns);
    return 0;
}

/* ---- condition ---- */

/* One that waited for a notice waits for the lock. */
static void go_for_lock(struct server *server, struct waiter *waiter, int result)
{
    struct turns *turns = waiter->turns;
    waiter->what = WAITS_FOR_LOCK_AGAIN;
    waiter->result = result;
    waiter->deadline = OS_NEVER;
    TAILQ_REMOVE(&turns->waiters, waiter, entry);
    TAILQ_INSERT_TAIL(&turns->waiters, waiter, entry);
    if (!turns->depth)
        pass_lock_on(server, turns);
}

static int condition_wait(struct turn *turn)
{
    struct turns *turns = turn->turns;
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    int result = turns_wait(turn, WAITS_FOR_NOTICE, NULL);
    if (result != SERVER_STATUS_END)
        return result;
    LIST_FIRST(&turn->server->waiters)->depth = turns->depth; /* the one that was just made */
    pass_lock_on(turn->server, turns);
    return result;
}

static int condition_notify(struct turn *turn)
{
    if (!is_holder(turn))
        return failure(-EPERM, "this thread does not hold the lock of remote");
    if (turn->count != 1 || turn->args[0].kind != MPROC_INT)
        return SERVER_BAD_REQUEST;
    for (int64_t i = 0; i < turn->args[0].integer; i++) {
        struct waiter *waiter = first_of(turn->turns, WAITS_FOR_NOTICE, WAITS_FOR_NOTICE);
        if (!waiter)
            break;
        go_for_lock(turn->server, waiter, 0);
    }
    return 0;
}

/* ---- semaphore ---- */

static struct holding *holding_of(struct turns *turns, const struct session *session)
{
    struct holding *holding = turns->holdings;
    while (holding && holding->session != session)
        holding = holding->next;
    return holding;
}

static int take_unit(struct turns *turns, struct session *session)
{
    struct holding *holding = holding_of(turns, session);
    if (!holding) {
        holding = os_malloc(sizeof *holding);
        if (!holding)
            return -ENOMEM;
        *holding = (struct holding){.next = turns->holdings, .session = session};
        turns->holdings = holding;
    }
    holding->count++;
    turns->number--;
    return 0;
}

static void give_units(struct server *server, struct turns *turns, int64_t count)
{
    struct waiter *waiter;
    turns->number += count;
    if (turns->kind == MPROC_REMOTE_BOUNDED_SEMAPHORE && turns->number > turns->at_first)
        turns->number = turns->at_first;
    while (turns->number > 0 && (waiter = first_of(turns, WAITS_FOR_UNIT, WAITS_FOR_UNIT)))
        finish(server, turns, waiter, take_unit(turns, waiter->session), NULL);
}

static int semaphore_acquire(struct turn *turn)
{
    if (turn->turns->number > 0)
        return take_unit(turn->turns, turn->session);
    return turns_wait(turn, WAITS_FOR_UNIT, NULL);
}

static int semaphore_release(struct turn *turn)
{
    struct turns *turns = turn->turns;
    if (turns->kind == MPROC_REMOTE_BOUNDED_SEMAPHORE && turns->number >= turns->at_first)
        return failure(-EOVERFLOW, "the value would be above the bound of remote");
    if (turns->number == INT64_MAX)
        return failure(-EOVERFLOW, "the value would be above 2^63 - 1");
    struct holding *holding = holding_of(turns, turn->session);
    if (holding && holding->count)
        holding->count--;
    give_units(turn->server, turns, 1);
    return 0;
}

/* ---- event ---- */

static int event_set(struct turn *turn)
{
    turn->turns->is_set = true;
    turns_finish_all(turn->server, turn->turns, WAITS_FOR_EVENT, 0);
    return 0;
}

static int event_clear(struct turn *turn)
{
    turn->turns->is_set = false;
    return 0;
}

static int event_is_set(struct turn *turn)
{
    *turn->result = mproc_bool(turn->turns->is_set);
    return 0;
}

static int event_wait(struct turn *turn)
{
    return turn->turns->is_set ? 0 : turns_wait(turn, WAITS_FOR_EVENT, NULL);
}

/* ---- barrier ---- */

static void break_barrier(struct server *server, struct turns *turns)
{
    turns->is_broken = true;
    turns_finish_all(server, turns, WAITS_FOR_PARTIES, MPROC_BROKEN);
}

static int barrier_wait(struct turn *turn)
{
    struct turns *turns = turn->turns;
    int64_t there = 1;
    if (turns->is_broken)
        return MPROC_BROKEN;
    for (const struct waiter *waiter = TAILQ_FIRST(&turns->waiters); waiter; waiter = TAILQ_NEXT(waiter, entry))
        there++;
    if (there >= turns->number) {
        turns_finish_all(turn->server, turns, WAITS_FOR_PARTIES, 0);
        return 0;
    }
    int result = turns_wait(turn, WAITS_FOR_PARTIES, NULL);
    if (result != SERVER_STATUS_END)
        break_barrier(turn->server, turns);
    return result;
}

static int barrier_abort(struct turn *turn)
{
    break_barrier(turn->server, turn->turns);
    return 0;
}

static int barrier_reset(struct turn *turn)
{
    break_barrier(turn->server, turn->turns);
    turn->turns->is_broken = false;
    return 0;
}

/* ---- queue ---- */

int turns_push(struct turns *turns, const mproc_value *value)
{
    struct queued *queued = os_malloc(sizeof *queued);
    if (!queued)
        return -ENOMEM;
    queued->next = NULL;
    if (mproc_value_copy(&queued->value, *value)) {
        free(queued);
        return -ENOMEM;
    }
    *turns->items_end = queued;
    turns->items_end = &queued->next;
    turns->item_count++;
    return 0;
}

static int queue_put(struct turn *turn)
{
    struct turns *turns = turn->turns;
    bool any = false;
    if (turn->count != 1 || !registry_knows_all(&turn->server->registry, &turn->args[0], true, &any))
        return SERVER_BAD_REQUEST;
    struct waiter *getter = first_of(turns, WAITS_FOR_ITEM, WAITS_FOR_ITEM);
    if (!getter && turns->number && turns->item_count >= turns->number)
        return turns_wait(turn, WAITS_FOR_ROOM, &turn->args[0]);
    int result = getter ? 0 : turns_push(turns, &turn->args[0]);
    if (getter)
        finish(turn->server, turns, getter, 0, &turn->args[0]);
    turns->unfinished += !result;
    return result;
}

static int queue_get(struct turn *turn)
{
    struct turns *turns = turn->turns;
    struct queued *queued = turns->items;
    if (!queued)
        return turns_wait(turn, WAITS_FOR_ITEM, NULL);
    turns->items = queued->next;
    if (!turns->items)
        turns->items_end = &turns->items;
    turns->item_count--;
    *turn->result = queued->value;
    free(queued);
    struct waiter *putter = first_of(turns, WAITS_FOR_ROOM, WAITS_FOR_ROOM);
    if (putter) {
        int status = turns_push(turns, &putter->value);
        turns->unfinished += !status;
        finish(turn->server, turns, putter, status, NULL);
    }
    return 0;
}

static int queue_size(struct turn *turn)
{
    *turn->result = mproc_int(turn->turns->item_count);
    return 0;
}

static int queue_task_done(struct turn *turn)
{
    struct turns *turns = turn->turns;
    if (!turns->unfinished)
        return failure(-EINVAL, "more is said to be done than was put into remote");
    if (--turns->unfinished == 0)
        turns_finish_all(turn->server, turns, WAITS_FOR_DONE, 0);
    return 0;
}

static int queue_join(struct turn *turn)
{
    return turn->turns->unfinished ? turns_wait(turn, WAITS_FOR_DONE, NULL) : 0;
}

/* ---- methods ---- */

#define KIND(kind) (1U << ((unsigned)(kind)-MPROC_REMOTE_LOCK))
#define LOCKS      (KIND(MPROC_REMOTE_LOCK) | KIND(MPROC_REMOTE_RLOCK) | KIND(MPROC_REMOTE_CONDITION))
#define SEMAPHORES (KIND(MPROC_REMOTE_SEMAPHORE) | KIND(MPROC_REMOTE_BOUNDED_SEMAPHORE))

/* The last arguments of each are the thread, for those that ask who holds, and the timeout, for those that wait. */
static const struct method {
    unsigned kinds;
    const char *name;
    int (*function)(struct turn *turn);
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

static const struct method *find_method(const struct turns *turns, const char *name)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++)
        if (methods[i].kinds & KIND(turns->kind) && strcmp(methods[i].name, name) == 0)
            return &methods[i];
    return NULL;
}

bool turns_has(const struct turns *turns, const char *method)
{
    return find_method(turns, method) != NULL;
}

static bool take_int(struct turn *turn, bool there, int64_t *number)
{
    if (!there)
        return true;
    if (turn->count == 0 || turn->args[turn->count - 1].kind != MPROC_INT)
        return false;
    *number = turn->args[--turn->count].integer;
    return true;
}

int turns_call(struct server *server, struct session *session, struct served *served,
               const struct wire_request *request, mproc_value *result)
{
    const struct method *method = find_method(served->turns, request->method);
    struct turn turn = {.server = server,
                        .session = session,
                        .turns = served->turns,
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
    struct turns *turns = waiter->turns;
    if (waiter->what == WAITS_FOR_NOTICE) {
        go_for_lock(server, waiter, MPROC_TIMEOUT);
        return;
    }
    finish(server, turns, waiter, MPROC_TIMEOUT, NULL);
    if (turns->kind == MPROC_REMOTE_BARRIER)
        break_barrier(server, turns);
}

/* The list may change with each that is answered, so it is looked through again from the start. */
void turns_expire(struct server *server)
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

static bool stop_waiting(struct server *server, struct turns *turns, const struct session *session)
{
    bool any = false;
    struct waiter *next;
    for (struct waiter *waiter = TAILQ_FIRST(&turns->waiters); waiter; waiter = next) {
        next = TAILQ_NEXT(waiter, entry);
        if (waiter->session != session)
            continue;
        waiter->session = NULL;
        finish(server, turns, waiter, 0, NULL);
        any = true;
    }
    return any;
}

static void give_back(struct server *server, struct turns *turns, const struct session *session)
{
    for (struct holding **at = &turns->holdings; *at; at = &(*at)->next) {
        struct holding *holding = *at;
        if (holding->session != session)
            continue;
        int64_t count = holding->count;
        *at = holding->next;
        free(holding);
        give_units(server, turns, count);
        return;
    }
}

/* A connection has ended: what waits for it goes, and what it held is free. */
void turns_leave(struct server *server, struct session *session)
{
    for (struct turns *turns = LIST_FIRST(&server->all_turns); turns; turns = LIST_NEXT(turns, entry)) {
        if (stop_waiting(server, turns, session) && turns->kind == MPROC_REMOTE_BARRIER)
            break_barrier(server, turns);
        give_back(server, turns, session);
        if (turns->depth && turns->holder == session) {
            turns->owner_died = true;
            pass_lock_on(server, turns);
        }
    }
}

void turns_each_value(struct turns *turns, void (*each)(const mproc_value *value, void *arg), void *arg)
{
    for (const struct queued *queued = turns->items; queued; queued = queued->next)
        each(&queued->value, arg);
    for (const struct waiter *waiter = TAILQ_FIRST(&turns->waiters); waiter; waiter = TAILQ_NEXT(waiter, entry))
        each(&waiter->value, arg);
}

struct turns *turns_create(struct server *server, enum mproc_remote_kind kind, int64_t number)
{
    struct turns *turns = os_malloc(sizeof *turns);
    if (!turns)
        return NULL;
    *turns = (struct turns){.kind = kind, .number = number, .at_first = number};
    turns->items_end = &turns->items;
    TAILQ_INIT(&turns->waiters);
    LIST_INSERT_HEAD(&server->all_turns, turns, entry);
    return turns;
}

/* Whoever still waits has lost the object. */
void turns_free(struct server *server, struct turns *turns)
{
    if (!turns)
        return;
    while (!TAILQ_EMPTY(&turns->waiters))
        finish(server, turns, TAILQ_FIRST(&turns->waiters), SERVER_BAD_REQUEST, NULL);
    while (turns->items) {
        struct queued *queued = turns->items;
        turns->items = queued->next;
        mproc_value_free(&queued->value);
        free(queued);
    }
    while (turns->holdings) {
        struct holding *holding = turns->holdings;
        turns->holdings = holding->next;
        free(holding);
    }
    LIST_REMOVE(turns, entry);
    free(turns);
}
