/* What can be done with any descriptor, and which descriptors are the library's.
 *
 * Every descriptor that the library makes goes through os_keep(), which moves it above those of stdio and notes which
 * open file it is. The numbers are the process's: a program may close all of them, and open files of its own that get
 * these numbers. So what is written to, locked or closed is compared with the note first, and left alone when it is
 * something else by then. */
#ifndef MPROC_OS_DESCRIPTOR_H
#define MPROC_OS_DESCRIPTOR_H

#include <stdbool.h>

/* The first descriptor that is not stdio. */
#define OS_FIRST_FD 3

/* Take over a descriptor that was just made. One of 0, 1 or 2 is replaced by a higher one: a program that closed its
 * stdin must not find ours there, nor pass it on to its children. The descriptor to use, close-on-exec where it was
 * moved; on failure it is closed. A negative number is returned as it is. Async-signal-safe. */
int os_keep(int fd);

/* As os_keep(), for a descriptor that no file type is known of, such as an eventfd or a pidfd: one question less. */
int os_keep_typeless(int fd);

/* As os_keep(), for a descriptor that came from another process: its open file is not only ours, and is not marked. */
int os_keep_received(int fd);

/* As os_keep() for both of a pair; on failure both are closed. */
int os_keep_pair(int fds[2]);

/* Take over a descriptor where it is: one that was inherited, or that the program gives to the library. */
void os_adopt(int fd);

/* Whether the descriptor still is what was kept or adopted. False for all others. Async-signal-safe. */
bool os_is_kept(int fd);

/* Whether it was kept or adopted, and is something else by now, or closed. Async-signal-safe. */
bool os_is_replaced(int fd);

/* Close it, unless it was kept and is something else by now: 0 then. The descriptor is gone even where -EIO or the like
 * is returned. Async-signal-safe. */
int os_close(int fd);

/* Close it without a look at what it is: one that nobody else can have closed since it was made. */
int os_close_at_once(int fd);

/* Another descriptor for the same open file, close-on-exec. */
int os_duplicate(int fd);

/* The same, with a higher number than this. */
int os_duplicate_above(int fd, int below);

/* Make target another descriptor for the same open file, not close-on-exec; what it was is closed. */
int os_replace(int fd, int target);

/* Close it when the program is replaced by exec. */
int os_set_close_on_exec(int fd);

/* Whether it is open. */
bool os_is_open(int fd);

#endif
