/* mproc_variable: one value. Its table is one block, the value's stored form: commit and recovery are those of the
 * container. */
#include "container/making.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>

struct mproc_variable {
    struct container container;
};

struct variable_value {
    uint64_t size;
    unsigned char bytes[];
};

enum {
    VARIABLE_SET,
    VARIABLE_GET,
    VARIABLE_METHODS
};

static int variable_put(struct container *container, const mproc_value *value)
{
    void *block;
    size_t size = value_encoded_size(value);
    int result = heap_alloc(sizeof(struct variable_value) + size, &container->arriving, &block);
    if (result)
        return result;
    struct variable_value *made = block;
    made->size = size;
    value_encode_into(value, made->bytes);
    container_swap_table(&container_variable, container, (uintptr_t)made, false);
    return 0;
}

static int variable_set(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)result;
    int status = container_lock(&container_variable, object, deadline);
    if (status)
        return status;
    status = variable_put(object, &args[0]);
    container_unlock(object);
    return status;
}

static int variable_get(void *object, const mproc_value *args, mproc_value *result, int64_t deadline)
{
    (void)args;
    int status = container_lock(&container_variable, object, deadline);
    if (status)
        return status;
    const struct variable_value *held = (const struct variable_value *)container_table(object);
    if (!held) /* one died as it freed it */
        status = failure(-EINVAL, "variable is being freed");
    else if (result)
        status = value_decode(result, held->bytes, held->size);
    container_unlock(object);
    return status;
}

static const struct container_method methods[] = {
    [VARIABLE_SET] = {"set", variable_set, 1, {"value"}, NULL},
    [VARIABLE_GET] = {"get", variable_get, 0, {NULL}, "value"},
};

const struct container_type container_variable = {
    .name = "variable",
    .argument = "variable",
    .type = MPROC_TYPE_VARIABLE,
    .methods = methods,
    .method_count = VARIABLE_METHODS,
};

/* ---- the public functions ---- */

int mproc_variable_create(mproc_variable **variable, mproc_value value)
{
    unsigned before = failure_mark();
    if (!variable)
        return refuse(__func__, "variable is NULL");
    *variable = NULL;
    struct making *making;
    void *made;
    int result = value_check_argument(&value, "value");
    if (!result)
        result = making_begin(sizeof **variable, (void **)variable, &making, &made);
    if (result)
        return retold(__func__, before, result);
    making_holds(making);
    result = variable_put(made, &value);
    if (result) {
        making_give_up(making);
        return retold(__func__, before, result);
    }
    making_finish(making, &container_variable, (void **)variable);
    return 0;
}

mproc_variable *mproc_variable_free(mproc_variable *variable)
{
    container_free(&container_variable, variable);
    return NULL;
}

int mproc_variable_set(mproc_variable *variable, mproc_value value, mproc_time timeout)
{
    return outcome(__func__, container_call_for(&container_variable, variable, VARIABLE_SET, &value, 1, NULL, timeout));
}

int mproc_variable_get(mproc_variable *variable, mproc_value *value, mproc_time timeout)
{
    return outcome(__func__, container_ask_for(&container_variable, variable, VARIABLE_GET, NULL, 0, value, timeout));
}
