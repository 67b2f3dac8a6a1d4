/* The processes of a group and their descendants. Called by group.c only.
 *
 * Three ways lead to a descendant. Its parent is in the tree: one look at all processes, repeated until nothing is new.
 * It is a member of the family, and so has the group's mark in its slot. It was executed, and so has the mark in its
 * environment. The last two find also those whose parents are dead.
 *
 * A process is named by number and start time, and verified through a pidfd before a signal is sent: between the look
 * and the signal its number may have passed to somebody else. */
#include "process/tree.h"

#include "arena/layout.h"
#include "arena/member.h"
#include "arena/proof.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/poll.h"
#include "process/self.h"
#include <errno.h>
#include <signal.h>
#include <string.h>
#include <unistd.h>

/* How long a process may take to stop before we go on without it: it may be in an uninterruptible sleep. */
#define STOP_TIME OS_MS(200)

/* How long to run after processes that fork all the time. */
#define FREEZE_TIME OS_SEC(5)

/* Children of one process that are looked at in one go; the rest is found by the next look at all processes. */
#define CHILDREN_MAX 512

static bool is_told_gone(int result)
{
    return result == -ESRCH || result == -ENOENT;
}

static void note_error(struct tree *tree, int result)
{
    if (result < 0 && !is_told_gone(result) && tree->error == 0)
        tree->error = result;
}

static bool has(const struct tree *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->list[i].proc.pid == pid)
            return true;
    return false;
}

static int push(struct tree *tree, const struct os_proc *proc)
{
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity * 2 + 16;
        struct tree_entry *list = os_realloc(tree->list, capacity * sizeof *list);
        if (!list)
            return -ENOMEM;
        tree->list = list;
        tree->capacity = capacity;
    }
    tree->list[tree->count++] = (struct tree_entry){.proc = *proc};
    return 0;
}

static void add(struct tree *tree, const struct os_proc *proc)
{
    if (!proc->has_ended && proc->pid != getpid() && !has(tree, proc->pid))
        note_error(tree, push(tree, proc));
}

/* What was read was our child if that had not ended, and so was not reaped, afterwards. */
void tree_add(struct tree *tree, pid_t pid, int pidfd)
{
    struct os_proc proc;
    int result = os_proc_read(pid, &proc);
    note_error(tree, result);
    if (!result && os_pidfd_wait(pidfd, 0) == 0)
        add(tree, &proc);
}

/* ---- looking ---- */

bool tree_is_empty(struct tree *tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct tree_entry entry = tree->list[i];
        uint64_t start = entry.proc.start;
        int result = os_proc_read(entry.proc.pid, &entry.proc);
        note_error(tree, result);
        if (is_told_gone(result) || (!result && (entry.proc.start != start || entry.proc.has_ended)))
            continue;
        tree->list[kept++] = entry;
    }
    tree->count = kept;
    return kept == 0;
}

/* All processes of the machine that are not older than the tree. */
struct census {
    struct tree young;
    uint64_t since;
};

static void count_young(const struct os_proc *proc, void *arg)
{
    struct census *census = arg;
    if (proc->start >= census->since)
        note_error(&census->young, push(&census->young, proc));
}

static void add_children(struct tree *tree, const struct census *census)
{
    size_t before;
    do {
        before = tree->count;
        for (size_t i = 0; i < census->young.count; i++)
            if (has(tree, census->young.list[i].proc.parent))
                add(tree, &census->young.list[i].proc);
    } while (tree->count > before);
}

static void add_marked(struct tree *tree, const struct census *census)
{
    for (size_t i = 0; i < census->young.count; i++) {
        const struct os_proc *proc = &census->young.list[i].proc;
        if (!has(tree, proc->pid) && os_proc_environment_has(proc->pid, GROUPS_VARIABLE, tree->mark))
            add(tree, proc);
    }
}

/* The kernel says who holds a slot's lock, by the number that the process has here. */
static void add_members(struct tree *tree)
{
    unsigned limit = region.base ? atomic_load_explicit(&arena_header()->member_limit, memory_order_acquire) : 0;
    for (unsigned slot = 0; slot < limit; slot++) {
        uint64_t group = atomic_load_explicit(&member_at(slot)->group, memory_order_relaxed);
        if ((uint32_t)group != tree->id && group >> 32 != tree->id)
            continue;
        struct os_proc proc;
        pid_t pid = proof_process(slot);
        if (pid > 0 && os_proc_read(pid, &proc) == 0 && proof_process(slot) == pid)
            add(tree, &proc);
    }
}

size_t tree_search(struct tree *tree)
{
    struct census census = {.since = tree->since};
    tree_is_empty(tree);
    size_t before = tree->count;
    note_error(tree, os_proc_each(count_young, &census));
    add_members(tree);
    add_marked(tree, &census);
    add_children(tree, &census);
    note_error(tree, census.young.error);
    tree_destroy(&census.young);
    return tree->count - before;
}

/* ---- signals ---- */

static int signal_one(const struct os_proc *proc, int signal)
{
    struct os_proc now;
    int fd = os_pidfd_open(proc->pid);
    if (fd < 0)
        return fd;
    int result = os_proc_read(proc->pid, &now);
    if (!result && now.start == proc->start)
        result = os_pidfd_signal(fd, signal);
    os_close(fd);
    return result;
}

void tree_signal(struct tree *tree, int signal)
{
    for (size_t i = 0; i < tree->count; i++) {
        note_error(tree, signal_one(&tree->list[i].proc, signal));
        tree->list[i].is_told = false;
    }
}

/* ---- stopping ---- */

static void add_children_of(struct tree *tree, pid_t pid)
{
    pid_t children[CHILDREN_MAX];
    size_t count = os_proc_children(pid, children, CHILDREN_MAX);
    for (size_t i = 0; i < count && i < CHILDREN_MAX; i++) {
        struct os_proc proc;
        int result = os_proc_read(children[i], &proc);
        note_error(tree, result);
        if (!result && proc.parent == pid)
            add(tree, &proc);
    }
}

/* Tell each to stop and go on to its children at once. That is faster than a fork, so whoever forks all the time is
 * caught up with. The list grows under way. */
static void chase(struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->list[i].is_told)
            note_error(tree, signal_one(&tree->list[i].proc, SIGSTOP));
        tree->list[i].is_told = true;
        add_children_of(tree, tree->list[i].proc.pid);
    }
}

static bool is_still(const struct tree *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->list[i].proc.state != 'T' && tree->list[i].proc.state != 't')
            return false;
    return true;
}

/* A process that was told to stop may fork until it has stopped. So the end is a look that finds everybody stopped, and
 * nobody new. */
void tree_freeze(struct tree *tree)
{
    int64_t end = os_after(FREEZE_TIME);
    int64_t deadline = os_after(STOP_TIME);
    for (;;) {
        size_t before = tree->count;
        chase(tree);
        bool quiet = tree->count == before;
        quiet = tree_search(tree) == 0 && quiet;
        if (quiet && (is_still(tree) || os_until(deadline) == 0))
            return;
        if (os_until(end) == 0)
            return;
        if (quiet)
            os_poll(NULL, 0, OS_MS(1));
        else
            deadline = os_after(STOP_TIME);
    }
}

void tree_destroy(struct tree *tree)
{
    free(tree->list);
    tree->list = NULL;
    tree->count = tree->capacity = 0;
}
