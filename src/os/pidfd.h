/* Processes by descriptor: a pidfd names one process for ever, whatever becomes of its number. Where pidfd_open() is
 * refused (before Linux 5.3, by filters, under valgrind) something else stands in for it, see procfd.h: it does all
 * that is said here, and cannot be polled. */
#ifndef MPROC_OS_PIDFD_H
#define MPROC_OS_PIDFD_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* A child that has ended. */
struct os_end {
    pid_t pid;
    int exit;    /* its exit code, or minus its signal */
    int64_t cpu; /* nanoseconds of CPU time that it has used, with the children that it waited for */
    size_t
        peak_memory; /* bytes of memory that were resident at most, in it or in one of them; 0: not known, nor is cpu */
};

/* A descriptor for the process with that number, close-on-exec; -ESRCH when there is none. Only the parent of a process
 * that was not reaped knows for sure which process that is. */
int os_pidfd_open(pid_t pid);

/* Whether something stands in for them. */
bool os_pidfd_is_refused(void);

/* Whether poll() can wait for it; else os_pidfd_wait() looks every few milliseconds. */
bool os_pidfd_is_pollable(int fd);

/* The same for a child of this process that nobody has reaped; -ECHILD when it is none. */
int os_pidfd_of_child(pid_t pid);

/* Wait at most so many nanoseconds for the end of the process. 1: it has ended, or this is no descriptor of a process;
 * 0: it has not; -EINTR and others. */
int os_pidfd_wait(int fd, int64_t span);

/* The following two are -EBADF where the descriptor is no longer the one that os_pidfd_open() made, or that was
 * adopted.
 *
 * Send a signal. 0; -ESRCH when the process has ended and was reaped; -EPERM. */
int os_pidfd_signal(int fd, int signal);

/* Reap a child without waiting. 1: it has ended and *exitcode is its exit code, or minus its signal; 0: it has not
 * ended, or its end is not settled yet; -ECHILD: no child of this process, or somebody else reaped it and the kernel
 * does not tell how it ended. */
int os_pidfd_reap(int fd, int *exitcode);

/* The same, and what it has used. */
int os_pidfd_reap_end(int fd, struct os_end *end);

/* Whether the kernel tells how a process ended that somebody else reaped, as Linux does from 6.15 on. Tried out once,
 * with a process that is made and reaped. */
bool os_pidfd_tells_end(void);

/* Whether the process is a child of this one that was not reaped: with its number, that is its number as long as nobody
 * reaps it. */
bool os_pidfd_is_child(int fd);
bool os_is_child(pid_t pid);

/* For a child that has no pidfd, by its number. Whether it has ended, or is no child of this process; and wait for its
 * end and reap it. 0 or -errno; exitcode as above, or NULL. */
bool os_child_has_ended(pid_t pid);
int os_reap(pid_t pid, int *exitcode);

#endif
