/* Addresses of sockets, as address.h says. Called by listeners and those that connect. */
#include "os/address.h"

#include "os/fault.h"
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <stdio.h>
#include <string.h>

int os_address_of_path(struct os_address *address, const char *path)
{
    size_t length = strlen(path);

    if (length > OS_SOCKET_PATH_MAX)
        return -ENAMETOOLONG;
    memset(address, 0, sizeof *address);
    address->as.local.sun_family = AF_UNIX;
    memcpy(address->as.local.sun_path, path, length + 1);
    address->size = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + length + 1);
    return 0;
}

static int resolve_error(int error)
{
    switch (error) {
    case EAI_SYSTEM:
        return -errno;
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
    int error = getaddrinfo(host, service, &hints, &found);
    if (error)
        return resolve_error(error);
    for (const struct addrinfo *info = found; info && count < capacity; info = info->ai_next) {
        if (info->ai_addrlen > sizeof addresses->as)
            continue;
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
