/* Files by their names in an open folder: what is to be written whole or not at all. All but the lock may be called in
 * a child of os_fork_bare(). */
#ifndef MPROC_OS_FOLDER_H
#define MPROC_OS_FOLDER_H

#include <sys/types.h>

/* openat() with these flags, close-on-exec, and these rights for a new file; never by a symbolic link. The descriptor
 * or -errno. */
int os_open_in(int folder, const char *name, int flags, mode_t mode);

/* Put a file in the place of another. */
int os_rename_in(int folder, const char *from, const char *to);

/* Take a name away; whether there was one does not matter. */
void os_unlink_in(int folder, const char *name);

/* Wait until what was written to a file, or the names in a folder, are on the disk. */
int os_sync(int fd);

/* A lock on an open file: held until all copies of this descriptor, those in forked children too, are closed. 0;
 * -EAGAIN: somebody has it; -errno. */
int os_file_lock(int fd);

/* Whether the file still has a name: 1, 0, or -errno. */
int os_has_name(int fd);

#endif
