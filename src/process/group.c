/* Groups: several processes as one, with all that descends from them. A group belongs to the process that made it;
 * in a forked child it belongs to nobody. */
#include "process/group.h"

#include "os/allocate.h"
#include "os/clock.h"
#include "os/pidfd.h"
#include "os/poll.h"
#include "os/random.h"
#include "process/descendants.h"
#include "process/process_lock.h"
#include "util/failure.h"
#include "util/reserved.h"
#include <errno.h>
#include <mproc/log.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>

#define MARK_SIZE 17 /* 16 digits */

/* How long the rest of a group that stops on failure may take to end by itself. */
#define FAILURE_GRACE OS_SEC(1)

/* How long to wait for the end of what was killed, beside the members, which are waited for until they are gone: it may
 * be in an uninterruptible sleep. */
#define KILL_TIME OS_SEC(2)

/* How often the descendants are looked at while they are given time to end. */
#define LOOK_AGAIN OS_MS(10)

struct mproc_group {
    bool stop_on_failure;
    unsigned generation;
    uint32_t id;
    char mark[MARK_SIZE];
    uint64_t since; /* when it was made, as os_proc_now() */

    /* Under the process lock. */
    struct mproc_process *first; /* the members, in order of their start */
    struct mproc_process **end;
    size_t count;
    int64_t kill_at; /* when what is left after a failure is killed; OS_NEVER while there is no failure */
};

int mproc_group_create(mproc_group **group, const mproc_group_options *options)
{
    uint64_t random;
    if (!group)
        return refuse(__func__, "group is NULL");
    *group = NULL;
    if (options && !reserved_is_zero(options->reserved, sizeof options->reserved))
        return refuse(__func__, "a word of options.reserved is not 0");
    int result = os_random(&random, sizeof random);
    if (result)
        return outcome(__func__, result);
    struct mproc_group *made = os_malloc(sizeof *made);
    if (!made)
        return outcome(__func__, -ENOMEM);
    *made = (struct mproc_group){.stop_on_failure = options && options->stop_on_failure, .kill_at = OS_NEVER};
    made->end = &made->first;
    made->generation = process_generation();
    made->id = (uint32_t)random | 1;
    made->since = os_proc_now();
    snprintf(made->mark, sizeof made->mark, "%016llx", (unsigned long long)random);
    *group = made;
    return 0;
}

#define FOREIGN "group belongs to the process that made it"

static bool group_is_own(const struct mproc_group *group)
{
    return group->generation == process_generation();
}

/* ---- members ---- */

/* The last marks are kept where there are too many: a group looks for its own, which is the last. */
void group_mark(const struct mproc_group *group, struct start *start)
{
    uint64_t outermost = start->group ? start->group >> 32 : group->id;
    size_t length = strlen(start->groups);
    start->group = outermost << 32 | group->id;
    if (length + 1 + MARK_SIZE > GROUPS_SIZE) {
        memmove(start->groups, start->groups + MARK_SIZE, length + 1 - MARK_SIZE);
        length -= MARK_SIZE;
    }
    snprintf(start->groups + length, GROUPS_SIZE - length, "%s%s", length ? ":" : "", group->mark);
}

int mproc_group_start(mproc_group *group, mproc_process **process, mproc_target *fn, const void *arg,
                      const mproc_process_options *options)
{
    unsigned before = failure_mark();
    mproc_process *handle;
    if (process)
        *process = NULL;
    if (!group)
        return refuse(__func__, "group is NULL");
    if (!group_is_own(group))
        return retold(__func__, before, failure(MPROC_FOREIGN, FOREIGN));
    int result = start_process(&handle, fn, arg, options, group);
    if (result)
        return retold(__func__, before, result);
    process_lock();
    *group->end = handle;
    group->end = &handle->sibling;
    group->count++;
    process_unlock();
    if (process)
        *process = handle;
    return 0;
}

/* Some members, and a watch on the end of each. */
struct selection {
    struct mproc_process **members;
    struct pollfd *watches;
    size_t count;
};

typedef bool member_choice(const struct mproc_process *member);

static bool is_running(const struct mproc_process *member)
{
    return member->state == HANDLE_RUNNING;
}

static bool is_untold(const struct mproc_process *member)
{
    return !member->told;
}

static void group_release(struct selection *selection)
{
    free(selection->members);
    free(selection->watches);
    *selection = (struct selection){NULL, NULL, 0};
}

static size_t group_count_of(struct mproc_group *group)
{
    process_lock();
    size_t count = group->count;
    process_unlock();
    return count;
}

/* Those for which choose is true, in order of their start. It is called with the lock. */
static int choose_members(struct mproc_group *group, member_choice *choose, struct selection *selection)
{
    size_t room = group_count_of(group);
    selection->count = 0;
    selection->members = os_malloc((room + 1) * sizeof(struct mproc_process *));
    selection->watches = os_malloc((room + 1) * sizeof(struct pollfd));
    if (!selection->members || !selection->watches) {
        group_release(selection);
        return -ENOMEM;
    }
    int result = 0;
    process_lock();
    for (struct mproc_process *member = group->first; member && selection->count < room; member = member->sibling) {
        if (!choose(member))
            continue;
        int fd = handle_sentinel(member);
        result = result ? result : fd < 0 ? fd : 0;
        selection->members[selection->count] = member;
        selection->watches[selection->count++] = (struct pollfd){.fd = fd, .events = POLLIN};
    }
    process_unlock();
    if (result)
        group_release(selection);
    return result;
}

int mproc_group_size(mproc_group *group)
{
    if (!group)
        return refuse(__func__, "group is NULL");
    if (!group_is_own(group)) /* a condition would read as a count */
        return outcome_count(__func__, failure(-EPERM, FOREIGN));
    struct selection running;
    int result = choose_members(group, is_running, &running);
    if (result)
        return outcome_count(__func__, result);
    int count = 0;
    for (size_t i = 0; i < running.count; i++)
        count += handle_look(running.members[i]) == HANDLE_RUNNING;
    group_release(&running);
    return count;
}

mproc_group *mproc_group_free(mproc_group *group)
{
    if (!group)
        return NULL;
    failure_hold();
    struct mproc_process *next;
    for (struct mproc_process *member = group->first; member; member = next) {
        next = member->sibling;
        if (!handle_get(member))
            continue;
        handle_free(member);
        handle_put(member);
    }
    free(group);
    failure_release();
    return NULL;
}

/* ---- the end of all ---- */

static void begin_tree(const struct mproc_group *group, struct descendants *tree)
{
    descendants_begin(tree, group->since, group->id, group->mark);
}

/* The members that have not ended, and what descends from the group. */
static int group_find_all(struct mproc_group *group, struct descendants *tree)
{
    struct selection running;
    int result = choose_members(group, is_running, &running);
    if (result)
        return result;
    for (size_t i = 0; i < running.count; i++)
        descendants_add(tree, running.members[i]->pid, running.members[i]->pidfd);
    group_release(&running);
    descendants_freeze(tree);
    return 0;
}

/* Those that are stopped get both signals before they do anything else. */
static void ask_to_end(struct descendants *tree)
{
    descendants_signal(tree, SIGTERM);
    descendants_signal(tree, SIGCONT);
}

/* Wait until none is left, and look for those that are made meanwhile. Returns whether none is left. */
static bool wait_for_all(struct descendants *tree, int64_t deadline)
{
    int64_t nap = OS_MS(1);
    for (;;) {
        if (nap >= LOOK_AGAIN)
            descendants_search(tree);
        if (descendants_is_empty(tree) && descendants_search(tree) == 0)
            return true;
        int64_t left = os_until(deadline);
        if (left == 0)
            return false;
        os_poll(NULL, 0, left < nap ? left : nap);
        nap = nap * 2 < OS_TICK ? nap * 2 : OS_TICK;
    }
}

/* A member that is killed from now on was killed by us. */
static void claim_kills(struct mproc_group *group)
{
    process_lock();
    for (struct mproc_process *member = group->first; member; member = member->sibling)
        member->was_killed = true;
    process_unlock();
}

/* Kill them all, and those that were made before that took effect. */
static void group_kill_all(struct mproc_group *group, struct descendants *tree)
{
    claim_kills(group);
    int64_t deadline = os_after(KILL_TIME);
    do {
        descendants_freeze(tree);
        descendants_signal(tree, SIGKILL);
    } while (!wait_for_all(tree, os_after(OS_TICK)) && os_until(deadline) > 0);
}

/* Kill a member that has not ended. There is one only where the end of the tree met an error. A member that may not be
 * killed is not waited for. */
static int end_member(struct mproc_process *member)
{
    int result = handle_look(member) == HANDLE_RUNNING ? os_pidfd_signal(member->pidfd, SIGKILL) : 0;
    return result && result != -ESRCH ? result : handle_wait(member, OS_NEVER);
}

static int end_members(struct mproc_group *group)
{
    struct selection running;
    int first = choose_members(group, is_running, &running);
    if (first)
        return first;
    for (size_t i = 0; i < running.count; i++) {
        int result = end_member(running.members[i]);
        first = first ? first : result;
    }
    group_release(&running);
    return first;
}

int mproc_group_terminate(mproc_group *group, mproc_time grace)
{
    unsigned before = failure_mark();
    if (!group)
        return refuse(__func__, "group is NULL");
    if (!os_timeout_is_valid(grace))
        return refuse(__func__, "grace is negative");
    if (!group_is_own(group))
        return retold(__func__, before, failure(MPROC_FOREIGN, FOREIGN));
    struct descendants tree;
    int64_t deadline = os_deadline(grace);
    begin_tree(group, &tree);
    int result = group_find_all(group, &tree);
    if (result)
        return retold(__func__, before, result);
    if (grace.nanoseconds != 0)
        ask_to_end(&tree);
    if (grace.nanoseconds == 0 || !wait_for_all(&tree, deadline))
        group_kill_all(group, &tree);
    int ended = end_members(group);
    result = tree.error ? tree.error : ended;
    descendants_destroy(&tree);
    return retold(__func__, before, result);
}

/* ---- waiting ---- */

static bool has_failed(const struct mproc_process *member)
{
    return member->state == HANDLE_LOST || member->exitcode != 0;
}

/* Where no caller gets the error. */
static void log_error(const struct descendants *tree)
{
    if (tree->error)
        mproc_log(MPROC_LOG_WARNING, "group: what descends from its members may go on after a failure: %s",
                  mproc_strerror(tree->error));
}

/* The first failure of a group that stops on failure asks the others to end, and sets the time when they must. */
static void group_note_end(struct mproc_group *group, const struct mproc_process *member)
{
    if (!group->stop_on_failure || !has_failed(member))
        return;
    process_lock();
    bool first = group->kill_at == OS_NEVER;
    if (first)
        group->kill_at = os_after(FAILURE_GRACE);
    process_unlock();
    if (!first)
        return;
    struct descendants tree;
    begin_tree(group, &tree);
    if (group_find_all(group, &tree) == 0)
        ask_to_end(&tree);
    log_error(&tree);
    descendants_destroy(&tree);
}

static int64_t kill_time(struct mproc_group *group)
{
    process_lock();
    int64_t time = group->kill_at;
    process_unlock();
    return time;
}

/* Kill what did not end after a failure. */
static void enforce(struct mproc_group *group)
{
    if (os_until(kill_time(group)) > 0)
        return;
    struct descendants tree;
    begin_tree(group, &tree);
    if (group_find_all(group, &tree) == 0)
        group_kill_all(group, &tree);
    descendants_destroy(&tree);
    process_lock();
    group->kill_at = os_after(FAILURE_GRACE);
    process_unlock();
}

/* Sleep until one of the selection has ended, a tick is over, or something is to be done. */
static int group_sleep_on(struct mproc_group *group, struct selection *selection, int64_t deadline)
{
    int64_t nap = os_nap(deadline);
    int64_t left = os_until(kill_time(group));
    int ready = os_poll(selection->watches, selection->count, left < nap ? left : nap);
    return ready == -EINTR ? 0 : ready;
}

static bool group_take(struct mproc_process *member)
{
    process_lock();
    bool first = !member->told;
    member->told = true;
    process_unlock();
    return first;
}

/* The first of the selection that has ended and was not reported yet, or NULL. */
static struct mproc_process *take_ended(struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++) {
        struct mproc_process *member = selection->members[i];
        if (selection->watches[i].revents && handle_look(member) != HANDLE_RUNNING && group_take(member))
            return member;
    }
    return NULL;
}

int mproc_group_wait_any(mproc_group *group, mproc_process **ended, mproc_time timeout)
{
    if (!group)
        return refuse(__func__, "group is NULL");
    if (!ended)
        return refuse(__func__, "ended is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    *ended = NULL;
    if (!group_is_own(group))
        return outcome(__func__, failure(MPROC_FOREIGN, FOREIGN));
    int64_t deadline = os_deadline(timeout);
    for (;;) {
        struct selection untold;
        int result = choose_members(group, is_untold, &untold);
        if (!result && untold.count == 0)
            result = failure(-ECHILD, "the end of every member of group was told");
        else if (!result)
            result = group_sleep_on(group, &untold, deadline);
        if (result > 0)
            *ended = take_ended(&untold);
        group_release(&untold);
        if (*ended)
            group_note_end(group, *ended);
        enforce(group);
        if (*ended || result < 0)
            return outcome(__func__, result < 0 ? result : 0);
        if (os_until(deadline) == 0)
            return outcome(__func__, os_outcome(MPROC_TIMEOUT, timeout));
    }
}

/* Look at those of the selection that have ended; they are chosen no more. */
static void look_at_ended(struct mproc_group *group, struct selection *selection)
{
    for (size_t i = 0; i < selection->count; i++)
        if (selection->watches[i].revents && handle_look(selection->members[i]) != HANDLE_RUNNING)
            group_note_end(group, selection->members[i]);
}

static int result_of_all(struct mproc_group *group)
{
    process_lock();
    int result = 0;
    for (struct mproc_process *member = group->first; member; member = member->sibling)
        if (has_failed(member))
            result = MPROC_TASK_FAILED;
    process_unlock();
    return result;
}

int mproc_group_wait_all(mproc_group *group, mproc_time timeout)
{
    if (!group)
        return refuse(__func__, "group is NULL");
    if (!os_timeout_is_valid(timeout))
        return refuse(__func__, "timeout is negative");
    if (!group_is_own(group))
        return outcome(__func__, failure(MPROC_FOREIGN, FOREIGN));
    int64_t deadline = os_deadline(timeout);
    for (;;) {
        struct selection running;
        int result = choose_members(group, is_running, &running);
        if (result)
            return outcome(__func__, result);
        bool done = running.count == 0;
        if (!done)
            result = group_sleep_on(group, &running, deadline);
        if (result > 0)
            look_at_ended(group, &running);
        group_release(&running);
        enforce(group);
        if (done)
            return outcome(__func__, result_of_all(group));
        if (result < 0)
            return outcome(__func__, result);
        if (result == 0 && os_until(deadline) == 0)
            return outcome(__func__, os_outcome(MPROC_TIMEOUT, timeout));
    }
}
