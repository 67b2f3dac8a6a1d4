/* Queues: include/mproc/queue.h. Here are the checks, the bound and what is waited for; how that is done is
 * queue_wait.c, the store and what makes it safe against deaths is ring.c. */
#include "ipc/queue.h"

#include "ipc/queue_wait.h"
#include "ipc/ring.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/cpu.h"
#include "util/atomic.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <string.h>

#define QUEUE_MAGIC UINT64_C(0x6575657571706d01)

/* The lock of a side is held for some hundred nanoseconds, unless its holder was interrupted. So long even a call that
 * may not wait for a message or for room waits for the lock. */
#define LOCK_GRACE OS_MS(20)

/* An address that no other thread of this process has. */
static const void *this_thread(void)
{
    static _Thread_local char place;
    return &place;
}

static bool is_queue(const mproc_queue *queue)
{
    return queue && queue->magic == QUEUE_MAGIC;
}

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
    if (is_queue(queue) && member_need() == 0) { /* all of it, or nothing */
        queue->magic = 0;
        ring_drop(queue);
        heap_free(queue);
    }
    return NULL;
}

/* ---- state ---- */

static uint64_t load(const _Atomic(uint64_t) *word)
{
    return load_seq_cst(word);
}

size_t mproc_queue_size(const mproc_queue *queue)
{
    if (!is_queue(queue))
        return 0;
    uint64_t got = ring_count(load(&queue->get.word));
    for (;;) {
        uint64_t put = ring_count(load(&queue->put.word));
        uint64_t again = ring_count(load(&queue->get.word));
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
    return is_queue(queue) && mproc_queue_size(queue) >= queue->maxsize;
}

struct wait_cell *queue_wait_cell(mproc_queue *queue)
{
    return is_queue(queue) ? &queue->messages : NULL;
}

/* ---- closing ---- */

static bool holds(const struct hold *hold, const struct owner_lock *lock)
{
    return hold->thread == this_thread() && (load_relaxed(&lock->word) & ~MEMBER_FLAGS) == member_current() &&
           member_current() != 0;
}

static bool is_closing(const mproc_queue *queue)
{
    return load_relaxed(&queue->closing);
}

/* Give the put lock back. The look for a sleeper that follows may come at once: no fence is missing between what was
 * committed and it. */
static inline void unlock_put(mproc_queue *queue)
{
    owner_lock_release(&queue->put.lock);
    os_fence_after_atomic();
}

static void wake_everybody(mproc_queue *queue)
{
    cell_wake(&queue->messages, CELL_ALL);
    cell_wake(&queue->room, CELL_ALL);
}

/* Under the put lock, which is given back: seal a queue that is to be closed. */
static void seal(mproc_queue *queue)
{
    ring_seal(queue);
    unlock_put(queue);
    wake_everybody(queue);
}

/* Whether no message can come any more. */
static bool is_sealed(mproc_queue *queue)
{
    if (ring_is_closed(load(&queue->put.word)))
        return true;
    if (!is_closing(queue) || ring_lock_put(queue, OS_NOWAIT))
        return false;
    seal(queue);
    return true;
}

/* The store to closing is what closes. When the lock cannot be had, who has it seals, or else the next that looks. */
int mproc_queue_close(mproc_queue *queue)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    int result = member_need();
    if (result)
        return outcome(__func__, result);
    store_seq_cst(&queue->closing, 1);
    if (holds(&queue->put.hold, &queue->put.lock) || ring_lock_put(queue, LOCK_GRACE))
        wake_everybody(queue);
    else
        seal(queue);
    return 0;
}

/* Whether a get would not wait: a message is there, or none can come. */
bool queue_is_ready(mproc_queue *queue)
{
    return ring_count(load(&queue->put.word)) != ring_count(load(&queue->get.word)) || is_sealed(queue);
}

/* ---- waiting ---- */

static nanoseconds lock_timeout(int64_t deadline)
{
    nanoseconds left = os_left(deadline);
    return left < 0 || left > LOCK_GRACE ? left : LOCK_GRACE;
}

static bool has_room(mproc_queue *queue, size_t count)
{
    uint64_t used = ring_count(load(&queue->put.word)) - ring_count(load(&queue->get.word));
    return used + count <= queue->maxsize || is_closing(queue);
}

static bool has_message(mproc_queue *queue, size_t count)
{
    (void)count;
    return queue_is_ready(queue);
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
    if (holds(&queue->put.hold, &queue->put.lock))
        return failure(-EDEADLK, "this thread has a reservation here that it did not commit");
    int64_t deadline = os_deadline(timeout);
    for (;;) {
        int result = ring_lock_put(queue, lock_timeout(deadline));
        if (result)
            return result;
        if (is_closing(queue)) {
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
        if (__builtin_expect(!is_closing(queue), 1))
            return 0;
        unlock_put(queue);
    }
    return os_outcome(begin_put_slow(queue, count, timeout), timeout);
}

/* Directly after a fence: this look at the cell needs none of its own. */
static void wake(struct wait_cell *cell, size_t count)
{
    if (__builtin_expect(load_seq_cst(&cell->word) & (CELL_SLEEPERS | CELL_BELL), 0))
        cell_wake_slow(cell, count == 1 ? 1 : CELL_ALL);
}

static int give_up_put(mproc_queue *queue, int result)
{
    ring_abandon(queue);
    if (is_closing(queue))
        seal(queue);
    else
        unlock_put(queue);
    return result;
}

static inline int end_put(mproc_queue *queue, const struct position *position, size_t count)
{
    if (__builtin_expect(is_closing(queue), 0))
        return give_up_put(queue, MPROC_CLOSED);
    ring_commit_put(queue, position, count);
    unlock_put(queue);
    wake(&queue->messages, count);
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!is_message(data, size))
        return refuse(__func__, "data is NULL, but size is not 0; or size is above 2^47");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!messages)
        return refuse(__func__, "messages is NULL");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (count > queue->maxsize)
        return refuse(__func__, "count is above the maxsize of the queue");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    size_t remaining = records_size(messages, count);
    if (remaining == 0)
        return refuse(__func__, "remaining is 0");
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!data)
        return refuse(__func__, "data is NULL");
    if (size > RING_LARGEST)
        return refuse(__func__, "size is above 2^47");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    struct position position;
    int result = begin_record(queue, size, timeout, &position);
    if (result)
        return outcome(__func__, result);
    queue->put.hold = (struct hold){.thread = this_thread(), .position = position, .size = size};
    *data = ring_data(&position);
    return 0;
}

int mproc_queue_commit(mproc_queue *queue, size_t size)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!holds(&queue->put.hold, &queue->put.lock))
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!holds(&queue->put.hold, &queue->put.lock))
        return outcome(__func__, failure(-EPERM, "this thread has no reservation here"));
    return outcome(__func__, give_up_put(queue, 0));
}

/* ---- getting ---- */

static inline void unlock_get(mproc_queue *queue)
{
    owner_lock_release(&queue->get.lock);
    os_fence_after_atomic();
}

/* is_locked: by this call, already. */
static int begin_get_slow(mproc_queue *queue, mproc_time timeout, bool is_locked)
{
    if (!is_locked && holds(&queue->get.hold, &queue->get.lock))
        return failure(-EDEADLK, "this thread peeks at a message that it did not release");
    int64_t deadline = os_deadline(timeout);
    bool spun = false;
    uint64_t slept_at = UINT64_MAX; /* messages put when it last went to sleep */
    for (;;) {
        int result = is_locked ? 0 : ring_lock_get(queue, lock_timeout(deadline));
        is_locked = false;
        if (result)
            return result;
        if (ring_available(queue))
            return 0;
        bool sealed = is_sealed(queue);
        if (sealed && ring_available(queue)) /* it came before that */
            return 0;
        if (slept_at == ring_count(load(&queue->put.word)))
            ring_go_idle(queue);
        int first = letting_pause(queue);
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
        slept_at = ring_count(load(&queue->put.word));
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
        left = queue->get.puts_seen - ring_count(load(&queue->get.word));
    unlock_get(queue);
    if (queue->maxsize != SIZE_MAX && left <= queue->maxsize - queue->maxsize / 4)
        wake(&queue->room, count);
}

int mproc_queue_get(mproc_queue *queue, void *buffer, size_t capacity, size_t *size, mproc_time timeout)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!buffer && capacity)
        return refuse(__func__, "buffer is NULL, but capacity is not 0");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
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

int mproc_queue_get_new(mproc_queue *queue, void **data, size_t *size, mproc_time timeout)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!data)
        return refuse(__func__, "data is NULL");
    if (!size)
        return refuse(__func__, "size is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!messages)
        return refuse(__func__, "messages is NULL");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (!got)
        return refuse(__func__, "got is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
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
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!data)
        return refuse(__func__, "data is NULL");
    if (!size)
        return refuse(__func__, "size is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    struct position position;
    int result = begin_look(queue, timeout, &position, size);
    if (result)
        return outcome(__func__, result);
    *data = ring_data(&position);
    queue->get.hold = (struct hold){.thread = this_thread(), .position = position, .size = *size};
    return 0;
}

int mproc_queue_release(mproc_queue *queue, bool take)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!holds(&queue->get.hold, &queue->get.lock))
        return outcome(__func__, failure(-EPERM, "this thread does not peek here"));
    queue->get.hold.thread = NULL;
    if (!take) {
        unlock_get(queue);
        wake(&queue->messages, 1); /* it is there for the next one still */
        return 0;
    }
    struct position position = queue->get.hold.position;
    ring_pass(&position, queue->get.hold.size);
    end_get(queue, &position, 1);
    return 0;
}

/* ---- task_done and join ---- */

int mproc_queue_task_done(mproc_queue *queue)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    uint64_t dones = load(&queue->dones);
    uint64_t puts;
    do {
        puts = ring_count(load(&queue->put.word));
        if (dones >= puts)
            return outcome(__func__, failure(-EPERM, "more is said to be done than was put"));
    } while (!atomic_compare_exchange_weak_explicit(&queue->dones, &dones, dones + 1, memory_order_seq_cst,
                                                    memory_order_seq_cst));
    if (dones + 1 == puts)
        wake(&queue->done, CELL_ALL);
    return 0;
}

static bool is_done(mproc_queue *queue)
{
    return load(&queue->dones) == ring_count(load(&queue->put.word));
}

int mproc_queue_join(mproc_queue *queue, mproc_time timeout)
{
    if (!is_queue(queue))
        return refuse(__func__, "queue is NULL, or no queue");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    int64_t deadline = os_deadline(timeout);
    while (!is_done(queue)) {
        uint32_t seen = cell_prepare(&queue->done);
        if (is_done(queue))
            break;
        if (cell_sleep(&queue->done, seen, deadline))
            return outcome(__func__, is_done(queue) ? 0 : os_outcome(MPROC_TIMEOUT, timeout));
    }
    return 0;
}
