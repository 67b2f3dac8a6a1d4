/* Stream sockets, as socket.h says. */
#include "os/socket.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/uncancelled.h"
#include "os/wait_check.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

/* Room for one descriptor, and for the credentials that some sockets are set to deliver with every byte. */
union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(sizeof(int)) + CMSG_SPACE(sizeof(struct ucred))];
};

static int socket_option(int fd, int option)
{
    int value = 0;
    socklen_t size = sizeof value;
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    return getsockopt(fd, SOL_SOCKET, option, &value, &size) ? failed_call("getsockopt") : value;
}

static int identify_socket(int fd, struct os_stream *stream)
{
    struct sockaddr_storage address;
    socklen_t size = sizeof address;

    int type = socket_option(fd, SO_TYPE);
    int domain = type < 0 ? type : socket_option(fd, SO_DOMAIN);
    if (domain < 0)
        return domain;
    if (type != SOCK_STREAM || getpeername(fd, (struct sockaddr *)&address, &size))
        return failure(-EINVAL, "fd is a socket that is not connected, or no stream");
    stream->kind = domain == AF_UNIX ? OS_STREAM_UNIX : OS_STREAM_SOCKET;
    stream->input = stream->output = true;
    return 0;
}

int os_stream_identify(int fd, struct os_stream *stream)
{
    struct stat status;

    int fault = os_fault(OS_FSTAT);
    if (fault)
        return fault;
    if (fstat(fd, &status))
        return failed_call("fstat");
    int flags = fcntl(fd, F_GETFL);
    if (flags < 0 || flags & O_PATH)
        return failure(-EBADF, "fd is not open, or for its path only");
    if (S_ISSOCK(status.st_mode))
        return identify_socket(fd, stream);
    if (!S_ISFIFO(status.st_mode))
        return failure(-EINVAL, "fd is no socket and no pipe");
    stream->kind = OS_STREAM_PIPE;
    stream->input = (flags & O_ACCMODE) != O_WRONLY;
    stream->output = (flags & O_ACCMODE) != O_RDONLY;
    return 0;
}

int os_socket_pair(int fds[2])
{
    int fault = os_fault(OS_SOCKETPAIR);
    if (fault)
        return fault;
    return socketpair(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0, fds) ? failed_call("socketpair") : os_keep_pair(fds);
}

ssize_t os_socket_send(int fd, const struct iovec *parts, int count)
{
    int fault = os_fault(OS_SENDMSG);
    if (fault)
        return fault;
    struct msghdr message = {.msg_iov = (struct iovec *)(uintptr_t)parts, .msg_iovlen = (size_t)count};
    ssize_t sent = uncancelled_sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL);
    return sent < 0 ? failed_call("sendmsg") : sent;
}

static ssize_t receive_bytes(int fd, void *buffer, size_t size, int flags)
{
    int fault = os_fault(OS_RECVMSG);
    if (fault)
        return fault;
    ssize_t got = uncancelled_recv(fd, buffer, size, flags);
    return got < 0 ? failed_call("recv") : got;
}

ssize_t os_socket_receive(int fd, void *buffer, size_t size)
{
    return receive_bytes(fd, buffer, size, MSG_DONTWAIT);
}

int os_socket_set_wait(int fd, int64_t nanoseconds)
{
    const struct timeval span = {.tv_sec = nanoseconds / 1000000000, .tv_usec = nanoseconds % 1000000000 / 1000};
    int fault = os_fault(OS_SETSOCKOPT);
    if (fault)
        return fault;
    return setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &span, sizeof span) ? failed_call("setsockopt") : 0;
}

void os_socket_shut(int fd)
{
    if (os_fault(OS_CLOSE) == 0)
        shutdown(fd, SHUT_RDWR);
}

int os_socket_send_descriptor(int fd, unsigned char byte, int passed)
{
    int fault = os_fault(OS_SENDMSG);
    if (fault)
        return fault;
    union control control = {.bytes = {0}};
    struct iovec part = {.iov_base = &byte, .iov_len = 1};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = CMSG_SPACE(sizeof passed),
    };
    struct cmsghdr *header = CMSG_FIRSTHDR(&message);
    header->cmsg_level = SOL_SOCKET;
    header->cmsg_type = SCM_RIGHTS;
    header->cmsg_len = CMSG_LEN(sizeof passed);
    memcpy(CMSG_DATA(header), &passed, sizeof passed);
    return uncancelled_sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? failed_call("sendmsg") : 0;
}

/* The first descriptor among what came; the others are closed. */
static int keep_first(struct msghdr *message)
{
    int kept = OS_PASSED_NONE;

    for (struct cmsghdr *header = CMSG_FIRSTHDR(message); header; header = CMSG_NXTHDR(message, header)) {
        if (header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
            continue;
        size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (size_t i = 0; i < count; i++) {
            int fd;
            memcpy(&fd, CMSG_DATA(header) + i * sizeof fd, sizeof fd);
            if (kept == OS_PASSED_NONE)
                kept = fd;
            else
                uncancelled_close(fd);
        }
    }
    return kept;
}

static ssize_t receive_descriptor(int fd, void *buffer, size_t size, int *passed, int flags)
{
    *passed = OS_PASSED_NONE;
    int fault = os_fault(OS_RECVMSG);
    if (fault)
        return fault;
    union control control;
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    struct msghdr message = {
        .msg_iov = &part,
        .msg_iovlen = 1,
        .msg_control = control.bytes,
        .msg_controllen = sizeof control.bytes,
    };
    ssize_t got = uncancelled_recvmsg(fd, &message, flags | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return failed_call("recvmsg");
    if (message.msg_controllen)
        *passed = keep_first(&message);
    if (*passed >= 0 && (*passed = os_keep_received(*passed)) < 0)
        *passed = OS_PASSED_LOST;
    if (*passed == OS_PASSED_NONE && message.msg_flags & MSG_CTRUNC)
        *passed = OS_PASSED_LOST;
    return got;
}

ssize_t os_socket_receive_descriptor(int fd, void *buffer, size_t size, int *passed)
{
    return receive_descriptor(fd, buffer, size, passed, MSG_DONTWAIT);
}

ssize_t os_socket_receive_first(int fd, void *buffer, size_t size, int *passed)
{
    ssize_t got = passed ? receive_descriptor(fd, buffer, size, passed, 0) : receive_bytes(fd, buffer, size, 0);
    if (got == -EINTR)
        os_wait_signalled();
    return got;
}
