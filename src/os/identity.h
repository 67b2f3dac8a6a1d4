/* What a process is to the kernel, as far as its children inherit it. */
#ifndef MPROC_OS_IDENTITY_H
#define MPROC_OS_IDENTITY_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* Numbers for what a child of this thread would inherit beside memory, descriptors and environment: users and groups,
 * capabilities, file mode mask, resource limits, priority and scheduling, CPUs, session and process group, cgroups,
 * namespaces, root directory, system call filters and the like. 0: the kernel did not tell. */
struct os_identity {
    uint64_t status;
    uint64_t cgroup;
    uint64_t oom;
    uint64_t rest;
};

/* What it is now. 0 or -errno. */
int os_identity(struct os_identity *identity);

/* Whether something has changed between the two that is known of both. */
bool os_identity_differs(const struct os_identity *one, const struct os_identity *other);

/* What this thread may do: users, groups, and effective and permitted capabilities. Three system calls and no file. */
struct os_privileges {
    uid_t users[3];
    gid_t groups[3];
    uint64_t capabilities[2]; /* 0 where the kernel does not tell */
};

void os_privileges(struct os_privileges *privileges);

bool os_privileges_differ(const struct os_privileges *one, const struct os_privileges *other);

#endif
