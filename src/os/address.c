/* Addresses of sockets, as address.h says. */
#define _GNU_SOURCE
#include "os/address.h"

#include "os/descriptor.h"
#include "os/fault.h"
#include "os/file.h"
#include "os/uncancelled.h"
#include "util/failure.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

int os_address_of_path(struct os_address *address, const char *path)
{
    size_t length = strlen(path);

    if (length >= PATH_MAX)
        return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->as.local.sun_family = AF_UNIX;
    if (length > OS_SOCKET_PATH_MAX) {
        address->path = path;
        return 0;
    }
    memcpy(address->as.local.sun_path, path, length + 1);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

/* "/proc/self/fd/N", or with the name in that folder. */
static int address_by(int fd, const char *name, struct os_address *near)
{
    char path[OS_SOCKET_PATH_MAX + 1];
    int length = snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    if (access(path, F_OK))
        return -ENAMETOOLONG;
    if (name && snprintf(path + length, sizeof path - (size_t)length, "/%s", name) >= (int)sizeof path - length)
        return -ENAMETOOLONG;
    return os_address_of_path(near, path);
}

int os_address_shorten(const struct os_address *address, bool is_there, struct os_address *near, int *by)
{
    char folder[PATH_MAX];
    *by = -1;
    if (!address->path) {
        *near = *address;
        return 0;
    }
    const char *slash = strrchr(address->path, '/');
    if (!slash && !is_there)
        return -ENAMETOOLONG;
    snprintf(folder, sizeof folder, "%.*s", slash ? (int)(slash - address->path) + 1 : 0, address->path);
    int fd = is_there ? os_open(address->path, O_PATH) : os_open(folder, O_PATH | O_DIRECTORY);
    if (fd < 0)
        return fd;
    int result = address_by(fd, is_there ? NULL : slash + 1, near);
    if (result)
        os_close(fd);
    else
        *by = fd;
    return result;
}

static int resolve_error(int error)
{
    switch (error) {
    case EAI_SYSTEM:
        return failed_call("getaddrinfo");
    case EAI_MEMORY:
        return -ENOMEM;
    case EAI_AGAIN:
        return -EAGAIN;
    default:
        return -EHOSTUNREACH;
    }
}

int os_address_of_host(struct os_address *addresses, size_t capacity, const char *host, unsigned port)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_NUMERICSERV};
    struct addrinfo *found;
    char service[8];
    size_t count = 0;

    int fault = os_fault(OS_RESOLVE);
    if (fault)
        return fault;
    snprintf(service, sizeof service, "%u", port % 65536);
    int error = uncancelled_getaddrinfo(host, service, &hints, &found);
    if (error)
        return resolve_error(error);
    for (const struct addrinfo *info = found; info && count < capacity; info = info->ai_next) {
        if (info->ai_addrlen > sizeof addresses->as)
            continue;
        addresses[count].path = NULL;
        addresses[count].size = info->ai_addrlen;
        memcpy(&addresses[count].as, info->ai_addr, info->ai_addrlen);
        count++;
    }
    freeaddrinfo(found);
    return count ? (int)count : -EHOSTUNREACH;
}

bool os_address_is_local(const struct os_address *address)
{
    return address->as.any.sa_family == AF_UNIX;
}

bool os_address_parts(const struct os_address *address, char host[OS_HOST_SIZE], unsigned *port)
{
    switch (address->as.any.sa_family) {
    case AF_INET:
        *port = ntohs(address->as.v4.sin_port);
        return inet_ntop(AF_INET, &address->as.v4.sin_addr, host, OS_HOST_SIZE) != NULL;
    case AF_INET6:
        *port = ntohs(address->as.v6.sin6_port);
        return inet_ntop(AF_INET6, &address->as.v6.sin6_addr, host, OS_HOST_SIZE) != NULL;
    default:
        return false;
    }
}
