/* Looks at what a death has left, for the cases of connections, processes and pools. It reads /proc and the tables of
 * the family, and takes part in nothing. */
#include "survivors.h"

#include "arena/member.h"
#include "crash.h"
#include "process/forkserver.h"
#include <dirent.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#define CHILDREN 64
#define SLOTS    64

#define WARM_SLOTS 8

static struct {
    size_t open;
    bool used[SLOTS];
    pid_t children[CHILDREN];
    size_t child_count;
} before;

static size_t count_descriptors(void)
{
    DIR *folder = opendir("/proc/self/fd");
    struct dirent *entry;
    size_t count = 0;
    while (folder && (entry = readdir(folder)))
        count += entry->d_name[0] != '.';
    if (folder)
        closedir(folder);
    return count;
}

static size_t look_at_thread(const char *thread, pid_t *pids, size_t capacity)
{
    char path[64];
    size_t count = 0;
    snprintf(path, sizeof path, "/proc/self/task/%.20s/children", thread);
    FILE *file = fopen(path, "re");
    while (file && count < capacity && fscanf(file, "%d", &pids[count]) == 1)
        count++;
    if (file)
        fclose(file);
    return count;
}

static size_t look_at_children(pid_t *pids, size_t capacity)
{
    DIR *folder = opendir("/proc/self/task");
    struct dirent *entry;
    size_t count = 0;
    while (folder && (entry = readdir(folder)))
        if (entry->d_name[0] != '.')
            count += look_at_thread(entry->d_name, pids + count, capacity - count);
    if (folder)
        closedir(folder);
    return count;
}

static bool slot_is_used(unsigned slot)
{
    return atomic_load(&member_at(slot)->word) & 1;
}

static void be_member(void *unused)
{
    (void)unused;
    member_self();
    pause();
}

static bool slots_are_used(void *unused)
{
    (void)unused;
    for (unsigned slot = 0; slot < WARM_SLOTS; slot++)
        if (!slot_is_used(slot))
            return false;
    return true;
}

/* The first member in a slot makes its pages. Done beforehand, so that a process goes the same way each time. */
static void warm_slots(void)
{
    static bool warm;
    pid_t pids[WARM_SLOTS];
    if (warm || !member_self())
        return;
    for (unsigned slot = 0; slot < WARM_SLOTS; slot++)
        pids[slot] = bystander_start(be_member, NULL);
    warm = within_time(slots_are_used, NULL);
    for (unsigned slot = 0; slot < WARM_SLOTS; slot++)
        bystander_end(pids[slot]);
    member_sweep_all();
}

/* The fork server of this process is there to stay. */
static bool was_there(pid_t pid)
{
    if (pid == forkserver_pid())
        return true;
    for (size_t i = 0; i < before.child_count; i++)
        if (before.children[i] == pid)
            return true;
    return false;
}

size_t survivors_left(pid_t *pids, size_t capacity)
{
    pid_t all[CHILDREN];
    size_t total = look_at_children(all, CHILDREN);
    size_t count = 0;
    for (size_t i = 0; i < total; i++) {
        if (was_there(all[i]))
            continue;
        if (count < capacity)
            pids[count] = all[i];
        count++;
    }
    return count;
}

/* Reap those that have ended. Returns whether some others are left. */
static bool processes_are_left(void)
{
    pid_t pids[CHILDREN];
    bool left = false;
    size_t count = survivors_left(pids, CHILDREN);
    for (size_t i = 0; i < count && i < CHILDREN; i++)
        left = waitpid(pids[i], NULL, WNOHANG | __WALL) == 0 || left;
    return left;
}

static bool no_process_is_left(void *unused)
{
    (void)unused;
    return !processes_are_left();
}

/* What a world has left that did not balance is not the next one's matter. */
static void settle_last_world(void)
{
    static bool noted;
    if (noted)
        within_time(no_process_is_left, NULL);
    noted = true;
    member_sweep_all();
}

void survivors_note(void)
{
    prctl(PR_SET_CHILD_SUBREAPER, 1);
    warm_slots();
    settle_last_world();
    heap_note();
    before.open = count_descriptors();
    before.child_count = look_at_children(before.children, CHILDREN);
    for (unsigned slot = 0; slot < SLOTS; slot++)
        before.used[slot] = slot_is_used(slot);
}

static const char *difference(size_t more)
{
    if (processes_are_left())
        return "a process is left";
    if (count_descriptors() > before.open)
        return "a descriptor is left open";
    const char *wrong = heap_balance(more); /* this sweeps, too */
    for (unsigned slot = 0; slot < SLOTS && !wrong; slot++)
        if (slot_is_used(slot) && !before.used[slot])
            wrong = "a slot stays used";
    return wrong;
}

struct balance {
    size_t more;
    const char *wrong;
};

static bool is_balanced(void *arg)
{
    struct balance *balance = arg;
    balance->wrong = difference(balance->more);
    return balance->wrong == NULL;
}

const char *survivors_balance(size_t more)
{
    struct balance balance = {.more = more};
    pid_t pids[CHILDREN];
    if (within_time(is_balanced, &balance))
        return NULL;
    size_t count = survivors_left(pids, CHILDREN);
    for (size_t i = 0; i < count && i < CHILDREN; i++) {
        kill(pids[i], SIGKILL);
        waitpid(pids[i], NULL, __WALL);
    }
    return balance.wrong;
}
