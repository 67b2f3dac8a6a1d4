/* New processes: copies of this one, and fresh runs of a program. */
#ifndef MPROC_OS_PROCESS_H
#define MPROC_OS_PROCESS_H

#include "os/descriptor.h"
#include <stddef.h>
#include <sys/types.h>

/* The most descriptors beyond stdio that a program can be started with. */
#define OS_SPAWN_FDS 80

/* Copy this process, with all that the C library does around it. The child's pid, 0 in the child, -errno. */
pid_t os_fork(void);

/* Copy this process as another child of its parent, which will reap it. To be called by a process with one thread. No
 * handler of pthread_atfork() is run. As os_fork() otherwise. */
pid_t os_fork_sibling(void);

/* Copy this process for a few system calls and _exit(): no handler of pthread_atfork() is run, and the child may call
 * what is async-signal-safe only. Nobody is sent a signal at its end, and nobody but os_pidfd_reap() reaps it, whatever
 * this process does with SIGCHLD and its other children. Its pid and a descriptor for it, which the child has not; 0 in
 * the child; -errno. All signals should be blocked. */
pid_t os_fork_bare(int *pidfd);

/* In such a child: close all descriptors beyond stdio but these two; and all from one on. */
int os_close_all_but(int one, int other);
int os_close_from(int first);

/* Run a program. It gets stdio, these descriptors and no others; they become 3, 4 and so on in their order. No signal
 * is blocked in it, and SIGCHLD is not ignored. The child's pid, or -errno, also when the program cannot be executed.
 * Cheap however large this process is. */
pid_t os_spawn(const char *path, char *const argv[], char *const envp[], const int *fds, size_t count);

/* The path of the program that this process runs: by its name, if that still is the same file. 0 or -errno. */
int os_own_executable(char *path, size_t size);

/* What ps and top call the calling thread, and the process if that is its first; 15 bytes at most. */
void os_set_name(const char *name);

/* Have the kernel send this process a signal when the pipe that is read by fd has no writer any more. fd must be an
 * open file description of its own. Where that has happened already the process gets the signal at once. */
int os_signal_me_at_hangup(int fd, int signal);

#endif
