/* Queues: include/mproc/queue.h. Here are the state, closing and the side that puts; the side that gets is queue_get.c.
 * Both have the checks, the bound and what is waited for; how that is done is queue_wait.c, the store and what makes it
 * safe against deaths is ring.c. */
#include "queue/queue.h"

#include "os/cpu.h"
#include "queue/queue_side.h"
#include "queue/queue_wait.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <stdio.h>
#include <string.h>

_Thread_local char queue_thread_place;

int mproc_queue_create(mproc_queue **queue, const mproc_queue_options *options)
{
    _Static_assert(sizeof(struct mproc_queue) + 4096 <= RING_BLOCK, "the base segment has room for some messages");
    if (!queue)
        return refuse(__func__, "queue is NULL");
    *queue = NULL;
    if (options && !reserved_is_zero(options->reserved, sizeof options->reserved))
        return refuse(__func__, "a word of options.reserved is not 0");
    void *block;
    int result = heap_alloc_zeroed(RING_BLOCK, NULL, &block);
    if (result)
        return outcome(__func__, result);
    mproc_queue *made = block;
    made->maxsize = options && options->maxsize ? options->maxsize : SIZE_MAX;
    ring_init(made);
    made->magic = QUEUE_MAGIC;
    *queue = made;
    return 0;
}

mproc_queue *mproc_queue_free(mproc_queue *queue)
{
    if (queue_is_valid(queue) && member_need() == 0) { /* all of it, or nothing */
        queue->magic = 0;
        ring_drop(queue);
        heap_free(queue);
    }
    return NULL;
}

/* ---- state ---- */

size_t mproc_queue_size(const mproc_queue *queue)
{
    if (!queue_is_valid(queue))
        return 0;
    uint64_t got = ring_count(load_seq_cst(&queue->get.word));
    for (;;) {
        uint64_t put = ring_count(load_seq_cst(&queue->put.word));
        uint64_t again = ring_count(load_seq_cst(&queue->get.word));
        if (again == got)
            return put - got;
        got = again;
    }
}

bool mproc_queue_empty(const mproc_queue *queue)
{
    return mproc_queue_size(queue) == 0;
}

bool mproc_queue_full(const mproc_queue *queue)
{
    return queue_is_valid(queue) && mproc_queue_size(queue) >= queue->maxsize;
}

struct wait_cell *queue_wait_cell(mproc_queue *queue)
{
    return queue_is_valid(queue) ? &queue->messages : NULL;
}

bool queue_describe(const mproc_queue *queue, char *text, size_t size)
{
    char bound[40] = "";
    if ((uintptr_t)queue % _Alignof(struct mproc_queue) || !queue_is_valid(queue))
        return false;
    if (queue->maxsize != SIZE_MAX)
        snprintf(bound, sizeof bound, ", at most %zu", queue->maxsize);
    size_t count = mproc_queue_size(queue);
    snprintf(text, size, "<queue at %p: %zu message%s%s%s>", (const void *)queue, count, count == 1 ? "" : "s", bound,
             queue_is_closing(queue) ? ", closed" : "");
    return true;
}

/* ---- closing ---- */

/* Give the put lock back. The look for a sleeper that follows may come at once: no fence is missing between what was
 * committed and it. */
static inline void unlock_put(mproc_queue *queue)
{
    owner_lock_release(&queue->put.lock);
    os_fence_after_atomic();
}

static void wake_everybody(mproc_queue *queue)
{
    wait_cell_wake(&queue->messages, WAIT_CELL_ALL);
    wait_cell_wake(&queue->room, WAIT_CELL_ALL);
}

/* Under the put lock, which is given back: seal a queue that is to be closed. */
static void seal(mproc_queue *queue)
{
    ring_seal(queue);
    unlock_put(queue);
    wake_everybody(queue);
}

/* Whether no message can come any more. */
bool queue_is_sealed(mproc_queue *queue)
{
    if (ring_is_closed(load_seq_cst(&queue->put.word)))
        return true;
    if (!queue_is_closing(queue) || ring_lock_put(queue, OS_NOWAIT))
        return false;
    seal(queue);
    return true;
}

/* The store to closing is what closes. Where the lock cannot be taken, its holder seals the queue, or else
 * the next caller that looks. */
int mproc_queue_close(mproc_queue *queue)
{
    if (!queue_is_valid(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    int result = member_need();
    if (result)
        return outcome(__func__, result);
    store_seq_cst(&queue->closing, 1);
    if (queue_holds(&queue->put.hold, &queue->put.lock) || ring_lock_put(queue, QUEUE_LOCK_GRACE))
        wake_everybody(queue);
    else
        seal(queue);
    return 0;
}

/* Whether a get would not wait: a message is there, or none can come. */
bool queue_is_ready(mproc_queue *queue)
{
    return ring_count(load_seq_cst(&queue->put.word)) != ring_count(load_seq_cst(&queue->get.word)) ||
           queue_is_sealed(queue);
}

/* ---- waiting ---- */

static bool has_room(mproc_queue *queue, size_t count)
{
    uint64_t used = ring_count(load_seq_cst(&queue->put.word)) - ring_count(load_seq_cst(&queue->get.word));
    return used + count <= queue->maxsize || queue_is_closing(queue);
}

/* ---- putting ---- */

static bool room_under_lock(mproc_queue *queue, uint64_t put, size_t count)
{
    if (ring_count(put) - queue->put.gets_seen + count <= queue->maxsize)
        return true;
    queue->put.gets_seen = ring_count(load_acquire(&queue->get.word));
    return ring_count(put) - queue->put.gets_seen + count <= queue->maxsize;
}

/* A putter at a full queue looks and sleeps until a quarter of it is free: with each message that is got it would take
 * the cache lines from the getter for one message of its own, or cost two switches of process. */
static size_t worthwhile_room(const mproc_queue *queue, size_t count)
{
    return count > queue->maxsize / 4 ? count : queue->maxsize / 4;
}

static int begin_put_slow(mproc_queue *queue, size_t count, mproc_time timeout)
{
    if (queue_holds(&queue->put.hold, &queue->put.lock))
        return failure(-EDEADLK, "this thread has a reservation here that it did not commit");
    int64_t deadline = os_deadline(timeout);
    for (;;) {
        int result = ring_lock_put(queue, queue_lock_timeout(deadline));
        if (result)
            return result;
        if (queue_is_closing(queue)) {
            seal(queue);
            return MPROC_CLOSED;
        }
        uint64_t put = load_relaxed(&queue->put.word);
        if (queue->maxsize == SIZE_MAX || room_under_lock(queue, put, count))
            return 0;
        unlock_put(queue);
        if (deadline == 0)
            return MPROC_TIMEOUT;
        if (queue_spin(has_room, queue, worthwhile_room(queue, count), 0))
            continue;
        result = queue_sleep(has_room, queue, count, &queue->room, deadline);
        if (result)
            return result;
    }
}

/* Take the put lock when there is room for count messages by the bound. */
static inline int begin_put(mproc_queue *queue, size_t count, mproc_time timeout)
{
    if (__builtin_expect(queue->maxsize == SIZE_MAX && owner_lock_try(&queue->put.lock), 1)) {
        if (__builtin_expect(!queue_is_closing(queue), 1))
            return 0;
        unlock_put(queue);
    }
    return os_outcome(begin_put_slow(queue, count, timeout), timeout);
}

static int give_up_put(mproc_queue *queue, int result)
{
    ring_abandon(queue);
    if (queue_is_closing(queue))
        seal(queue);
    else
        unlock_put(queue);
    return result;
}

static inline int end_put(mproc_queue *queue, const struct position *position, size_t count)
{
    if (__builtin_expect(queue_is_closing(queue), 0))
        return give_up_put(queue, MPROC_CLOSED);
    ring_commit_put(queue, position, count);
    unlock_put(queue);
    queue_wake(&queue->messages, count);
    return 0;
}

/* Take the put lock, and find a place for one record. */
static inline int begin_record(mproc_queue *queue, size_t size, mproc_time timeout, struct position *position)
{
    int result = begin_put(queue, 1, timeout);
    if (result)
        return result;
    *position = ring_put_position(queue);
    result = ring_make_room(queue, position, size, ring_record_size(size));
    return result ? give_up_put(queue, result) : 0;
}

static bool is_message(const void *data, size_t size)
{
    return size <= RING_LARGEST && (data || size == 0);
}

int mproc_queue_put(mproc_queue *queue, const void *data, size_t size, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (!wrong && !is_message(data, size))
        wrong = "data is NULL, but size is not 0; or size is above 2^47";
    if (wrong)
        return refuse(__func__, "%s", wrong);
    struct position position;
    int result = begin_record(queue, size, timeout, &position);
    if (result)
        return outcome(__func__, result);
    ring_copy_in(queue, &position, data, size);
    ring_finish(&position, size);
    return outcome(__func__, end_put(queue, &position, 1));
}

/* The bytes that all these records take, or 0 when one is no message. */
static size_t records_size(const mproc_message *messages, size_t count)
{
    size_t total = 0;
    for (size_t i = 0; i < count; i++) {
        if (!is_message(messages[i].data, messages[i].size))
            return 0;
        total += ring_record_size(messages[i].size);
        if (total > RING_LARGEST)
            return 0;
    }
    return total;
}

int mproc_queue_put_many(mproc_queue *queue, const mproc_message *messages, size_t count, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    if (!messages)
        return refuse(__func__, "messages is NULL");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (count > queue->maxsize)
        return refuse(__func__, "count is above the maxsize of the queue");
    size_t remaining = records_size(messages, count);
    if (remaining == 0)
        return refuse(__func__, "one of messages has a size without data, or they are above 2^47 bytes together");
    int result = begin_put(queue, count, timeout);
    if (result)
        return outcome(__func__, result);
    struct position position = ring_put_position(queue);
    for (size_t i = 0; i < count; i++) {
        size_t size = messages[i].size;
        result = ring_make_room(queue, &position, size, remaining);
        if (result)
            return outcome(__func__, give_up_put(queue, result));
        ring_copy_in(queue, &position, messages[i].data, size);
        ring_finish(&position, size);
        remaining -= ring_record_size(size);
    }
    return outcome(__func__, end_put(queue, &position, count));
}

int mproc_queue_reserve(mproc_queue *queue, void **data, size_t size, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    if (!data)
        return refuse(__func__, "data is NULL");
    if (size > RING_LARGEST)
        return refuse(__func__, "size is above 2^47");
    struct position position;
    int result = begin_record(queue, size, timeout, &position);
    if (result)
        return outcome(__func__, result);
    queue->put.hold = (struct hold){.thread = queue_thread(), .position = position, .size = size};
    *data = ring_data(&position);
    return 0;
}

int mproc_queue_commit(mproc_queue *queue, size_t size)
{
    if (!queue_is_valid(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!queue_holds(&queue->put.hold, &queue->put.lock))
        return outcome(__func__, failure(-EPERM, "this thread has no reservation here"));
    if (size > queue->put.hold.size)
        return refuse(__func__, "size is above what was reserved");
    struct position position = queue->put.hold.position;
    queue->put.hold.thread = NULL;
    ring_finish(&position, size);
    return outcome(__func__, end_put(queue, &position, 1));
}

int mproc_queue_abandon(mproc_queue *queue)
{
    if (!queue_is_valid(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!queue_holds(&queue->put.hold, &queue->put.lock))
        return outcome(__func__, failure(-EPERM, "this thread has no reservation here"));
    return outcome(__func__, give_up_put(queue, 0));
}

/* ---- task_done and join ---- */

int mproc_queue_task_done(mproc_queue *queue)
{
    if (!queue_is_valid(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    uint64_t dones = load_seq_cst(&queue->dones);
    uint64_t puts;
    do {
        puts = ring_count(load_seq_cst(&queue->put.word));
        if (dones >= puts)
            return outcome(__func__, failure(-EPERM, "more is said to be done than was put"));
    } while (!atomic_compare_exchange_weak_explicit(&queue->dones, &dones, dones + 1, memory_order_seq_cst,
                                                    memory_order_seq_cst));
    if (dones + 1 == puts)
        queue_wake(&queue->done, WAIT_CELL_ALL);
    return 0;
}

static bool queue_is_done(mproc_queue *queue)
{
    return load_seq_cst(&queue->dones) == ring_count(load_seq_cst(&queue->put.word));
}

int mproc_queue_join(mproc_queue *queue, mproc_time timeout)
{
    const char *wrong = queue_wrong_call(queue, timeout);
    if (wrong)
        return refuse(__func__, "%s", wrong);
    int64_t deadline = os_deadline(timeout);
    while (!queue_is_done(queue)) {
        uint32_t seen = wait_cell_prepare(&queue->done);
        if (queue_is_done(queue))
            break;
        if (wait_cell_sleep(&queue->done, seen, deadline))
            return outcome(__func__, queue_is_done(queue) ? 0 : os_outcome(MPROC_TIMEOUT, timeout));
    }
    return 0;
}
