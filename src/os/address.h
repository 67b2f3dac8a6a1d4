/* Addresses of sockets, as the kernel takes and gives them, and names of hosts. */
#ifndef MPROC_OS_ADDRESS_H
#define MPROC_OS_ADDRESS_H

#include <netinet/in.h>
#include <stdbool.h>
#include <stddef.h>
#include <sys/socket.h>
#include <sys/un.h>

struct os_address {
    socklen_t size;
    const char *path; /* of a unix socket, where it does not fit below; whoever made the address keeps it. Else NULL */
    union {
        struct sockaddr any;
        struct sockaddr_un local;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } as;
};

/* The longest path of a unix socket that the kernel takes. */
#define OS_SOCKET_PATH_MAX (sizeof((struct sockaddr_un *)0)->sun_path - 1)

/* A host as text, an address or a name, with its NUL. */
#define OS_HOST_SIZE 256

/* The address of a unix socket. The path must stay as long as the address. 0 or -ENAMETOOLONG: it is no path. */
int os_address_of_path(struct os_address *address, const char *path);

/* The address as the kernel takes it, in near: one whose path is too long by a descriptor of the file, if is_there, or
 * else of its folder. *by is that descriptor, to be closed when the address was used, or -1 where none is needed. 0;
 * -ENAMETOOLONG: that cannot be done, as there is no /proc; -errno. */
int os_address_shorten(const struct os_address *address, bool is_there, struct os_address *near, int *by);

/* The addresses of a host for TCP, at most capacity of them; how many, at least 1. Asks the name service where host is
 * a name, which may take long. -EHOSTUNREACH: there is none; -EAGAIN: the name service does not answer; -errno. */
int os_address_of_host(struct os_address *addresses, size_t capacity, const char *host, unsigned port);

bool os_address_is_local(const struct os_address *address);

/* The host, numeric, and the port of a TCP address. False when it is none. */
bool os_address_parts(const struct os_address *address, char host[OS_HOST_SIZE], unsigned *port);

#endif
