/* What a process is to the kernel, as identity.h says. */
#define _GNU_SOURCE
#include "os/identity.h"

#include "os/descriptor.h"
#include "os/file.h"
#include <errno.h>
#include <fcntl.h>
#include <linux/capability.h>
#include <sched.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/personality.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#define BUFFER_SIZE 4096
#define LABEL_SIZE  24
#define OWN         "/proc/thread-self/"

#define ASK_PERSONALITY    0xffffffff
#define IOPRIO_WHO_PROCESS 1

#define BASIS UINT64_C(0xcbf29ce484222325)

/* FNV-1a. */
static void mix(uint64_t *hash, const void *bytes, size_t size)
{
    const unsigned char *at = bytes;
    for (size_t i = 0; i < size; i++)
        *hash = (*hash ^ at[i]) * UINT64_C(0x100000001b3);
}

static void mix_number(uint64_t *hash, long number)
{
    mix(hash, &number, sizeof number);
}

/* What is done with the bytes of a file, piece by piece. */
struct sieve {
    uint64_t *hash;
    bool takes_all;
    char label[LABEL_SIZE]; /* of the line, up to its colon */
    size_t label_size;
    bool is_labelled; /* the colon was seen */
    bool is_wanted;
};

static bool is_wanted(const char *label)
{
    static const char wanted[][LABEL_SIZE] = {
        "Umask",  "Uid",    "Gid",    "Groups",     "NSpgid",  "NSsid",           "CapInh",       "CapPrm",
        "CapEff", "CapBnd", "CapAmb", "NoNewPrivs", "Seccomp", "Seccomp_filters", "Cpus_allowed", "Mems_allowed",
    };
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++)
        if (strcmp(label, wanted[i]) == 0)
            return true;
    return false;
}

static void sift_byte(struct sieve *sieve, char byte)
{
    if (sieve->takes_all || (sieve->is_labelled && sieve->is_wanted))
        mix(sieve->hash, &byte, 1);
    if (byte == '\n') {
        sieve->is_labelled = false;
        sieve->label_size = 0;
    } else if (!sieve->is_labelled && byte == ':') {
        sieve->is_labelled = true;
        sieve->label[sieve->label_size] = '\0';
        sieve->is_wanted = is_wanted(sieve->label);
    } else if (!sieve->is_labelled && sieve->label_size < LABEL_SIZE - 1) {
        sieve->label[sieve->label_size++] = byte;
    }
}

static int sift_file(int fd, struct sieve *sieve)
{
    char buffer[BUFFER_SIZE];
    ssize_t size;
    do {
        size = os_read(fd, buffer, sizeof buffer);
        for (ssize_t i = 0; i < size; i++)
            sift_byte(sieve, buffer[i]);
    } while (size > 0 || size == -EINTR);
    return (int)size;
}

/* The number for a file, of some of its lines or of all; 0 where it cannot be read. 0 or -errno. */
static int number_of(const char *path, bool takes_all, uint64_t *number)
{
    uint64_t hash = BASIS;
    struct sieve sieve = {.hash = &hash, .takes_all = takes_all};
    int fd = os_open(path, O_RDONLY);
    *number = 0;
    if (fd < 0)
        return fd;
    int result = sift_file(fd, &sieve);
    os_close(fd);
    if (!result)
        *number = hash;
    return result;
}

static void mix_limits(uint64_t *hash)
{
    struct rlimit limit;
    for (int i = 0; i < RLIM_NLIMITS; i++)
        if (getrlimit((__rlimit_resource_t)i, &limit) == 0)
            mix(hash, &limit, sizeof limit);
}

static void mix_scheduling(uint64_t *hash)
{
    struct sched_param param = {.sched_priority = 0};
    sched_getparam(0, &param);
    mix_number(hash, sched_getscheduler(0));
    mix_number(hash, param.sched_priority);
    mix_number(hash, getpriority(PRIO_PROCESS, 0));
    mix_number(hash, syscall(SYS_ioprio_get, IOPRIO_WHO_PROCESS, 0));
    mix_number(hash, prctl(PR_GET_TIMERSLACK));
}

static void mix_places(uint64_t *hash)
{
    static const char names[][LABEL_SIZE] = {"cgroup", "ipc", "mnt", "net", "pid_for_children", "time_for_children",
                                             "user",   "uts"};
    char path[sizeof OWN + LABEL_SIZE + 8];
    struct stat status;
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        snprintf(path, sizeof path, OWN "ns/%.20s", names[i]);
        if (stat(path, &status) == 0)
            mix(hash, &status.st_ino, sizeof status.st_ino);
    }
    if (stat("/", &status) == 0) {
        mix(hash, &status.st_dev, sizeof status.st_dev);
        mix(hash, &status.st_ino, sizeof status.st_ino);
    }
}

int os_identity(struct os_identity *identity)
{
    *identity = (struct os_identity){.rest = BASIS};
    mix_limits(&identity->rest);
    mix_scheduling(&identity->rest);
    mix_places(&identity->rest);
    mix_number(&identity->rest, prctl(PR_GET_SECUREBITS));
    mix_number(&identity->rest, personality(ASK_PERSONALITY));
    (void)number_of(OWN "cgroup", true, &identity->cgroup);
    (void)number_of(OWN "oom_score_adj", true, &identity->oom);
    return number_of(OWN "status", false, &identity->status);
}

static bool differs(uint64_t one, uint64_t other)
{
    return one && other && one != other;
}

bool os_identity_differs(const struct os_identity *one, const struct os_identity *other)
{
    return differs(one->status, other->status) || differs(one->cgroup, other->cgroup) ||
           differs(one->oom, other->oom) || differs(one->rest, other->rest);
}

/* ---- privileges ---- */

void os_privileges(struct os_privileges *privileges)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct data[_LINUX_CAPABILITY_U32S_3] = {{0}};

    memset(privileges, 0, sizeof *privileges);
    (void)getresuid(&privileges->users[0], &privileges->users[1], &privileges->users[2]);
    (void)getresgid(&privileges->groups[0], &privileges->groups[1], &privileges->groups[2]);
    if (syscall(SYS_capget, &header, data))
        return;
    privileges->capabilities[0] = data[0].effective | (uint64_t)data[1].effective << 32;
    privileges->capabilities[1] = data[0].permitted | (uint64_t)data[1].permitted << 32;
}

bool os_privileges_differ(const struct os_privileges *one, const struct os_privileges *other)
{
    return memcmp(one, other, sizeof *one) != 0;
}
