/* New processes: the system calls, and what the C library needs around them. What a child does is decided above. */
#define _GNU_SOURCE
#include "os/process.h"

#include "os/fault.h"
#include "os/fork.h"
#include "os/pidfd.h"
#include "os/procfd.h"
#include "os/program.h"
#include "os/refused.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/futex.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <stdbool.h>
#include <stdint.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#ifndef PR_GET_TID_ADDRESS
#define PR_GET_TID_ADDRESS 40
#endif

#define OWN_EXECUTABLE "/proc/self/exe"

OS_FORK_PATH pid_t os_fork(void)
{
    int fault = os_fault(OS_FORK);
    if (fault)
        return fault;
    pid_t pid = fork();
    return pid < 0 ? failed_call("fork") : pid;
}

/* What the C library notes about its thread in the kernel: where it keeps the thread's number, and its list of robust
 * mutexes. A copy that the library did not make itself must be told both again. */
struct thread_notes {
    int *tid;
    void *robust_list;
    size_t robust_size;
};

static struct thread_notes read_thread_notes(void)
{
    struct thread_notes notes = {NULL, NULL, 0};
    if (prctl(PR_GET_TID_ADDRESS, &notes.tid))
        notes.tid = NULL;
    if (syscall(SYS_get_robust_list, 0, &notes.robust_list, &notes.robust_size))
        notes.robust_list = NULL;
    return notes;
}

/* In a copy of the thread: it holds none of the mutexes that its original holds. */
static void begin_robust_list(struct thread_notes notes)
{
    struct robust_list_head *head = notes.robust_list;
    head->list.next = &head->list;
    syscall(SYS_set_robust_list, head, notes.robust_size);
}

pid_t os_fork_sibling(void)
{
    int fault = os_fault(OS_FORK);
    if (fault)
        return fault;
    struct thread_notes notes = read_thread_notes();
    unsigned long flags = CLONE_PARENT | SIGCHLD;
    if (notes.tid)
        flags |= CLONE_CHILD_SETTID | CLONE_CHILD_CLEARTID;
#if defined(__x86_64__)
    long pid = syscall(SYS_clone, flags, NULL, NULL, notes.tid, NULL);
#else
    long pid = syscall(SYS_clone, flags, NULL, NULL, NULL, notes.tid);
#endif
    if (pid == 0 && notes.robust_list)
        begin_robust_list(notes);
    return pid < 0 ? failed_call("clone") : (pid_t)pid;
}

/* A child whose descriptor could not be kept above stdio. */
static pid_t undo_fork(pid_t pid, int error)
{
    kill(pid, SIGKILL);
    while (uncancelled_waitpid(pid, NULL, __WALL) < 0 && errno == EINTR)
        ;
    return error;
}

pid_t os_fork_bare(int *pidfd)
{
    int fault = os_fault(OS_FORK);
    if (fault)
        return fault;
    bool has_pidfds = !os_pidfd_is_refused();
    int fd = -1;
    long pid = syscall(SYS_clone, has_pidfds ? (unsigned long)CLONE_PIDFD : 0, NULL, &fd, NULL, NULL); /* no signal */
    if (pid <= 0)
        return pid < 0 ? failed_call("clone") : 0;
    *pidfd = has_pidfds ? os_keep(fd) : os_procfd_open((pid_t)pid);
    return *pidfd < 0 ? undo_fork((pid_t)pid, *pidfd) : (pid_t)pid;
}

static int close_from_to(int first, int last)
{
    return first <= last && close_range((unsigned)first, (unsigned)last, 0) ? failed_call("close_range") : 0;
}

static int close_ranges(int low, int high)
{
    int result = close_from_to(OS_FIRST_FD, low - 1);
    if (!result)
        result = close_from_to(low + 1, high - 1);
    return result ? result : close_from_to(high + 1, INT_MAX);
}

/* As the kernel lists the descriptors of a process. */
struct entry {
    uint64_t number;
    int64_t offset;
    uint16_t size;
    uint8_t type;
    char name[];
};

static int number_of(const char *name)
{
    int number = 0;
    for (; *name >= '0' && *name <= '9'; name++)
        number = number * 10 + (*name - '0');
    return *name ? -1 : number;
}

/* Close those in one part of the list, from the first on, except these. Returns whether there was one. */
static bool close_entries(const char *list, ssize_t size, int first, const int kept[3])
{
    bool some = false;
    for (ssize_t at = 0; at < size;) {
        const struct entry *entry = (const struct entry *)(const void *)(list + at);
        int fd = number_of(entry->name);
        at += entry->size;
        if (fd < first || fd == kept[0] || fd == kept[1] || fd == kept[2])
            continue;
        uncancelled_close(fd);
        some = true;
    }
    return some;
}

/* Where close_range() (Linux 5.9) is refused: as /proc lists them, until the list has no others. It takes no memory. */
static int close_listed(int first, int low, int high)
{
    _Alignas(struct entry) char list[2048];
    bool some;
    int listing = uncancelled_open("/proc/self/fd", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (listing < 0)
        return failed_call("open");
    do {
        ssize_t size;
        some = false;
        lseek(listing, 0, SEEK_SET);
        while ((size = syscall(SYS_getdents64, listing, list, sizeof list)) > 0)
            some = close_entries(list, size, first, (const int[]){low, high, listing}) || some;
    } while (some);
    uncancelled_close(listing);
    return 0;
}

int os_close_from(int first)
{
    int result = os_fault(OS_CLOSE_RANGE);
    if (!result)
        result = close_from_to(first, INT_MAX);
    return os_is_refused(-result) ? close_listed(first, -1, -1) : result;
}

int os_close_all_but(int one, int other)
{
    int low = one < other ? one : other;
    int high = one < other ? other : one;
    int result = os_fault(OS_CLOSE_RANGE);
    if (!result)
        result = close_ranges(low, high);
    return os_is_refused(-result) ? close_listed(OS_FIRST_FD, low, high) : result;
}

static bool is_own_executable(const char *path)
{
    struct stat named, own;
    return stat(path, &named) == 0 && stat(OWN_EXECUTABLE, &own) == 0 && named.st_dev == own.st_dev &&
           named.st_ino == own.st_ino;
}

/* Under valgrind readlink() names the program, but the link leads to valgrind. */
static bool is_mapped(const char *path)
{
    char mapped[PATH_MAX];
    return os_program_path(mapped, sizeof mapped) == 0 && strcmp(mapped, path) == 0;
}

int os_own_executable(char *path, size_t size)
{
    int fault = os_fault(OS_OPEN);
    if (fault)
        return fault;
    ssize_t length = readlink(OWN_EXECUTABLE, path, size - 1);
    if (length < 0)
        return failed_call("readlink");
    path[length] = '\0';
    if (!is_own_executable(path) && !is_mapped(path)) /* replaced or deleted: the link leads to what runs here */
        memcpy(path, OWN_EXECUTABLE, sizeof OWN_EXECUTABLE);
    return 0;
}

/* In line where it can be: the library's prctl() lies where a forked child needs nothing else, see fork.h. */
OS_FORK_PATH void os_set_name(const char *name)
{
#if defined(__x86_64__)
    long result = SYS_prctl;
    __asm__ __volatile__("syscall" : "+a"(result) : "D"((long)PR_SET_NAME), "S"(name) : "rcx", "r11", "memory");
#else
    prctl(PR_SET_NAME, name);
#endif
}

static bool has_hung_up(int fd)
{
    struct pollfd end = {.fd = fd, .events = 0};
    return uncancelled_poll(&end, 1, 0) == 1 && (end.revents & POLLHUP);
}

int os_signal_me_at_hangup(int fd, int signal)
{
    int fault = os_fault(OS_FCNTL);
    if (fault)
        return fault;
    if (fcntl(fd, F_SETSIG, signal) || fcntl(fd, F_SETOWN, getpid()) || fcntl(fd, F_SETFL, O_ASYNC | O_NONBLOCK))
        return failed_call("fcntl");
    if (has_hung_up(fd))
        raise(signal); /* it happened before the kernel knew whom to tell */
    return 0;
}
