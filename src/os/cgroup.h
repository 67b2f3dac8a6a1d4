/* The control groups that limit this process, in either version of their file system. */
#ifndef MPROC_OS_CGROUP_H
#define MPROC_OS_CGROUP_H

#include <stdbool.h>

/* A group's folder. */
struct os_cgroup {
    const char *root; /* before every path: "" but in tests, where the files of the kernel are made up */
    const char *folder;
    bool is_unified; /* of the second version */
};

/* Call visit for each group that has a say by this controller ("cpu", "memory"): this process's own, and every group
 * above it that can be seen from here. One may be visited twice. */
void os_cgroup_each(const char *root, const char *controller, void (*visit)(const struct os_cgroup *group, void *arg),
                    void *arg);

/* Up to two numbers from a file of the group; how many there were. */
int os_cgroup_numbers(const struct os_cgroup *group, const char *name, long long numbers[2]);

/* The sum of some fields of a file with a field and its number in each line; those that are missing count as 0. names
 * ends with NULL. */
long long os_cgroup_sum(const struct os_cgroup *group, const char *name, const char *const names[]);

#endif
