/* Sockets that listen and connect, as listen.h says. Called by listeners and those that connect. */
#define _GNU_SOURCE
#include "os/listen.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/refused.h"
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <unistd.h>

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
        return -errno;
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
        result = -errno;
    if (by >= 0)
        os_close(by);
    return result;
}

int os_socket_listen(int fd, int backlog)
{
    int fault = os_fault(OS_LISTEN);
    if (fault)
        return fault;
    return listen(fd, backlog) ? -errno : 0;
}

int os_socket_address(int fd, struct os_address *address)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    address->size = sizeof address->as;
    return getsockname(fd, &address->as.any, &address->size) ? -errno : 0;
}

/* A firewall's EPERM would come from both calls, so the second one decides. */
static int accept_private(int fd, struct os_address *from)
{
    int peer = accept4(fd, &from->as.any, &from->size, SOCK_CLOEXEC);
    if (peer >= 0 || !os_is_refused(errno))
        return peer;
    peer = accept(fd, &from->as.any, &from->size);
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
        return -errno;
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
    if (!result && connect(fd, &near.as.any, near.size) && errno != EISCONN)
        result = errno == EALREADY ? -EINPROGRESS : -errno;
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
        return -errno;
    if (!error)
        let_block(fd);
    return -error;
}

int os_socket_peer_user(int fd, uid_t *user)
{
    struct ucred peer;
    socklen_t size = sizeof peer;
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    if (getsockopt(fd, SOL_SOCKET, SO_PEERCRED, &peer, &size))
        return -errno;
    *user = peer.uid;
    return 0;
}

uid_t os_user(void)
{
    return geteuid();
}

int os_socket_peer_address(int fd, struct os_address *address)
{
    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    address->size = sizeof address->as;
    return getpeername(fd, &address->as.any, &address->size) ? -errno : 0;
}
