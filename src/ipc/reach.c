/* Reaching an address, as reach.h says. It waits, and holds no lock.
 *
 * An address that swallows packets looks like one that is slow. So the next one is begun when the one before has not
 * answered for a moment, and the first that answers is taken (RFC 8305 calls that happy eyeballs). */
#include "ipc/reach.h"

#include "arena/member.h"
#include "ipc/connection.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/poll.h"
#include <errno.h>

#define STAGGER  OS_MS(250)
#define ROOM_NAP OS_MS(5) /* a unix socket whose listener has no room cannot be waited for */

/* Of this process; while forks are held. */
static struct reach *list;

static OS_FORK_PATH void after_fork_in_child(void)
{
    for (struct reach *reach = list; reach; reach = reach->next) {
        for (size_t i = 0; i < reach->count; i++) {
            if (reach->fds[i] >= 0)
                os_close(reach->fds[i]);
            reach->fds[i] = -1;
        }
    }
    list = NULL;
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = after_fork_in_child;

int reach_places(struct os_address places[REACH_MOST], const struct address *address)
{
    if (address->scheme == ADDRESS_TCP)
        return os_address_of_host(places, REACH_MOST, address->host, address->port);
    int result = os_address_of_path(&places[0], address->path);
    return result ? result : 1;
}

void reach_begin(struct reach *reach, const struct os_address *places, size_t count)
{
    *reach = (struct reach){.places = places, .count = count, .result = -EHOSTUNREACH};
    for (size_t i = 0; i < REACH_MOST; i++)
        reach->fds[i] = -1;
    connection_hold_forks();
    reach->next = list;
    list = reach;
    connection_let_forks();
}

static void reach_drop(struct reach *reach, size_t place)
{
    connection_hold_forks();
    if (reach->fds[place] >= 0)
        os_close(reach->fds[place]);
    reach->fds[place] = -1;
    connection_let_forks();
}

void reach_end(struct reach *reach)
{
    for (size_t i = 0; i < reach->count; i++)
        reach_drop(reach, i);
    connection_hold_forks();
    struct reach **at = &list;
    while (*at && *at != reach)
        at = &(*at)->next;
    if (*at)
        *at = reach->next;
    connection_let_forks();
}

bool reach_is_over(const struct reach *reach)
{
    for (size_t i = 0; i < reach->begun; i++)
        if (reach->fds[i] >= 0)
            return false;
    return reach->begun == reach->count;
}

/* One has failed: the next one is due. */
static void reach_fail(struct reach *reach, size_t place, int result)
{
    reach_drop(reach, place);
    reach->result = result;
    reach->next_at = 0;
}

/* Go on with a socket. Whether it is connected. No fork may keep what a long path is reached by. */
static bool reach_connect(struct reach *reach, size_t place)
{
    connection_hold_forks();
    int result = os_socket_connect(reach->fds[place], &reach->places[place]);
    connection_let_forks();
    if (result == -EAGAIN || result == -EINTR)
        reach->room_at = os_now() + ROOM_NAP;
    else if (result && result != -EINPROGRESS)
        reach_fail(reach, place, result);
    return result == 0;
}

/* Begin with the next place. Whether it is connected at once. */
static bool reach_start(struct reach *reach)
{
    size_t place = reach->begun++;
    connection_hold_forks();
    int fd = os_socket_create(&reach->places[place]);
    reach->fds[place] = fd < 0 ? -1 : fd;
    connection_let_forks();
    reach->next_at = os_now() + STAGGER;
    if (fd < 0)
        reach_fail(reach, place, fd);
    return fd >= 0 && reach_connect(reach, place);
}

/* Wait until something happens, or something is due. 0: look; -errno. */
static int reach_nap(struct reach *reach, struct pollfd watches[REACH_MOST], int64_t deadline)
{
    size_t count = 0;
    int64_t until = deadline;
    for (size_t i = 0; i < reach->begun; i++)
        if (reach->fds[i] >= 0 && !reach->room_at)
            watches[count++] = (struct pollfd){.fd = reach->fds[i], .events = POLLOUT};
    if (reach->room_at && reach->room_at < until)
        until = reach->room_at;
    if (reach->begun < reach->count && reach->next_at < until)
        until = reach->next_at;
    int result = os_poll(watches, count, os_nap(until));
    for (size_t i = count; i < REACH_MOST; i++)
        watches[i].fd = -1;
    return result < 0 && result != -EINTR ? result : 0;
}

/* The first of those that have an answer which is connected; reach->count: none is. */
static size_t reach_look(struct reach *reach, const struct pollfd watches[REACH_MOST])
{
    for (size_t i = 0, at = 0; i < reach->begun; i++) {
        if (reach->fds[i] < 0 || watches[at].fd != reach->fds[i])
            continue;
        bool has_answer = watches[at++].revents != 0;
        int result = has_answer ? os_socket_error(reach->fds[i]) : 0;
        if (has_answer && !result)
            return i;
        if (result)
            reach_fail(reach, i, result);
    }
    return reach->count;
}

static int reach_give(struct reach *reach, size_t place, int (*take)(void *arg, int fd, const struct os_address *place),
                      void *arg)
{
    connection_hold_forks();
    int result = take(arg, reach->fds[place], &reach->places[place]);
    if (result)
        os_close(reach->fds[place]);
    reach->fds[place] = -1;
    connection_let_forks();
    reach->next_at = 0;
    return result;
}

/* Whether another place is to be begun: none is being tried, or those have had their time. */
static bool reach_is_due(const struct reach *reach)
{
    if (reach->begun == reach->count)
        return false;
    for (size_t i = 0; i < reach->begun; i++)
        if (reach->fds[i] >= 0)
            return os_now() >= reach->next_at;
    return true;
}

static int reach_give_up(struct reach *reach, int result)
{
    for (size_t i = 0; i < reach->count; i++)
        reach_drop(reach, i);
    reach->begun = reach->count;
    return result;
}

int reach_next(struct reach *reach, int64_t deadline, int (*take)(void *arg, int fd, const struct os_address *place),
               void *arg)
{
    struct pollfd watches[REACH_MOST] = {{.fd = -1}};
    while (!reach_is_over(reach)) {
        if (reach_is_due(reach)) {
            if (reach_start(reach))
                return reach_give(reach, reach->begun - 1, take, arg);
            continue;
        }
        if (os_until(deadline) == 0)
            return reach_give_up(reach, MPROC_TIMEOUT);
        int result = reach_nap(reach, watches, deadline);
        if (result)
            return reach_give_up(reach, result);
        size_t place = reach->room_at ? reach->count : reach_look(reach, watches);
        if (reach->room_at && os_now() >= reach->room_at) {
            reach->room_at = 0;
            if (reach_connect(reach, reach->begun - 1))
                place = reach->begun - 1;
        }
        if (place < reach->count)
            return reach_give(reach, place, take, arg);
    }
    return reach->result;
}
