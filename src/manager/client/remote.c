/* The public functions for locks, queues and the like of a server, and for types of the program's own: thin calls of
 * methods by name. */
#include "manager/client/proxy.h"
#include "os/crash.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <string.h>

/* ---- locks, queues and the like ---- */

static struct proxy *proxy_of_remote(const mproc_remote *remote)
{
    struct proxy *proxy = proxy_of(remote);
    return proxy && proxy_is_remote(proxy) ? proxy : NULL;
}

mproc_remote *mproc_remote_free(mproc_remote *remote)
{
    struct proxy *proxy = proxy_of_remote(remote);
    if (proxy)
        proxy_release(proxy);
    return NULL;
}

/* What these methods have beside their arguments. */
static const struct {
    const char *name;
    bool has_thread, waits;
} methods[] = {
    {"acquire", true, true}, {"release", true, false}, {"wait", true, true},  {"notify", true, false},
    {"put", false, true},    {"get", false, true},     {"join", false, true},
};

bool proxy_complete(const char *method, mproc_value *args, size_t *count, mproc_time timeout)
{
    for (size_t i = 0; i < sizeof methods / sizeof *methods; i++) {
        if (strcmp(methods[i].name, method) != 0)
            continue;
        if (methods[i].has_thread)
            args[(*count)++] = mproc_int(os_thread_id());
        if (methods[i].waits)
            args[(*count)++] = mproc_int(timeout.nanoseconds);
        return methods[i].waits;
    }
    return false;
}

/* value: its first argument, or NULL. */
static int ask(const mproc_remote *remote, const char *method, const mproc_value *value, mproc_value *result,
               mproc_time timeout)
{
    struct proxy *proxy = proxy_of_remote(remote);
    mproc_value args[3];
    size_t count = 0;

    if (!proxy)
        return failure(-EINVAL, "remote is NULL, or no remote object that is in use");
    if (!os_timeout_is_valid(timeout))
        return failure(-EINVAL, "timeout is negative");
    int wrong = value ? value_check_argument(value, "value") : 0;
    if (wrong)
        return wrong;
    if (value)
        args[count++] = *value;
    bool waits = proxy_complete(method, args, &count, timeout);
    const struct client_request request = {.method = method, .args = args, .count = count, .server_waits = waits};
    /* The lock of a condition may be another's for as long as that likes. */
    bool is_patient = (unsigned)proxy->type == MPROC_REMOTE_CONDITION && strcmp(method, "wait") == 0;
    return proxy_call(proxy->manager, proxy, &request, result, is_patient ? OS_NEVER : os_deadline(timeout));
}

int mproc_remote_acquire(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "acquire", NULL, NULL, timeout));
}

int mproc_remote_release(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "release", NULL, NULL, timeout));
}

int mproc_remote_set(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "set", NULL, NULL, timeout));
}

int mproc_remote_clear(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "clear", NULL, NULL, timeout));
}

int mproc_remote_is_set(mproc_remote *remote, bool *is_set, mproc_time timeout)
{
    unsigned before = failure_mark();
    mproc_value found = mproc_nil();
    if (!is_set)
        return refuse(__func__, "is_set is NULL");
    int result = ask(remote, "is_set", NULL, &found, timeout);
    *is_set = !result && found.kind == MPROC_BOOL && found.boolean;
    mproc_value_free(&found);
    return retold(__func__, before, result);
}

int mproc_remote_wait(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "wait", NULL, NULL, timeout));
}

int mproc_remote_notify(mproc_remote *remote, size_t count, mproc_time timeout)
{
    const mproc_value most = mproc_int(count > INT64_MAX ? INT64_MAX : (int64_t)count);
    return outcome(__func__, ask(remote, "notify", &most, NULL, timeout));
}

int mproc_remote_abort(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "abort", NULL, NULL, timeout));
}

int mproc_remote_reset(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "reset", NULL, NULL, timeout));
}

int mproc_remote_put(mproc_remote *remote, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "put", &value, NULL, timeout));
}

int mproc_remote_get(mproc_remote *remote, mproc_value *value, mproc_time timeout)
{
    if (!value)
        return refuse(__func__, "value is NULL");
    *value = mproc_nil();
    return outcome(__func__, ask(remote, "get", NULL, value, timeout));
}

int mproc_remote_size(mproc_remote *remote, size_t *size, mproc_time timeout)
{
    unsigned before = failure_mark();
    mproc_value found = mproc_nil();
    if (!size)
        return refuse(__func__, "size is NULL");
    int result = ask(remote, "size", NULL, &found, timeout);
    *size = !result && found.kind == MPROC_INT ? (size_t)found.integer : 0;
    mproc_value_free(&found);
    return retold(__func__, before, result);
}

int mproc_remote_task_done(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "task_done", NULL, NULL, timeout));
}

int mproc_remote_join(mproc_remote *remote, mproc_time timeout)
{
    return outcome(__func__, ask(remote, "join", NULL, NULL, timeout));
}

/* ---- types of the program's own ---- */

static struct proxy *proxy_of_object(const mproc_object *object)
{
    struct proxy *proxy = proxy_of(object);
    return proxy && proxy->type == MPROC_TYPE_USER ? proxy : NULL;
}

mproc_object *mproc_object_free(mproc_object *object)
{
    struct proxy *proxy = proxy_of_object(object);
    if (proxy)
        proxy_release(proxy);
    return NULL;
}

int mproc_object_call(mproc_object *object, const char *method, const mproc_value *args, size_t count,
                      mproc_value *result, mproc_time timeout)
{
    struct proxy *proxy = proxy_of_object(object);
    if (result)
        *result = mproc_nil();
    if (!proxy)
        return refuse(__func__, "the object is no proxy of a manager");
    if (!method)
        return refuse(__func__, "method is NULL");
    if (!args && count)
        return refuse(__func__, "args is NULL, but count is not 0");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    const struct client_request request = {.method = method, .args = args, .count = count};
    return outcome(__func__,
                   os_outcome(proxy_call(proxy->manager, proxy, &request, result, os_deadline(timeout)), timeout));
}
