/* Addresses of managers as users write them: those of listeners, and tls:HOST:PORT. */
#ifndef MPROC_MANAGER_WIRE_MANAGER_ADDRESS_H
#define MPROC_MANAGER_WIRE_MANAGER_ADDRESS_H

#include "connection/address.h"
#include "os/clock.h"

#define MANAGER_KEY_MAX 4096

/* How a connection is to be made: constant. */
struct manager_address {
    char text[MPROC_ADDRESS_MAX];
    struct address address;
    bool tls;
    bool any_user;
    nanoseconds silence_time; /* of a host that is gone */
    unsigned char key[MANAGER_KEY_MAX];
    size_t key_size;
};

/* Take an address apart: 0, -EINVAL, -ENAMETOOLONG. */
int manager_address_parse(struct manager_address *way, const char *text);

#endif
