/* Connections: two ends of a byte stream with message boundaries, over kernel descriptors.
 *
 *     mproc_connection *ours, *theirs;
 *     mproc_pipe(&ours, &theirs, true);
 *     mproc_process_start(&p, child, NULL, &(mproc_process_options){ .connections = &theirs, .connection_count = 1 });
 *     theirs = mproc_connection_free(theirs);          // else we would never see the end of file
 *     while ((result = mproc_connection_recv(ours, buffer, sizeof buffer, &size, MPROC_FOREVER)) == 0)
 *         use(buffer, size);                           // MPROC_CLOSED: the child closed its end or died
 *
 * A message is 0 to 2^63 - 1 bytes. The framing is that of CPython's multiprocessing.connection (a 4-byte big-endian
 * length; -1 and an 8-byte length above 2^31 - 1). One thread may send while another receives on the same connection;
 * two that send, or two that receive, take turns. Only one process at a time may receive on an end, for it reads ahead:
 * after a fork both copies hold what was read. Descriptors are close-on-exec. A peer that is gone raises no SIGPIPE. */
#ifndef MPROC_CONNECTION_H
#define MPROC_CONNECTION_H

#include <mproc/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_connection mproc_connection;

/* Make two ends that are connected. duplex: both send and receive; else *a only receives and *b only sends, as in
 * Python. -EINVAL, -ENOMEM, -EMFILE, -ENFILE; nothing is left open then. */
MPROC_API int mproc_pipe(mproc_connection **a, mproc_connection **b, bool duplex);

/* Make a connection of a descriptor that is a connected stream socket, a pipe or a FIFO. The connection owns fd from
 * then on and closes it when freed; on failure the caller still owns it. -EBADF, -EINVAL (not a stream), -ENOMEM. */
MPROC_API int mproc_connection_from_fd(mproc_connection **connection, int fd);

/* Send one message. 0 when the kernel has taken all of it. MPROC_TIMEOUT: not a byte was sent. MPROC_BROKEN: the time
 * was over, or the peer went, in the middle of the message; the connection can send no more. MPROC_CLOSED: the peer has
 * closed or died. -EINVAL: NULL data with a size, or more than 2^63 - 1 bytes. -EBADF: this end does not send. */
MPROC_API int mproc_connection_send(mproc_connection *connection, const void *data, size_t size, mproc_time timeout);

/* Receive one message into buffer. *size is the message's size. MPROC_TOO_SMALL: it is larger than capacity; *size
 * tells, the message stays and the next receive gets it. MPROC_TIMEOUT: not all of it has come; what came is kept for
 * the next call. MPROC_CLOSED: the peer closed or died. MPROC_BROKEN: it did so inside a message, or sent a bad length.
 * -EBADF: this end does not receive. -EPROTO: a descriptor is next, to be received by recv_fd. -ENOMEM: no memory to
 * keep the part of a large message that came before the time was over; the message stays. size may be NULL. */
MPROC_API int mproc_connection_recv(mproc_connection *connection, void *buffer, size_t capacity, size_t *size,
                                    mproc_time timeout);

/* As mproc_connection_recv() into memory from malloc(), which the caller frees. A message of 0 bytes gives a pointer
 * that may be freed. Memory is taken as bytes arrive, not by the length that the peer claims. -ENOMEM: the message
 * stays. */
MPROC_API int mproc_connection_recv_new(mproc_connection *connection, void **data, size_t *size, mproc_time timeout);

/* Wait until there is something to receive, or the end of file. 0 or MPROC_TIMEOUT. -EBADF: this end does
 * not receive. */
MPROC_API int mproc_connection_poll(mproc_connection *connection, mproc_time timeout);

/* Send a descriptor over a duplex pipe (a unix socket); the peer gets a duplicate. It is a message of its own kind: the
 * peer must receive it by recv_fd. -EBADF: fd is not open, or this end does not send; -EOPNOTSUPP: not a unix socket.
 */
MPROC_API int mproc_connection_send_fd(mproc_connection *connection, int fd, mproc_time timeout);

/* Receive a descriptor, close-on-exec, which the caller owns. -EPROTO: the next message is not a descriptor (it stays
 * and can be received as what it is). -EMFILE: no descriptor is left; the message is lost. */
MPROC_API int mproc_connection_recv_fd(mproc_connection *connection, int *fd, mproc_time timeout);

/* The descriptor, for poll(); it still belongs to the connection. Bytes that were read ahead do not show on it: ask
 * mproc_connection_poll() or mproc_wait() instead. -EINVAL for NULL. */
MPROC_API int mproc_connection_fileno(const mproc_connection *connection);

/* Close it and return NULL. NULL is ignored. The peer sees the end of file when every process has closed this end. */
MPROC_API mproc_connection *mproc_connection_free(mproc_connection *connection);

/* ---- waiting for several things at once ---- */

struct mproc_process;
struct mproc_queue;
struct mproc_future;

enum mproc_wait_kind {
    MPROC_WAIT_CONNECTION = 1, /* something to receive, or end of file */
    MPROC_WAIT_PROCESS,        /* the process has ended */
    MPROC_WAIT_QUEUE,          /* a message to get, or closed and empty */
    MPROC_WAIT_FUTURE,         /* the task is done */
    MPROC_WAIT_FD              /* any descriptor that can be read, a sentinel for example */
};

/* One thing to wait for: kind says which member of the union is set. ready is written by mproc_wait(). */
typedef struct mproc_wait_item {
    enum mproc_wait_kind kind;
    bool ready;
    union {
        mproc_connection *connection;
        struct mproc_process *process;
        struct mproc_queue *queue;
        struct mproc_future *future;
        int fd;
    } on;
} mproc_wait_item;

/* Wait until at least one of the items is ready; sets ready in each, and *ready_count (may be NULL) to their number. 0,
 * or MPROC_TIMEOUT with none ready. -EINVAL: no items, NULL in one, an unknown kind. A queue's message may be taken by
 * another process between this call and the get: get with MPROC_NOWAIT and wait again on MPROC_TIMEOUT. -EBADF: a
 * descriptor is not open; -ENOMEM, -EMFILE. */
MPROC_API int mproc_wait(mproc_wait_item *items, size_t count, size_t *ready_count, mproc_time timeout);

#ifdef __cplusplus
}
#endif

#endif
