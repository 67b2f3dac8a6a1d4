/* Room for memory. The kernel grants pages of a memory file one by one as long as it has any, and then ends in its OOM
 * killer; so what is going to be taken is first held against what is left. One number is kept for each process, and
 * nothing is guessed where a file is missing. */
#include "os/room.h"

#include "os/cgroup.h"
#include "util/atomic.h"
#include <stdio.h>
#include <sys/param.h>

#define MIB INT64_C(1048576)

/* So much is left free, for what the kernel takes beside the pages, and the program to say that there is no room. */
#define MARGIN MIB

/* Between two looks a process takes this part of the room, in these bounds. Others take from the same room meanwhile.
 */
#define PART            128
#define BUDGET_AT_FIRST (4 * MIB)
#define BUDGET_LEAST    (MIB / 4)
#define BUDGET_MOST     (16 * MIB)

/* ---- one group ---- */

struct look {
    int64_t swap; /* free in the machine */
    int64_t room;
};

static void note_room(struct look *look, int64_t limit, int64_t used, int64_t more)
{
    int64_t left = limit - used;
    if (more < INT64_MAX - MAX(left, 0) && left + more < look->room)
        look->room = MAX(left + more, 0);
}

/* Swap that a group of the second version may still use. */
static int64_t unified_swap(const struct os_cgroup *group, int64_t swap)
{
    long long limit[2], used[2];
    if (os_cgroup_numbers(group, "memory.swap.max", limit) < 1 ||
        os_cgroup_numbers(group, "memory.swap.current", used) < 1)
        return swap;
    return MAX(MIN(swap, limit[0] - used[0]), 0);
}

static void look_at_unified(const struct os_cgroup *group, struct look *look)
{
    static const char *const names[] = {"inactive_file", "active_file", "slab_reclaimable", NULL};
    long long limit[2], used[2];
    if (os_cgroup_numbers(group, "memory.max", limit) < 1 || os_cgroup_numbers(group, "memory.current", used) < 1)
        return;
    int64_t back = MIN(os_cgroup_sum(group, "memory.stat", names), used[0]);
    note_room(look, limit[0], used[0], back + unified_swap(group, look->swap));
}

/* The second limit is of memory and swap together. */
static void look_at_first(const struct os_cgroup *group, struct look *look)
{
    static const char *const names[] = {"total_inactive_file", "total_active_file", NULL};
    long long limit[2], used[2];
    if (os_cgroup_numbers(group, "memory.limit_in_bytes", limit) < 1 ||
        os_cgroup_numbers(group, "memory.usage_in_bytes", used) < 1)
        return;
    int64_t back = MIN(os_cgroup_sum(group, "memory.stat", names), used[0]);
    note_room(look, limit[0], used[0], back + look->swap);
    if (os_cgroup_numbers(group, "memory.memsw.limit_in_bytes", limit) == 1 &&
        os_cgroup_numbers(group, "memory.memsw.usage_in_bytes", used) == 1)
        note_room(look, limit[0], used[0], back);
}

static void look_at(const struct os_cgroup *group, void *arg)
{
    if (group->is_unified)
        look_at_unified(group, arg);
    else
        look_at_first(group, arg);
}

/* ---- the whole ---- */

int64_t os_room(const char *root)
{
    static const char *const available[] = {"MemAvailable:", NULL};
    static const char *const swap[] = {"SwapFree:", NULL};
    const struct os_cgroup machine = {.root = root, .folder = "/proc"};
    int64_t kilobytes = os_cgroup_sum(&machine, "meminfo", available);
    struct look look = {.swap = os_cgroup_sum(&machine, "meminfo", swap) * 1024, .room = INT64_MAX};
    if (kilobytes > 0)
        note_room(&look, kilobytes * 1024, 0, look.swap);
    os_cgroup_each(root, "memory", look_at, &look);
    return look.room;
}

bool os_room_take(size_t size)
{
    static _Atomic(int64_t) budget = BUDGET_AT_FIRST;
    if (size > INT64_MAX / 2)
        return false;
    if (fetch_sub_relaxed(&budget, (int64_t)size) >= (int64_t)size)
        return true;
    int64_t left = os_room("") - (int64_t)size;
    int64_t next = left < MARGIN ? 0 : MIN(MAX(left / PART, BUDGET_LEAST), BUDGET_MOST);
    store_relaxed(&budget, next);
    return left >= MARGIN;
}
