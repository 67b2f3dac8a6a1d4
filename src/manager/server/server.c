/* The loop of a manager's server: it waits for all connections at once, gives each its turn, and looks at deadlines.
 * Called by server_setup.c in the process that is the server. Nothing in it waits for a client. */
#include "manager/server/server.h"

#include "manager/server/server_memory.h"
#include "manager/server/snapshot.h"
#include "os/allocate.h"
#include "os/descriptor.h"
#include "os/epoll.h"
#include <errno.h>
#include <mproc/log.h>

#define EVENTS  256
#define ACCEPTS 64

/* New connections are left to the kernel while there are as many unauthenticated ones as may be, and for a tick after
 * an error. */
static void accept_some(struct server *server)
{
    int result = 0;
    for (int i = 0; i < ACCEPTS && !result && server->waiting_count < server->limits.waiting_most; i++)
        result = server_connection_accept(server);
    if ((result && result != -EAGAIN && result != -ECONNABORTED && result != -EINTR) ||
        server->waiting_count >= server->limits.waiting_most) {
        os_epoll_remove(server->epoll, server->endpoint.fd);
        server->accepts = false;
    }
}

static void accept_again(struct server *server)
{
    if (!server->accepts && !server->stop_at && server->waiting_count < server->limits.waiting_most)
        server->accepts = os_epoll_add(server->epoll, server->endpoint.fd, EPOLLIN, NULL) == 0;
}

static void handle(struct server *server, const struct epoll_event *event)
{
    struct server_connection *connection = event->data.ptr;
    if (event->data.ptr && (event->data.ptr == server->snapshot || event->data.ptr == &server->stop))
        return; /* snapshot_look() and stop_look() see it */
    if (!connection) {
        accept_some(server);
        return;
    }
    if (connection->state == SERVER_CONNECTION_GONE)
        return;
    if (event->events & EPOLLIN || connection->state == SERVER_CONNECTION_TLS)
        server_connection_input(connection);
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && connection->state != SERVER_CONNECTION_GONE)
        server_connection_output(connection);
}

/* Each that has requests left gets one turn. */
static void give_turns(struct server *server)
{
    for (struct server_connection *connection = server->turn_count ? LIST_FIRST(&server->connections) : NULL;
         connection; connection = LIST_NEXT(connection, entry))
        if (connection->has_turn)
            server_connection_work(connection);
}

static void end_lingering(struct server *server)
{
    struct session *next;
    for (struct session *session = LIST_FIRST(&server->sessions); session; session = next) {
        next = LIST_NEXT(session, entry);
        if (!session->connection && server->now >= session->lost_at + server->limits.linger_time)
            session_end(server, session);
    }
}

/* What is to be done every tick, and whenever somebody is gone. */
static void look(struct server *server)
{
    struct server_connection *next;
    if (server->now - server->looked_at < OS_TICK && !server->gone_count)
        return;
    for (struct server_connection *connection = LIST_FIRST(&server->connections); connection; connection = next) {
        next = LIST_NEXT(connection, entry);
        server_connection_look(connection);
    }
    for (struct server_connection *connection = LIST_FIRST(&server->connections); connection; connection = next) {
        next = LIST_NEXT(connection, entry);
        if (connection->state == SERVER_CONNECTION_GONE)
            server_connection_bury(connection);
    }
    if (server->now - server->looked_at >= OS_TICK) {
        server->looked_at = server->now;
        end_lingering(server);
    }
    accept_again(server);
}

static bool is_over(const struct server *server)
{
    if (!server->stop_at || server->now >= server->stop_at)
        return server->stop_at != 0;
    for (const struct server_connection *connection = LIST_FIRST(&server->connections); connection;
         connection = LIST_NEXT(connection, entry))
        if (connection->session && connection->session->next_out)
            return false;
    return true;
}

static int64_t nap(const struct server *server)
{
    int64_t next = os_until(server->next_deadline);
    if (server->turn_count)
        return 0;
    return next < OS_TICK ? next : OS_TICK;
}

/* Wait for events; for a while without sleeping, when something came in the last round. */
static int await(struct server *server, struct epoll_event events[EVENTS])
{
    int64_t end = server->is_busy && !server->turn_count ? spin_begin(&server->spin) : 0;
    int count = 0;
    while (end && count == 0 && os_now() < end)
        count = os_epoll_wait(server->epoll, events, EVENTS, 0);
    if (end)
        spin_end(&server->spin, count > 0);
    if (count == 0)
        count = os_epoll_wait(server->epoll, events, EVENTS, nap(server));
    server->is_busy = count > 0;
    return count;
}

static void empty(struct server *server)
{
    for (struct server_connection *connection = LIST_FIRST(&server->connections); connection;
         connection = LIST_NEXT(connection, entry))
        server_connection_drop(connection, NULL);
    while (!LIST_EMPTY(&server->connections))
        server_connection_bury(LIST_FIRST(&server->connections));
    while (!LIST_EMPTY(&server->sessions))
        session_end(server, LIST_FIRST(&server->sessions));
    registry_clear(server);
    if (stop_is_orphan(&server->stop)) /* who would have freed it */
        server_memory_free(server->server_memory);
    os_close(server->epoll);
}

/* Make ready for clients. 0 or -errno, and nothing is left then. */
int server_open(struct server *server)
{
    server->epoll = os_epoll_create();
    if (server->epoll < 0)
        return server->epoll;
    server->next_deadline = OS_NEVER;
    server->registry.orphans_most = ORPHANS_LEAST;
    int result = os_epoll_add(server->epoll, server->endpoint.fd, EPOLLIN, NULL);
    server->accepts = result == 0;
    if (!result)
        result = stop_watch(server);
    if (result)
        os_close(server->epoll);
    return result;
}

/* Serve until somebody ends it, and leave nothing. 0; -errno; why what it had could not be saved. */
int server_loop(struct server *server)
{
    struct epoll_event events[EVENTS];
    int result = 0;

    while (!result && !is_over(server)) {
        int count = await(server, events);
        if (count < 0 && count != -EINTR)
            result = count;
        server->now = os_now();
        for (int i = 0; i < count; i++)
            handle(server, &events[i]);
        give_turns(server);
        waitable_expire(server);
        snapshot_look(server);
        stop_look(server);
        look(server);
    }
    empty(server);
    return result ? result : server->result;
}
