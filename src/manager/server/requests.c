/* What a request asks for: methods of the server itself, of its containers, of locks and queues, and of the program's
 * own types. A request is well formed when it comes here. Only what is in a table here, in the table of a type, or was
 * registered can be called. */
#include "manager/server/server.h"

#include "manager/server/server_memory.h"
#include "manager/server/snapshot.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <mproc/log.h>
#include <string.h>

struct call {
    struct server *server;
    struct session *session;
    const mproc_value *args;
    size_t count;
    mproc_value *result;
    uint64_t number; /* of the request */
};

/* ---- the server's own methods ---- */

static const struct container_type *const containers[] = {&container_dict,      &container_list,     &container_set,
                                                          &container_namespace, &container_variable, &container_array};

static const struct container_type *container_named(const char *name)
{
    for (size_t i = 0; i < sizeof containers / sizeof *containers; i++)
        if (strcmp(containers[i]->name, name) == 0)
            return containers[i];
    return NULL;
}

static int make_container(const struct call *call, const struct container_type *type, struct server_object *served)
{
    const mproc_value *args = call->args;
    void **object = &served->object;

    served->container = type;
    served->type = type->type;
    switch (type->type) {
    case MPROC_TYPE_VARIABLE:
        return call->count == 1 ? mproc_variable_create((mproc_variable **)object, args[0]) : SERVER_BAD_REQUEST;
    case MPROC_TYPE_ARRAY:
        if (call->count != 2 || args[0].kind != MPROC_INT || args[1].kind != MPROC_INT || args[0].integer < 1 ||
            args[1].integer < 1)
            return SERVER_BAD_REQUEST;
        return mproc_array_create((mproc_array **)object, (size_t)args[0].integer, (size_t)args[1].integer);
    default:
        return container_create(type, object);
    }
}

static int make_remote(const struct call *call, struct server_object *served)
{
    if (call->count != 2 || call->args[0].kind != MPROC_INT || call->args[1].kind != MPROC_INT)
        return SERVER_BAD_REQUEST;
    int64_t kind = call->args[0].integer, number = call->args[1].integer;
    if (kind < MPROC_REMOTE_LOCK || kind > MPROC_REMOTE_QUEUE || number < 0 ||
        (kind == MPROC_REMOTE_BARRIER && number == 0))
        return SERVER_BAD_REQUEST;
    served->type = (enum mproc_type)kind;
    served->waitable = waitable_create(call->server, (enum mproc_remote_kind)kind, number);
    return served->waitable ? 0 : -ENOMEM;
}

static int make_user(const struct call *call, const char *name, struct server_object *served)
{
    const mproc_manager_type *type = types_find(name);
    if (!type)
        return MPROC_NOT_FOUND;
    served->type = MPROC_TYPE_USER;
    int result = type->construct(&served->object, call->args, call->count);
    if (!result)
        served->user = type;
    return result;
}

/* Types of the program's own are "type:NAME", so that they have no name of ours. */
#define USER_PREFIX "type:"

static int make_any(const struct call *call, const char *type, struct server_object *served)
{
    const struct container_type *container = container_named(type);
    if (container) {
        int result = make_container(call, container, served);
        return result ? result : server_memory_add(call->server->server_memory, served->object);
    }
    if (strcmp(type, "remote") == 0)
        return make_remote(call, served);
    if (strncmp(type, USER_PREFIX, sizeof USER_PREFIX - 1) == 0)
        return make_user(call, type + sizeof USER_PREFIX - 1, served);
    return MPROC_NOT_FOUND;
}

/* Whether an object of that name may be what is asked for. */
static bool is_such(const struct server_object *served, const struct call *call, const char *type)
{
    const struct container_type *container = container_named(type);
    if (container)
        return served->container == container;
    if (strcmp(type, "remote") == 0)
        return served->waitable && call->count == 2 && call->args[0].kind == MPROC_INT &&
               (int64_t)served->type == call->args[0].integer;
    return served->user && strncmp(type, USER_PREFIX, sizeof USER_PREFIX - 1) == 0 &&
           strcmp(served->user->name, type + sizeof USER_PREFIX - 1) == 0;
}

static mproc_value value_of(const struct server_object *served)
{
    mproc_value value = {.kind = MPROC_OBJECT, .tag = (uint32_t)served->type};
    value.object = (void *)(uintptr_t)served->id; // NOLINT: objects are numbers here
    return value;
}

static int do_make(const struct call *call)
{
    const mproc_value *args = call->args;
    if (call->count != 3 || !value_is_text(&args[0]) || (!value_is_text(&args[1]) && args[1].kind != MPROC_NIL) ||
        args[2].kind != MPROC_LIST)
        return SERVER_BAD_REQUEST;
    struct call inner = *call;
    inner.args = args[2].items;
    inner.count = args[2].size;
    const char *name = args[1].kind == MPROC_NIL ? NULL : args[1].string;
    struct server_object *served = name ? registry_named(&call->server->registry, name) : NULL;
    if (served && !is_such(served, &inner, args[0].string))
        return -EEXIST;
    int result = 0;
    if (!served) {
        bool holds = false;
        if (!registry_knows_all(&call->server->registry, &args[2], true, &holds))
            return SERVER_BAD_REQUEST;
        served = registry_add(&call->server->registry, name);
        if (!served)
            return -ENOMEM;
        served->holds = holds;
        result = make_any(&inner, args[0].string, served);
        if (result)
            registry_forget(call->server, served);
    }
    if (!result)
        *call->result = value_of(served);
    return result;
}

static int do_release(const struct call *call)
{
    if (call->count != 2 || call->args[0].kind != MPROC_INT || call->args[1].kind != MPROC_INT)
        return SERVER_BAD_REQUEST;
    session_release(call->server, call->session, (uint64_t)call->args[0].integer, (uint64_t)call->args[1].integer);
    return 0;
}

/* A forked child has the proxies of its parent. */
static int do_adopt(const struct call *call)
{
    for (size_t i = 0; i < call->count; i++)
        if (call->args[i].kind == MPROC_INT)
            session_refer(call->server, call->session, (uint64_t)call->args[i].integer, 1);
    return 0;
}

static int do_forget(const struct call *call)
{
    if (call->count != 1 || !value_is_text(&call->args[0]))
        return SERVER_BAD_REQUEST;
    struct server_object *served = registry_named(&call->server->registry, call->args[0].string);
    if (!served)
        return MPROC_NOT_FOUND;
    registry_forget(call->server, served);
    return 0;
}

static int do_leave(const struct call *call)
{
    call->session->leaves = true;
    return 0;
}

static int do_save(const struct call *call)
{
    return snapshot_ask(call->server, call->session, call->number);
}

/* A server that cannot save what it has goes on with it. */
static int do_shutdown(const struct call *call)
{
    int result = snapshot_finish(call->server);
    if (result)
        return result;
    mproc_log(MPROC_LOG_INFO, "manager: %s ends the server", call->session->connection->name);
    call->server->stop_at = os_now() + OS_SEC(1);
    return 0;
}

static int do_nothing(const struct call *call)
{
    (void)call;
    return 0;
}

static const struct {
    const char *name;
    int (*function)(const struct call *call);
} own_methods[] = {
    {"make", do_make},   {"release", do_release},   {"adopt", do_adopt},  {"forget", do_forget},
    {"leave", do_leave}, {"shutdown", do_shutdown}, {"ping", do_nothing}, {"save", do_save},
};

static int call_server(const struct call *call, const char *method)
{
    for (size_t i = 0; i < sizeof own_methods / sizeof *own_methods; i++)
        if (strcmp(own_methods[i].name, method) == 0)
            return own_methods[i].function(call);
    return MPROC_NOT_FOUND;
}

/* ---- methods of objects ---- */

static int call_container(const struct call *call, struct server_object *served, const char *method)
{
    bool holds = false;
    int number = container_method_find(served->container, method);
    if (number < 0)
        return MPROC_NOT_FOUND;
    for (size_t i = 0; i < call->count; i++)
        if (!registry_knows_all(&call->server->registry, &call->args[i], true, &holds))
            return SERVER_BAD_REQUEST;
    served->holds = served->holds || holds;
    return container_call(served->container, served->object, (unsigned)number, call->args, call->count, call->result,
                          OS_NEVER);
}

/* What a method of the program's writes may borrow, so it is no owned value: it is answered and not freed. */
static int call_user(const struct call *call, struct server_object *served, const char *method)
{
    const mproc_manager_method *found = types_method(served->user, method);
    bool any = false;
    if (!found)
        return MPROC_NOT_FOUND;
    for (size_t i = 0; i < call->count; i++)
        if (!registry_knows_all(&call->server->registry, &call->args[i], false, &any))
            return SERVER_BAD_REQUEST;
    return found->function(served->object, call->args, call->count, call->result);
}

static int do_call(const struct call *call, const struct wire_request *request)
{
    if (request->object == 0)
        return call_server(call, request->method);
    struct server_object *served = registry_find(&call->server->registry, request->object);
    if (!served)
        return SERVER_BAD_REQUEST;
    if (served->waitable && waitable_has(served->waitable, request->method))
        return waitable_call(call->server, call->session, served, request, call->result);
    if (served->container)
        return call_container(call, served, request->method);
    return served->user ? call_user(call, served, request->method) : MPROC_NOT_FOUND;
}

static bool is_among(const char *name, const char *const names[])
{
    while (*names && strcmp(*names, name) != 0)
        names++;
    return *names != NULL;
}

/* Whether a snapshot may show what a request does. "get" takes an item out of a queue and nothing out of a dict. */
static bool may_change(const struct call *call, const struct wire_request *request)
{
    static const char *const of_server[] = {"make", "forget", NULL};
    static const char *const readers[] = {"get",   "get_slice", "copy",  "length", "contains",     "keys", "values",
                                          "items", "index",     "count", "read",   "element_size", NULL};
    static const char *const of_turns[] = {"size", "is_set", NULL};
    if (!request->object)
        return is_among(request->method, of_server);
    const struct server_object *served = registry_find(&call->server->registry, request->object);
    return served && (served->user || !is_among(request->method, served->waitable ? of_turns : readers));
}

/* Whether a request was sent again, after its connection was lost, and is done already. */
static bool is_done(struct server *server, struct session *session, uint64_t number)
{
    if (number > session->highest) {
        session->highest = number;
        return false;
    }
    if (session_has_answer(session, number))
        return true;
    if (number > session->forgotten)
        return false;
    session_answer(server, session, number, MPROC_SERVER_DIED, NULL);
    return true;
}

/* With a failure goes why, for who asked. */
static void answer(const struct call *call, int status, const char *cause)
{
    const mproc_value text = mproc_opaque(WIRE_CAUSE, cause, cause ? strlen(cause) : 0);
    bool is_told = status < 0 && cause && call->result->kind == MPROC_NIL;
    session_answer(call->server, call->session, call->number, status, is_told ? &text : call->result);
}

void request_do(struct server *server, struct session *session, const struct wire_request *request)
{
    mproc_value result = mproc_nil();
    const struct call call = {server, session, request->args, request->count, &result, request->number};

    if (server->stop_at && server->snapshot)
        return; /* it would not be in the file */
    if (is_done(server, session, request->number))
        return;
    if (may_change(&call, request))
        snapshot_note_change(server);
    unsigned before = failure_mark();
    failure_forget();
    int status = do_call(&call, request);
    if (status != SERVER_STATUS_END)
        answer(&call, status, failure_cause(before, status));
    mproc_value_free(&result);
    registry_look(server);
}
