/* The place where a listener can be found: a socket that listens at an address, and for a unix socket its file.
 *
 * Others see a file of that name only when a process listens: the socket gets a name that nobody knows,
 * listens, and is then linked to the one that was asked for, which fails where there is a file. A file that an ended
 * listener left is replaced under a lock on its folder, so that of several processes that want it one gets it. A
 * process that is killed on the way leaves a hidden file behind, and no lock.
 *
 * Files and folders are removed when the endpoint is closed, and by an exit handler where it is not. What a process
 * that was killed has left of a chosen folder is removed by the next one that chooses a folder there, see
 * os/socket_folder.h. */
#ifndef MPROC_CONNECTION_ENDPOINT_H
#define MPROC_CONNECTION_ENDPOINT_H

#include "connection/address.h"
#include "os/socket_file.h"

/* next, fd and lock are changed while forks are held. A descriptor is -1 when there is none. A forked child's copy has
 * neither descriptors nor file nor folder. */
struct endpoint {
    struct endpoint *next;
    int fd;
    int lock;      /* of the folder */
    pid_t owner;   /* the process that has made it */
    bool has_file; /* this is what address.path names */
    struct os_file_identity file;
    char folder[PATH_MAX];  /* that was made for the file, or empty */
    struct address address; /* with what was chosen */
};

/* Listen at this address. all: other users may connect too. 0 or the errors of mproc_listener_create(); nothing is left
 * then. */
int endpoint_open(struct endpoint *endpoint, const struct address *address, int backlog, bool all);

/* Stop, and remove the file and the folder. */
void endpoint_close(struct endpoint *endpoint);

#endif
