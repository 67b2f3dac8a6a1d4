/* Keys as options give them. */
#ifndef MPROC_CONNECTION_AUTH_KEY_H
#define MPROC_CONNECTION_AUTH_KEY_H

#include "connection/address.h"
#include "connection/handshake.h"

/* Whether such a key is a key, and may do for such an address: 0 or -EINVAL; -ELIBACC: there is no OpenSSL. */
int auth_key_check(const struct handshake_key *key, const struct address *address, bool any_user);

#endif
