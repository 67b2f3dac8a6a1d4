/* Proxies, as proxy.h says: objects in values become numbers on the way out and proxies on the way in, and the server
 * is told which are given back. */
#include "manager/client/proxy.h"

#include "container/container.h"
#include "os/allocate.h"
#include "os/listed.h"
#include "util/failure.h"
#include <errno.h>

#define GRACE OS_SEC(5)
#define STAMP UINT64_C(0x79786f72706d5043)

static uint64_t stamp_of(const struct proxy *proxy)
{
    return STAMP ^ (uintptr_t)proxy;
}

struct proxy *proxy_of(const void *object)
{
    struct proxy *proxy = (struct proxy *)(uintptr_t)object;
    bool is_one = proxy && !region_contains(proxy) && (uintptr_t)proxy % _Alignof(struct proxy) == 0 &&
                  proxy->stamp == stamp_of(proxy);
    return is_one ? proxy : NULL;
}

/* ---- which there are ---- */

static struct proxy **bucket_of(const struct mproc_manager *manager, uint64_t id)
{
    return &manager->proxies[(id * UINT64_C(0x9e3779b97f4a7c15) >> 32) % PROXY_BUCKETS];
}

static struct proxy *find(const struct mproc_manager *manager, uint64_t id)
{
    struct proxy *proxy = *bucket_of(manager, id);
    while (proxy && (proxy->id != id || proxy->epoch != manager->connection.epoch))
        proxy = proxy->next;
    return proxy;
}

static struct proxy *find_or_make(struct mproc_manager *manager, uint64_t id, uint32_t type)
{
    struct proxy *proxy = find(manager, id);
    if (proxy)
        return proxy;
    proxy = os_malloc(sizeof *proxy);
    if (!proxy) {
        proxy = manager->spare;
        manager->spare = NULL;
    }
    if (!proxy)
        return NULL;
    struct proxy **bucket = bucket_of(manager, id);
    *proxy = (struct proxy){.stamp = stamp_of(proxy),
                            .manager = manager,
                            .id = id,
                            .type = (enum mproc_type)type,
                            .epoch = manager->connection.epoch,
                            .next = *bucket};
    *bucket = proxy;
    return proxy;
}

int proxy_prepare(struct mproc_manager *manager)
{
    pthread_mutex_lock(&manager->connection.mutex);
    if (!manager->spare)
        manager->spare = os_malloc(sizeof *manager->spare);
    int result = manager->spare ? 0 : -ENOMEM;
    pthread_mutex_unlock(&manager->connection.mutex);
    return result;
}

static void unlink_proxy(struct proxy *proxy)
{
    struct proxy **at = bucket_of(proxy->manager, proxy->id);
    while (*at != proxy)
        at = &(*at)->next;
    *at = proxy->next;
}

static void free_proxy(struct proxy *proxy)
{
    proxy->stamp = 0;
    mproc_value_free(&proxy->remake);
    free(proxy);
}

void proxy_release(struct proxy *proxy)
{
    struct client_connection *connection = &proxy->manager->connection;
    pthread_mutex_lock(&connection->mutex);
    proxy->holders -= proxy->holders > 0;
    if (!proxy->holders && !proxy->is_found) {
        const mproc_value args[] = {mproc_int((int64_t)proxy->id), mproc_int((int64_t)proxy->seen)};
        if (proxy->epoch == connection->epoch)
            client_tell(connection, "release", args, 2);
        unlink_proxy(proxy);
        free_proxy(proxy);
    }
    pthread_mutex_unlock(&connection->mutex);
}

void proxy_free_all(struct mproc_manager *manager)
{
    for (size_t i = 0; i < PROXY_BUCKETS; i++) {
        for (struct proxy *proxy = manager->proxies[i], *next; proxy; proxy = next) {
            next = proxy->next;
            free_proxy(proxy);
        }
    }
    free(manager->spare);
    free(manager->proxies);
}

/* ---- values on their way ---- */

static int arrive(struct mproc_manager *manager, mproc_value *value, bool is_new)
{
    int result = 0;
    if (value->kind == MPROC_OBJECT) {
        struct proxy *proxy = find_or_make(manager, (uintptr_t)value->object, value->tag);
        if (!proxy) {
            const mproc_value args[] = {mproc_int((int64_t)(uintptr_t)value->object), mproc_int(1)};
            client_tell(&manager->connection, "release", args, 2);
            return -ENOMEM;
        }
        proxy->seen++;
        proxy->holders += is_new;
        proxy->is_found = proxy->is_found || !is_new;
        value->object = proxy;
    }
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size && !result; i++)
        result = arrive(manager, (mproc_value *)(uintptr_t)&value->items[i], is_new);
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size && !result; i++) {
        result = arrive(manager, (mproc_value *)(uintptr_t)&value->pairs[i].key, is_new);
        if (!result)
            result = arrive(manager, (mproc_value *)(uintptr_t)&value->pairs[i].value, is_new);
    }
    return result;
}

/* Where there is no memory for a proxy its answer is an error, and the reference is given back. */
int proxy_arrived(struct client_connection *connection, mproc_value *answer, bool is_new)
{
    return arrive((struct mproc_manager *)connection, answer, is_new);
}

/* The server does not know this client, or this is a forked child: tell it what we have. */
void proxy_renewed(struct client_connection *connection)
{
    struct mproc_manager *manager = (struct mproc_manager *)connection;
    for (size_t i = 0; i < PROXY_BUCKETS; i++) {
        for (struct proxy *proxy = manager->proxies[i]; proxy; proxy = proxy->next) {
            const mproc_value id = mproc_int((int64_t)proxy->id);
            proxy->seen = 1;
            if (proxy->epoch == connection->epoch)
                client_tell(connection, "adopt", &id, 1);
        }
    }
}

static bool has_objects(const mproc_value *value)
{
    if (value->kind == MPROC_OBJECT)
        return true;
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size; i++)
        if (has_objects(&value->items[i]))
            return true;
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size; i++)
        if (has_objects(&value->pairs[i].key) || has_objects(&value->pairs[i].value))
            return true;
    return false;
}

/* In a copy: proxies of this manager become numbers. Anything else is no object there: -EINVAL. With the mutex. */
static int depart(const struct mproc_manager *manager, mproc_value *value, unsigned epoch)
{
    int result = 0;
    if (value->kind == MPROC_OBJECT) {
        const struct proxy *proxy = proxy_of(value->object);
        if (!proxy || proxy->manager != manager || proxy->type != (enum mproc_type)value->tag)
            return failure(-EINVAL, "an object among the arguments is no proxy of this manager");
        if (proxy->epoch != epoch) /* another server may have given its number to another object */
            return MPROC_SERVER_DIED;
        value->object = (void *)(uintptr_t)proxy->id; // NOLINT: objects are numbers there
    }
    for (size_t i = 0; value->kind == MPROC_LIST && i < value->size && !result; i++)
        result = depart(manager, (mproc_value *)(uintptr_t)&value->items[i], epoch);
    for (size_t i = 0; value->kind == MPROC_MAP && i < value->size && !result; i++) {
        result = depart(manager, (mproc_value *)(uintptr_t)&value->pairs[i].key, epoch);
        if (!result)
            result = depart(manager, (mproc_value *)(uintptr_t)&value->pairs[i].value, epoch);
    }
    return result;
}

int proxy_request(struct mproc_manager *manager, const struct proxy *proxy, struct client_request *request,
                  mproc_value *copy)
{
    const mproc_value args = mproc_list_of(request->args, request->count);

    *copy = mproc_nil();
    pthread_mutex_lock(&manager->connection.mutex);
    request->object = proxy ? proxy->id : 0;
    request->epoch = proxy ? proxy->epoch : manager->connection.epoch;
    pthread_mutex_unlock(&manager->connection.mutex);
    request->has_objects = has_objects(&args);
    if (!request->has_objects)
        return 0;
    int result = mproc_value_copy(copy, args);
    pthread_mutex_lock(&manager->connection.mutex);
    if (!result)
        result = depart(manager, copy, request->epoch);
    pthread_mutex_unlock(&manager->connection.mutex);
    request->args = copy->items;
    return result;
}

/* The timeout of what waits in the server is for that alone. */
static int64_t patient(int64_t deadline)
{
    int64_t least = os_now() + GRACE;
    return deadline < least ? least : deadline;
}

int proxy_call(struct mproc_manager *manager, struct proxy *proxy, const struct client_request *request,
               mproc_value *result, int64_t deadline)
{
    struct client_request with_numbers = *request;
    mproc_value copy = mproc_nil();

    int status = proxy ? proxy_revive(proxy, request->server_waits ? patient(deadline) : deadline) : 0;
    if (!status)
        status = proxy_request(manager, proxy, &with_numbers, &copy);
    if (!status)
        status = client_call(&manager->connection, &with_numbers, result, deadline);
    mproc_value_free(&copy);
    if (proxy && status == MPROC_SERVER_DIED) {
        pthread_mutex_lock(&manager->connection.mutex);
        proxy_note(proxy, status);
        pthread_mutex_unlock(&manager->connection.mutex);
    }
    return status;
}

/* ---- after the death of a server ----
 *
 * A call with a proxy whose server is gone is MPROC_SERVER_DIED, once at least: its user must learn that the object may
 * be another one. After that a proxy with a name asks for the object as it was asked for at first, and stands for what
 * it gets. */

void proxy_remember(struct proxy *proxy, const mproc_value *args, size_t count)
{
    const mproc_value all = mproc_list_of(args, count);
    mproc_value copy = mproc_nil();

    if (args[1].kind == MPROC_NIL || has_objects(&all)) /* which might be gone by then */
        return;
    pthread_mutex_lock(&proxy->manager->connection.mutex);
    if (proxy->remake.kind == MPROC_NIL && mproc_value_copy(&copy, all) == 0)
        proxy->remake = copy;
    pthread_mutex_unlock(&proxy->manager->connection.mutex);
}

void proxy_note_if_there(const struct mproc_manager *manager, const void *object)
{
    for (size_t i = 0; i < PROXY_BUCKETS; i++)
        for (struct proxy *proxy = manager->proxies[i]; proxy; proxy = proxy->next)
            if (proxy == object)
                proxy_note(proxy, MPROC_SERVER_DIED);
}

/* What was found is the proxy itself where only the connection was lost. It has one holder more, which is this. */
static void take_over(struct proxy *proxy, struct proxy *found)
{
    found->holders--;
    proxy->is_told = false;
    if (found == proxy)
        return;
    found->seen--;
    unlink_proxy(proxy);
    proxy->id = found->id;
    proxy->epoch = found->epoch;
    proxy->seen = 1;
    struct proxy **bucket = bucket_of(proxy->manager, proxy->id);
    proxy->next = *bucket;
    *bucket = proxy;
    if (!found->holders && !found->is_found) {
        unlink_proxy(found);
        free_proxy(found);
    }
}

static bool is_to_be_revived(struct proxy *proxy, unsigned *epoch)
{
    struct client_connection *connection = &proxy->manager->connection;
    pthread_mutex_lock(&connection->mutex);
    *epoch = connection->epoch;
    bool result = proxy->is_told && proxy->remake.kind == MPROC_LIST &&
                  (proxy->epoch != connection->epoch || !connection->is_connected);
    pthread_mutex_unlock(&connection->mutex);
    return result;
}

/* One try. *is_new: there is another server than before, which has not been asked. */
static int find_again(struct proxy *proxy, unsigned before, bool *is_new, int64_t deadline)
{
    struct mproc_manager *manager = proxy->manager;
    const struct client_request request = {
        .method = "make", .args = proxy->remake.items, .count = proxy->remake.size, .is_new = true};
    mproc_value made = mproc_nil();

    int status = proxy_prepare(manager);
    if (!status)
        status = client_call(&manager->connection, &request, &made, deadline);
    pthread_mutex_lock(&manager->connection.mutex);
    *is_new = manager->connection.epoch != before;
    if (!status && made.kind == MPROC_OBJECT)
        take_over(proxy, made.object);
    else if (!status)
        status = MPROC_SERVER_DIED;
    pthread_mutex_unlock(&manager->connection.mutex);
    mproc_value_free(&made);
    return status;
}

int proxy_revive(struct proxy *proxy, int64_t deadline)
{
    unsigned epoch;
    bool is_new = true;
    int status = 0;
    for (int i = 0; i < 3 && is_new && is_to_be_revived(proxy, &epoch); i++)
        status = find_again(proxy, epoch, &is_new, deadline);
    return status;
}

/* ---- as the containers see them ---- */

static enum mproc_type hook_type(const void *object)
{
    const struct proxy *proxy = proxy_of(object);
    return proxy ? proxy->type : (enum mproc_type)0;
}

static int hook_call(void *object, unsigned method, const mproc_value *args, size_t count, mproc_value *result,
                     int64_t deadline)
{
    struct proxy *proxy = proxy_of(object);
    const struct container_type *type = proxy ? container_type_numbered(proxy->type) : NULL;
    if (!type || method >= type->method_count)
        return failure(-EINVAL, "the object is no proxy of a manager");
    const struct client_request request = {.method = type->methods[method].name, .args = args, .count = count};
    return proxy_call(proxy->manager, proxy, &request, result, deadline);
}

static void hook_release(void *object)
{
    struct proxy *proxy = proxy_of(object);
    if (proxy)
        proxy_release(proxy);
}

static const struct container_proxies hooks = {hook_type, hook_call, hook_release};

static const struct container_proxies *const listed OS_LISTED("mproc_proxies") = &hooks;
