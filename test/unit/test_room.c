/* Room for memory: what the machine and the control groups have left, in made-up files of the kernel, and that a real
 * limit ends in an error and not in the OOM killer. */
#include "arena/region.h"
#include "children.h"
#include "harness.h"
#include "kernel_files.h"
#include "os/room.h"
#include <errno.h>
#include <fcntl.h>
#include <mproc/memory.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#define MIB     INT64_C(1048576)
#define UNIFIED "30 23 0:26 / /sys/fs/cgroup rw,nosuid shared:4 - cgroup2 cgroup2 rw\n"
#define FIRST   "33 31 0:30 / /sys/fs/cgroup/memory rw shared:9 - cgroup cgroup rw,memory\n"

static int64_t room(void)
{
    return os_room(kernel_root);
}

static void where_nothing_is_told_there_is_room(void **state)
{
    (void)state;
    kernel_open();
    assert_true(os_room("/nonexistent") == INT64_MAX);
    assert_true(room() == INT64_MAX);
    kernel_put("/proc/self/cgroup", "0::/a\nnonsense\n");
    kernel_put("/proc/self/mountinfo", "nonsense\n" UNIFIED);
    kernel_put("/sys/fs/cgroup/a/memory.max", "max\n");
    kernel_put("/sys/fs/cgroup/a/memory.current", "5000\n");
    assert_true(room() == INT64_MAX);
    kernel_close();
}

static void the_machine_has_what_is_available_and_swap(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/meminfo", "MemTotal: 8000 kB\nMemFree: 10 kB\nMemAvailable:    3000 kB\n");
    assert_int_equal(room(), 3000 * 1024);
    kernel_put("/proc/meminfo", "MemAvailable:    3000 kB\nSwapTotal: 9000 kB\nSwapFree: 500 kB\n");
    assert_int_equal(room(), 3500 * 1024);
    kernel_close();
}

static void page_cache_of_a_group_is_room(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", UNIFIED);
    kernel_put("/proc/self/cgroup", "0::/a\n");
    kernel_put("/sys/fs/cgroup/a/memory.max", "1000000\n");
    kernel_put("/sys/fs/cgroup/a/memory.current", "990000\n");
    assert_int_equal(room(), 10000);
    kernel_put("/sys/fs/cgroup/a/memory.stat", "anon 90000\nfile 900000\nshmem 5\ninactive_file 500000\nactive_file "
                                               "300000\nslab_reclaimable 1000\nslab 7000\n");
    assert_int_equal(room(), 811000);
    kernel_put("/sys/fs/cgroup/a/memory.current", "1000\n"); /* no more than what is used comes back */
    assert_int_equal(room(), 1000000);
    kernel_put("/sys/fs/cgroup/a/memory.current", "2000000\n"); /* the limit was lowered */
    kernel_put("/sys/fs/cgroup/a/memory.stat", "");
    assert_int_equal(room(), 0);
    kernel_close();
}

static void the_nearest_limit_on_the_way_up_counts(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/self/mountinfo", UNIFIED);
    kernel_put("/proc/self/cgroup", "0::/a/b/c\n");
    kernel_put("/sys/fs/cgroup/a/b/c/memory.max", "max\n");
    kernel_put("/sys/fs/cgroup/a/b/c/memory.current", "100\n");
    kernel_put("/sys/fs/cgroup/a/memory.max", "70000\n");
    kernel_put("/sys/fs/cgroup/a/memory.current", "20000\n");
    assert_int_equal(room(), 50000);
    kernel_put("/sys/fs/cgroup/a/b/memory.max", "30000\n");
    kernel_put("/sys/fs/cgroup/a/b/memory.current", "10000\n");
    assert_int_equal(room(), 20000);
    kernel_put("/proc/meminfo", "MemAvailable: 10 kB\n");
    assert_int_equal(room(), 10240);
    kernel_put("/proc/self/cgroup", "0::/\n"); /* as in a namespace of groups */
    kernel_put("/sys/fs/cgroup/memory.max", "9000\n");
    kernel_put("/sys/fs/cgroup/memory.current", "1000\n");
    assert_int_equal(room(), 8000);
    kernel_put("/proc/self/mountinfo", "");
    kernel_put("/proc/self/cgroup", "0::/a/b\n"); /* no mount is to be seen */
    assert_int_equal(room(), 8000);
    kernel_close();
}

static void swap_of_a_group_is_what_it_may_use_of_the_machines(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/meminfo", "MemAvailable: 1000 kB\nSwapFree: 100 kB\n");
    kernel_put("/proc/self/mountinfo", UNIFIED);
    kernel_put("/proc/self/cgroup", "0::/a\n");
    kernel_put("/sys/fs/cgroup/a/memory.max", "50000\n");
    kernel_put("/sys/fs/cgroup/a/memory.current", "40000\n");
    assert_int_equal(room(), 10000 + 102400);
    kernel_put("/sys/fs/cgroup/a/memory.swap.current", "3000\n");
    kernel_put("/sys/fs/cgroup/a/memory.swap.max", "5000\n");
    assert_int_equal(room(), 12000);
    kernel_put("/sys/fs/cgroup/a/memory.swap.max", "0\n");
    assert_int_equal(room(), 10000);
    kernel_put("/sys/fs/cgroup/a/memory.swap.max", "max\n");
    assert_int_equal(room(), 10000 + 102400);
    kernel_close();
}

static void the_first_version_is_read_too(void **state)
{
    (void)state;
    kernel_open();
    kernel_put("/proc/meminfo", "MemAvailable: 1000 kB\nSwapFree: 100 kB\n");
    kernel_put("/proc/self/mountinfo", FIRST);
    kernel_put("/proc/self/cgroup", "5:cpuset:/other\n4:memory:/box/one\n0::/y\n");
    kernel_put("/sys/fs/cgroup/memory/box/one/memory.limit_in_bytes", "9223372036854771712\n");
    kernel_put("/sys/fs/cgroup/memory/box/one/memory.usage_in_bytes", "20000\n");
    assert_int_equal(room(), 1100 * 1024);
    kernel_put("/sys/fs/cgroup/memory/box/memory.limit_in_bytes", "60000\n");
    kernel_put("/sys/fs/cgroup/memory/box/memory.usage_in_bytes", "40000\n");
    kernel_put("/sys/fs/cgroup/memory/box/memory.stat", "cache 1\ninactive_file 9\ntotal_inactive_file "
                                                        "1000\ntotal_active_file 500\n");
    assert_int_equal(room(), 21500 + 102400);
    kernel_put("/sys/fs/cgroup/memory/box/memory.memsw.limit_in_bytes", "70000\n");
    kernel_put("/sys/fs/cgroup/memory/box/memory.memsw.usage_in_bytes", "41000\n");
    assert_int_equal(room(), 30500);
    kernel_close();
}

/* ---- a real limit ---- */

#define GROUP_LIMIT (96 * MIB)

static char group[128];

static bool write_file(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", group, name);
    int fd = open(path, O_WRONLY | O_CLOEXEC);
    bool done = fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text);
    if (fd >= 0)
        close(fd);
    return done;
}

/* A control group of memory of our own, of either version. False where there can be none. */
static bool make_group(void)
{
    static const struct {
        const char *place, *limit;
    } versions[] = {{"/sys/fs/cgroup/memory", "memory.limit_in_bytes"}, {"/sys/fs/cgroup", "memory.max"}};
    char limit[32];
    snprintf(limit, sizeof limit, "%lld\n", (long long)GROUP_LIMIT);
    for (size_t i = 0; i < sizeof versions / sizeof *versions; i++) {
        snprintf(group, sizeof group, "%s/mproc-test-%d", versions[i].place, (int)getpid());
        if (mkdir(group, 0755))
            continue;
        if (write_file(versions[i].limit, limit))
            return true;
        rmdir(group);
    }
    return false;
}

static bool group_is_gone(void *arg)
{
    (void)arg;
    return rmdir(group) == 0;
}

/* How many MiB a family of its own can have in blocks of this size, before it is told that there are no more. */
static int fill(void *arg)
{
    char pid[32];
    size_t size = *(size_t *)arg;
    size_t taken = 0;
    munmap(region.base, region.size);
    region = (struct region){.fd = -1, .bell = -1};
    snprintf(pid, sizeof pid, "%d\n", (int)getpid());
    if (!write_file("cgroup.procs", pid))
        return 255;
    while (taken < 2 * (size_t)GROUP_LIMIT && mproc_alloc(size))
        taken += size;
    return errno == ENOMEM ? (int)(taken / (size_t)MIB) : 254;
}

static void a_limit_is_an_error_whatever_the_size_of_the_blocks(void **state)
{
    (void)state;
    static const size_t sizes[] = {1000, 5000, 100000, 1 << 20, 20 << 20, 120 << 20};
    if (!make_group()) {
        print_message("no control group of memory can be made here\n");
        skip();
    }
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        int taken = in_child(fill, (void *)(uintptr_t)&sizes[i]);
        if (sizes[i] > (size_t)GROUP_LIMIT)
            assert_int_equal(taken, 0);
        else
            assert_in_range(taken, 60, 96);
    }
    assert_true(wait_until(group_is_gone, NULL, 20000));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        unit(where_nothing_is_told_there_is_room),
        unit(the_machine_has_what_is_available_and_swap),
        unit(page_cache_of_a_group_is_room),
        unit(the_nearest_limit_on_the_way_up_counts),
        unit(swap_of_a_group_is_what_it_may_use_of_the_machines),
        unit(the_first_version_is_read_too),
        unit(a_limit_is_an_error_whatever_the_size_of_the_blocks),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
