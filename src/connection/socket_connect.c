/* Connecting to an address, as socket_connect.h says. It waits, and holds no lock.
 *
 * An address that swallows packets looks like one that is slow. So the next one is begun when the one before has not
 * answered for a moment, and the first that answers is taken (RFC 8305 calls that happy eyeballs). */
#include "connection/socket_connect.h"

#include "arena/member.h"
#include "connection/connection.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/poll.h"
#include <errno.h>

#define STAGGER  OS_MS(250)
#define ROOM_NAP OS_MS(5) /* a unix socket whose listener has no room cannot be waited for */

/* Of this process; while forks are held. */
static struct attempt *list;

static OS_FORK_PATH void socket_connect_after_fork_in_child(void)
{
    for (struct attempt *attempt = list; attempt; attempt = attempt->next) {
        for (size_t i = 0; i < attempt->count; i++) {
            if (attempt->fds[i] >= 0)
                os_close(attempt->fds[i]);
            attempt->fds[i] = -1;
        }
    }
    list = NULL;
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = socket_connect_after_fork_in_child;

int socket_connect_places(struct os_address places[SOCKET_CONNECT_MAX], const struct address *address)
{
    if (address->scheme == ADDRESS_TCP)
        return os_address_of_host(places, SOCKET_CONNECT_MAX, address->host, address->port);
    int result = os_address_of_path(&places[0], address->path);
    return result ? result : 1;
}

void socket_connect_begin(struct attempt *attempt, const struct os_address *places, size_t count)
{
    *attempt = (struct attempt){.places = places, .count = count, .result = -EHOSTUNREACH};
    for (size_t i = 0; i < SOCKET_CONNECT_MAX; i++)
        attempt->fds[i] = -1;
    connection_hold_forks();
    attempt->next = list;
    list = attempt;
    connection_let_forks();
}

static void socket_connect_drop(struct attempt *attempt, size_t place)
{
    connection_hold_forks();
    if (attempt->fds[place] >= 0)
        os_close(attempt->fds[place]);
    attempt->fds[place] = -1;
    connection_let_forks();
}

void socket_connect_end(struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->count; i++)
        socket_connect_drop(attempt, i);
    connection_hold_forks();
    struct attempt **at = &list;
    while (*at && *at != attempt)
        at = &(*at)->next;
    if (*at)
        *at = attempt->next;
    connection_let_forks();
}

bool socket_connect_is_over(const struct attempt *attempt)
{
    for (size_t i = 0; i < attempt->begun; i++)
        if (attempt->fds[i] >= 0)
            return false;
    return attempt->begun == attempt->count;
}

/* One has failed: the next one is due. */
static void socket_connect_fail(struct attempt *attempt, size_t place, int result)
{
    socket_connect_drop(attempt, place);
    attempt->result = result;
    attempt->next_at = 0;
}

/* Go on with a socket. Whether it is connected. No fork may keep what a long path is reached by. */
static bool socket_connect_connect(struct attempt *attempt, size_t place)
{
    connection_hold_forks();
    int result = os_socket_connect(attempt->fds[place], &attempt->places[place]);
    connection_let_forks();
    if (result == -EAGAIN || result == -EINTR)
        attempt->room_at = os_now() + ROOM_NAP;
    else if (result && result != -EINPROGRESS)
        socket_connect_fail(attempt, place, result);
    return result == 0;
}

/* Begin with the next place. Whether it is connected at once. */
static bool socket_connect_start(struct attempt *attempt)
{
    size_t place = attempt->begun++;
    connection_hold_forks();
    int fd = os_socket_create(&attempt->places[place]);
    attempt->fds[place] = fd < 0 ? -1 : fd;
    connection_let_forks();
    attempt->next_at = os_now() + STAGGER;
    if (fd < 0)
        socket_connect_fail(attempt, place, fd);
    return fd >= 0 && socket_connect_connect(attempt, place);
}

/* Wait until something happens, or something is due. 0: look; -errno. */
static int socket_connect_nap(struct attempt *attempt, struct pollfd watches[SOCKET_CONNECT_MAX], int64_t deadline)
{
    size_t count = 0;
    int64_t until = deadline;
    for (size_t i = 0; i < attempt->begun; i++)
        if (attempt->fds[i] >= 0 && !attempt->room_at)
            watches[count++] = (struct pollfd){.fd = attempt->fds[i], .events = POLLOUT};
    if (attempt->room_at && attempt->room_at < until)
        until = attempt->room_at;
    if (attempt->begun < attempt->count && attempt->next_at < until)
        until = attempt->next_at;
    int result = os_poll(watches, count, os_nap(until));
    for (size_t i = count; i < SOCKET_CONNECT_MAX; i++)
        watches[i].fd = -1;
    return result < 0 && result != -EINTR ? result : 0;
}

/* The first place that has an answer and is connected; attempt->count: none is. */
static size_t socket_connect_look(struct attempt *attempt, const struct pollfd watches[SOCKET_CONNECT_MAX])
{
    for (size_t i = 0, at = 0; i < attempt->begun; i++) {
        if (attempt->fds[i] < 0 || watches[at].fd != attempt->fds[i])
            continue;
        bool has_answer = watches[at++].revents != 0;
        int result = has_answer ? os_socket_error(attempt->fds[i]) : 0;
        if (has_answer && !result)
            return i;
        if (result)
            socket_connect_fail(attempt, i, result);
    }
    return attempt->count;
}

static int socket_connect_give(struct attempt *attempt, size_t place,
                               int (*take)(void *arg, int fd, const struct os_address *place), void *arg)
{
    connection_hold_forks();
    int result = take(arg, attempt->fds[place], &attempt->places[place]);
    if (result)
        os_close(attempt->fds[place]);
    attempt->fds[place] = -1;
    connection_let_forks();
    attempt->next_at = 0;
    return result;
}

/* Whether to begin with another place: none is being tried, or those have had their time. */
static bool socket_connect_is_due(const struct attempt *attempt)
{
    if (attempt->begun == attempt->count)
        return false;
    for (size_t i = 0; i < attempt->begun; i++)
        if (attempt->fds[i] >= 0)
            return os_now() >= attempt->next_at;
    return true;
}

static int socket_connect_give_up(struct attempt *attempt, int result)
{
    for (size_t i = 0; i < attempt->count; i++)
        socket_connect_drop(attempt, i);
    attempt->begun = attempt->count;
    return result;
}

int socket_connect_next(struct attempt *attempt, int64_t deadline,
                        int (*take)(void *arg, int fd, const struct os_address *place), void *arg)
{
    struct pollfd watches[SOCKET_CONNECT_MAX] = {{.fd = -1}};
    while (!socket_connect_is_over(attempt)) {
        if (socket_connect_is_due(attempt)) {
            if (socket_connect_start(attempt))
                return socket_connect_give(attempt, attempt->begun - 1, take, arg);
            continue;
        }
        if (os_until(deadline) == 0)
            return socket_connect_give_up(attempt, MPROC_TIMEOUT);
        int result = socket_connect_nap(attempt, watches, deadline);
        if (result)
            return socket_connect_give_up(attempt, result);
        size_t place = attempt->room_at ? attempt->count : socket_connect_look(attempt, watches);
        if (attempt->room_at && os_now() >= attempt->room_at) {
            attempt->room_at = 0;
            if (socket_connect_connect(attempt, attempt->begun - 1))
                place = attempt->begun - 1;
        }
        if (place < attempt->count)
            return socket_connect_give(attempt, place, take, arg);
    }
    return attempt->result;
}
