/* Pipes and FIFOs, as pipe.h says. */
#include "os/pipe.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/poll.h"
#include "os/refused.h"
#include "os/signal.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <stdint.h>
#include <unistd.h>

#ifndef RWF_NOSIGNAL
#define RWF_NOSIGNAL 0x00000100
#endif

enum {
    PARTS_MAX = 2
};

int os_pipe(int fds[2])
{
    int fault = os_fault(OS_SOCKETPAIR);
    if (fault)
        return fault;
    return pipe2(fds, O_CLOEXEC) ? failed_call("pipe2") : os_keep_pair(fds);
}

/* The result of a call that the caller can do without. */
static ssize_t size_of(const char *call, ssize_t size)
{
    if (size >= 0)
        return size;
    return os_is_refused(errno) ? -EOPNOTSUPP : failed_call(call);
}

static ssize_t write_quietly(int fd, const struct iovec *parts, int count, int flags)
{
    sigset_t held, before;

    os_signals_hold(&held, &before);
    ssize_t size = flags ? uncancelled_pwritev2(fd, parts, count, -1, flags) : uncancelled_writev(fd, parts, count);
    ssize_t result = flags ? size_of("pwritev2", size) : size < 0 ? failed_call("writev") : size;
    os_signals_release(&held, &before, result == -EPIPE || result == -EFBIG);
    return result;
}

ssize_t os_write_quietly(int fd, const void *data, size_t size)
{
    const struct iovec part = {.iov_base = (void *)(uintptr_t)data, .iov_len = size};

    int fault = os_fault(OS_WRITE);
    return fault ? fault : write_quietly(fd, &part, 1, 0);
}

/* Where poll() says that a pipe can be written there is room for PIPE_BUF bytes, not for more. */
static ssize_t write_polled(int fd, const struct iovec *parts, int count)
{
    struct pollfd watch = {.fd = fd, .events = POLLOUT};
    struct iovec head[PARTS_MAX];
    size_t room = PIPE_BUF;

    int ready = os_poll(&watch, 1, 0);
    if (ready <= 0)
        return ready ? ready : -EAGAIN;
    for (int i = 0; i < count; i++) {
        head[i] = parts[i];
        if (head[i].iov_len > room)
            head[i].iov_len = room;
        room -= head[i].iov_len;
    }
    return write_quietly(fd, head, count, 0);
}

ssize_t os_pipe_write(int fd, const struct iovec *parts, int count, enum os_pipe_ability ability)
{
    int fault = os_fault(OS_WRITE);
    if (fault)
        return fault;
    if (count > PARTS_MAX)
        return failure(-EINVAL, "a write has more than %d parts", PARTS_MAX);
    if (ability == OS_PIPE_POLLED)
        return write_polled(fd, parts, count);
    if (ability == OS_PIPE_NOWAIT)
        return write_quietly(fd, parts, count, RWF_NOWAIT);
    return size_of("pwritev2", uncancelled_pwritev2(fd, parts, count, -1, RWF_NOWAIT | RWF_NOSIGNAL));
}

static ssize_t read_polled(int fd, void *buffer, size_t size)
{
    struct pollfd watch = {.fd = fd, .events = POLLIN};

    int ready = os_poll(&watch, 1, 0);
    if (ready <= 0)
        return ready ? ready : -EAGAIN;
    ssize_t got = uncancelled_read(fd, buffer, size);
    return got < 0 ? failed_call("read") : got;
}

ssize_t os_pipe_read(int fd, void *buffer, size_t size, enum os_pipe_ability ability)
{
    int fault = os_fault(OS_READ);
    if (fault)
        return fault;
    if (ability == OS_PIPE_POLLED)
        return read_polled(fd, buffer, size);
    struct iovec part = {.iov_base = buffer, .iov_len = size};
    return size_of("preadv2", uncancelled_preadv2(fd, &part, 1, -1, RWF_NOWAIT));
}
