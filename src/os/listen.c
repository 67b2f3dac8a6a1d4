/* Sockets that listen and connect, as listen.h says. */
#define _GNU_SOURCE
#include "os/listen.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/refused.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

/* Of a peer's host that is gone. */
#define PROBES          3
#define LONGEST_SILENCE 60000 /* seconds; the kernel's own limit for what it waits between two probes is near */

/* A message goes at once, however small: peers wait for each other's. */
static void send_at_once(int fd)
{
    const int yes = 1;
    (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

int os_socket_create(const struct os_address *address)
{
    const int yes = 1;

    int fault = os_fault(OS_SOCKET);
    if (fault)
        return fault;
    int fd = socket(address->as.any.sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0)
        return failed_call("socket");
    fd = os_keep(fd);
    if (fd >= 0 && !os_address_is_local(address)) {
        (void)setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
        send_at_once(fd);
    }
    return fd;
}

int os_socket_bind(int fd, const struct os_address *address)
{
    int fault = os_fault(OS_BIND);
    if (fault)
        return fault;
    struct os_address near;
    int by;
    int result = os_address_shorten(address, false, &near, &by);
    if (!result && bind(fd, &near.as.any, near.size))
        result = failed_call("bind");
    if (by >= 0)
        os_close(by);
    return result;
}

int os_socket_listen(int fd, int backlog)
{
    int fault = os_fault(OS_LISTEN);
    if (fault)
        return fault;
    return listen(fd, backlog) ? failed_call("listen") : 0;
}

int os_socket_address(int fd, struct os_address *address)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    address->size = sizeof address->as;
    return getsockname(fd, &address->as.any, &address->size) ? failed_call("getsockname") : 0;
}

/* A firewall's EPERM would come from both calls, so the second one decides. */
static int accept_private(int fd, struct os_address *from)
{
    int peer = uncancelled_accept4(fd, &from->as.any, &from->size, SOCK_CLOEXEC);
    if (peer >= 0 || !os_is_refused(errno))
        return peer;
    peer = uncancelled_accept(fd, &from->as.any, &from->size);
    if (peer >= 0)
        (void)fcntl(peer, F_SETFD, FD_CLOEXEC);
    return peer;
}

int os_socket_accept(int fd, struct os_address *from)
{
    int fault = os_fault(OS_ACCEPT);
    if (fault)
        return fault;
    from->size = sizeof from->as;
    int peer = accept_private(fd, from);
    if (peer < 0)
        return failed_call("accept4");
    peer = os_keep(peer);
    if (peer >= 0 && !os_address_is_local(from))
        send_at_once(peer);
    return peer;
}

/* Connections wait by polling and leave O_NONBLOCK alone, which would be the other processes' too: so it is taken back
 * where it has served. */
static void let_block(int fd)
{
    (void)fcntl(fd, F_SETFL, O_RDWR);
}

int os_socket_connect(int fd, const struct os_address *address)
{
    int fault = os_fault(OS_CONNECT);
    if (fault)
        return fault;
    struct os_address near;
    int by;
    int result = os_address_shorten(address, true, &near, &by);
    if (!result && uncancelled_connect(fd, &near.as.any, near.size) && errno != EISCONN)
        result = errno == EALREADY ? -EINPROGRESS : failed_call("connect");
    if (by >= 0)
        os_close(by);
    if (!result)
        let_block(fd);
    return result;
}

int os_socket_error(int fd)
{
    int error = 0;
    socklen_t size = sizeof error;
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    if (getsockopt(fd, SOL_SOCKET, SO_ERROR, &error, &size))
        return failed_call("getsockopt");
    if (!error)
        let_block(fd);
    return -error;
}

/* Half of the time without a word, then three questions in the other half. */
void os_socket_watch_peer(int fd, nanoseconds span, bool with_data)
{
    if (span == OS_FOREVER || os_fault(OS_SETSOCKOPT))
        return;
    nanoseconds longest = OS_SEC(LONGEST_SILENCE);
    int seconds = (int)((span < longest ? span : longest) / OS_SEC(1));
    const int yes = 1, probes = PROBES, idle = seconds / 2 > 1 ? seconds / 2 : 1;
    const int interval = seconds / 2 / PROBES > 1 ? seconds / 2 / PROBES : 1;
    const unsigned milliseconds = 1000U * (unsigned)(idle + interval * PROBES);
    (void)setsockopt(fd, SOL_SOCKET, SO_KEEPALIVE, &yes, sizeof yes);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPIDLE, &idle, sizeof idle);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPINTVL, &interval, sizeof interval);
    (void)setsockopt(fd, IPPROTO_TCP, TCP_KEEPCNT, &probes, sizeof probes);
    if (with_data)
        (void)setsockopt(fd, IPPROTO_TCP, TCP_USER_TIMEOUT, &milliseconds, sizeof milliseconds);
}

bool os_socket_is_silent(int fd, nanoseconds span)
{
    struct tcp_info info;
    socklen_t size = sizeof info;
    if (os_fault(OS_SETSOCKOPT) || getsockopt(fd, IPPROTO_TCP, TCP_INFO, &info, &size))
        return false;
    return info.tcpi_unacked && OS_MS(info.tcpi_last_ack_recv) > span;
}

nanoseconds os_silence(mproc_time option)
{
    return option.nanoseconds ? option.nanoseconds : OS_SEC(30);
}

bool os_is_gone(int result)
{
    switch (-result) {
    case EPIPE:
    case ECONNRESET:
    case ECONNABORTED:
    case ETIMEDOUT:
    case EHOSTUNREACH:
    case ENETUNREACH:
    case EHOSTDOWN:
    case ENETDOWN:
    case ENETRESET:
        return true;
    default:
        return false;
    }
}

int os_socket_check_user(int fd)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return failed_call("getsockopt");
    return peer.uid == geteuid() ? 0 : failure(-EPERM, "the other side is another user's: options.any_user allows it");
}

int os_socket_peer_address(int fd, struct os_address *address)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    address->size = sizeof address->as;
    return getpeername(fd, &address->as.any, &address->size) ? failed_call("getpeername") : 0;
}
