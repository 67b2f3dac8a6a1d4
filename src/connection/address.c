/* Addresses as texts, as address.h says. */
#include "connection/address.h"
#include "util/failure.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#define LOOPBACK "127.0.0.1"

enum {
    PORT_DIGITS = 5,
    PORT_MAX = 65535
};

static bool parse_port(const char *text, unsigned *port)
{
    size_t length = strlen(text);

    if (length == 0 || length > PORT_DIGITS || strspn(text, "0123456789") != length)
        return false;
    *port = 0;
    for (size_t i = 0; i < length; i++)
        *port = *port * 10 + (unsigned)(text[i] - '0');
    return *port <= PORT_MAX;
}

/* text is HOST:PORT. Whether it is. */
static bool parse_tcp(struct address *address, const char *text)
{
    const char *colon = strrchr(text, ':');
    const char *host = text;

    if (!colon)
        return false;
    size_t length = (size_t)(colon - text);
    if (length > 2 && host[0] == '[' && host[length - 1] == ']') {
        host++;
        length -= 2;
        if (!memchr(host, ':', length))
            return false;
    } else if (memchr(host, ':', length)) {
        return false;
    }
    if (length >= sizeof address->host || memchr(host, '[', length) || memchr(host, ']', length))
        return false;
    memcpy(address->host, length ? host : LOOPBACK, length ? length : sizeof LOOPBACK - 1);
    address->scheme = ADDRESS_TCP;
    return parse_port(colon + 1, &address->port);
}

static int parse_unix(struct address *address, const char *path)
{
    size_t length = strlen(path);

    if (length >= sizeof address->path)
        return failure(-ENAMETOOLONG, "the path of address is too long");
    address->scheme = ADDRESS_UNIX;
    memcpy(address->path, path, length);
    return 0;
}

/* What follows a scheme, or NULL when it is not that one. */
static const char *after(const char *text, const char *scheme)
{
    size_t length = strlen(scheme);
    return strncmp(text, scheme, length) == 0 ? text + length : NULL;
}

int address_parse(struct address *address, const char *text)
{
    const char *rest;

    memset(address, 0, sizeof *address);
    if (!text)
        return failure(-EINVAL, "address is NULL");
    if ((rest = after(text, "unix:")))
        return parse_unix(address, rest);
    if ((rest = after(text, "tcp:")))
        return parse_tcp(address, rest)
                   ? 0
                   : failure(-EINVAL, "address is not tcp:HOST:PORT, or the port is no number up to 65535");
    if (after(text, "tls:"))
        return failure(-EINVAL, "address begins with tls:, which only managers speak: unix: or tcp:");
    return failure(-EINVAL, "address begins with neither unix: nor tcp:");
}

int address_check_whole(const struct address *address)
{
    if (address->scheme == ADDRESS_UNIX && !address->path[0])
        return failure(-EINVAL, "address has no path behind unix:");
    if (address->scheme == ADDRESS_TCP && !address->port)
        return failure(-EINVAL, "address has the port 0, to which nobody can connect");
    return 0;
}

static void write_tcp(const char *host, unsigned port, char text[ADDRESS_GIVEN_MAX])
{
    snprintf(text, ADDRESS_GIVEN_MAX, strchr(host, ':') ? "tcp:[%s]:%u" : "tcp:%s:%u", host, port);
}

void address_write(const struct address *address, char text[MPROC_ADDRESS_MAX])
{
    if (address->scheme == ADDRESS_TCP)
        write_tcp(address->host, address->port, text);
    else
        snprintf(text, MPROC_ADDRESS_MAX, "unix:%s", address->path);
}

/* A unix socket that connected has no name, but it may be given one. */
void address_write_peer(const struct os_address *peer, char text[ADDRESS_GIVEN_MAX])
{
    char host[OS_HOST_SIZE];
    unsigned port;

    if (os_address_parts(peer, host, &port)) {
        write_tcp(host, port, text);
        return;
    }
    size_t named = offsetof(struct sockaddr_un, sun_path);
    size_t length = peer->size > named ? strnlen(peer->as.local.sun_path, peer->size - named) : 0;
    snprintf(text, ADDRESS_GIVEN_MAX, "unix:%.*s", (int)length, peer->as.local.sun_path);
}
