/* The public functions of managers: starting a server, connecting to one, and asking it for objects. Called by users.
 */
#include "manager/client/proxy.h"

#include "crypto/mac.h"
#include "manager/server/server_memory.h"
#include "manager/server/server_setup.h"
#include "manager/server/types.h"
#include "os/allocate.h"
#include "os/fork.h"
#include "os/leave.h"
#include "os/socket_file.h"
#include "os/socket_folder.h"
#include "os/thread.h"
#include "util/failure.h"
#include "value/value.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#define START_TIME MPROC_SEC(30) /* for a server to say that it listens, and to let us in */
#define END_TIME   MPROC_SEC(1)  /* for one to end by itself */
#define SAVE_TIME  MPROC_SEC(30) /* for one to write its file before that */

/* ---- forks ---- */

/* All managers of this process, so that a fork finds them whole. Taken before the mutexes of their links. */
static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mproc_manager *managers;
static bool handles_forks;

static void before_fork(void)
{
    pthread_mutex_lock(&list_lock);
    for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked)
        pthread_mutex_lock(&manager->connection.mutex);
}

static void after_fork(void)
{
    for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked)
        pthread_mutex_unlock(&manager->connection.mutex);
    pthread_mutex_unlock(&list_lock);
}

static void in_child(void)
{
    for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked) {
        client_forget(&manager->connection);
        manager->server = NULL; /* it is our parent's */
        manager->server_memory = NULL;
        manager->folder[0] = 0;
    }
    os_mutex_reset(&list_lock, true);
}

static void enlist(struct mproc_manager *manager)
{
    pthread_mutex_lock(&list_lock);
    manager->next_forked = managers;
    managers = manager;
    pthread_mutex_unlock(&list_lock);
}

static void delist(struct mproc_manager *manager)
{
    pthread_mutex_lock(&list_lock);
    struct mproc_manager **at = &managers;
    while (*at && *at != manager)
        at = &(*at)->next_forked;
    if (*at)
        *at = manager->next_forked;
    pthread_mutex_unlock(&list_lock);
}

static int handle_forks(void)
{
    pthread_mutex_lock(&list_lock);
    int result = handles_forks ? 0 : -pthread_atfork(before_fork, after_fork, in_child);
    handles_forks = !result;
    pthread_mutex_unlock(&list_lock);
    return result;
}

/* ---- connections ---- */

static struct mproc_manager *make(const struct server_plan *plan)
{
    struct mproc_manager *manager = os_malloc(sizeof *manager);
    struct proxy **proxies = manager ? os_malloc(PROXY_BUCKETS * sizeof(struct proxy *)) : NULL;

    if (!proxies) {
        free(manager);
        return NULL;
    }
    memset(proxies, 0, PROXY_BUCKETS * sizeof(struct proxy *));
    *manager = (struct mproc_manager){.proxies = proxies,
                                      .connection = {.mutex = PTHREAD_MUTEX_INITIALIZER,
                                                     .way = plan->way,
                                                     .frame_most = plan->frame_most,
                                                     .arrived = proxy_arrived,
                                                     .renewed = proxy_renewed}};
    return manager;
}

static void destroy(struct mproc_manager *manager)
{
    delist(manager);
    client_close(&manager->connection);
    proxy_free_all(manager);
    pthread_mutex_destroy(&manager->connection.mutex);
    mac_forget(&manager->connection.way, sizeof manager->connection.way);
    free(manager);
}

/* The descriptor must not stay in a process that is forked meanwhile, so the manager is listed first. */
static int connect_by(const struct server_plan *plan, mproc_manager **manager, int64_t deadline)
{
    struct mproc_manager *made = make(plan);
    if (!made)
        return -ENOMEM;
    enlist(made);
    int result = client_open(&made->connection, deadline);
    if (result)
        destroy(made);
    else
        *manager = made;
    return result;
}

int mproc_manager_connect(mproc_manager **manager, const char *address, const mproc_manager_options *options,
                          mproc_time timeout)
{
    unsigned before = failure_mark();
    if (!manager)
        return refuse(__func__, "manager is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    *manager = NULL;
    struct server_plan *plan = os_malloc(sizeof *plan);
    if (!plan)
        return retold(__func__, before, -ENOMEM);
    int result = server_plan_check(plan, address, options);
    if (!result)
        result = address_check_whole(&plan->way.address);
    if (!result)
        result = handle_forks();
    if (!result)
        result = connect_by(plan, manager, os_deadline(timeout));
    mac_forget(plan, sizeof *plan);
    free(plan);
    return retold(__func__, before, os_outcome(result, timeout));
}

const char *mproc_manager_address(const mproc_manager *manager)
{
    return manager ? manager->connection.way.text : NULL;
}

/* ---- a server of our own ---- */

struct report {
    int result;
    char address[MPROC_ADDRESS_MAX];
    char cause[160]; /* of a failure; may be empty */
};

static void report(void *arg, int result, const char *address)
{
    struct report report = {.result = result};
    const char *cause = result ? failure_cause(failure_mark(), result) : NULL;
    snprintf(report.address, sizeof report.address, "%s", address);
    snprintf(report.cause, sizeof report.cause, "%s", cause ? cause : "");
    mproc_connection *parent = arg;
    mproc_connection_send(parent, &report, sizeof report, START_TIME);
    mproc_connection_free(parent);
}

static int be_server(void *arg)
{
    const struct server_plan *plan = arg;
    mproc_connection *parent = mproc_inherited_connection(0);
    int result = types_adopt(plan->types, plan->type_count);
    if (result)
        report(parent, result, "");
    return result || server_setup_run(plan, report, parent) ? 1 : 0;
}

/* The plan and, for a server that does not inherit them, the types that the program has registered. */
static int pack(const struct server_plan *plan, enum mproc_start_method method, struct server_plan **packed,
                size_t *size)
{
    struct function_reference *types = NULL;
    size_t count = 0;
    int result = 0;

    if (method == MPROC_START_DEFAULT)
        method = mproc_start_method_get();
    if (method != MPROC_START_FORK)
        result = types_refer(&types, &count);
    if (result)
        return result;
    *size = sizeof *plan + count * sizeof *types;
    *packed = os_malloc(*size);
    if (*packed) {
        memcpy(*packed, plan, sizeof *plan);
        (*packed)->type_count = count;
        if (count)
            memcpy((*packed)->types, types, count * sizeof *types);
    }
    free(types);
    return *packed ? 0 : -ENOMEM;
}

/* Start the server and learn its address. */
static int start_packed(const struct server_plan *plan, size_t size, enum mproc_start_method method,
                        mproc_process **server, struct report *report)
{
    mproc_connection *ours, *theirs;
    int result = mproc_pipe(&ours, &theirs, true);
    if (result)
        return result;
    const mproc_process_options options = {.name = "Manager",
                                           .arg_size = size,
                                           .method = method,
                                           .daemon = true,
                                           .connections = &theirs,
                                           .connection_count = 1};
    result = mproc_process_start(server, be_server, plan, &options);
    mproc_connection_free(theirs);
    if (!result)
        result = mproc_connection_recv(ours, report, sizeof *report, NULL, START_TIME);
    mproc_connection_free(ours);
    if (result == MPROC_CLOSED || result == MPROC_BROKEN)
        return MPROC_SERVER_DIED;
    if (!result && report->result && report->cause[0])
        failure(report->result, "%s", report->cause);
    return result ? result : report->result;
}

static int start(const struct server_plan *plan, enum mproc_start_method method, mproc_process **server,
                 struct report *report)
{
    struct server_plan *packed;
    size_t size;
    int result = pack(plan, method, &packed, &size);
    if (result)
        return result;
    result = start_packed(packed, size, method, server, report);
    mac_forget(packed, size);
    free(packed);
    return result;
}

static void end_process(mproc_process *server)
{
    if (!server)
        return;
    if (mproc_process_join(server, END_TIME)) {
        mproc_process_kill(server);
        if (mproc_process_join(server, MPROC_FOREVER)) /* it may have failed for once */
            mproc_process_join(server, MPROC_FOREVER);
    }
    mproc_process_free(server);
}

/* What a server that was killed has left of a socket in a folder of its own. */
static void remove_folder(const char *folder, const struct manager_address *way)
{
    if (!folder[0])
        return;
    os_socket_file_unlink(way->address.path);
    os_socket_folder_remove(folder);
}

static void find_folder(const struct manager_address *way, char folder[MPROC_ADDRESS_MAX])
{
    snprintf(folder, MPROC_ADDRESS_MAX, "%s", way->address.path);
    char *slash = strrchr(folder, '/');
    if (slash)
        *slash = 0;
    else
        folder[0] = 0;
}

/* ---- the program's end ---- */

/* The process in which the handler is, for a forked child has copies of handlers that are not its own. */
static pid_t watched;

/* Let the servers of this process end in good order before they are killed as its daemons. They are asked again, for
 * one that cannot save what it has goes on until then. Another thread may be in any call, so no manager is freed,
 * and the list is not waited for for long. */
static void end_servers(void)
{
    if (watched != getpid() || os_mutex_take(&list_lock, os_deadline(END_TIME)))
        return;
    bool any_is_left = true, any_saves = false;
    for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked)
        any_saves = any_saves || manager->server_saves;
    for (int64_t deadline = os_deadline(any_saves ? SAVE_TIME : END_TIME); any_is_left && os_until(deadline);) {
        any_is_left = false;
        for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked)
            if (manager->server && mproc_process_is_alive(manager->server))
                mproc_process_terminate(manager->server);
        for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked)
            if (manager->server && mproc_process_join(manager->server, END_TIME) == MPROC_TIMEOUT)
                any_is_left = true;
    }
    for (struct mproc_manager *manager = managers; manager; manager = manager->next_forked) {
        remove_folder(manager->folder, &manager->connection.way);
        if (!any_is_left)
            server_memory_free(manager->server_memory);
        manager->server_memory = NULL;
    }
    pthread_mutex_unlock(&list_lock);
}

static void end_with_program(void)
{
    os_leave(end_servers);
}

/* After the first start of a process, so that this is run before what kills the daemons. */
static void watch_exit(void)
{
    pthread_mutex_lock(&list_lock);
    if (watched != getpid() && atexit(end_with_program) == 0)
        watched = getpid();
    pthread_mutex_unlock(&list_lock);
}

static int create(struct server_plan *plan, mproc_manager **manager, enum mproc_start_method method)
{
    bool has_folder = plan->way.address.scheme == ADDRESS_UNIX && !plan->way.address.path[0];
    mproc_process *server = NULL;
    struct report report;

    int result = mproc_set_create(&plan->server_memory);
    if (!result)
        result = start(plan, method, &server, &report);
    if (!result)
        result = manager_address_parse(&plan->way, report.address);
    if (!result)
        result = connect_by(plan, manager, os_deadline(START_TIME));
    if (result) {
        if (server)
            mproc_process_kill(server);
        end_process(server);
        server_memory_free(plan->server_memory);
        return result;
    }
    (*manager)->server = server;
    (*manager)->server_saves = plan->snapshot_file[0];
    (*manager)->server_memory = plan->server_memory;
    if (has_folder)
        find_folder(&plan->way, (*manager)->folder);
    watch_exit();
    return 0;
}

int mproc_manager_create(mproc_manager **manager, const mproc_manager_options *options)
{
    unsigned before = failure_mark();
    if (!manager)
        return refuse(__func__, "manager is NULL");
    *manager = NULL;
    if (options && options->stop_fd)
        return refuse(__func__, "options.stop_fd is of mproc_manager_serve() only: end this server by "
                                "mproc_manager_shutdown()");
    struct server_plan *plan = os_malloc(sizeof *plan);
    if (!plan)
        return retold(__func__, before, -ENOMEM);
    int result = server_plan_check(plan, options && options->address ? options->address : "unix:", options);
    plan->is_child = true;
    plan->stop_fd = -1;
    if (!result)
        result = handle_forks();
    if (!result)
        result = create(plan, manager, options ? options->method : MPROC_START_DEFAULT);
    mac_forget(plan, sizeof *plan);
    free(plan);
    return retold(__func__, before, result);
}

/* ---- the end ---- */

static int call_server(mproc_manager *manager, const char *method, const mproc_value *args, size_t count,
                       mproc_time timeout)
{
    const struct client_request request = {.method = method, .args = args, .count = count};
    return os_outcome(proxy_call(manager, NULL, &request, NULL, os_deadline(timeout)), timeout);
}

int mproc_manager_shutdown(mproc_manager *manager, mproc_time timeout)
{
    unsigned before = failure_mark();
    if (!manager)
        return refuse(__func__, "manager is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int64_t deadline = os_deadline(timeout);
    int result = call_server(manager, "shutdown", NULL, 0, timeout);
    if (result || !manager->server)
        return retold(__func__, before, result);
    return retold(__func__, before, mproc_process_join(manager->server, os_timeout_left(deadline)));
}

int mproc_manager_save(mproc_manager *manager, mproc_time timeout)
{
    if (!manager)
        return refuse(__func__, "manager is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int result = call_server(manager, "save", NULL, 0, timeout);
    return outcome(__func__,
                   result == -EOPNOTSUPP ? failure(result, "the server has no options.snapshot_file") : result);
}

mproc_manager *mproc_manager_free(mproc_manager *manager)
{
    if (!manager)
        return NULL;
    failure_hold();
    if (manager->server && mproc_process_is_alive(manager->server))
        call_server(manager, "shutdown", NULL, 0, manager->server_saves ? SAVE_TIME : END_TIME);
    else if (manager->connection.is_connected && !manager->server)
        call_server(manager, "leave", NULL, 0, END_TIME);
    end_process(manager->server);
    server_memory_free(manager->server_memory);
    remove_folder(manager->folder, &manager->connection.way);
    destroy(manager);
    failure_release();
    return NULL;
}

/* ---- objects ---- */

struct wish {
    const char *type, *name, *argument; /* the last one as the public function calls it */
    const mproc_value *args;
    size_t count;
};

static int obtain(mproc_manager *manager, void **object, struct wish wish, mproc_time timeout)
{
    if (!object)
        return failure(-EINVAL, "%s is NULL", wish.argument);
    *object = NULL;
    if (!manager)
        return failure(-EINVAL, "manager is NULL");
    if (wish.name && !*wish.name)
        return failure(-EINVAL, "name is empty: NULL is for an object without one");
    if (!os_timeout_is_valid(timeout))
        return failure(-EINVAL, "timeout is negative");
    const mproc_value args[] = {mproc_string(wish.type), wish.name ? mproc_string(wish.name) : mproc_nil(),
                                mproc_list_of(wish.args, wish.count)};
    const struct client_request request = {.method = "make", .args = args, .count = 3, .is_new = true};
    mproc_value made = mproc_nil();
    int result = proxy_prepare(manager);
    if (!result)
        result = proxy_call(manager, NULL, &request, &made, os_deadline(timeout));
    if (result == -EEXIST)
        failure(result, "name is that of an object of another type");
    if (result == MPROC_NOT_FOUND)
        failure(result, "the server has no type of that name: register it before the server starts");
    if (!result && made.kind != MPROC_OBJECT)
        result = MPROC_SERVER_DIED;
    if (!result) {
        *object = made.object;
        proxy_remember(made.object, args, 3);
    }
    mproc_value_free(&made);
    return os_outcome(result, timeout);
}

int mproc_manager_dict(mproc_manager *manager, mproc_dict **dict, const char *name, mproc_time timeout)
{
    return outcome(__func__, obtain(manager, (void **)dict, (struct wish){"dict", name, "dict", NULL, 0}, timeout));
}

int mproc_manager_list(mproc_manager *manager, mproc_list **list, const char *name, mproc_time timeout)
{
    return outcome(__func__, obtain(manager, (void **)list, (struct wish){"list", name, "list", NULL, 0}, timeout));
}

int mproc_manager_set(mproc_manager *manager, mproc_set **set, const char *name, mproc_time timeout)
{
    return outcome(__func__, obtain(manager, (void **)set, (struct wish){"set", name, "set", NULL, 0}, timeout));
}

int mproc_manager_namespace(mproc_manager *manager, mproc_namespace **names, const char *name, mproc_time timeout)
{
    return outcome(__func__,
                   obtain(manager, (void **)names, (struct wish){"namespace", name, "names", NULL, 0}, timeout));
}

int mproc_manager_variable(mproc_manager *manager, mproc_variable **variable, const char *name, mproc_value value,
                           mproc_time timeout)
{
    if (variable)
        *variable = NULL;
    int result = value_check_argument(&value, "value");
    if (result)
        return outcome(__func__, result);
    return outcome(__func__,
                   obtain(manager, (void **)variable, (struct wish){"variable", name, "variable", &value, 1}, timeout));
}

int mproc_manager_array(mproc_manager *manager, mproc_array **array, const char *name, size_t count,
                        size_t element_size, mproc_time timeout)
{
    if (array)
        *array = NULL;
    if (count == 0 || count > INT64_MAX)
        return refuse(__func__, count ? "count is above INT64_MAX" : "count is 0");
    if (element_size == 0 || element_size > INT64_MAX)
        return refuse(__func__, element_size ? "element_size is above INT64_MAX" : "element_size is 0");
    const mproc_value args[] = {mproc_int((int64_t)count), mproc_int((int64_t)element_size)};
    return outcome(__func__, obtain(manager, (void **)array, (struct wish){"array", name, "array", args, 2}, timeout));
}

int mproc_manager_remote(mproc_manager *manager, mproc_remote **remote, enum mproc_remote_kind kind, int64_t number,
                         const char *name, mproc_time timeout)
{
    if (remote)
        *remote = NULL;
    if (kind < MPROC_REMOTE_LOCK || kind > MPROC_REMOTE_QUEUE)
        return refuse(__func__, "kind is none of enum mproc_remote_kind");
    if (number < 0)
        return refuse(__func__, "number is negative");
    if (kind == MPROC_REMOTE_BARRIER && number == 0)
        return refuse(__func__, "number is 0, which is no number of parties of a barrier");
    const mproc_value args[] = {mproc_int(kind), mproc_int(number)};
    return outcome(__func__,
                   obtain(manager, (void **)remote, (struct wish){"remote", name, "remote", args, 2}, timeout));
}

int mproc_manager_object(mproc_manager *manager, mproc_object **object, const char *type, const char *name,
                         const mproc_value *args, size_t count, mproc_time timeout)
{
    char full[256];
    if (object)
        *object = NULL;
    if (!type)
        return refuse(__func__, "type is NULL");
    if (!args && count)
        return refuse(__func__, "args is NULL, but count is not 0");
    if ((size_t)snprintf(full, sizeof full, "type:%s", type) >= sizeof full)
        return refuse(__func__, "type is too long");
    return outcome(__func__,
                   obtain(manager, (void **)object, (struct wish){full, name, "object", args, count}, timeout));
}

int mproc_manager_forget(mproc_manager *manager, const char *name, mproc_time timeout)
{
    if (!manager)
        return refuse(__func__, "manager is NULL");
    if (!name)
        return refuse(__func__, "name is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    const mproc_value value = mproc_string(name);
    return outcome(__func__, call_server(manager, "forget", &value, 1, timeout));
}
