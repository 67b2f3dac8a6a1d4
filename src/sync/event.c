/* mproc_event: a flag to wait for. */
#include "sync/stamp.h"
#include "sync/wait_cell.h"
#include "util/atomic.h"
#include "util/failure.h"

#define SET  ((uint32_t)1)
#define STEP ((uint32_t)2)

/* Invariant: word is {how often the event was set, whether it is}, and each operation is one atomic change of it, which
 * is also its commit. A waiter compares the number with that at its begin, so it does not miss an event that was set
 * and cleared. There is nothing to recover: a process that dies between the change and the wake leaves the waiters to
 * look for themselves within 100 ms. */
struct event {
    struct stamp object;
    _Atomic(uint32_t) word; /* by anybody; a compare-and-swap to set, an and to clear */
    struct wait_cell cell;  /* where waiters sleep */
};

_Static_assert(sizeof(struct event) == sizeof(mproc_event), "the public type has room for it");

static struct event *event_from(const mproc_event *handle)
{
    struct event *event = (struct event *)(uintptr_t)handle;
    return stamp_is(STAMP_EVENT, event) ? event : NULL;
}

int mproc_event_init(mproc_event *handle)
{
    struct event *event = (struct event *)handle;
    int result = stamp_check_place(event, _Alignof(struct event));
    if (result)
        return outcome(__func__, result);
    store_relaxed(&event->word, 0);
    store_relaxed(&event->cell.word, 0);
    stamp_set_up(STAMP_EVENT, &event->object);
    return 0;
}

int mproc_event_set(mproc_event *handle)
{
    struct event *event = event_from(handle);
    if (!event)
        return refuse(__func__, "event is NULL, or mproc_event_init() has not set it up");
    uint32_t word = load_relaxed(&event->word);
    while (!(word & SET) && !atomic_compare_exchange_weak_explicit(&event->word, &word, (word + STEP) | SET,
                                                                   memory_order_release, memory_order_relaxed)) {
    }
    wait_cell_wake(&event->cell, WAIT_CELL_ALL); /* also when it was set: who set it may have died before its wake */
    return 0;
}

int mproc_event_clear(mproc_event *handle)
{
    struct event *event = event_from(handle);
    if (!event)
        return refuse(__func__, "event is NULL, or mproc_event_init() has not set it up");
    fetch_and_relaxed(&event->word, ~SET);
    return 0;
}

bool mproc_event_is_set(const mproc_event *handle)
{
    struct event *event = event_from(handle);
    return event && (load_acquire(&event->word) & SET);
}

/* Whether it is set, or was since the word was begin. */
static bool has_happened(struct event *event, uint32_t begin)
{
    uint32_t word = load_acquire(&event->word);
    return (word & SET) || (word & ~SET) != (begin & ~SET);
}

int mproc_event_wait(mproc_event *handle, mproc_time timeout)
{
    struct event *event = event_from(handle);
    if (!event)
        return refuse(__func__, "event is NULL, or mproc_event_init() has not set it up");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    uint32_t begin = load_relaxed(&event->word);
    if (has_happened(event, begin))
        return 0;
    if (timeout.nanoseconds == OS_NOWAIT)
        return MPROC_TIMEOUT;
    int64_t deadline = os_deadline(timeout);
    for (int slept = 0;;) {
        if (slept)
            return outcome(__func__, has_happened(event, begin) ? 0 : os_outcome(slept, timeout));
        uint32_t seen = wait_cell_prepare(&event->cell);
        if (has_happened(event, begin))
            return 0;
        slept = wait_cell_sleep(&event->cell, seen, deadline);
    }
}
