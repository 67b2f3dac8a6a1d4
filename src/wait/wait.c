/* mproc_wait(): waiting for several things of any kind. It stands above everything that can be waited for, and nothing
 * in the library calls it.
 *
 * What has a descriptor is polled. What is shared memory has a wait cell; to wait for several, or for descriptors as
 * well, the cells are armed and the family's wake descriptor is polled with the descriptors. Cells are armed before
 * they are looked at, and the edges of the wake descriptor are watched from before the first is armed. So a change is
 * either seen by the look, or it wakes the poll. Nothing is kept between two calls. */
#include "arena/member.h"
#include "connection/connection.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/poll.h"
#include "pool/host/future.h"
#include "queue/queue.h"
#include "sync/wait_cell.h"
#include "sync/wake_fd.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/process.h>

enum {
    WATCHES_ON_STACK = 33
};

struct wait {
    mproc_wait_item *items;
    size_t count;
    size_t shared;          /* how many have a cell */
    struct pollfd *watches; /* of the others, in their order, and then of the wake descriptor while it is watched */
    size_t watch_count;
};

static bool wait_is_shared(const mproc_wait_item *item)
{
    return item->kind == MPROC_WAIT_QUEUE || item->kind == MPROC_WAIT_FUTURE;
}

/* The descriptor of an item that has one, or -errno. */
static int descriptor_of(const mproc_wait_item *item)
{
    switch (item->kind) {
    case MPROC_WAIT_CONNECTION:
        return connection_watch_fd(item->on.connection);
    case MPROC_WAIT_PROCESS:
        return mproc_process_sentinel(item->on.process);
    case MPROC_WAIT_FD:
        return item->on.fd;
    default:
        return -1;
    }
}

/* What is wrong with an item whatever the kernel says of it, or NULL. */
static const char *wrong_item(const mproc_wait_item *item)
{
    switch (item->kind) {
    case MPROC_WAIT_CONNECTION:
        return item->on.connection ? NULL : "on.connection is NULL";
    case MPROC_WAIT_PROCESS:
        return item->on.process ? NULL : "on.process is NULL";
    case MPROC_WAIT_QUEUE:
        return item->on.queue ? NULL : "on.queue is NULL";
    case MPROC_WAIT_FUTURE:
        return item->on.future ? NULL : "on.future is NULL";
    case MPROC_WAIT_FD:
        return item->on.fd >= 0 ? NULL : "on.fd is negative";
    default:
        return "kind must be a constant of enum mproc_wait_kind";
    }
}

/* The cell of a shared item, or NULL when there is no such thing. */
static struct wait_cell *wait_item_cell(const mproc_wait_item *item)
{
    if (item->kind == MPROC_WAIT_QUEUE)
        return queue_wait_cell(item->on.queue);
    return item->on.future ? future_wait_cell(item->on.future) : NULL;
}

/* Whether an item is ready as far as memory tells. */
static bool is_ready(const mproc_wait_item *item)
{
    switch (item->kind) {
    case MPROC_WAIT_CONNECTION:
        return connection_is_ready(item->on.connection);
    case MPROC_WAIT_QUEUE:
        return queue_is_ready(item->on.queue);
    case MPROC_WAIT_FUTURE:
        return future_is_ready(item->on.future);
    default:
        return false;
    }
}

/* Check every item and list the descriptors. */
static int list_watches(struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++) {
        const mproc_wait_item *item = &wait->items[i];
        const char *wrong = wrong_item(item);
        if (wrong)
            return failure(item->kind == MPROC_WAIT_FD ? -EBADF : -EINVAL, "items[%zu].%s", i, wrong);
        if (wait_is_shared(item)) {
            if (!wait_item_cell(item))
                return failure(-EINVAL, "items[%zu].on is no such object, or was freed", i);
            wait->shared++;
            continue;
        }
        int fd = descriptor_of(item);
        if (fd < 0)
            return failure(fd, "items[%zu].on cannot be waited for: %s", i, mproc_strerror(fd));
        wait->watches[wait->watch_count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    return 0;
}

/* Mark the items that are ready; returns how many. */
static size_t wait_mark(struct wait *wait)
{
    size_t watch = 0, ready = 0;

    for (size_t i = 0; i < wait->count; i++) {
        mproc_wait_item *item = &wait->items[i];
        item->ready = is_ready(item);
        if (!wait_is_shared(item) && wait->watches[watch++].revents)
            item->ready = true;
        ready += item->ready;
    }
    return ready;
}

static bool any_ready(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++)
        if (is_ready(&wait->items[i]))
            return true;
    return false;
}

static bool any_invalid(const struct wait *wait)
{
    for (size_t i = 0; i < wait->watch_count; i++)
        if (wait->watches[i].revents & POLLNVAL)
            return true;
    return false;
}

/* Look at everything, after sleeping for at most a nap if nothing in memory is ready. 0 and *ready, or -errno. */
static int wait_look(struct wait *wait, int64_t nap, size_t *ready)
{
    if (any_ready(wait))
        nap = 0;
    int found = wait->watch_count ? os_poll(wait->watches, wait->watch_count, nap) : 0;
    if (found < 0 && found != -EINTR)
        return found;
    if (any_invalid(wait))
        return failure(-EBADF, "a descriptor among items is not open");
    if (found == 0 && (wait->shared || nap == OS_TICK))
        member_tick();
    *ready = wait_mark(wait);
    return 0;
}

static void arm_cells(const struct wait *wait)
{
    for (size_t i = 0; i < wait->count; i++)
        if (wait_is_shared(&wait->items[i]))
            wait_cell_arm(wait_item_cell(&wait->items[i]));
}

/* Look until something is ready. edge: of the wake descriptor, or -1 when no item is shared. */
static int look_until(struct wait *wait, int edge, size_t *ready, int64_t deadline)
{
    for (;;) {
        bool last = os_until(deadline) == 0;
        arm_cells(wait);
        int result = wait_look(wait, os_nap(deadline), ready);
        if (result || *ready)
            return result;
        if (last)
            return MPROC_TIMEOUT;
        if (edge >= 0 && wait->watches[wait->watch_count - 1].revents)
            result = os_edge_clear(edge);
        if (result && result != -EINTR)
            return result;
    }
}

static int look_at_ticks(struct wait *wait, size_t *ready, int64_t deadline)
{
    wait->watches[wait->watch_count++] = (struct pollfd){.fd = -1};
    return look_until(wait, -1, ready, deadline);
}

static int wait_with_wake_fd(struct wait *wait, size_t *ready, int64_t deadline)
{
    int result = wait_look(wait, 0, ready);
    if (result || *ready)
        return result;
    if (deadline == 0)
        return MPROC_TIMEOUT;
    int wake = wake_fd();
    if (wake == -EBADF) /* the program has closed it: a look at each tick must do */
        return look_at_ticks(wait, ready, deadline);
    int edge = wake < 0 ? wake : os_edge_create(wake);
    if (edge < 0)
        return edge;
    wait->watches[wait->watch_count++] = (struct pollfd){.fd = edge, .events = POLLIN};
    result = look_until(wait, edge, ready, deadline);
    os_close(edge);
    return result;
}

static int wait_on_cell(struct wait *wait, size_t *ready, int64_t deadline)
{
    struct wait_cell *cell = wait_item_cell(wait->items);
    int result = 0;

    for (;;) {
        uint32_t seen = wait_cell_prepare(cell);
        *ready = wait_mark(wait);
        if (*ready)
            return 0;
        if (result)
            return result;
        result = wait_cell_sleep(cell, seen, deadline);
    }
}

static int wait_for_items(struct wait *wait, size_t *ready, int64_t deadline)
{
    int result = list_watches(wait);
    if (result)
        return result;
    if (wait->shared == 0)
        return look_until(wait, -1, ready, deadline);
    if (wait->count == 1)
        return wait_on_cell(wait, ready, deadline);
    return wait_with_wake_fd(wait, ready, deadline);
}

int mproc_wait(mproc_wait_item *items, size_t count, size_t *ready_count, mproc_time timeout)
{
    struct pollfd on_stack[WATCHES_ON_STACK] = {0};
    struct wait wait = {.items = items, .count = count, .watches = on_stack};
    size_t ready = 0;

    if (!items)
        return refuse(__func__, "items is NULL");
    if (count == 0)
        return refuse(__func__, "count is 0");
    if (count >= SIZE_MAX / sizeof *on_stack)
        return refuse(__func__, "count is too large");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (count >= WATCHES_ON_STACK)
        wait.watches = os_malloc((count + 1) * sizeof *wait.watches);
    if (!wait.watches)
        return outcome(__func__, -ENOMEM);
    int result = wait_for_items(&wait, &ready, os_deadline(timeout));
    if (wait.watches != on_stack)
        free(wait.watches);
    if (ready_count && result >= 0)
        *ready_count = ready;
    return outcome(__func__, os_outcome(result, timeout));
}
