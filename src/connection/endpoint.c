/* Listening sockets and their files, as endpoint.h says. */
#include "connection/endpoint.h"

#include "arena/member.h"
#include "connection/connection.h"
#include "connection/socket_connect.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/listen.h"
#include "os/poll.h"
#include "os/random.h"
#include "os/socket_folder.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* How long another listener may have the folder's lock, which it needs for a moment. */
#define LOCK_TRIES 100
#define LOCK_NAP   OS_MS(10)

#define EXIT_PATIENCE OS_SEC(1)

static int endpoint_create(struct endpoint *endpoint, const struct os_address *place)
{
    connection_hold_forks();
    int fd = os_socket_create(place);
    endpoint->fd = fd < 0 ? -1 : fd;
    connection_let_forks();
    return fd < 0 ? fd : 0;
}

static void endpoint_drop(struct endpoint *endpoint)
{
    connection_hold_forks();
    if (endpoint->fd >= 0)
        os_close(endpoint->fd);
    endpoint->fd = -1;
    connection_let_forks();
}

static int listen_at(struct endpoint *endpoint, const struct os_address *place, int backlog)
{
    int result = endpoint_create(endpoint, place);
    if (!result)
        result = os_socket_bind(endpoint->fd, place);
    if (!result)
        result = os_socket_listen(endpoint->fd, backlog);
    if (result)
        endpoint_drop(endpoint);
    return result;
}

/* ---- tcp ---- */

static int open_tcp(struct endpoint *endpoint, int backlog)
{
    struct os_address places[SOCKET_CONNECT_MAX], actual;

    int count = os_address_of_host(places, SOCKET_CONNECT_MAX, endpoint->address.host, endpoint->address.port);
    int result = count < 0 ? count : -EADDRNOTAVAIL;
    for (int i = 0; i < count && result; i++)
        result = listen_at(endpoint, &places[i], backlog);
    if (result)
        return result;
    result = os_socket_address(endpoint->fd, &actual);
    if (result)
        endpoint_drop(endpoint);
    else
        (void)os_address_parts(&actual, endpoint->address.host, &endpoint->address.port);
    return result;
}

/* ---- unix ---- */

/* The folder of a path, as a path. */
static void endpoint_folder_of(const char *path, char folder[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    size_t length = slash ? (size_t)(slash - path) : 0;

    if (!slash)
        snprintf(folder, PATH_MAX, ".");
    else if (length == 0)
        snprintf(folder, PATH_MAX, "/");
    else
        snprintf(folder, PATH_MAX, "%.*s", (int)length, path);
}

/* A name in the folder of path that nobody can know. */
static int secret_name(const char *path, char name[PATH_MAX])
{
    const char *slash = strrchr(path, '/');
    uint64_t number;

    int result = os_random(&number, sizeof number);
    if (result)
        return result;
    int length =
        snprintf(name, PATH_MAX, "%.*s.%016llx", slash ? (int)(slash - path) + 1 : 0, path, (unsigned long long)number);
    return length < PATH_MAX ? 0 : -ENAMETOOLONG;
}

static int in_use(void)
{
    return failure(-EADDRINUSE, "somebody listens at the path of address already, or it is no socket");
}

/* Under the folder's lock, so that no other process takes a file for stale: remove it if it is, and put ours there. */
static int endpoint_replace(const char *hidden, const char *path)
{
    struct os_file_identity file;

    int result = os_socket_file_find(path, &file);
    if (result == -EEXIST || (!result && !os_socket_file_is_dead(path)))
        return in_use();
    if (!result)
        result = os_socket_file_unlink(path);
    if (result && result != -ENOENT)
        return result;
    result = os_socket_file_link(hidden, path);
    return result == -EEXIST ? in_use() : result;
}

/* No fork may copy the lock to a child that would keep it. */
static int replace_locked(const char *hidden, const char *path, const char *folder)
{
    connection_hold_forks();
    int lock = os_folder_lock(folder);
    int result = lock < 0 ? lock : endpoint_replace(hidden, path);
    if (lock >= 0)
        os_close(lock);
    connection_let_forks();
    return result;
}

static int endpoint_publish(const char *hidden, const char *path)
{
    char folder[PATH_MAX];

    int result = os_socket_file_link(hidden, path);
    if (result != -EEXIST)
        return result;
    endpoint_folder_of(path, folder);
    for (int i = 0; i < LOCK_TRIES; i++) {
        result = replace_locked(hidden, path, folder);
        if (result != -EAGAIN)
            return result;
        (void)os_poll(NULL, 0, LOCK_NAP);
    }
    return in_use();
}

/* Listen at a secret name. */
static int listen_hidden(struct endpoint *endpoint, const char *ours, int backlog, bool all)
{
    struct os_address place;

    int result = os_address_of_path(&place, ours);
    if (!result)
        result = listen_at(endpoint, &place, backlog);
    if (!result)
        result = os_socket_file_find(ours, &endpoint->file);
    if (!result)
        result = os_socket_file_allow(ours, all);
    return result;
}

static int endpoint_open_file(struct endpoint *endpoint, int backlog, bool all)
{
    char ours[PATH_MAX];

    int result = secret_name(endpoint->address.path, ours);
    if (result)
        return result;
    result = listen_hidden(endpoint, ours, backlog, all);
    if (!result)
        result = endpoint_publish(ours, endpoint->address.path);
    failure_hold(); /* where there is no folder, there is no file either */
    (void)os_socket_file_unlink(ours);
    endpoint->has_file = !result;
    if (result)
        endpoint_drop(endpoint);
    failure_release();
    return result;
}

/* Once in a process: what the dead have left is not much, and others sweep as well. */
static void endpoint_sweep(const char *folder)
{
    static _Atomic(pid_t) done_by;
    if (exchange_relaxed(&done_by, getpid()) != getpid())
        os_socket_folder_sweep(folder);
}

/* The folder is not where the user wants it. */
static void tell_place(const char *folder)
{
    const char *wish = os_socket_folder_wish();
    if (wish && strncmp(folder, wish, strlen(wish)) != 0)
        mproc_log(MPROC_LOG_WARNING, "TMPDIR is %s, where no folder can be made for a listener: it is %s", wish,
                  folder);
}

static int choose_path(struct endpoint *endpoint)
{
    static const char name[] = "/" OS_SOCKET_FOLDER_FILE;
    char *folder = endpoint->folder;

    connection_hold_forks();
    int result = os_socket_folder_create(folder, sizeof endpoint->folder - sizeof name, &endpoint->lock);
    connection_let_forks();
    if (result) {
        folder[0] = '\0';
        return result;
    }
    tell_place(folder);
    endpoint_sweep(folder);
    snprintf(endpoint->address.path, sizeof endpoint->address.path, "%.*s%s", (int)(PATH_MAX - sizeof name), folder,
             name);
    return 0;
}

static int open_unix(struct endpoint *endpoint, int backlog, bool all)
{
    int result = endpoint->address.path[0] ? 0 : choose_path(endpoint);
    return result ? result : endpoint_open_file(endpoint, backlog, all);
}

/* ---- what is left ---- */

/* Of this process; while forks are held. */
static struct endpoint *endpoints;

static void remove_files(struct endpoint *endpoint)
{
    struct os_file_identity file;

    if (endpoint->owner != getpid()) /* a copy, in a child that was forked behind our back */
        return;
    if (endpoint->has_file && os_socket_file_find(endpoint->address.path, &file) == 0 &&
        os_is_same_file(&file, &endpoint->file))
        (void)os_socket_file_unlink(endpoint->address.path);
    if (endpoint->folder[0])
        (void)os_socket_folder_remove(endpoint->folder);
    endpoint->has_file = false;
    endpoint->folder[0] = '\0';
}

/* A thread may hold the list for ever, if this is called in a handler of a signal that came to it. */
static void remove_all_files(void)
{
    if (!connection_try_hold_forks(EXIT_PATIENCE))
        return;
    for (struct endpoint *endpoint = endpoints; endpoint; endpoint = endpoint->next)
        remove_files(endpoint);
    connection_let_forks();
}

/* The process that runs the handler at its end: a child of the library does not run those of its parent. */
static pid_t watched;

static void endpoint_watch_exit(void)
{
    if (watched == getpid())
        return;
    watched = getpid();
    (void)atexit(remove_all_files);
    (void)at_quick_exit(remove_all_files);
}

static OS_FORK_PATH void endpoint_after_fork_in_child(void)
{
    for (struct endpoint *endpoint = endpoints; endpoint; endpoint = endpoint->next) {
        if (endpoint->fd >= 0)
            os_close(endpoint->fd);
        if (endpoint->lock >= 0)
            os_close(endpoint->lock);
        endpoint->fd = endpoint->lock = -1;
        endpoint->has_file = false;
        endpoint->folder[0] = '\0';
    }
    endpoints = NULL;
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = endpoint_after_fork_in_child;

static void endpoint_enlist(struct endpoint *endpoint)
{
    connection_hold_forks();
    endpoint_watch_exit();
    endpoint->next = endpoints;
    endpoints = endpoint;
    connection_let_forks();
}

static void endpoint_delist(const struct endpoint *endpoint)
{
    connection_hold_forks();
    struct endpoint **place = &endpoints;
    while (*place && *place != endpoint)
        place = &(*place)->next;
    if (*place)
        *place = endpoint->next;
    connection_let_forks();
}

/* ---- opening and closing ---- */

int endpoint_open(struct endpoint *endpoint, const struct address *address, int backlog, bool all)
{
    *endpoint = (struct endpoint){.fd = -1, .lock = -1, .owner = getpid(), .address = *address};
    endpoint_enlist(endpoint);
    int result = address->scheme == ADDRESS_UNIX ? open_unix(endpoint, backlog, all) : open_tcp(endpoint, backlog);
    if (result)
        endpoint_close(endpoint);
    return result;
}

void endpoint_close(struct endpoint *endpoint)
{
    endpoint_delist(endpoint);
    remove_files(endpoint);
    endpoint_drop(endpoint);
    connection_hold_forks();
    if (endpoint->lock >= 0)
        os_close(endpoint->lock);
    endpoint->lock = -1;
    connection_let_forks();
}
