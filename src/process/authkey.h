/* The key for authenticated connections, which children inherit. */
#ifndef MPROC_PROCESS_AUTHKEY_H
#define MPROC_PROCESS_AUTHKEY_H

#include <stdbool.h>
#include <stddef.h>

#define AUTHKEY_MAX 256

/* See to it that there is a key, so that a child has the same one. 0 or -errno. */
int authkey_settle(void);

/* Whether the program has set the key, in this process or in one from which it was inherited. A random one is none. */
bool authkey_is_given(void);

/* In a fresh process: take the parent's key. 0 or -ENOMEM. */
int authkey_adopt(const void *key, size_t size, bool is_given);

#endif
