/* The processors: the affinity mask and the quota of the control groups. Called by users, by pools and by whatever
 * spins. A quota can stand at any level of the tree of groups, in either version of their file system. */
#include "os/cpu.h"

#include "os/fault.h"
#include "os/file.h"
#include <errno.h>
#include <limits.h>
#include <mproc/base.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define CPUS_FIRST 1024
#define CPUS_MOST  (1 << 20)

/* ---- affinity ---- */

static int count_affinity(int cpus)
{
    int fault = os_fault(OS_AFFINITY);
    if (fault)
        return fault;
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set)
        return -ENOMEM;
    size_t size = CPU_ALLOC_SIZE(cpus);
    int count = sched_getaffinity(0, size, set) ? -errno : CPU_COUNT_S(size, set);
    CPU_FREE(set);
    return count;
}

/* The number of the index-th CPU of the set, of which there are count. */
static int find_cpu(const cpu_set_t *set, size_t size, unsigned index, int count)
{
    int left = (int)(index % (unsigned)count);
    int cpu = 0;
    while (!CPU_ISSET_S((size_t)cpu, size, set) || left-- > 0)
        cpu++;
    return cpu;
}

static int pin(unsigned index, int cpus)
{
    int fault = os_fault(OS_AFFINITY);
    if (fault)
        return fault;
    cpu_set_t *set = CPU_ALLOC(cpus);
    if (!set)
        return -ENOMEM;
    size_t size = CPU_ALLOC_SIZE(cpus);
    int result = sched_getaffinity(0, size, set) ? -errno : 0;
    if (!result) {
        int cpu = find_cpu(set, size, index, CPU_COUNT_S(size, set));
        CPU_ZERO_S(size, set);
        CPU_SET_S((size_t)cpu, size, set);
        result = sched_setaffinity(0, size, set) ? -errno : 0;
    }
    CPU_FREE(set);
    return result;
}

int os_cpu_pin(unsigned index)
{
    int cpus = CPUS_FIRST;
    int result;
    while ((result = pin(index, cpus)) == -EINVAL && cpus < CPUS_MOST)
        cpus *= 2;
    return result;
}

/* -EINVAL: the kernel knows more CPUs than the set has room for. */
static int affinity(void)
{
    int cpus = CPUS_FIRST;
    int count;

    while ((count = count_affinity(cpus)) == -EINVAL && cpus < CPUS_MOST)
        cpus *= 2;
    return count > 0 ? count : 1;
}

/* ---- quota ---- */

/* The groups of this process: its path in the second version, and in the first where that controls the CPU. */
struct groups {
    char unified[PATH_MAX];
    char cpu[PATH_MAX];
};

/* A line of the table of mounts, cut into what matters here. */
struct mount {
    char *root;
    char *point;
    char *type;
    char *options;
};

static FILE *open_text(const char *root, const char *path)
{
    char whole[2 * PATH_MAX];

    if (snprintf(whole, sizeof whole, "%s%s", root, path) >= (int)sizeof whole)
        return NULL;
    return os_open_text(whole);
}

/* Up to two numbers from a file; how many there were. */
static int read_numbers(const char *root, const char *folder, const char *name, long long numbers[2])
{
    char path[PATH_MAX + 32];

    snprintf(path, sizeof path, "%s/%s", folder, name);
    FILE *file = open_text(root, path);
    if (!file)
        return 0;
    int count = fscanf(file, "%lld %lld", &numbers[0], &numbers[1]);
    fclose(file);
    return count;
}

static int whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= INT_MAX)
        return INT_MAX;
    return (int)(quota / period + (quota % period != 0));
}

static int unified_quota(const char *root, const char *folder)
{
    long long numbers[2];

    return read_numbers(root, folder, "cpu.max", numbers) == 2 ? whole_cpus(numbers[0], numbers[1]) : INT_MAX;
}

static int first_version_quota(const char *root, const char *folder)
{
    long long quota[2], period[2];

    if (read_numbers(root, folder, "cpu.cfs_quota_us", quota) < 1 ||
        read_numbers(root, folder, "cpu.cfs_period_us", period) < 1)
        return INT_MAX;
    return whole_cpus(quota[0], period[0]);
}

/* Whether a comma-separated list has this word. */
static bool lists(const char *list, const char *word)
{
    size_t length = strlen(word);

    for (; list; list = strchr(list, ','), list = list ? list + 1 : NULL)
        if (strncmp(list, word, length) == 0 && (list[length] == ',' || list[length] == '\0'))
            return true;
    return false;
}

/* A line is number:controllers:path. */
static void read_groups(const char *root, struct groups *groups)
{
    char line[PATH_MAX + 256];

    groups->unified[0] = groups->cpu[0] = '\0';
    FILE *file = open_text(root, "/proc/self/cgroup");
    while (file && fgets(line, sizeof line, file)) {
        line[strcspn(line, "\n")] = '\0';
        char *controllers = strchr(line, ':');
        char *path = controllers ? strchr(controllers + 1, ':') : NULL;
        if (!path)
            continue;
        *path++ = '\0';
        if (strcmp(line, "0:") == 0)
            snprintf(groups->unified, sizeof groups->unified, "%s", path);
        else if (lists(controllers + 1, "cpu"))
            snprintf(groups->cpu, sizeof groups->cpu, "%s", path);
    }
    if (file)
        fclose(file);
}

/* The folder of a group below a mount, which may show a part of the tree only. What is outside of that part cannot be
 * seen; then the mount itself is all there is. */
static void folder_of(const struct mount *mount, const char *group, char *folder, size_t size)
{
    size_t length = strcmp(mount->root, "/") == 0 ? 0 : strlen(mount->root);
    const char *below = group + length;

    if (strncmp(group, mount->root, length) != 0 || (*below != '/' && *below != '\0') || strstr(group, "/..") ||
        strcmp(below, "/") == 0)
        below = "";
    snprintf(folder, size, "%s%s", mount->point, below);
}

/* The least quota from a group's folder up to the mount. */
static int least_quota(const char *root, const struct mount *mount, const char *group,
                       int (*quota)(const char *root, const char *folder))
{
    char folder[PATH_MAX];
    int least = INT_MAX;

    folder_of(mount, group, folder, sizeof folder);
    for (;;) {
        int here = quota(root, folder);
        if (here < least)
            least = here;
        char *slash = strrchr(folder, '/');
        if (!slash || (size_t)(slash - folder) < strlen(mount->point))
            return least;
        *slash = '\0';
    }
}

/* A line is: number parent device root point options [more ...] - type source options. */
static bool cut_mount(char *line, struct mount *mount)
{
    char *fields[5], *rest = NULL;

    line[strcspn(line, "\n")] = '\0';
    char *tail = strstr(line, " - ");
    if (!tail)
        return false;
    *tail = '\0';
    for (int i = 0; i < 5; i++) {
        fields[i] = strtok_r(i ? NULL : line, " ", &rest);
        if (!fields[i])
            return false;
    }
    mount->root = fields[3];
    mount->point = fields[4];
    mount->type = strtok_r(tail + 3, " ", &rest);
    mount->options = mount->type && strtok_r(NULL, " ", &rest) ? strtok_r(NULL, " ", &rest) : NULL;
    return mount->options;
}

int os_cpu_quota(const char *root)
{
    char line[2 * PATH_MAX];
    struct groups groups;
    struct mount mount;
    int least = INT_MAX;

    read_groups(root, &groups);
    FILE *file = open_text(root, "/proc/self/mountinfo");
    while (file && fgets(line, sizeof line, file)) {
        int quota = INT_MAX;
        if (!cut_mount(line, &mount))
            continue;
        if (strcmp(mount.type, "cgroup2") == 0)
            quota = least_quota(root, &mount, groups.unified, unified_quota);
        else if (strcmp(mount.type, "cgroup") == 0 && lists(mount.options, "cpu"))
            quota = least_quota(root, &mount, groups.cpu, first_version_quota);
        if (quota < least)
            least = quota;
    }
    if (file)
        fclose(file);
    return least;
}

/* ---- both ---- */

int os_cpu_count(void)
{
    int cpus = affinity();
    int quota = os_cpu_quota("");

    return cpus < quota ? cpus : quota;
}

static bool may_spin;

__attribute__((constructor)) static void look_at_affinity(void)
{
    may_spin = affinity() > 1;
}

int os_cpu_current(void)
{
    return sched_getcpu();
}

bool os_cpu_may_spin(void)
{
    return may_spin;
}

int mproc_cpu_count(void)
{
    return os_cpu_count();
}
