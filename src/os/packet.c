/* Packets with descriptors, as packet.h says. */
#include "os/packet.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

union control {
    struct cmsghdr align;
    char bytes[CMSG_SPACE(OS_PACKET_FDS * sizeof(int))];
};

int os_packet_pair(int fds[2])
{
    int fault = os_fault(OS_SOCKETPAIR);
    if (fault)
        return fault;
    if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds))
        return failed_call("socketpair");
    return os_keep_pair(fds);
}

int os_packet_send(int fd, const void *data, size_t size, const int *fds, size_t count)
{
    int fault = os_fault(OS_SENDMSG);
    if (fault)
        return fault;
    union control control = {.bytes = {0}};
    struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};
    struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
    if (count > OS_PACKET_FDS)
        return failure(-EINVAL, "more than %d descriptors are to go with one packet", OS_PACKET_FDS);
    if (count) {
        message.msg_control = control.bytes;
        message.msg_controllen = CMSG_SPACE(count * sizeof *fds);
        struct cmsghdr *header = CMSG_FIRSTHDR(&message);
        header->cmsg_level = SOL_SOCKET;
        header->cmsg_type = SCM_RIGHTS;
        header->cmsg_len = CMSG_LEN(count * sizeof *fds);
        memcpy(CMSG_DATA(header), fds, count * sizeof *fds);
    }
    return uncancelled_sendmsg(fd, &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 ? failed_call("sendmsg") : 0;
}

static size_t take_descriptors(struct msghdr *message, int fds[OS_PACKET_FDS])
{
    const struct cmsghdr *header = CMSG_FIRSTHDR(message);
    if (!header || header->cmsg_level != SOL_SOCKET || header->cmsg_type != SCM_RIGHTS)
        return 0;
    size_t count = (header->cmsg_len - CMSG_LEN(0)) / sizeof *fds;
    memcpy(fds, CMSG_DATA(header), count * sizeof *fds);
    return count;
}

/* False when one of them could not be moved above stdio. */
static bool keep_descriptors(int *fds, size_t count)
{
    bool all = true;
    for (size_t i = 0; i < count; i++) {
        fds[i] = os_keep_received(fds[i]);
        all = all && fds[i] >= 0;
    }
    return all;
}

ssize_t os_packet_receive(int fd, void *buffer, size_t size, int fds[OS_PACKET_FDS], size_t *count)
{
    *count = 0;
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
    ssize_t got = uncancelled_recvmsg(fd, &message, MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    if (got < 0)
        return failed_call("recvmsg");
    *count = take_descriptors(&message, fds);
    bool whole = keep_descriptors(fds, *count) && !(message.msg_flags & MSG_CTRUNC);
    if (whole)
        return got;
    while (*count) {
        if (fds[--*count] >= 0)
            uncancelled_close(fds[*count]);
    }
    return -EMFILE;
}

/* It is on its way to nobody, in the queue of a socket. */
int os_stow(int fd)
{
    int ends[2];
    int result = os_packet_pair(ends);
    if (result)
        return result;
    do {
        result = os_packet_send(ends[0], "", 1, &fd, 1);
    } while (result == -EINTR);
    os_close(ends[0]);
    if (!result)
        return ends[1];
    os_close(ends[1]);
    return result;
}
