/* The handles of this process on its children. A handle that a program gives us is looked up in a table before it is
 * touched, so that one that was freed already does no harm.
 *
 * A child is reaped by whichever call finds first that it has ended; nothing is done behind the program's back. */
#include "process/handle.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/eventfd.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "os/refused.h"
#include "os/say.h"
#include "os/supervise.h"
#include "process/parent_tie.h"
#include "process/process_lock.h"
#include "process/process_postmortem.h"
#include "process/self.h"
#include "process/watch.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <mproc/log.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define FIRST_BUCKETS 8
#define NEAR          2

/* How long the end of this process waits for others before it says so, and with how many characters of their names. */
#define TELL_AFTER OS_SEC(1)
#define NAMES_SIZE 800

/* So many freed handles are looked at when a process is started: each start leaves one at most, so they do not heap up.
 */
#define REAPED_AT_ONCE 8

/* Under the process lock. The table grows with what is in it, as long as there is memory. */
static struct mproc_process *first_buckets[FIRST_BUCKETS], **table = first_buckets;
static size_t bucket_count = FIRST_BUCKETS;
static size_t listed_count;

/* Whether this process has ever listed a handle; else the table holds those of the process that it was forked from. */
static _Atomic(bool) has_listed;

/* The first handles lie beside the rest of our data: a parent that starts one child after the other then writes to no
 * more pages than it must, each of which costs a fault after a fork. */
static struct {
    struct mproc_process handle;
    _Atomic(bool) taken;
} near[NEAR];

/* Freed handles of processes that had not ended, oldest first; under the process lock. */
static struct mproc_process *freed_first;
static struct mproc_process **freed_end = &freed_first;

static struct mproc_process **handle_bucket_of(const mproc_process *process)
{
    return &table[((uintptr_t)process >> 4) % bucket_count];
}

/* Have four times as many buckets. */
static void grow_table(void)
{
    size_t old_count = bucket_count, count = 4 * bucket_count;
    struct mproc_process **old = table, **buckets = os_malloc(count * sizeof *buckets);
    if (!buckets)
        return;
    memset(buckets, 0, count * sizeof *buckets);
    table = buckets;
    bucket_count = count;
    for (size_t i = 0; i < old_count; i++) {
        for (struct mproc_process *handle = old[i], *next; handle; handle = next) {
            struct mproc_process **bucket = handle_bucket_of(handle);
            next = handle->next;
            handle->next = *bucket;
            *bucket = handle;
        }
    }
    if (old != first_buckets)
        free(old);
}

/* A free one of the near handles, or NULL. They are taken in turn, so that one that was freed rests for a while. */
static struct mproc_process *take_near(void)
{
    static _Atomic(unsigned) next;
    for (int i = 0; i < NEAR; i++) {
        unsigned place = fetch_add_relaxed(&next, 1) % NEAR;
        if (!exchange_acquire(&near[place].taken, true))
            return &near[place].handle;
    }
    return NULL;
}

static bool give_near(const struct mproc_process *handle)
{
    for (int i = 0; i < NEAR; i++) {
        if (handle == &near[i].handle) {
            store_release(&near[i].taken, false);
            return true;
        }
    }
    return false;
}

struct mproc_process *handle_new(void)
{
    struct mproc_process *handle = take_near();
    if (!handle)
        handle = os_malloc(sizeof *handle);
    if (handle)
        *handle = (struct mproc_process){.pidfd = -1, .sentinel = -1, .tie = -1};
    return handle;
}

void handle_discard(struct mproc_process *handle)
{
    if (handle->sentinel >= 0) {
        watch_end(handle->sentinel);
        os_close(handle->sentinel);
    }
    if (handle->pidfd >= 0)
        os_close(handle->pidfd);
    process_postmortem_forget(handle);
    if (!give_near(handle))
        free(handle);
}

/* A descriptor that is readable: the sentinel of a process that was gone before it could get one. */
static int open_ended(void)
{
    int fd = os_eventfd_create();
    if (fd >= 0)
        os_eventfd_ring(fd);
    return fd;
}

/* The child is not reaped before we do it, unless the program reaps all its children. Then its number may be that of
 * another process, which must get no signal of ours. */
int handle_attach(struct mproc_process *handle, pid_t pid)
{
    int pidfd = os_pidfd_open(pid);
    if (pidfd >= 0 && !os_pidfd_is_child(pidfd)) {
        os_close(pidfd);
        pidfd = -ESRCH;
    }
    return handle_attach_by(handle, pid, pidfd);
}

int handle_attach_by(struct mproc_process *handle, pid_t pid, int pidfd)
{
    handle->generation = process_generation();
    handle->pid = pid;
    handle->sentinel = -1;
    handle->pidfd = pidfd;
    if (handle->pidfd == -ESRCH) {
        handle->state = HANDLE_LOST;
        handle->pidfd = open_ended();
    }
    if (handle->pidfd >= 0)
        return 0;
    int result = handle->pidfd;
    if (os_is_child(pid)) {
        os_signal_child(pid, SIGKILL);
        os_reap(pid, NULL);
    }
    return result;
}

void handle_list(struct mproc_process *handle)
{
    process_lock();
    if (listed_count++ >= 2 * bucket_count)
        grow_table();
    struct mproc_process **bucket = handle_bucket_of(handle);
    handle->next = *bucket;
    *bucket = handle;
    store_relaxed(&has_listed, true);
    process_unlock();
}

/* With the process lock. */
static struct mproc_process **handle_find(const mproc_process *process)
{
    struct mproc_process **at = handle_bucket_of(process);
    while (*at && *at != process)
        at = &(*at)->next;
    return at;
}

struct mproc_process *handle_get(const mproc_process *process)
{
    process_lock();
    struct mproc_process *handle = *handle_find(process);
    if (handle)
        handle->users++;
    process_unlock();
    return handle;
}

int handle_sentinel(struct mproc_process *handle)
{
    if (os_pidfd_is_pollable(handle->pidfd))
        return handle->pidfd;
    if (handle->sentinel < 0) {
        int fd = watch_begin(handle->pidfd);
        if (fd < 0)
            return fd;
        handle->sentinel = fd;
    }
    return handle->sentinel;
}

static void push_freed(struct mproc_process *handle)
{
    handle->next = NULL;
    *freed_end = handle;
    freed_end = &handle->next;
}

static struct mproc_process *pop_freed(void)
{
    struct mproc_process *handle = freed_first;
    if (handle)
        freed_first = handle->next;
    if (!freed_first)
        freed_end = &freed_first;
    return handle;
}

static bool handle_is_of_this_process(const struct mproc_process *handle)
{
    return handle->generation == process_generation();
}

/* What becomes of a freed handle that no call uses: it is destroyed, unless there is still a child to be reaped. With
 * the lock. */
static void handle_settle(struct mproc_process *handle)
{
    if (handle->state == HANDLE_RUNNING && handle_is_of_this_process(handle))
        push_freed(handle);
    else
        handle_discard(handle);
}

void handle_put(struct mproc_process *handle)
{
    process_lock();
    if (--handle->users == 0 && handle->freed)
        handle_settle(handle);
    process_unlock();
}

void handle_free(struct mproc_process *handle)
{
    handle_look(handle);
    process_lock();
    struct mproc_process **at = handle_find(handle);
    if (*at) {
        *at = handle->next;
        listed_count--;
        handle->freed = true;
    }
    process_unlock();
}

bool handle_is_own(const struct mproc_process *handle)
{
    process_lock();
    bool own = handle_is_of_this_process(handle);
    process_unlock();
    return own;
}

int handle_foreign(void)
{
    return failure(MPROC_FOREIGN, "process was started by another process, which alone can wait for it");
}

/* Whether it has ended and can be reaped by no call: a filter refuses them all. */
static bool is_out_of_reach(const struct mproc_process *handle, int result)
{
    return result < 0 && os_is_refused(-result) && os_pidfd_wait(handle->pidfd, 0) == 1;
}

/* Reap it if it has ended. With the lock. Returns whether it has ended just now. */
static bool handle_reap(struct mproc_process *handle)
{
    if (handle->state != HANDLE_RUNNING || !handle_is_of_this_process(handle))
        return false;
    struct os_end end;
    int result = os_pidfd_reap_end(handle->pidfd, &end);
    if (result == -EBADF) { /* the program has closed it. A child that was not reaped still has its number */
        result = os_pidfd_of_child(handle->pid);
        if (result >= 0) {
            handle->pidfd = result;
            result = os_pidfd_reap_end(handle->pidfd, &end);
        }
    }
    if (result == 1) {
        handle->state = HANDLE_ENDED;
        handle->exitcode = end.exit;
        process_postmortem_note(handle, &end);
    } else if (result == -ECHILD || is_out_of_reach(handle, result)) {
        handle->state = HANDLE_LOST;
    }
    if (handle->state == HANDLE_RUNNING)
        return false;
    if (handle->tie >= 0)
        parent_tie_end(handle->tie);
    handle->tie = -1;
    return true;
}

/* Give back at once what the dead process held of the family's objects. Without the lock. */
static void handle_sweep(pid_t pid, member_owner parent)
{
    if (parent)
        member_sweep_reaped(member_find(pid, parent));
}

enum handle_state handle_look(struct mproc_process *handle)
{
    process_lock();
    bool ended = handle_reap(handle);
    enum handle_state state = handle->state;
    process_unlock();
    if (ended)
        handle_sweep(handle->pid, handle->parent);
    return state;
}

static enum handle_state state_of(const struct mproc_process *handle)
{
    process_lock();
    enum handle_state state = handle->state;
    process_unlock();
    return state;
}

int handle_wait(struct mproc_process *handle, int64_t deadline)
{
    while (state_of(handle) == HANDLE_RUNNING) {
        int64_t nap = os_nap(deadline);
        int result = os_pidfd_wait(handle->pidfd, nap);
        if (result < 0 && result != -EINTR)
            return result;
        bool looks = result != 0 || nap == OS_TICK; /* in vain where the program has closed the descriptor */
        if (looks && handle_look(handle) != HANDLE_RUNNING)
            return 0;
        if (looks && !os_is_kept(handle->pidfd))
            return -EBADF;
        if (nap == 0)
            return MPROC_TIMEOUT;
    }
    return 0;
}

/* Whether it is of this process and running; it is reaped if it has ended. With the lock. */
static OS_FORK_PATH bool is_active(struct mproc_process *handle)
{
    return handle_is_of_this_process(handle) && !handle_reap(handle) && handle->state == HANDLE_RUNNING;
}

size_t handle_active(struct mproc_process **handles, size_t capacity)
{
    size_t count = 0;
    bool some_ended = false;
    process_lock();
    for (size_t i = 0; i < bucket_count; i++) {
        for (struct mproc_process *handle = table[i]; handle; handle = handle->next) {
            bool ran = handle->state == HANDLE_RUNNING;
            bool active = is_active(handle);
            some_ended = some_ended || (ran && !active);
            if (active && count++ < capacity)
                handles[count - 1] = handle;
        }
    }
    process_unlock();
    if (some_ended && region.base)
        member_sweep_all();
    return count;
}

/* Look at the oldest freed handle. If its process has ended it is reaped and destroyed; else it becomes the youngest.
 * Returns false when there is none. */
static bool reap_oldest(void)
{
    process_lock();
    struct mproc_process *handle = pop_freed();
    bool done = handle && handle->users == 0 && (handle_reap(handle) || !handle_is_of_this_process(handle));
    pid_t pid = done ? handle->pid : 0;
    member_owner parent = done && handle_is_of_this_process(handle) ? handle->parent : 0;
    if (done)
        handle_discard(handle);
    else if (handle)
        push_freed(handle);
    process_unlock();
    if (done)
        handle_sweep(pid, parent);
    return handle != NULL;
}

void handle_reap_freed(void)
{
    for (int i = 0; i < REAPED_AT_ONCE && reap_oldest(); i++)
        ;
}

/* Call visit, with the lock, for each child of this process that has not ended, until it returns true. Returns that
 * handle, with one user more, or NULL. */
static OS_FORK_PATH struct mproc_process *handle_seek(bool (*visit)(struct mproc_process *))
{
    struct mproc_process *found = NULL;
    process_lock();
    for (size_t i = 0; i < bucket_count && !found; i++)
        for (struct mproc_process *handle = table[i]; handle && !found; handle = handle->next)
            if (is_active(handle) && visit(handle))
                found = handle;
    for (struct mproc_process *handle = freed_first; handle && !found; handle = handle->next)
        if (is_active(handle) && visit(handle))
            found = handle;
    if (found)
        found->users++;
    process_unlock();
    return found;
}

static OS_FORK_PATH bool kill_daemon(struct mproc_process *handle)
{
    if (handle->daemon)
        handle->is_left = os_pidfd_signal(handle->pidfd, SIGKILL) == -EPERM;
    return false;
}

/* A daemon that is another user's than this process has become is left to the kernel, which kills it by its leash. */
static OS_FORK_PATH bool is_awaited(struct mproc_process *handle)
{
    return !handle->is_left;
}

OS_FORK_PATH void handle_forget(void)
{
    store_relaxed(&has_listed, false);
}

/* The names of those that are waited for, as far as there is room. */
struct names {
    char text[NAMES_SIZE];
    size_t length;
    unsigned count;
};

static void add_name(struct names *names, struct mproc_process *handle)
{
    if (!is_active(handle) || !is_awaited(handle))
        return;
    size_t room = sizeof names->text - names->length;
    int more = snprintf(names->text + names->length, room, "%s%s (pid %d)", names->count ? ", " : "", handle->name,
                        (int)handle->pid);
    if (more > 0 && (size_t)more < room)
        names->length += (size_t)more;
    names->text[names->length] = '\0';
    names->count++;
}

static void name_awaited(struct names *names)
{
    names->length = names->count = 0;
    process_lock();
    for (size_t i = 0; i < bucket_count; i++)
        for (struct mproc_process *handle = table[i]; handle; handle = handle->next)
            add_name(names, handle);
    for (struct mproc_process *handle = freed_first; handle; handle = handle->next)
        add_name(names, handle);
    process_unlock();
}

/* Tell a user why the program does not end. */
static void tell_awaited(void)
{
    struct names names;
    name_awaited(&names);
    const char *who = self.has_parent ? self.process.name : "main()";
    if (!names.count)
        return;
    if (mproc_log_level() <= MPROC_LOG_WARNING)
        mproc_log(MPROC_LOG_WARNING, "%s is over, and waits for %u of its processes that are no daemons: %s", who,
                  names.count, names.text);
    else
        os_say("mproc: %s is over, and waits for %u of its processes that are no daemons: %s\n", who, names.count,
               names.text);
}

/* Wait for those that are not left. */
static void await_all(void)
{
    struct mproc_process *handle;
    int64_t tell_at = os_now() + TELL_AFTER;
    int result = 0;
    while (result >= 0 && (handle = handle_seek(is_awaited)) != NULL) {
        result = handle_wait(handle, tell_at);
        if (result == MPROC_TIMEOUT) {
            tell_awaited();
            tell_at = OS_NEVER;
        }
    }
}

OS_FORK_PATH void handle_end_all(void)
{
    if (!load_relaxed(&has_listed))
        return;
    handle_seek(kill_daemon);
    await_all();
}
