/* Keys as options give them. */
#ifndef MPROC_IPC_KEY_H
#define MPROC_IPC_KEY_H

#include "ipc/address.h"
#include "ipc/handshake.h"

/* Whether such a key is a key, and may do for such an address: 0 or -EINVAL; -ELIBACC: there is no OpenSSL. */
int key_check(const struct handshake_key *key, const struct address *address, bool any_user);

#endif
