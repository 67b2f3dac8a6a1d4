/* The loop of a manager's server: it waits for all connections at once, gives each its turn, and looks at deadlines.
 * Called by serve.c in the process that is the server. Nothing in it waits for a client. */
#include "manager/server.h"

#include "manager/estate.h"
#include "manager/saved.h"
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
        result = peer_accept(server);
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
    struct peer *peer = event->data.ptr;
    if (event->data.ptr && (event->data.ptr == server->saved || event->data.ptr == &server->stop))
        return; /* saved_look() and stop_look() see it */
    if (!peer) {
        accept_some(server);
        return;
    }
    if (peer->state == PEER_GONE)
        return;
    if (event->events & EPOLLIN || peer->state == PEER_TLS)
        peer_input(peer);
    if (event->events & (EPOLLOUT | EPOLLHUP | EPOLLERR) && peer->state != PEER_GONE)
        peer_output(peer);
}

/* Each that has requests left gets one turn. */
static void give_turns(struct server *server)
{
    for (struct peer *peer = server->turn_count ? LIST_FIRST(&server->peers) : NULL; peer;
         peer = LIST_NEXT(peer, entry))
        if (peer->has_turn)
            peer_work(peer);
}

static void end_lingering(struct server *server)
{
    struct session *next;
    for (struct session *session = LIST_FIRST(&server->sessions); session; session = next) {
        next = LIST_NEXT(session, entry);
        if (!session->peer && server->now >= session->lost_at + server->limits.linger_time)
            session_end(server, session);
    }
}

/* What is to be done every tick, and whenever somebody is gone. */
static void look(struct server *server)
{
    struct peer *next;
    if (server->now - server->looked_at < OS_TICK && !server->gone_count)
        return;
    for (struct peer *peer = LIST_FIRST(&server->peers); peer; peer = next) {
        next = LIST_NEXT(peer, entry);
        peer_look(peer);
    }
    for (struct peer *peer = LIST_FIRST(&server->peers); peer; peer = next) {
        next = LIST_NEXT(peer, entry);
        if (peer->state == PEER_GONE)
            peer_bury(peer);
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
    for (const struct peer *peer = LIST_FIRST(&server->peers); peer; peer = LIST_NEXT(peer, entry))
        if (peer->session && peer->session->next_out)
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
    for (struct peer *peer = LIST_FIRST(&server->peers); peer; peer = LIST_NEXT(peer, entry))
        peer_drop(peer, NULL);
    while (!LIST_EMPTY(&server->peers))
        peer_bury(LIST_FIRST(&server->peers));
    while (!LIST_EMPTY(&server->sessions))
        session_end(server, LIST_FIRST(&server->sessions));
    registry_clear(server);
    if (stop_is_orphan(&server->stop)) /* who would have freed it */
        estate_free(server->estate);
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
        turns_expire(server);
        saved_look(server);
        stop_look(server);
        look(server);
    }
    empty(server);
    return result ? result : server->result;
}
