/* Reaching an address, as reach.h says. It waits, and holds no lock. */
#include "ipc/reach.h"

#include "os/clock.h"
#include "os/poll.h"
#include <errno.h>

/* A unix socket whose listener has no room cannot be waited for. */
#define ROOM_NAP OS_MS(5)

static int await_room(int64_t deadline)
{
    int64_t left = os_until(deadline);
    if (left == 0)
        return MPROC_TIMEOUT;
    int result = os_poll(NULL, 0, left < ROOM_NAP ? left : ROOM_NAP);
    return result == -EINTR ? 0 : result;
}

int reach(const struct stream *stream, const struct os_address *place, int64_t deadline)
{
    for (;;) {
        int result = os_socket_connect(stream->fd, place);
        if (result == -EINPROGRESS) {
            result = stream_await(stream, POLLOUT, deadline);
            return result ? result : os_socket_error(stream->fd);
        }
        if (result == -EAGAIN)
            result = await_room(deadline);
        else if (result != -EINTR)
            return result;
        if (result && result != -EINTR)
            return result;
    }
}

int reach_check_user(const struct stream *stream)
{
    uid_t user;

    int result = os_socket_peer_user(stream->fd, &user);
    if (result)
        return result;
    return user == os_user() ? 0 : -EPERM;
}
