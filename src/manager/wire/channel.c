/* The way between client and server, as channel.h says. */
#include "manager/wire/channel.h"

#include "os/descriptor.h"
#include "os/socket.h"
#include <errno.h>

void channel_close(struct channel *channel)
{
    tls_free(channel->tls);
    channel->tls = NULL;
    if (channel->fd >= 0)
        os_close(channel->fd);
    channel->fd = -1;
}

void channel_shut(const struct channel *channel)
{
    if (channel->fd >= 0)
        os_socket_shut(channel->fd);
}

ssize_t channel_send(struct channel *channel, const struct iovec *parts, int count)
{
    if (!channel->tls)
        return os_socket_send(channel->fd, parts, count);
    ssize_t all = 0;
    for (int i = 0; i < count; i++) {
        ssize_t sent = tls_send(channel->tls, parts[i].iov_base, parts[i].iov_len);
        if (sent < 0)
            return all ? all : sent;
        all += sent;
        if ((size_t)sent < parts[i].iov_len)
            break;
    }
    return all;
}

bool channel_holds(const struct channel *channel)
{
    return channel->tls && tls_holds(channel->tls);
}

ssize_t channel_receive(struct channel *channel, void *buffer, size_t size)
{
    return channel->tls ? tls_receive(channel->tls, buffer, size) : os_socket_receive(channel->fd, buffer, size);
}

int channel_set_wait(const struct channel *channel, int64_t nanoseconds)
{
    return channel->tls ? -EOPNOTSUPP : os_socket_set_wait(channel->fd, nanoseconds);
}

ssize_t channel_receive_first(const struct channel *channel, void *buffer, size_t size)
{
    return os_socket_receive_first(channel->fd, buffer, size, NULL);
}
