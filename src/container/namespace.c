/* mproc_namespace: a dict whose keys are names. */
#include "container/dict.h"

#include "util/failure.h"
#include <errno.h>

struct mproc_namespace {
    struct container container;
};

enum {
    NAMESPACE_SET,
    NAMESPACE_GET,
    NAMESPACE_DELETE,
    NAMESPACE_COPY,
    NAMESPACE_METHODS
};

static int namespace_set(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    if (args[0].kind != MPROC_STRING)
        return failure(-EINVAL, "name is no string");
    return dict_put(&container_namespace, object, &args[0], &args[1], deadline);
}

static int namespace_get(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    return dict_look_up(&container_namespace, object, &args[0], result, deadline);
}

static int namespace_delete(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    return dict_take_out(&container_namespace, object, &args[0], NULL, deadline);
}

static int namespace_copy(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    return table_collect(&container_namespace, object, TABLE_MAP, result, deadline);
}

static const struct container_method methods[] = {
    [NAMESPACE_SET] = {"set", namespace_set, 2, {"name", "value"}, NULL},
    [NAMESPACE_GET] = {"get", namespace_get, 1, {"name"}, "value"},
    [NAMESPACE_DELETE] = {"delete", namespace_delete, 1, {"name"}, NULL},
    [NAMESPACE_COPY] = {"copy", namespace_copy, 0, {NULL}, "map"},
};

const struct container_type container_namespace = {
    .name = "namespace",
    .argument = "names",
    .type = MPROC_TYPE_NAMESPACE,
    .methods = methods,
    .method_count = NAMESPACE_METHODS,
    .holds = table_holds,
    .empty = table_empty,
    .renew = table_renew,
};

/* ---- the public functions ---- */

int mproc_namespace_create(mproc_namespace **names)
{
    return outcome(__func__, container_create(&container_namespace, (void **)names));
}

mproc_namespace *mproc_namespace_free(mproc_namespace *names)
{
    container_free(&container_namespace, names);
    return NULL;
}

int mproc_namespace_set(mproc_namespace *names, const char *name, mproc_value value, mproc_time timeout)
{
    if (!name)
        return refuse(__func__, "name is NULL");
    mproc_value args[] = {mproc_string(name), value};
    return outcome(__func__, container_call_for(&container_namespace, names, NAMESPACE_SET, args, 2, NULL, timeout));
}

int mproc_namespace_get(mproc_namespace *names, const char *name, mproc_value *value, mproc_time timeout)
{
    if (value)
        *value = mproc_nil();
    if (!name)
        return refuse(__func__, "name is NULL");
    mproc_value args[] = {mproc_string(name)};
    return outcome(__func__, container_call_for(&container_namespace, names, NAMESPACE_GET, args, 1, value, timeout));
}

int mproc_namespace_delete(mproc_namespace *names, const char *name, mproc_time timeout)
{
    if (!name)
        return refuse(__func__, "name is NULL");
    mproc_value args[] = {mproc_string(name)};
    return outcome(__func__, container_call_for(&container_namespace, names, NAMESPACE_DELETE, args, 1, NULL, timeout));
}

int mproc_namespace_copy(mproc_namespace *names, mproc_value *map, mproc_time timeout)
{
    return outcome(__func__, container_ask_for(&container_namespace, names, NAMESPACE_COPY, NULL, 0, map, timeout));
}
