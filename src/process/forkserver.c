/* The host's side of the fork server: starts the server when it is first needed, sends it requests, and starts another
 * one when it has died. One server per process: a forked child that needs one starts its own. */
#include "process/forkserver.h"

#include "arena/region.h"
#include "connection/connection.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/file.h"
#include "os/fork.h"
#include "os/identity.h"
#include "os/leave.h"
#include "os/packet.h"
#include "os/pidfd.h"
#include "os/poll.h"
#include "os/socket.h"
#include "process/exec_child.h"
#include "process/forkserver_main.h"
#include "process/parent_tie.h"
#include "process/streams.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How long a server that is no longer wanted may take for what was sent to it before. */
#define RETIRE_TIME OS_SEC(2)

/* How often a server that died under a request is replaced before the start fails. */
#define ATTEMPTS 3

/* Held while the server is started and while a request is sent, and across every fork(): so no child inherits an end of
 * a report, and the end of file there can be trusted. Taken before the process lock. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
struct server {
    struct mproc_process handle; /* not listed; pid 0: there is no server */
    int requests;                /* our end of the socket */
    unsigned number;             /* which one it is; grows */
    struct os_identity identity; /* what the host was when it started it */
};

static struct server *server; /* under lock; NULL until one is wanted */
static char **libraries;      /* to be loaded by the server; under lock */

/* With the lock. */
static OS_FORK_PATH bool has_server(void)
{
    return server && server->handle.pid;
}

void forkserver_before_fork(void)
{
    os_mutex_lock(&lock);
}

void forkserver_after_fork_in_parent(void)
{
    pthread_mutex_unlock(&lock);
}

OS_FORK_PATH void forkserver_after_fork_in_child(void)
{
    if (has_server()) {
        os_close(server->requests);
        os_close(server->handle.pidfd);
        server->handle.pid = 0;
    }
    os_mutex_reset(&lock, true);
}

pid_t forkserver_pid(void)
{
    os_mutex_lock(&lock);
    pid_t pid = has_server() ? server->handle.pid : 0;
    pthread_mutex_unlock(&lock);
    return pid;
}

/* ---- the objects to load ---- */

static void free_list(char **list)
{
    for (size_t i = 0; list && list[i]; i++)
        free(list[i]);
    free(list);
}

/* A name with a slash is a path, which is to hold wherever the program goes before the server is started. */
static char *copy_name(const char *name)
{
    char path[PATH_MAX];
    if (strchr(name, '/') && os_absolute_path(name, path, sizeof path) == 0)
        name = path;
    size_t size = strlen(name) + 1;
    char *copy = os_malloc(size);
    return copy ? memcpy(copy, name, size) : NULL;
}

static char **copy_list(const char *const *names, size_t count)
{
    char **list = os_malloc((count + 1) * sizeof *list);
    if (!list)
        return NULL;
    memset(list, 0, (count + 1) * sizeof *list);
    for (size_t i = 0; i < count; i++) {
        list[i] = copy_name(names[i]);
        if (!list[i]) {
            free_list(list);
            return NULL;
        }
    }
    return list;
}

int mproc_forkserver_preload(const char *const *names, size_t count)
{
    if (!names && count)
        return refuse(__func__, "libraries is NULL, but count is not 0");
    for (size_t i = 0; i < count; i++)
        if (!names[i] || !names[i][0])
            return refuse(__func__, "libraries[%zu] is NULL or empty", i);
    char **list = copy_list(names, count);
    if (!list)
        return outcome(__func__, -ENOMEM);
    os_mutex_lock(&lock);
    int result = has_server() ? failure(-EBUSY, "the fork server runs already") : 0;
    char **unused = list;
    if (!result) {
        unused = libraries;
        libraries = list;
    }
    pthread_mutex_unlock(&lock);
    free_list(unused);
    return outcome(__func__, result);
}

/* ---- the server; all with the lock ---- */

/* The descriptors are taken by init.c in this order. */
static pid_t forkserver_execute(int record, int requests, int *condition)
{
    int sentinel = parent_tie_sentinel();
    if (sentinel < 0)
        return sentinel;
    struct exec_child_run run = {.title = "forkserver",
                                 .groups = "",
                                 .fds = {record, region.fd, region.bell, sentinel, requests},
                                 .count = 5,
                                 .is_awaited = true};
    pid_t pid = exec_child_execute(&run, condition);
    os_close(sentinel);
    return pid;
}

static int start_with(int record, const int ends[2])
{
    int condition = 0;
    pid_t pid = forkserver_execute(record, ends[1], &condition);
    if (pid <= 0)
        return pid ? pid : condition;
    server->handle = (struct mproc_process){.pidfd = -1, .sentinel = -1, .tie = -1};
    int result = handle_attach(&server->handle, pid);
    if (result)
        server->handle.pid = 0;
    else
        server->requests = ends[0];
    server->number++;
    return result;
}

static bool forkserver_make_place(void)
{
    if (server)
        return true;
    server = os_malloc(sizeof *server);
    if (server)
        memset(server, 0, sizeof *server);
    return server != NULL;
}

static int forkserver_start_server(const struct os_identity *identity)
{
    int ends[2];
    int record = forkserver_make_place() ? start_record_of_server(libraries) : -ENOMEM;
    if (record < 0)
        return record;
    int result = os_packet_pair(ends);
    if (!result) {
        result = start_with(record, ends);
        os_close(ends[1]);
        if (result)
            os_close(ends[0]);
    }
    os_close(record);
    server->identity = *identity;
    return result;
}

static void drop_server(void)
{
    os_close(server->requests);
    os_pidfd_signal(server->handle.pidfd, SIGKILL);
    handle_wait(&server->handle, OS_NEVER);
    os_close(server->handle.pidfd);
    server->handle.pid = 0;
}

/* It ends when it has served what was sent before, and then finds its socket closed. A host that is another user by now
 * may not be allowed to kill it. */
static void retire_server(void)
{
    os_close(server->requests);
    int result = handle_wait(&server->handle, os_now() + RETIRE_TIME);
    if (result == MPROC_TIMEOUT && os_pidfd_signal(server->handle.pidfd, SIGKILL) == 0)
        handle_wait(&server->handle, OS_NEVER);
    os_close(server->handle.pidfd);
    server->handle.pid = 0;
}

/* -EPIPE when the server is gone. */
static int send_packet(const struct forkserver_request *request, const int *fds, size_t count)
{
    struct pollfd room = {.fd = server->requests, .events = POLLOUT};
    for (;;) {
        int result = os_packet_send(server->requests, request, sizeof *request, fds, count);
        if (result != -EAGAIN && result != -EINTR)
            return result == -ECONNRESET ? -EPIPE : result;
        result = os_poll(&room, 1, OS_TICK);
        if (result < 0 && result != -EINTR)
            return result;
    }
}

/* Send a request to the server, to one made for it if there is none, or if the host is no longer what it was: the
 * children would have what it had. 0, a condition, -errno. */
static int forkserver_deliver(const struct forkserver_request *request, const int *fds, size_t count)
{
    struct os_identity identity;
    int result = os_identity(&identity);
    if (result)
        return result;
    if (has_server() && os_identity_differs(&server->identity, &identity))
        retire_server();
    result = has_server() ? 0 : forkserver_start_server(&identity);
    if (!result)
        result = send_packet(request, fds, count);
    if (result == -EPIPE)
        drop_server();
    return result;
}

/* ---- a start ---- */

/* What is sent to the server, see forkserver_main.h. */
struct parcel {
    struct forkserver_request request;
    int fds[OS_PACKET_FDS];
    size_t count;
    int directory; /* or -1 */
};

static void forkserver_pack(struct parcel *parcel, const struct start *start, int record)
{
    memset(&parcel->request, 0, sizeof parcel->request);
    parcel->fds[0] = record;
    parcel->fds[2] = start->sentinel;
    parcel->count = 3;
    parcel->request.has_leash = start->leash >= 0;
    if (start->leash >= 0)
        parcel->fds[parcel->count++] = start->leash;
    parcel->request.has_gate = start->gate >= 0;
    if (start->gate >= 0)
        parcel->fds[parcel->count++] = start->gate;
    parcel->request.has_words = start->words_file >= 0;
    if (start->words_file >= 0)
        parcel->fds[parcel->count++] = start->words_file;
    parcel->directory = os_open(".", O_PATH | O_DIRECTORY);
    parcel->request.has_directory = parcel->directory >= 0;
    if (parcel->directory >= 0)
        parcel->fds[parcel->count++] = parcel->directory;
    for (int fd = 0; fd < 3; fd++) {
        parcel->request.has_stdio[fd] = os_is_open(fd);
        if (parcel->request.has_stdio[fd])
            parcel->fds[parcel->count++] = fd;
    }
    for (size_t i = 0; i < start->connection_count; i++)
        parcel->fds[parcel->count++] = connection_fd(start->connections[i]);
}

/* What the report says: a pid or -errno; -EPIPE when the server died and made no child. Nothing but the report and the
 * end of file ends this wait: whatever else goes wrong, there may be a child. */
static pid_t forkserver_await_report(int fd)
{
    struct forkserver_report report;
    struct pollfd input = {.fd = fd, .events = POLLIN};
    ssize_t size;
    while ((size = os_socket_receive(fd, &report, sizeof report)) < 0)
        os_poll(&input, 1, OS_TICK);
    return size == (ssize_t)sizeof report ? report.pid : -EPIPE;
}

/* Send the request, and nothing else with the same report. Our end of the report; -errno, or 0 with a condition. */
static int send_request(struct parcel *parcel, int *condition)
{
    int ends[2];
    int result = os_socket_pair(ends);
    if (result)
        return result;
    parcel->fds[1] = ends[1];
    result = forkserver_deliver(&parcel->request, parcel->fds, parcel->count);
    os_close(ends[1]);
    if (!result)
        return ends[0];
    os_close(ends[0]);
    if (result < 0)
        return result;
    *condition = result;
    return 0;
}

/* A server whose report ended is dying. Its other socket may be open for a moment longer and would take, and lose, the
 * next request too; so nothing more is sent there. */
static void drop_if_same(unsigned number)
{
    os_mutex_lock(&lock);
    if (has_server() && server->number == number)
        drop_server();
    pthread_mutex_unlock(&lock);
}

static pid_t ask_once(struct parcel *parcel, int *condition)
{
    os_mutex_lock(&lock);
    int report = send_request(parcel, condition);
    unsigned number = server ? server->number : 0;
    pthread_mutex_unlock(&lock);
    if (report < 0 || *condition)
        return report;
    pid_t pid = forkserver_await_report(report);
    os_close(report);
    if (pid == -EPIPE)
        drop_if_same(number);
    return pid;
}

/* The server may have what no file has any more. */
static bool is_preloaded(void)
{
    os_mutex_lock(&lock);
    bool has_some = libraries && libraries[0];
    pthread_mutex_unlock(&lock);
    return has_some;
}

pid_t start_by_server(struct start *start, int *condition)
{
    struct function_reference function;
    struct parcel parcel;
    int result = exec_child_prepare(start, &function);
    if (!result && !is_preloaded() && function_is_gone((function_address *)start->fn))
        result = MPROC_NO_FUNCTION;
    if (result > 0)
        *condition = result;
    if (result)
        return result > 0 ? 0 : result;
    int record = start_record_of_child(start, &function, environ);
    if (record < 0)
        return record;
    streams_flush();
    forkserver_pack(&parcel, start, record);
    pid_t pid = -EPIPE;
    for (int i = 0; i < ATTEMPTS && pid == -EPIPE; i++)
        pid = ask_once(&parcel, condition);
    if (parcel.directory >= 0)
        os_close(parcel.directory);
    os_close(record);
    return pid;
}
