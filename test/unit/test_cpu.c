/* The number of CPUs: by the affinity mask of a real process, by the quota of control groups that are files in a folder
 * of the test. */
#include "harness.h"
#include "kernel_files.h"
#include "os/cpu.h"
#include "streams.h"

#include <errno.h>
#include <limits.h>
#include <mproc/base.h>
#include <sched.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

/* ---- affinity ---- */

static int count_when_pinned(int cpus)
{
    cpu_set_t all, few;
    int kept = 0;

    CPU_ZERO(&few);
    if (sched_getaffinity(0, sizeof all, &all))
        return 1;
    for (int cpu = 0; cpu < CPU_SETSIZE && kept < cpus; cpu++) {
        if (CPU_ISSET(cpu, &all)) {
            CPU_SET(cpu, &few);
            kept++;
        }
    }
    if (sched_setaffinity(0, sizeof few, &few))
        return 2;
    return mproc_cpu_count() == (kept < os_cpu_quota("") ? kept : os_cpu_quota("")) ? 0 : 3;
}

static void a_pinned_process_counts_its_own_cpus(void **state)
{
    (void)state;
    assert_true(mproc_cpu_count() >= 1 && mproc_cpu_count() <= sysconf(_SC_NPROCESSORS_CONF));
    for (int cpus = 1; cpus < 5; cpus++) {
        pid_t child = fork();
        if (child == 0)
            _exit(count_when_pinned(cpus));
        expect_exit(child, 0);
    }
}

/* What it waits for is done by others, on other CPUs. */
static void a_process_that_binds_itself_to_a_cpu_may_spin_as_before(void **state)
{
    (void)state;
    cpu_set_t all;
    assert_int_equal(sched_getaffinity(0, sizeof all, &all), 0);
    assert_int_equal(os_cpu_may_spin(), CPU_COUNT(&all) > 1);
    pid_t child = fork();
    if (child == 0)
        _exit(count_when_pinned(1) ? 2 : os_cpu_may_spin());
    expect_exit(child, CPU_COUNT(&all) > 1);
}

/* ---- quota ---- */

#define UNIFIED "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw,nsdelegate\n"
#define FIRST   "33 31 0:30 / /sys/fs/cgroup/cpu,cpuacct rw shared:9 master:3 - cgroup cgroup rw,cpu,cpuacct\n"
#define SETS    "34 31 0:31 / /sys/fs/cgroup/cpuset rw - cgroup cgroup rw,cpuset\n"
#define OTHERS  "22 1 254:1 / / rw,relatime shared:1 - ext4 /dev/sda1 rw\nnonsense\n\n1 2 3:4 / /x rw - \n"

static void without_a_quota_there_is_none(void **state)
{
    (void)state;
    assert_int_equal(os_cpu_quota("/nonexistent"), INT_MAX);
    kernel_open();
    assert_int_equal(os_cpu_quota(kernel_root), INT_MAX);
    kernel_put("/proc/self/mountinfo", OTHERS UNIFIED);
    assert_int_equal(os_cpu_quota(kernel_root), INT_MAX);
    kernel_put("/proc/self/cgroup", "0::/a/b\n");
    kernel_put("/sys/fs/cgroup/a/b/cpu.max", "max 100000\n");
    assert_int_equal(os_cpu_quota(kernel_root), INT_MAX);
    kernel_close();
}

static void a_quota_is_rounded_up(void **state)
{
    static const struct {
        const char *text;
        int cpus;
    } cases[] = {{"100000 100000\n", 1}, {"150000 100000\n", 2}, {"1000 100000\n", 1},  {"400000 100000\n", 4},
                 {"200001 100000", 3},   {"", INT_MAX},          {"200000\n", INT_MAX}, {"200000 0\n", INT_MAX},
                 {"-1 100000", INT_MAX}, {"0 100000", INT_MAX},  {"junk 5\n", INT_MAX}, {"999999999999 1", INT_MAX}};

    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", OTHERS UNIFIED);
    kernel_put("/proc/self/cgroup", "0::/a/b\n");
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kernel_put("/sys/fs/cgroup/a/b/cpu.max", cases[i].text);
        assert_int_equal(os_cpu_quota(kernel_root), cases[i].cpus);
    }
    kernel_close();
}

static void the_least_quota_on_the_way_up_counts(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", OTHERS UNIFIED);
    kernel_put("/proc/self/cgroup", "0::/a/b/c\n");
    kernel_put("/sys/fs/cgroup/a/b/c/cpu.max", "700000 100000");
    assert_int_equal(os_cpu_quota(kernel_root), 7);
    kernel_put("/sys/fs/cgroup/a/cpu.max", "300000 100000");
    assert_int_equal(os_cpu_quota(kernel_root), 3);
    kernel_put("/sys/fs/cgroup/a/b/cpu.max", "max 100000");
    assert_int_equal(os_cpu_quota(kernel_root), 3);
    kernel_put("/sys/fs/cgroup/cpu.max", "200000 100000"); /* a container sees its own group as the root */
    assert_int_equal(os_cpu_quota(kernel_root), 2);
    kernel_put("/sys/fs/cpu.max", "100000 100000"); /* above the mount */
    assert_int_equal(os_cpu_quota(kernel_root), 2);
    kernel_put("/sys/fs/cgroup/a/other/cpu.max", "100000 100000");
    assert_int_equal(os_cpu_quota(kernel_root), 2);
    kernel_put("/proc/self/cgroup", "0::/\n");
    assert_int_equal(os_cpu_quota(kernel_root), 2);
    kernel_close();
}

static void the_first_version_is_read_too(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", OTHERS SETS FIRST);
    kernel_put("/proc/self/cgroup", "5:cpuset:/other\n4:cpu,cpuacct:/box/one\n1:name=systemd:/x\n0::/y\n");
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/box/one/cpu.cfs_quota_us", "-1\n");
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/box/one/cpu.cfs_period_us", "100000\n");
    kernel_put("/sys/fs/cgroup/cpuset/cpu.cfs_quota_us", "100000\n");
    kernel_put("/sys/fs/cgroup/cpuset/cpu.cfs_period_us", "100000\n");
    assert_int_equal(os_cpu_quota(kernel_root), INT_MAX);
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_quota_us", "250000\n");
    assert_int_equal(os_cpu_quota(kernel_root), INT_MAX);
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/box/cpu.cfs_period_us", "50000\n");
    assert_int_equal(os_cpu_quota(kernel_root), 5);
    kernel_close();
}

static void both_versions_together_give_the_least(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", FIRST "38 31 0:35 / /sys/fs/cgroup/unified rw - cgroup2 cgroup2 rw\n");
    kernel_put("/proc/self/cgroup", "4:cpuacct,cpu:/\n0::/u\n");
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_quota_us", "600000\n");
    kernel_put("/sys/fs/cgroup/cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    assert_int_equal(os_cpu_quota(kernel_root), 6);
    kernel_put("/sys/fs/cgroup/unified/u/cpu.max", "400000 100000\n");
    assert_int_equal(os_cpu_quota(kernel_root), 4);
    kernel_close();
}

/* A container's mount shows a part of the host's tree, by whose names the process's group may be called. */
static void a_mount_of_a_part_of_the_tree_is_followed(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", "30 23 0:26 /docker/abc /sys/fs/cgroup ro - cgroup2 cgroup rw\n");
    kernel_put("/sys/fs/cgroup/cpu.max", "500000 100000\n");
    kernel_put("/sys/fs/cgroup/in/cpu.max", "200000 100000\n");
    kernel_put("/sys/fs/cpu.max", "100000 100000\n");
    kernel_put("/sys/fs/in/cpu.max", "100000 100000\n");
    kernel_put("/sys/fs/cgroup/docker/abc/in/cpu.max", "100000 100000\n");
    static const struct {
        const char *group;
        int cpus;
    } cases[] = {{"0::/docker/abc/in\n", 2}, {"0::/docker/abc\n", 5},       {"0::/docker/abcdef/in\n", 5},
                 {"0::/elsewhere\n", 5},     {"0::/../../outside/in\n", 5}, {"0::/docker/abc/../in\n", 5}};
    for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
        kernel_put("/proc/self/cgroup", cases[i].group);
        assert_int_equal(os_cpu_quota(kernel_root), cases[i].cpus);
    }
    kernel_close();
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(a_pinned_process_counts_its_own_cpus),  unit(a_process_that_binds_itself_to_a_cpu_may_spin_as_before),
        unit(without_a_quota_there_is_none),         unit(a_quota_is_rounded_up),
        unit(the_least_quota_on_the_way_up_counts),  unit(the_first_version_is_read_too),
        unit(both_versions_together_give_the_least), unit(a_mount_of_a_part_of_the_tree_is_followed),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
