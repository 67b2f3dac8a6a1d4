/* Many calls at a time: several requests go to the server before the first answer comes. Called by users. */
#include "manager/client/proxy.h"

#include "os/allocate.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

struct mproc_batch {
    struct mproc_manager *manager;
    struct client_waiter waiter;
    unsigned forks; /* of the link when it was sent */
    bool is_over;   /* all is written */
    mproc_call *calls;
    size_t count;
    struct client_call *begun[];
};

/* How long bringing back the proxies of a server that died may take where no timeout says so. */
#define REVIVE_TIME OS_SEC(5)

/* ---- making requests ---- */

#define COMPLETED 8 /* arguments of a lock's, a queue's or the like's method, and more than those have */

/* What is wrong with a call, or NULL. */
static const char *wrong_call(const struct mproc_manager *manager, const mproc_call *call)
{
    const struct proxy *proxy = proxy_of(call->object);
    if (!proxy || proxy->manager != manager)
        return "object is no proxy of this manager";
    if (!call->method)
        return "method is NULL";
    return !call->args && call->count ? "args is NULL, but count is not 0" : NULL;
}

static int make(struct mproc_manager *manager, const mproc_call *call, struct client_call **made)
{
    const struct proxy *proxy = proxy_of(call->object);
    mproc_value completed[COMPLETED + 2], copy;

    struct client_request request = {.method = call->method, .args = call->args, .count = call->count};
    if (proxy_is_remote(proxy) && call->count <= COMPLETED) {
        if (call->count)
            memcpy(completed, call->args, call->count * sizeof *completed);
        request.server_waits = proxy_complete(call->method, completed, &request.count, MPROC_NOWAIT);
        request.args = completed;
    }
    int result = proxy_request(manager, proxy, &request, &copy);
    if (!result)
        result = client_make(&manager->connection, &request, made);
    mproc_value_free(&copy);
    return result;
}

static void begin(struct mproc_batch *batch)
{
    struct client_connection *connection = &batch->manager->connection;
    pthread_mutex_lock(&connection->mutex);
    batch->forks = connection->forks;
    for (size_t i = 0; i < batch->count; i++)
        client_begin(connection, batch->begun[i], &batch->waiter);
    client_flush(connection);
    pthread_mutex_unlock(&connection->mutex);
}

static int make_all(struct mproc_batch *batch)
{
    for (size_t i = 0; i < batch->count; i++) {
        const char *wrong = wrong_call(batch->manager, &batch->calls[i]);
        int result = wrong ? failure(-EINVAL, "calls[%zu].%s", i, wrong)
                           : make(batch->manager, &batch->calls[i], &batch->begun[i]);
        if (!result)
            continue;
        while (i--)
            client_end(&batch->manager->connection, batch->begun[i], NULL);
        return result;
    }
    return 0;
}

/* What is wrong with them, or NULL. */
static const char *wrong_calls(const mproc_manager *manager, const mproc_call *calls, size_t count)
{
    if (!manager)
        return "manager is NULL";
    if (!calls)
        return "calls is NULL";
    if (count == 0)
        return "count is 0";
    if (count > UINT32_MAX)
        return "count is above 2^32 - 1";
    return NULL;
}

/* A proxy that is not, for whatever reason, is answered by its own call. */
static void revive(const struct mproc_manager *manager, const mproc_call *calls, size_t count, int64_t deadline)
{
    for (size_t i = 0; i < count; i++) {
        struct proxy *proxy = proxy_of(calls[i].object);
        if (proxy && proxy->manager == manager && proxy_revive(proxy, deadline) == MPROC_TIMEOUT)
            return;
    }
}

static int send_all(mproc_manager *manager, mproc_call *calls, size_t count, mproc_batch **batch, int64_t deadline)
{
    revive(manager, calls, count, deadline);
    struct mproc_batch *made = os_malloc(sizeof *made + count * sizeof *made->begun);
    if (!made)
        return -ENOMEM;
    *made = (struct mproc_batch){
        .manager = manager, .waiter = {.wake = PTHREAD_COND_INITIALIZER}, .calls = calls, .count = count};
    int result = make_all(made);
    if (result) {
        free(made);
        return result;
    }
    begin(made);
    *batch = made;
    return 0;
}

int mproc_manager_send(mproc_manager *manager, mproc_call *calls, size_t count, mproc_batch **batch)
{
    if (!batch)
        return refuse(__func__, "batch is NULL");
    *batch = NULL;
    const char *wrong = wrong_calls(manager, calls, count);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    return outcome(__func__, send_all(manager, calls, count, batch, os_now() + REVIVE_TIME));
}

/* ---- answers ---- */

/* The calls that a parent has begun are in the list of a link that this process does not have. */
static void write_answer(struct mproc_batch *batch, size_t i)
{
    mproc_call *call = &batch->calls[i];
    call->result = mproc_nil();
    if (batch->forks == batch->manager->connection.forks)
        call->status = client_end(&batch->manager->connection, batch->begun[i], &call->result);
    else
        call->status = MPROC_SERVER_DIED;
    if (call->status == MPROC_SERVER_DIED)
        proxy_note_if_there(batch->manager, call->object);
}

static void finish(struct mproc_batch *batch)
{
    if (batch->is_over)
        return;
    for (size_t i = 0; i < batch->count; i++)
        write_answer(batch, i);
    batch->is_over = true;
}

int mproc_batch_wait(mproc_batch *batch, mproc_time timeout)
{
    if (!batch)
        return refuse(__func__, "batch is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    struct client_connection *connection = &batch->manager->connection;
    int result = 0;
    pthread_mutex_lock(&connection->mutex);
    if (!batch->is_over && batch->forks == connection->forks)
        result = client_await(connection, &batch->waiter, os_deadline(timeout));
    if (!result)
        finish(batch);
    pthread_mutex_unlock(&connection->mutex);
    return outcome(__func__, os_outcome(result, timeout));
}

mproc_batch *mproc_batch_free(mproc_batch *batch)
{
    if (!batch)
        return NULL;
    failure_hold();
    struct client_connection *connection = &batch->manager->connection;
    pthread_mutex_lock(&connection->mutex);
    finish(batch);
    bool is_ours = batch->forks == connection->forks;
    pthread_mutex_unlock(&connection->mutex);
    if (is_ours) /* else a thread may wait that is not here */
        pthread_cond_destroy(&batch->waiter.wake);
    free(batch);
    failure_release();
    return NULL;
}

int mproc_manager_call(mproc_manager *manager, mproc_call *calls, size_t count, mproc_time timeout)
{
    unsigned before = failure_mark();
    mproc_batch *batch;
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    const char *wrong = wrong_calls(manager, calls, count);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    int result = send_all(manager, calls, count, &batch, os_deadline(timeout));
    if (result)
        return outcome(__func__, result);
    result = mproc_batch_wait(batch, timeout);
    mproc_batch_free(batch);
    return retold(__func__, before, result);
}
