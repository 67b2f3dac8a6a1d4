/* The side of a queue that gets. */
#include "os/allocate.h"
#include "os/cpu.h"
#include "queue/queue_side.h"
#include "queue/queue_wait.h"
#include "util/failure.h"
#include <errno.h>
#include <string.h>

static bool has_message(mproc_queue *queue, size_t count)
{
    (void)count;
    return queue_is_ready(queue);
}

static inline void unlock_get(mproc_queue *queue)
{
    owner_lock_release(&queue->get.lock);
    os_fence_after_atomic();
}

/* is_locked: by this call, already. */
static int begin_get_slow(mproc_queue *queue, mproc_time timeout, bool is_locked)
{
    if (!is_locked && queue_holds(&queue->get.hold, &queue->get.lock))
        return failure(-EDEADLK, "this thread peeks at a message that it did not release");
    int64_t deadline = os_deadline(timeout);
    bool spun = false;
    uint64_t slept_at = UINT64_MAX; /* messages put when it last went to sleep */
    for (;;) {
        int result = is_locked ? 0 : ring_lock_get(queue, queue_lock_timeout(deadline));
        is_locked = false;
        if (result)
            return result;
        if (ring_available(queue))
            return 0;
        bool sealed = queue_is_sealed(queue);
        if (sealed && ring_available(queue)) /* it came before that */
            return 0;
        if (slept_at == ring_count(load_seq_cst(&queue->put.word)))
            ring_go_idle(queue);
        int first = queue_letting_pause(queue);
        unlock_get(queue);
        if (sealed)
            return MPROC_CLOSED;
        if (deadline == 0)
            return MPROC_TIMEOUT;
        if (!spun) { /* once more under the lock before it sleeps */
            spun = !queue_spin(has_message, queue, 1, first);
            continue;
        }
        spun = false;
        slept_at = ring_count(load_seq_cst(&queue->put.word));
        if (queue_sleep(has_message, queue, 1, &queue->messages, deadline) == MPROC_TIMEOUT)
            deadline = 0; /* a last look */
    }
}

/* Take the get lock when there is a message. */
static inline int begin_get(mproc_queue *queue, mproc_time timeout)
{
    bool is_locked = owner_lock_try(&queue->get.lock);
    return is_locked && ring_available(queue) ? 0 : os_outcome(begin_get_slow(queue, timeout, is_locked), timeout);
}

/* Take the get lock, and find the first record and its size. */
static inline int begin_look(mproc_queue *queue, mproc_time timeout, struct position *position, size_t *size)
{
    int result = begin_get(queue, timeout);
    if (result)
        return result;
    *position = ring_get_position(queue);
    ring_next(queue, position, true, size);
    return 0;
}

/* Putters that sleep for room are woken when it is worthwhile. Where getters stop short of that, they look after a
 * tick.
 */
static inline void end_get(mproc_queue *queue, const struct position *position, size_t count)
{
    ring_commit_get(queue, position, count);
    uint64_t left = 0; /* or more, when more came: a wake too early does no harm */
    if (queue->maxsize != SIZE_MAX)
        left = queue->get.puts_seen - ring_count(load_seq_cst(&queue->get.word));
    unlock_get(queue);
    if (queue->maxsize != SIZE_MAX && left <= queue->maxsize - queue->maxsize / 4)
        queue_wake(&queue->room, count);
}

int mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *size, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (!wrong && !buffer && capacity)
        wrong = "buffer is NULL, but capacity is not 0";
    if (wrong)
        return refuse(__func__, "%s", wrong);
    struct position position;
    size_t length = 0;
    int result = begin_look(queue, timeout, &position, &length);
    if (result)
        return outcome(__func__, result);
    if (size)
        *size = length;
    if (length > capacity) {
        unlock_get(queue);
        return MPROC_TOO_SMALL;
    }
    if (length)
        memcpy(buffer, ring_data(&position), length);
    ring_pass(&position, length);
    end_get(queue, &position, 1);
    return 0;
}

/* What is wrong with the arguments of a call that says where a message is, or NULL. */
static const char *wrong_look(const mproc_queue *queue, const void *data, const size_t *size, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (!wrong && !data)
        wrong = "data is NULL";
    return !wrong && !size ? "size is NULL" : wrong;
}

int mproc_queue_get_new(mproc_queue *queue, void **data, size_t *size, mproc_time timeout)
{
    const char *wrong = wrong_look(queue, data, size, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    struct position position;
    size_t length = 0;
    int result = begin_look(queue, timeout, &position, &length);
    if (result)
        return outcome(__func__, result);
    void *copy = os_malloc(length ? length : 1);
    if (!copy) {
        unlock_get(queue);
        return outcome(__func__, -ENOMEM);
    }
    memcpy(copy, ring_data(&position), length);
    ring_pass(&position, length);
    end_get(queue, &position, 1);
    *data = copy;
    *size = length;
    return 0;
}

/* Copy as many as are there and fit, up to the end of the segment. Returns how many; *position is behind them. */
static size_t copy_many(mproc_queue *queue, mproc_message *messages, size_t count, struct position *position)
{
    size_t got = 0;
    uint64_t available = ring_available(queue);
    while (got < count && got < available) {
        size_t size;
        if (!ring_next(queue, position, got == 0, &size))
            break;
        bool fits = size <= messages[got].size && (messages[got].data || size == 0);
        if (fits && size)
            memcpy(messages[got].data, ring_data(position), size);
        if (fits || got == 0)
            messages[got].size = size;
        if (!fits)
            break;
        ring_pass(position, size);
        got++;
    }
    return got;
}

int mproc_queue_get_many(mproc_queue *queue, mproc_message *messages, size_t count, size_t *got, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    if (!messages)
        return refuse(__func__, "messages is NULL");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (!got)
        return refuse(__func__, "got is NULL");
    *got = 0;
    int result = begin_get(queue, timeout);
    if (result)
        return outcome(__func__, result);
    struct position position = ring_get_position(queue);
    *got = copy_many(queue, messages, count, &position);
    if (*got == 0) {
        unlock_get(queue);
        return MPROC_TOO_SMALL;
    }
    end_get(queue, &position, *got);
    return 0;
}

int mproc_queue_peek(mproc_queue *queue, const void **data, size_t *size, mproc_time timeout)
{
    const char *wrong = wrong_look(queue, data, size, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    struct position position;
    int result = begin_look(queue, timeout, &position, size);
    if (result)
        return outcome(__func__, result);
    *data = ring_data(&position);
    queue->get.hold = (struct hold){.thread = queue_thread(), .position = position, .size = *size};
    return 0;
}

int mproc_queue_release(mproc_queue *queue, bool take)
{
    if (!queue_is_valid(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!queue_holds(&queue->get.hold, &queue->get.lock))
        return outcome(__func__, failure(-EPERM, "this thread does not peek here"));
    queue->get.hold.thread = NULL;
    if (!take) {
        unlock_get(queue);
        queue_wake(&queue->messages, 1); /* it is there for the next one still */
        return 0;
    }
    struct position position = queue->get.hold.position;
    ring_pass(&position, queue->get.hold.size);
    end_get(queue, &position, 1);
    return 0;
}
