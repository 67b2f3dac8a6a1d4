/* Connections: the handles, the list of those that are open, and the calls of <mproc/connection.h>, which wait for
 * their turn and then leave the work to the stream and the receiver. A handle belongs to one process; a fork copies it.
 *
 * A child must get no descriptor that it does not know of, else the end of file would not be seen where it is awaited.
 * So descriptors are made, and closed, under the lock of the list, and no fork happens while that is held. */
#include "connection/connection.h"

#include "arena/member.h"
#include "connection/frame.h"
#include "connection/receiver.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/fork.h"
#include "os/listed.h"
#include "os/listen.h"
#include "os/pipe.h"
#include "os/thread.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/process.h>
#include <poll.h>
#include <pthread.h>
#include <string.h>

struct mproc_connection {
    struct mproc_connection *next; /* under the lock of the list */
    uint64_t inherited_as;         /* the indices that it was inherited at, a bit each; under the same lock */
    struct stream stream;
    unsigned directions;
    pthread_mutex_t sending;   /* the turn to send */
    _Atomic(bool) send_broken; /* a message was sent in part; set by whose turn it is, never cleared */
    pthread_mutex_t receiving;
    struct receiver receiver; /* under receiving */
};

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static struct mproc_connection *list;

/* ---- forks ---- */

static void connection_before_fork(void)
{
    pthread_mutex_lock(&list_lock);
}

static void connection_after_fork_in_parent(void)
{
    pthread_mutex_unlock(&list_lock);
}

/* Threads of the parent may have held any of these. */
static OS_FORK_PATH void connection_after_fork_in_child(void)
{
    os_mutex_reset(&list_lock, true);
    for (struct mproc_connection *connection = list; connection; connection = connection->next) {
        os_mutex_reset(&connection->sending, false);
        os_mutex_reset(&connection->receiving, false);
        connection->inherited_as = 0;
    }
}

static member_fork_handler *const listed OS_LISTED("mproc_fork_handlers") = connection_after_fork_in_child;

/* Before a fork the handlers are run in the order process, connections, members, for that is the order of the locks. */
static void connection_register_handlers(void)
{
    member_watch_forks();
    pthread_atfork(connection_before_fork, connection_after_fork_in_parent, NULL);
}

void connection_watch_forks(void)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;
    pthread_once(&once, connection_register_handlers);
}

__attribute__((constructor)) static void watch_forks(void)
{
    connection_watch_forks();
}

/* ---- the list ---- */

static void connection_enlist(mproc_connection *connection, int fd, enum os_stream_kind kind, unsigned directions)
{
    os_adopt(fd);
    stream_init(&connection->stream, fd, kind);
    connection->directions = directions;
    connection->next = list;
    list = connection;
}

static mproc_connection *connection_make(void)
{
    mproc_connection *connection = os_malloc(sizeof *connection);
    if (!connection)
        return NULL;
    connection_watch_forks();
    pthread_mutex_init(&connection->sending, NULL);
    pthread_mutex_init(&connection->receiving, NULL);
    connection->send_broken = false;
    receiver_init(&connection->receiver);
    return connection;
}

static void unmake(mproc_connection *connection)
{
    if (!connection)
        return;
    receiver_close(&connection->receiver);
    pthread_mutex_destroy(&connection->sending);
    pthread_mutex_destroy(&connection->receiving);
    free(connection);
}

static void close_stream(mproc_connection *connection)
{
    if (connection->stream.fd >= 0)
        os_close(connection->stream.fd);
    connection->stream.fd = -1;
}

/* Where the list points to this connection, or NULL. */
static mproc_connection **connection_find(const mproc_connection *connection)
{
    for (mproc_connection **place = &list; *place; place = &(*place)->next)
        if (*place == connection)
            return place;
    return NULL;
}

bool connection_is_open(const mproc_connection *connection)
{
    pthread_mutex_lock(&list_lock);
    bool open = connection_find(connection) && connection->stream.fd >= 0;
    pthread_mutex_unlock(&list_lock);
    return open;
}

/* ---- making and closing ---- */

static int make_pair(mproc_connection *a, mproc_connection *b, bool duplex)
{
    int fds[2];

    pthread_mutex_lock(&list_lock);
    int result = duplex ? os_socket_pair(fds) : os_pipe(fds);
    if (!result) {
        enum os_stream_kind kind = duplex ? OS_STREAM_UNIX : OS_STREAM_PIPE;
        connection_enlist(a, fds[0], kind, duplex ? CONNECTION_DUPLEX : CONNECTION_RECEIVES);
        connection_enlist(b, fds[1], kind, duplex ? CONNECTION_DUPLEX : CONNECTION_SENDS);
    }
    pthread_mutex_unlock(&list_lock);
    return result;
}

int mproc_pipe(mproc_connection **a, mproc_connection **b, bool duplex)
{
    if (!a)
        return refuse(__func__, "a is NULL");
    if (!b)
        return refuse(__func__, "b is NULL");
    if (a == b)
        return refuse(__func__, "a and b are the same place");
    mproc_connection *first = connection_make();
    mproc_connection *second = connection_make();
    int result = first && second ? make_pair(first, second, duplex) : -ENOMEM;
    if (result) {
        unmake(first);
        unmake(second);
        return outcome(__func__, result);
    }
    *a = first;
    *b = second;
    return 0;
}

/* directions 0: those that the descriptor has. */
static int own(mproc_connection *connection, int fd, unsigned directions)
{
    struct os_stream stream;

    int result = os_stream_identify(fd, &stream);
    if (!result)
        result = os_set_close_on_exec(fd);
    if (result)
        return result;
    if (directions == 0)
        directions = (stream.input ? CONNECTION_RECEIVES : 0u) | (stream.output ? CONNECTION_SENDS : 0u);
    pthread_mutex_lock(&list_lock);
    connection_enlist(connection, fd, stream.kind, directions);
    pthread_mutex_unlock(&list_lock);
    return 0;
}

int mproc_connection_from_fd(mproc_connection **connection, int fd)
{
    if (!connection)
        return refuse(__func__, "connection is NULL");
    mproc_connection *made = connection_make();
    int result = made ? own(made, fd, 0) : -ENOMEM;
    if (result) {
        unmake(made);
        return outcome(__func__, result);
    }
    *connection = made;
    return 0;
}

mproc_connection *mproc_connection_free(mproc_connection *connection)
{
    if (!connection)
        return NULL;
    failure_hold();
    pthread_mutex_lock(&list_lock);
    mproc_connection **place = connection_find(connection);
    if (place) {
        *place = connection->next;
        close_stream(connection);
    }
    pthread_mutex_unlock(&list_lock);
    if (place)
        unmake(connection);
    failure_release();
    return NULL;
}

int mproc_connection_fileno(const mproc_connection *connection)
{
    if (!connection)
        return refuse(__func__, "connection is NULL");
    return outcome_count(__func__, connection_fd(connection));
}

/* ---- for listeners, and those that connect ---- */

void connection_hold_forks(void)
{
    connection_watch_forks();
    pthread_mutex_lock(&list_lock);
}

bool connection_try_hold_forks(int64_t patience)
{
    return os_mutex_take(&list_lock, os_after(patience)) == 0;
}

void connection_let_forks(void)
{
    pthread_mutex_unlock(&list_lock);
}

int connection_take(mproc_connection **connection, int fd, bool local)
{
    mproc_connection *made = connection_make();
    if (!made)
        return -ENOMEM;
    connection_enlist(made, fd, local ? OS_STREAM_UNIX : OS_STREAM_SOCKET, CONNECTION_DUPLEX);
    *connection = made;
    return 0;
}

struct stream *connection_stream(mproc_connection *connection)
{
    return &connection->stream;
}

/* ---- turns ---- */

static int connection_check(const mproc_connection *connection, unsigned direction, mproc_time timeout)
{
    if (!connection)
        return failure(-EINVAL, "connection is NULL");
    if (!os_timeout_is_valid(timeout))
        return failure(-EINVAL, "timeout is negative");
    if (connection->stream.fd >= 0 && connection->directions & direction)
        return 0;
    return failure(-EBADF, "the connection is closed, or is for the other direction only");
}

static int begin_send(mproc_connection *connection, mproc_time timeout, int64_t *deadline)
{
    int result = connection_check(connection, CONNECTION_SENDS, timeout);
    if (result)
        return result;
    *deadline = os_deadline(timeout);
    return os_outcome(os_mutex_take(&connection->sending, *deadline), timeout);
}

static int begin_receive(mproc_connection *connection, mproc_time timeout, int64_t *deadline)
{
    int result = connection_check(connection, CONNECTION_RECEIVES, timeout);
    if (result)
        return result;
    *deadline = os_deadline(timeout);
    return os_outcome(os_mutex_take(&connection->receiving, *deadline), timeout);
}

/* ---- sending ---- */

/* How a send ends; begun says whether a byte went. */
static int send_result(mproc_connection *connection, int result, bool begun)
{
    if (result && begun) {
        connection->send_broken = true;
        return MPROC_BROKEN;
    }
    return result == -EPIPE ? MPROC_CLOSED : result;
}

static void connection_skip(struct iovec *part, size_t *count)
{
    size_t step = *count < part->iov_len ? *count : part->iov_len;

    part->iov_base = (char *)part->iov_base + step;
    part->iov_len -= step;
    *count -= step;
}

/* Send the parts, as far as it goes at once. Returns whether anything went. */
static bool connection_send_some(mproc_connection *connection, struct iovec parts[2], int64_t deadline, int *result)
{
    bool first = parts[0].iov_len > 0;
    ssize_t sent = stream_send(&connection->stream, first ? parts : parts + 1, first && parts[1].iov_len ? 2 : 1);
    if (sent < 0) {
        *result = stream_again(&connection->stream, sent, POLLOUT, deadline);
        return false;
    }
    size_t count = (size_t)sent;
    connection_skip(&parts[0], &count);
    connection_skip(&parts[1], &count);
    bool done = parts[0].iov_len == 0 && parts[1].iov_len == 0;
    *result = done ? 0 : stream_await(&connection->stream, POLLOUT, deadline);
    return sent > 0;
}

static int send_message(mproc_connection *connection, const void *data, size_t size, int64_t deadline)
{
    unsigned char header[FRAME_HEADER_MAX];
    struct iovec parts[2] = {
        {.iov_base = header, .iov_len = frame_encode(header, size)},
        {.iov_base = (void *)(uintptr_t)data, .iov_len = size},
    };
    bool begun = false;
    int result = connection->send_broken ? MPROC_BROKEN : 0;

    while (!result && (parts[0].iov_len || parts[1].iov_len))
        begun = connection_send_some(connection, parts, deadline, &result) || begun;
    return send_result(connection, result, begun);
}

int mproc_connection_send(mproc_connection *connection, const void *data, size_t size, mproc_time timeout)
{
    int64_t deadline;

    if (!data && size)
        return refuse(__func__, "data is NULL, but size is not 0");
    if (size > FRAME_SIZE_MAX)
        return refuse(__func__, "size is above 2^63 - 1");
    int result = begin_send(connection, timeout, &deadline);
    if (result)
        return outcome(__func__, result);
    result = send_message(connection, data, size, deadline);
    pthread_mutex_unlock(&connection->sending);
    return outcome(__func__, os_outcome(result, timeout));
}

static int send_descriptor(mproc_connection *connection, int fd, int64_t deadline)
{
    if (connection->send_broken)
        return MPROC_BROKEN;
    for (;;) {
        int sent = os_socket_send_descriptor(connection->stream.fd, FRAME_DESCRIPTOR, fd);
        if (sent == 0)
            return 0;
        int result =
            stream_again(&connection->stream, sent < 0 && os_is_gone((int)sent) ? -EPIPE : sent, POLLOUT, deadline);
        if (result)
            return send_result(connection, result, false);
    }
}

int mproc_connection_send_fd(mproc_connection *connection, int fd, mproc_time timeout)
{
    int64_t deadline;

    int result = connection_check(connection, CONNECTION_SENDS, timeout);
    if (!result && connection->stream.kind != OS_STREAM_UNIX)
        result = failure(-EOPNOTSUPP, "connection is no Unix socket, which alone carries descriptors");
    if (!result)
        result = begin_send(connection, timeout, &deadline);
    if (result)
        return outcome(__func__, result);
    result = send_descriptor(connection, fd, deadline);
    pthread_mutex_unlock(&connection->sending);
    return outcome(__func__, os_outcome(result, timeout));
}

/* ---- receiving ---- */

int mproc_connection_recv(mproc_connection *connection, void *buffer, size_t capacity, size_t *size, mproc_time timeout)
{
    int64_t deadline;
    size_t unused;

    if (!buffer && capacity)
        return refuse(__func__, "buffer is NULL, but capacity is not 0");
    int result = begin_receive(connection, timeout, &deadline);
    if (result)
        return outcome(__func__, result);
    result =
        receiver_get(&connection->receiver, &connection->stream, buffer, capacity, size ? size : &unused, deadline);
    pthread_mutex_unlock(&connection->receiving);
    return outcome(__func__, os_outcome(result, timeout));
}

int mproc_connection_recv_new(mproc_connection *connection, void **data, size_t *size, mproc_time timeout)
{
    int64_t deadline;
    size_t unused;

    if (!data)
        return refuse(__func__, "data is NULL");
    int result = begin_receive(connection, timeout, &deadline);
    if (result)
        return outcome(__func__, result);
    result = receiver_get_new(&connection->receiver, &connection->stream, data, size ? size : &unused, deadline);
    pthread_mutex_unlock(&connection->receiving);
    return outcome(__func__, os_outcome(result, timeout));
}

int mproc_connection_recv_fd(mproc_connection *connection, int *fd, mproc_time timeout)
{
    int64_t deadline;

    if (!fd)
        return refuse(__func__, "fd is NULL");
    int result = begin_receive(connection, timeout, &deadline);
    if (result)
        return outcome(__func__, result);
    result = receiver_get_descriptor(&connection->receiver, &connection->stream, fd, deadline);
    pthread_mutex_unlock(&connection->receiving);
    return outcome(__func__, os_outcome(result, timeout));
}

/* Another thread may read ahead what this one waits for; so it looks again after each nap. */
int mproc_connection_poll(mproc_connection *connection, mproc_time timeout)
{
    int result = connection_check(connection, CONNECTION_RECEIVES, timeout);
    if (result)
        return outcome(__func__, result);
    int64_t deadline = os_deadline(timeout);
    do {
        if (receiver_is_ready(&connection->receiver))
            return 0;
        result = stream_nap(&connection->stream, POLLIN, deadline);
    } while (result == -EAGAIN);
    return outcome(__func__, os_outcome(result, timeout));
}

bool connection_is_ready(const mproc_connection *connection)
{
    if (connection->stream.silence)
        stream_look_at_peer(connection_stream((mproc_connection *)(uintptr_t)connection));
    return receiver_is_ready(&connection->receiver);
}

int connection_watch_fd(const mproc_connection *connection)
{
    return connection->directions & CONNECTION_RECEIVES ? connection_fd(connection) : -EBADF;
}

/* ---- to children ---- */

_Static_assert(CONNECTION_INHERITED <= 64, "each index has its bit");

static uint64_t indices_in(mproc_connection *const *keep, size_t count, const mproc_connection *connection)
{
    uint64_t indices = 0;
    for (size_t i = 0; i < count; i++)
        if (keep[i] == connection)
            indices |= UINT64_C(1) << i;
    return indices;
}

void connection_keep_only(mproc_connection *const *keep, size_t count)
{
    for (mproc_connection *connection = list; connection; connection = connection->next) {
        connection->inherited_as = indices_in(keep, count, connection);
        if (connection->inherited_as)
            continue;
        close_stream(connection);
        receiver_abandon(&connection->receiver);
    }
}

mproc_connection *mproc_inherited_connection(size_t index)
{
    if (index >= CONNECTION_INHERITED)
        return NULL;
    pthread_mutex_lock(&list_lock);
    mproc_connection *connection = list;
    while (connection && !(connection->inherited_as >> index & 1))
        connection = connection->next;
    pthread_mutex_unlock(&list_lock);
    return connection;
}

int connection_fd(const mproc_connection *connection)
{
    return connection->stream.fd >= 0 ? connection->stream.fd : failure(-EBADF, "connection is closed");
}

/* A description begins with this; what the receiver saved follows. */
struct description {
    uint32_t directions;
    uint32_t send_broken;
};

/* To be called by one whose turn it is to receive. */
static int connection_put_description(const mproc_connection *connection, void *description, size_t capacity,
                                      size_t *size)
{
    struct description head = {.directions = connection->directions, .send_broken = connection->send_broken};

    *size = sizeof head + receiver_saved_size(&connection->receiver);
    if (connection->receiver.passed != OS_PASSED_NONE)
        return -EBUSY;
    if (*size > capacity)
        return MPROC_TOO_SMALL;
    memcpy(description, &head, sizeof head);
    receiver_save(&connection->receiver, (unsigned char *)description + sizeof head);
    return 0;
}

int connection_describe(mproc_connection *connection, void *description, size_t capacity, size_t *size)
{
    if (pthread_mutex_trylock(&connection->receiving))
        return -EBUSY;
    int result = connection_put_description(connection, description, capacity, size);
    pthread_mutex_unlock(&connection->receiving);
    return result;
}

static int connection_load(mproc_connection *connection, const void *description, size_t size, unsigned *directions)
{
    struct description head;

    if (size < sizeof head)
        return failure(-EINVAL, "the description of a connection is cut off");
    memcpy(&head, description, sizeof head);
    if (head.directions == 0 || head.directions > CONNECTION_DUPLEX)
        return failure(-EINVAL, "the description of a connection is damaged");
    *directions = head.directions;
    connection->send_broken = head.send_broken;
    return receiver_load(&connection->receiver, (const unsigned char *)description + sizeof head, size - sizeof head);
}

int connection_adopt(mproc_connection **connection, int fd, const void *description, size_t size)
{
    unsigned directions = 0;

    mproc_connection *made = connection_make();
    int result = made ? connection_load(made, description, size, &directions) : -ENOMEM;
    if (!result)
        result = own(made, fd, directions);
    if (result) {
        unmake(made);
        return result;
    }
    *connection = made;
    return 0;
}
