/* Queues: messages of any size between any number of processes, in shared memory, first in first out.
 *
 *     mproc_queue *queue;
 *     mproc_queue_create(&queue, NULL);
 *     mproc_queue_put(queue, &job, sizeof job, MPROC_FOREVER);          // in any process
 *     mproc_queue_get(queue, &job, sizeof job, NULL, MPROC_FOREVER);    // in any process
 *
 * The pointer is shared: it may be an argument of a process, a member of a shared struct, or a message. There is no
 * feeder thread: when put returns, the message is in the queue and outlives its sender. Messages of one producer are
 * got in the order in which they were put. Unless bounded, a queue grows as needed and gives its memory back as it is
 * drained; of that up to 512 KiB, with messages above 128 KiB up to 8 MiB, stay until a getter has slept for 100 ms or
 * its timeout without a message. Before a put takes more memory it waits for getters that are at work, to whom new
 * memory would take longer: about 0.3 ms at most, and 4 ms more for each MiB of its message.
 *
 * A process that dies in put has put all of the message or nothing; one that dies in get has taken the message or not.
 * Nobody else is held up by it for more than 100 ms.
 *
 * One process puts at a time, and one gets. A call that finds another at it waits for that one, with a short timeout or
 * MPROC_NOWAIT up to 20 ms, which is far more than it takes unless the other is stopped. Putters that wait at a bounded
 * queue go on when a quarter of it is free, or 100 ms after there is room. */
#ifndef MPROC_QUEUE_H
#define MPROC_QUEUE_H

#include <mproc/base.h>
#include <stdbool.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct mproc_queue mproc_queue;

typedef struct mproc_queue_options {
    size_t maxsize;       /* messages that it holds at most; 0: no bound but memory */
    uint64_t reserved[8]; /* must be 0: room for fields to come, see mproc/base.h */
} mproc_queue_options;

/* A message to put, or a place to get one: data and its size in bytes. */
typedef struct mproc_message {
    void *data;
    size_t size;
} mproc_message;

/* Make a queue; it belongs to the family. -EINVAL, -ENOMEM. */
MPROC_API int mproc_queue_create(mproc_queue **queue, const mproc_queue_options *options);

/* Put one message, a copy of size bytes at data; 0 bytes are a message too. Waits while a bounded queue is full. 0,
 * MPROC_TIMEOUT, MPROC_CLOSED. -ENOMEM: no room to grow; -EINVAL: NULL data with a size, or a size above 2^47;
 * -EDEADLK: this thread has a reservation that it did not commit. */
MPROC_API int mproc_queue_put(mproc_queue *queue, const void *data, size_t size, mproc_time timeout);

/* Get the first message into buffer. *size (may be NULL) is its size. 0; MPROC_TIMEOUT (with MPROC_NOWAIT: it is
 * empty), or MPROC_CLOSED when the queue is closed and empty. MPROC_TOO_SMALL: it is larger than capacity; it stays,
 * and *size tells. -EDEADLK: this thread peeks at a message that it did not release. */
MPROC_API int mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *size, mproc_time timeout);

/* Get the first message into memory from malloc(), which the caller frees. -ENOMEM: the message stays. */
MPROC_API int mproc_queue_get_new(mproc_queue *queue, void **data, size_t *size, mproc_time timeout);

/* Put count messages together: nobody sees some of them only, and no other message comes between, as long as they fit
 * the bound. Waits until there is room for all. -EINVAL: a count of 0, or above the bound. */
MPROC_API int mproc_queue_put_many(mproc_queue *queue, const mproc_message *messages, size_t count, mproc_time timeout);

/* Get 1 to count messages, as many as are there. Each goes to messages[i].data, which has room for messages[i].size
 * bytes, and the size becomes the message's. *got is how many. It ends early before a message that does not fit its
 * place; when that is the first, MPROC_TOO_SMALL with its size in messages[0].size. */
MPROC_API int mproc_queue_get_many(mproc_queue *queue, mproc_message *messages, size_t count, size_t *got,
                                   mproc_time timeout);

/* ---- without copies ----
 *
 * Between reserve and commit, and between peek and release, this thread holds the queue's put or get side: be quick,
 * and do both in one thread. A process that dies in between has put nothing, or taken nothing. */

/* Room for a message of size bytes in the queue itself: write it at *data, then commit. The address is aligned to 16
 * bytes. Results as put. */
MPROC_API int mproc_queue_reserve(mproc_queue *queue, void **data, size_t size, mproc_time timeout);

/* Publish the reserved message, of which the first size bytes count (at most what was reserved). -EPERM: this thread
 * has no reservation here. */
MPROC_API int mproc_queue_commit(mproc_queue *queue, size_t size);

/* Give the reservation up. -EPERM as above. */
MPROC_API int mproc_queue_abandon(mproc_queue *queue);

/* Look at the first message where it lies. Results as get. */
MPROC_API int mproc_queue_peek(mproc_queue *queue, const void **data, size_t *size, mproc_time timeout);

/* End the look: take the message out of the queue, or leave it there. -EPERM: this thread does not peek here. */
MPROC_API int mproc_queue_release(mproc_queue *queue, bool take);

/* ---- state ---- */

/* How many messages are in it, exact at one moment during the call. 0 for NULL. */
MPROC_API size_t mproc_queue_size(const mproc_queue *queue);
MPROC_API bool mproc_queue_empty(const mproc_queue *queue);

/* Whether a bounded queue has reached its bound; false for an unbounded one. */
MPROC_API bool mproc_queue_full(const mproc_queue *queue);

/* Say that one message that was got is dealt with. -EPERM when more are said to be done than were put. */
MPROC_API int mproc_queue_task_done(mproc_queue *queue);

/* Wait until task_done was called as often as messages were put. 0 or MPROC_TIMEOUT.
 *
 * A message that was got stays undone until somebody calls task_done for it. So when a process dies between its get and
 * its task_done, join never returns by itself, whatever the others do: the message went with its consumer, and nobody
 * else knows of it. Where consumers may die, do not join with MPROC_FOREVER. Have each consumer write what it has in
 * hand into a shared struct of its own before it works on it, join with a timeout in a loop, look at the consumers
 * between, and for each that has died either put its message again or give it up; in both cases call task_done once for
 * the message that was lost:
 *
 *     while (mproc_queue_join(queue, MPROC_MS(200)) == MPROC_TIMEOUT)
 *         for (i = 0; i < count; i++)
 *             if (!mproc_process_is_alive(consumer[i]) && hand[i]->is_full) {
 *                 hand[i]->is_full = false;
 *                 mproc_queue_put(queue, hand[i]->message, hand[i]->size, MPROC_FOREVER);
 *                 mproc_queue_task_done(queue);       // of the one that was lost
 *             }
 *
 * Between the get and the store of is_full there are a few instructions in which a death is not seen. A pool has no
 * such gap: it tells of each item whose worker died. */
MPROC_API int mproc_queue_join(mproc_queue *queue, mproc_time timeout);

/* Refuse further messages: put is MPROC_CLOSED from now on, in those that wait too, and so is the commit of what was
 * reserved; get goes on until the queue is empty. Closing twice is 0. Waits at most 20 ms, where somebody is stopped in
 * a put or holds a reservation: getters learn of the end then when that one goes on or dies. */
MPROC_API int mproc_queue_close(mproc_queue *queue);

/* Free the queue with its messages and return NULL. No process may use it any more. NULL is ignored. A process that
 * cannot become a member of the family frees nothing. */
MPROC_API mproc_queue *mproc_queue_free(mproc_queue *queue);

#ifdef __cplusplus
}
#endif

#endif
