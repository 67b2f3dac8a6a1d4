/* The files by which unix sockets are found. */
#ifndef MPROC_OS_SOCKET_FILE_H
#define MPROC_OS_SOCKET_FILE_H

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

/* Which file it is, whatever its name. */
struct os_file_identity {
    dev_t device;
    ino_t number;
};

static inline bool os_is_same_file(const struct os_file_identity *a, const struct os_file_identity *b)
{
    return a->device == b->device && a->number == b->number;
}

/* The socket file of this name. -ENOENT; -EEXIST: it is a file of another kind, or of another user; -errno. */
int os_socket_file_find(const char *path, struct os_file_identity *identity);

/* Who may connect: this user, or all. */
int os_socket_file_allow(const char *path, bool all);

/* Give it a further name. -EEXIST: there is a file of that name. And take a name away. */
int os_socket_file_link(const char *from, const char *to);
int os_socket_file_unlink(const char *path);

/* Whether no process has the socket of this file any more. Whoever has it does not notice the question. Anything but a
 * clear yes is a no. */
bool os_socket_file_is_dead(const char *path);

/* A lock on a folder, which nobody else has while the descriptor is open. The descriptor; -EAGAIN: somebody has it;
 * -errno. */
int os_folder_lock(const char *path);

#endif
