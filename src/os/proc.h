/* The processes of the machine, as /proc shows them.
 *
 * /proc counts as the pid namespace does in which it was mounted. Where that is an outer one, as in `unshare --pid`
 * without `--mount-proc`, a process has another number there than for kill(), and the number from /proc is for kill()
 * somebody else's. So what follows knows a process by its number in /proc, and only os_proc_open() and os_proc_number()
 * lead from there to a process that can be sent a signal, and back. Both rest on what the kernel says of a descriptor,
 * whatever /proc is. */
#ifndef MPROC_OS_PROC_H
#define MPROC_OS_PROC_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/* One process. pid and start together name it, for a number comes again only after a while. */
struct os_proc {
    pid_t pid; /* in /proc, as parent */
    pid_t parent;
    uint64_t start; /* when it was started, as os_proc_now() */
    char state;     /* of its first thread: 'R', 'S', 'D', 'T', 't', 'Z', ... */
    bool has_ended; /* and was not reaped yet */
};

/* What the kernel says about a process. 0; -ESRCH or -ENOENT when there is none; -errno. */
int os_proc_read(pid_t pid, struct os_proc *proc);

/* The number of this process in /proc. 0; -ENOENT where there is no /proc, or one that does not show it; -errno. */
int os_proc_self(pid_t *pid);

/* The number in /proc of the process of a pidfd. 0; -ESRCH when it was reaped, or is not shown; -errno. */
int os_proc_number(int pidfd, pid_t *pid);

/* A pidfd, close-on-exec, of a process that was read before: proven to be the same one. -ESRCH when it is gone, or
 * cannot be reached from here; -errno. */
int os_proc_open(const struct os_proc *proc);

/* How many bytes of memory of the process of a pidfd were resident at most. 0; -ESRCH when it has ended; -errno. */
int os_proc_peak_memory(int pidfd, size_t *bytes);

/* How many bytes of this process are resident that it shares with nobody. 0 or -errno. */
int os_proc_own_memory(size_t *bytes);

/* The signals that this process has handlers for, and those that its first thread blocks; signal n in bit n - 1. 0 or
 * -errno. */
int os_proc_own_signals(uint64_t *caught, uint64_t *blocked);

/* How many processes the kernel has killed since it was started because there was no memory, in the machine or in a
 * cgroup. 0; -ENOENT where it does not tell, -errno. The second is the same from the text of /proc/vmstat. */
int os_proc_oom_kills(uint64_t *count);
int os_proc_parse_oom_kills(const char *text, uint64_t *count);

/* From now on this process can have so many bytes of private memory, and no more. 0 or -errno. */
int os_limit_memory(size_t bytes);

/* Call visit for each process of the machine. 0 or -errno. */
int os_proc_each(void (*visit)(const struct os_proc *proc, void *arg), void *arg);

/* Write the children of a process, of all its threads, up to so many. Returns how many there are, 0 too where the
 * kernel does not tell. Those that come and go meanwhile may be missing. */
size_t os_proc_children(pid_t pid, pid_t *children, size_t capacity);

/* Whether the environment that the process was executed with has this text in the value of this variable. False when it
 * may not be read. */
bool os_proc_environment_has(pid_t pid, const char *variable, const char *text);

/* The soft limit of the number of file locks, RLIMIT_LOCKS, of another process, and of this one: a number that Linux
 * keeps and does nothing with, and that is inherited through fork and exec. UINT64_MAX: there is none. 0 or -errno. */
int os_proc_lock_limit(pid_t pid, uint64_t *limit);
int os_set_lock_limit(uint64_t limit);

/* The time that processes started now are noted with. */
uint64_t os_proc_now(void);

#endif
