/* Folders that are made for one unix socket each, and are removed with it: by whoever made it, or by a later process
 * where that one was killed. */
#ifndef MPROC_OS_SOCKET_FOLDER_H
#define MPROC_OS_SOCKET_FOLDER_H

#include <stddef.h>

/* The name of the socket in such a folder. */
#define OS_SOCKET_FOLDER_FILE "listener"

/* Make a folder that only this user may enter, in $TMPDIR or, where there is none to be had, in /tmp: its path, and a
 * descriptor that locks it, or -1 where the file system knows no locks. No process may be forked meanwhile that would
 * keep the descriptor. 0 or -errno. */
int os_socket_folder_create(char *path, size_t size, int *lock);

/* What $TMPDIR says, wherever the folder is made; NULL: nothing. */
const char *os_socket_folder_wish(void);

/* Remove the folder, if it is empty. */
int os_socket_folder_remove(const char *path);

/* Remove what processes that are no more have left of such folders beside this one. */
void os_socket_folder_sweep(const char *path);

#endif
