/* Addresses as users write them, see <mproc/listener.h>, taken apart and put together. Memory only. */
#ifndef MPROC_CONNECTION_ADDRESS_H
#define MPROC_CONNECTION_ADDRESS_H

#include "os/address.h"
#include <limits.h>
#include <mproc/listener.h>

/* Room for the text of any address that the kernel gives. */
#define ADDRESS_GIVEN_MAX 280

enum address_scheme {
    ADDRESS_UNIX,
    ADDRESS_TCP
};

struct address {
    enum address_scheme scheme;
    char host[OS_HOST_SIZE]; /* tcp; never empty */
    unsigned port;           /* tcp */
    char path[PATH_MAX];     /* unix; empty: to be chosen */
};

/* Take a text apart. 0; -EINVAL: it is no address; -ENAMETOOLONG: its path is too long for a unix socket. */
int address_parse(struct address *address, const char *text);

/* Whether it can be connected to: -EINVAL where the path is empty, or the port 0. */
int address_check_whole(const struct address *address);

/* The text of an address. */
void address_write(const struct address *address, char text[MPROC_ADDRESS_MAX]);

/* The text of an address that the kernel gave. */
void address_write_peer(const struct os_address *peer, char text[ADDRESS_GIVEN_MAX]);

#endif
