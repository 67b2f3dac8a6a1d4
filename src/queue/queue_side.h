/* What the two sides of a queue share: the checks of their arguments, and questions about the queue. */
#ifndef MPROC_QUEUE_QUEUE_SIDE_H
#define MPROC_QUEUE_QUEUE_SIDE_H

#include "os/clock.h"
#include "queue/queue.h"
#include "queue/ring.h"
#include "util/atomic.h"

#define QUEUE_MAGIC UINT64_C(0x6575657571706d01)

/* The lock of a side is held for some hundred nanoseconds, or longer if its holder is interrupted. Even a call that may
 * not wait for a message or for room waits this long for the lock. */
#define QUEUE_LOCK_GRACE OS_MS(20)

extern _Thread_local char queue_thread_place;

/* An address that no other thread of this process has. */
static inline const void *queue_thread(void)
{
    return &queue_thread_place;
}

static inline bool queue_is_valid(const mproc_queue *queue)
{
    return queue && queue->magic == QUEUE_MAGIC;
}

/* What is wrong with the arguments that all waiting calls have, or NULL. */
static inline const char *queue_wrong_call(const mproc_queue *queue, mproc_time timeout)
{
    if (!queue_is_valid(queue))
        return "queue is NULL, or no queue";
    return os_timeout_is_valid(timeout) ? NULL : "timeout is negative";
}

/* Whether this thread holds a message of a side: a reservation, or what it peeks at. */
static inline bool queue_holds(const struct hold *hold, const struct owner_lock *lock)
{
    return hold->thread == queue_thread() && (load_relaxed(&lock->word) & ~MEMBER_FLAGS) == member_current() &&
           member_current() != 0;
}

static inline bool queue_is_closing(const mproc_queue *queue)
{
    return load_relaxed(&queue->closing);
}

/* Whether no message can come any more. Seals a queue that is to be closed, if nobody puts at the moment. */
bool queue_is_sealed(mproc_queue *queue);

/* How long to wait for the lock of a side in a call that has a deadline. */
static inline nanoseconds queue_lock_timeout(int64_t deadline)
{
    nanoseconds left = os_left(deadline);
    return left < 0 || left > QUEUE_LOCK_GRACE ? left : QUEUE_LOCK_GRACE;
}

/* Directly after a fence: this look at the cell needs none of its own. */
static inline void queue_wake(struct wait_cell *cell, size_t count)
{
    if (__builtin_expect(load_seq_cst(&cell->word) & (WAIT_CELL_SLEEPERS | WAIT_CELL_ARMED), 0))
        wait_cell_wake_slow(cell, count == 1 ? 1 : WAIT_CELL_ALL);
}

#endif
