/* The processes of a group and their descendants.
 *
 * Three ways lead to a descendant. Its parent is in the tree: one look at all processes, repeated until nothing is new.
 * It is a member of the family, and so has the group's mark in its slot. It has the mark of a limit, which every
 * process inherits from the member that it descends from, whatever it executes and overwrites; or, where somebody has
 * reset that, the mark in the environment that it was executed with. The last three find also those whose parents are
 * dead.
 *
 * A process is named by its number in /proc and its start time. A signal is sent through a pidfd only, and only after
 * that was proven to be this process (os_proc_open()): between the look and the signal its number may have passed to
 * somebody else, and where /proc is of another pid namespace the number was never its own here. */
#include "process/descendants.h"

#include "arena/layout.h"
#include "arena/member.h"
#include "arena/proof.h"
#include "os/allocate.h"
#include "os/clock.h"
#include "os/descriptor.h"
#include "os/pidfd.h"
#include "os/poll.h"
#include "process/self.h"
#include "util/atomic.h"
#include "util/failure.h"
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

void descendants_begin(struct descendants *tree, uint64_t since, uint32_t id, const char *mark)
{
    *tree = (struct descendants){.since = since, .id = id, .mark = mark};
    tree->error = os_proc_self(&tree->self);
    tree->is_blind = tree->error != 0;
    if (tree->is_blind) {
        tree->self = getpid();
        failure(tree->error, "descendants cannot be found, for there is no /proc that shows this process");
    }
}

static void note_error(struct descendants *tree, int result)
{
    if (result < 0 && !is_told_gone(result) && tree->error == 0)
        tree->error = result;
}

static bool has(const struct descendants *tree, pid_t pid)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->list[i].proc.pid == pid)
            return true;
    return false;
}

static int descendants_push(struct descendants *tree, const struct descendant *entry)
{
    if (tree->count == tree->capacity) {
        size_t capacity = tree->capacity * 2 + 16;
        struct descendant *list = os_realloc(tree->list, capacity * sizeof *list);
        if (!list)
            return -ENOMEM;
        tree->list = list;
        tree->capacity = capacity;
    }
    tree->list[tree->count++] = *entry;
    return 0;
}

static void descendants_forget(struct descendant *entry)
{
    if (entry->is_own)
        os_close(entry->pidfd);
}

/* The entry's own pidfd goes to the tree, or is closed. */
static void descendants_add_entry(struct descendants *tree, struct descendant *entry)
{
    const struct os_proc *proc = &entry->proc;
    int result = -ESRCH;
    if (!proc->has_ended && proc->pid != tree->self && !has(tree, proc->pid))
        result = descendants_push(tree, entry);
    if (result)
        descendants_forget(entry);
    note_error(tree, result);
}

static void descendants_add_found(struct descendants *tree, const struct os_proc *proc)
{
    descendants_add_entry(tree, &(struct descendant){.proc = *proc, .pidfd = -1});
}

/* Add a process by its pidfd. What is read of it in /proc is its own if it has not ended, and so was not reaped,
 * afterwards. One that /proc does not show is an error, for nor are its children shown then. */
static void add_open(struct descendants *tree, pid_t pid, int pidfd, bool is_own)
{
    struct descendant entry = {.proc = {.pid = pid, .state = 'T'}, .pidfd = pidfd, .is_own = is_own};
    int result = 0;
    if (!tree->is_blind) {
        result = os_proc_number(pidfd, &pid);
        if (!result)
            result = os_proc_read(pid, &entry.proc);
    }
    bool lives = os_pidfd_wait(pidfd, 0) == 0;
    if (lives && result && tree->error == 0)
        tree->error = result == -ESRCH ? -ENOENT : result;
    if (lives)
        descendants_add_entry(tree, &entry);
    else
        descendants_forget(&entry);
}

void descendants_add(struct descendants *tree, pid_t pid, int pidfd)
{
    add_open(tree, pid, pidfd, false);
}

/* ---- looking ---- */

/* Whether it is still there; what is known of it is made new. */
static bool is_there(struct descendants *tree, struct descendant *entry)
{
    uint64_t start = entry->proc.start;
    if (entry->pidfd >= 0 && os_pidfd_wait(entry->pidfd, 0) != 0)
        return false;
    if (start == 0) /* it is known by its pidfd alone */
        return true;
    int result = os_proc_read(entry->proc.pid, &entry->proc);
    note_error(tree, result);
    return !is_told_gone(result) && (result || (entry->proc.start == start && !entry->proc.has_ended));
}

bool descendants_is_empty(struct descendants *tree)
{
    size_t kept = 0;
    for (size_t i = 0; i < tree->count; i++) {
        struct descendant entry = tree->list[i];
        if (is_there(tree, &entry))
            tree->list[kept++] = entry;
        else
            descendants_forget(&entry);
    }
    tree->count = kept;
    return kept == 0;
}

/* All processes of the machine that are not older than the tree. */
struct census {
    struct descendants young;
    uint64_t since;
};

static void count_young(const struct os_proc *proc, void *arg)
{
    struct census *census = arg;
    if (proc->start >= census->since)
        note_error(&census->young, descendants_push(&census->young, &(struct descendant){.proc = *proc, .pidfd = -1}));
}

/* Whether the entry with that number is still the same process. */
static bool descendants_is_same(const struct descendants *tree, pid_t pid)
{
    struct os_proc now;
    for (size_t i = 0; i < tree->count; i++)
        if (tree->list[i].proc.pid == pid)
            return os_proc_read(pid, &now) == 0 && now.start == tree->list[i].proc.start;
    return false;
}

/* A child told its parent's number: that was our entry's, if it is so afterwards too. */
static void add_child(struct descendants *tree, const struct os_proc *proc)
{
    if (!has(tree, proc->pid) && descendants_is_same(tree, proc->parent))
        descendants_add_found(tree, proc);
}

static void add_children(struct descendants *tree, const struct census *census)
{
    size_t before;
    do {
        before = tree->count;
        for (size_t i = 0; i < census->young.count; i++)
            if (has(tree, census->young.list[i].proc.parent))
                add_child(tree, &census->young.list[i].proc);
    } while (tree->count > before);
}

/* A mark has the numbers of the outermost group and of the innermost. */
static bool is_mark(const struct descendants *tree, uint64_t mark)
{
    return mark != UINT64_MAX && ((mark & UINT32_MAX) == tree->id || mark >> 32 == tree->id);
}

static bool is_marked(const struct descendants *tree, pid_t pid)
{
    uint64_t limit;
    if (os_proc_lock_limit(pid, &limit) == 0 && is_mark(tree, limit))
        return true;
    return os_proc_environment_has(pid, GROUPS_VARIABLE, tree->mark);
}

static void add_marked(struct descendants *tree, const struct census *census)
{
    for (size_t i = 0; i < census->young.count; i++) {
        const struct os_proc *proc = &census->young.list[i].proc;
        if (!has(tree, proc->pid) && is_marked(tree, proc->pid))
            descendants_add_found(tree, proc);
    }
}

/* A descriptor of the family's member in a slot, by its number here: it is the member if that has the number
 * afterwards too. */
static void add_member(struct descendants *tree, unsigned slot)
{
    pid_t pid = proof_process(slot);
    int pidfd = pid > 0 && pid != getpid() ? os_pidfd_open(pid) : -ESRCH;
    if (pidfd < 0) {
        note_error(tree, pidfd);
        return;
    }
    if (proof_process(slot) == pid)
        add_open(tree, pid, pidfd, true);
    else
        os_close(pidfd);
}

/* The kernel says which process holds a slot's lock, by the number that it has here. */
static void add_members(struct descendants *tree)
{
    unsigned limit = region.base ? load_acquire(&arena_header()->member_limit) : 0;
    for (unsigned slot = 0; slot < limit; slot++)
        if (is_mark(tree, load_relaxed(&member_at(slot)->group)))
            add_member(tree, slot);
}

size_t descendants_search(struct descendants *tree)
{
    struct census census = {.since = tree->since};
    descendants_is_empty(tree);
    size_t before = tree->count;
    if (!tree->is_blind)
        note_error(tree, os_proc_each(count_young, &census));
    add_members(tree);
    add_marked(tree, &census);
    add_children(tree, &census);
    note_error(tree, census.young.error);
    descendants_destroy(&census.young);
    return tree->count - before;
}

/* ---- signals ---- */

static int signal_one(const struct descendant *entry, int signal)
{
    if (entry->pidfd >= 0)
        return os_pidfd_signal(entry->pidfd, signal);
    int fd = os_proc_open(&entry->proc);
    if (fd < 0)
        return fd;
    int result = os_pidfd_signal(fd, signal);
    os_close(fd);
    return result;
}

void descendants_signal(struct descendants *tree, int signal)
{
    for (size_t i = 0; i < tree->count; i++) {
        note_error(tree, signal_one(&tree->list[i], signal));
        tree->list[i].is_told = false;
    }
}

/* ---- stopping ---- */

static void add_children_of(struct descendants *tree, pid_t pid)
{
    pid_t children[CHILDREN_MAX];
    size_t count = os_proc_children(pid, children, CHILDREN_MAX);
    for (size_t i = 0; i < count && i < CHILDREN_MAX; i++) {
        struct os_proc proc;
        int result = os_proc_read(children[i], &proc);
        note_error(tree, result);
        if (!result && proc.parent == pid)
            add_child(tree, &proc);
    }
}

/* Tell each to stop and go on to its children at once. That is faster than a fork, so a process that forks all the
 * time is caught. The list grows meanwhile. */
static void chase(struct descendants *tree)
{
    for (size_t i = 0; i < tree->count; i++) {
        if (!tree->list[i].is_told)
            note_error(tree, signal_one(&tree->list[i], SIGSTOP));
        tree->list[i].is_told = true;
        if (tree->list[i].proc.start)
            add_children_of(tree, tree->list[i].proc.pid);
    }
}

static bool is_still(const struct descendants *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        if (tree->list[i].proc.state != 'T' && tree->list[i].proc.state != 't')
            return false;
    return true;
}

/* A process that was told to stop may fork until it has stopped. So it is over when one look finds all stopped, and no
 * new one. */
void descendants_freeze(struct descendants *tree)
{
    int64_t end = os_after(FREEZE_TIME);
    int64_t deadline = os_after(STOP_TIME);
    for (;;) {
        size_t before = tree->count;
        chase(tree);
        bool quiet = tree->count == before;
        quiet = descendants_search(tree) == 0 && quiet;
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

void descendants_destroy(struct descendants *tree)
{
    for (size_t i = 0; i < tree->count; i++)
        descendants_forget(&tree->list[i]);
    free(tree->list);
    tree->list = NULL;
    tree->count = tree->capacity = 0;
}
