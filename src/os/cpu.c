/* The processors: the affinity mask and the quota of the control groups. A quota can stand at any level of the tree of
 * groups, in either version of their file system. */
#include "os/cpu.h"

#include "os/cgroup.h"
#include "os/fault.h"
#include "util/atomic.h"
#include "util/failure.h"
#include <errno.h>
#include <limits.h>
#include <mproc/base.h>
#include <sched.h>
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
    int count = sched_getaffinity(0, size, set) ? failed_call("sched_getaffinity") : CPU_COUNT_S(size, set);
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
    int result = sched_getaffinity(0, size, set) ? failed_call("sched_getaffinity") : 0;
    if (!result) {
        int cpu = find_cpu(set, size, index, CPU_COUNT_S(size, set));
        CPU_ZERO_S(size, set);
        CPU_SET_S((size_t)cpu, size, set);
        result = sched_setaffinity(0, size, set) ? failed_call("sched_setaffinity") : 0;
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

static int whole_cpus(long long quota, long long period)
{
    if (quota <= 0 || period <= 0 || quota / period >= INT_MAX)
        return INT_MAX;
    return (int)(quota / period + (quota % period != 0));
}

static int unified_quota(const struct os_cgroup *group)
{
    long long numbers[2];

    return os_cgroup_numbers(group, "cpu.max", numbers) == 2 ? whole_cpus(numbers[0], numbers[1]) : INT_MAX;
}

static int first_version_quota(const struct os_cgroup *group)
{
    long long quota[2], period[2];

    if (os_cgroup_numbers(group, "cpu.cfs_quota_us", quota) < 1 ||
        os_cgroup_numbers(group, "cpu.cfs_period_us", period) < 1)
        return INT_MAX;
    return whole_cpus(quota[0], period[0]);
}

static void find_least(const struct os_cgroup *group, void *arg)
{
    int *least = arg;
    int quota = group->is_unified ? unified_quota(group) : first_version_quota(group);

    if (quota < *least)
        *least = quota;
}

int os_cpu_quota(const char *root)
{
    int least = INT_MAX;

    os_cgroup_each(root, "cpu", find_least, &least);
    return least;
}

/* ---- both ---- */

int os_cpu_count(void)
{
    int cpus = affinity();
    int quota = os_cpu_quota("");

    return cpus < quota ? cpus : quota;
}

enum {
    UNKNOWN = 0,
    ALONE,
    AMONG_OTHERS
};

/* Found out once. */
static _Atomic(int) company;

__attribute__((constructor)) static void look_at_affinity(void)
{
    store_relaxed(&company, affinity() > 1 ? AMONG_OTHERS : ALONE);
}

int os_cpu_current(void)
{
    return sched_getcpu();
}

bool os_cpu_may_spin(void)
{
    int known = load_relaxed(&company);
    if (known == UNKNOWN) { /* the constructor has not run yet */
        look_at_affinity();
        known = load_relaxed(&company);
    }
    return known == AMONG_OTHERS;
}

int mproc_cpu_count(void)
{
    return os_cpu_count();
}
