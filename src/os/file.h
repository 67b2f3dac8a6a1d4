/* Files. Everything that is opened here is close-on-exec. */
#ifndef MPROC_OS_FILE_H
#define MPROC_OS_FILE_H

#include <dirent.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/types.h>

/* open() with these flags. The descriptor or -errno. */
int os_open(const char *path, int flags);

/* A stream that reads a file, and one of a folder's entries. NULL and errno. */
FILE *os_open_text(const char *path);
DIR *os_open_folder(const char *path);

/* The size that a file of this process can have at most (RLIMIT_FSIZE); SIZE_MAX: any. */
size_t os_file_limit(void);

/* Set the size of a file: 0 or -errno. -EFBIG where the limit is less; no signal then. */
int os_set_size(int fd, size_t size);

/* read() and write(): how many bytes, 0 at the end of file, or -errno. -EFBIG where the limit on a file's size is
 * reached; no signal then. */
ssize_t os_read(int fd, void *buffer, size_t size);
ssize_t os_write(int fd, const void *data, size_t size);

/* pread() from a place in the file. */
ssize_t os_read_at(int fd, void *buffer, size_t size, size_t offset);

/* All of it, however many calls that takes: 0, -EPIPE at an early end of file, -errno. */
int os_read_all(int fd, void *buffer, size_t size);
int os_write_all(int fd, const void *data, size_t size);

/* os_write_all() by another function than os_write(), as os_write_quietly(). */
typedef ssize_t os_writer(int fd, const void *data, size_t size);
int os_write_all_by(os_writer *writer, int fd, const void *data, size_t size);

/* Go to the directory that is open there. */
int os_change_directory(int fd);

/* Map a file of this size for reading and writing, shared with whoever maps it too. 0 or -errno. */
int os_map_shared(int fd, size_t size, void **memory);

/* Whether it is a regular file of this user's that nobody else may read or write: 0, -EPERM, -errno. */
int os_is_private(int fd);

/* Map a whole file for reading. Where it is cut off meanwhile, its pages are no more: reading them is SIGBUS. May be
 * called in a handler, and so may its opposite. 0 or -errno, -EINVAL where it is no file with bytes in it. */
int os_map_file(const char *path, const unsigned char **bytes, size_t *size);
void os_unmap_file(const unsigned char *bytes, size_t size);

/* Whether this process may execute the file: 0 or -errno, -EACCES for what is no file. */
int os_may_execute(const char *path);

/* Whether there is something at the path. */
bool os_is_there(const char *path);

/* The path from the root, wherever this process goes later. Links stay. 0; -ENAMETOOLONG; -errno. */
int os_absolute_path(const char *path, char *absolute, size_t size);

/* Where memfd_create() is refused: a file in /dev/shm that never has a name, and goes with its last descriptor.
 * -ENOENT: there is no place for it. */
int os_nameless_file(void);

/* An anonymous file in memory for what a child needs to know, empty and positioned at 0; and back to 0. */
int os_scratch_file(void);
int os_rewind(int fd);

#endif
